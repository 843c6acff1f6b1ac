"""Figure: a surface that loses and regains its order, its rates of switching, its strain."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN

FRAMES = 200  # that are shown of the film
COLOURS = {"disordering": "#d55e00", "ordering": "#0072b2"}
METHODS = {"blob": ("#cc79a7", "D", "blob"), "fit": ("#009e73", "o", "fitted")}
ARROWS = {"disordering": "order → disorder", "ordering": "disorder → order"}
APART = 0.05  # of neighbouring points on a logarithmic axis, in factors of e


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with the rates that it shows."""
    table = inputs.table("dynamics", "dynamics")
    table = table[table["templates"] == "film"].dropna(subset=["rate"]).reset_index(drop=True)
    reference = spec["reference_dose_e_per_px"]
    figure = plt.figure(figsize=(WIDTH_IN, 5.4))
    grid = figure.add_gridspec(
        2, 3, left=0.075, right=0.985, top=0.95, bottom=0.155, hspace=0.5, wspace=0.34,
        height_ratios=(0.8, 1),
    )  # fmt: skip
    _order(figure.add_subplot(grid[0, :]), inputs.table("dynamics_trace", "dynamics"), reference)
    shortest = table["summed"].min()
    left, middle = figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    of_dose = table[table["summed"] == shortest]
    at_reference = table[np.isclose(table["dose_e_per_px"], reference)]
    top = 1.15 * float(pd.concat([of_dose["high"], table["true_rate"]]).replace(np.inf, 0).max())
    frame_ms = 1e3 * table["frame_time_s"].min()
    _rates(left, of_dose, "dose_e_per_px", 1.0, top)
    left.set(xlabel="dose of a frame [e/px]", ylabel="rate of switching [1/s]")
    left.set_title(f"(b) frames of {frame_ms:g} ms", loc="left")
    _rates(middle, at_reference, "frame_time_s", 1e3, top)
    middle.set(xlabel="frame time [ms]")
    middle.set_title(f"(c) {reference:g} e/px in {frame_ms:g} ms", loc="left")
    dwell = 1e3 / float(table["true_rate"].fillna(table["realised_rate"]).max())
    middle.axvline(dwell, color="#8c8c8c", lw=0.9, ls=":")
    middle.text(dwell * 0.93, 0.97 * top, "dwell time", rotation=90, ha="right", va="top",
                fontsize=7.5, color="#606060")  # fmt: skip
    handles = [Line2D([], [], color=c, marker="o", label=ARROWS[s]) for s, c in COLOURS.items()]
    handles += [
        Line2D([], [], color="#444444", label="true rate"),
        Line2D([], [], color="#444444", ls="--", lw=1, label="of this film"),
    ]
    box = left.get_position()
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(box.x0 - 0.02, 0.0), ncols=4,
                  columnspacing=1.1, handlelength=1.5, handletextpad=0.5)  # fmt: skip
    _strain(figure.add_subplot(grid[1, 2]), inputs.table("strain", "dynamics"), reference)
    return figure, table


def _order(axes: Axes, trace: pd.DataFrame, reference: float) -> None:
    """Draw the order of each frame over the true states, and the recovered state."""
    trace = trace.head(FRAMES)
    time, order, error = (trace[n].to_numpy() for n in ("time_s", "order", "order_se"))
    half = (time[1] - time[0]) / 2
    edges = np.append(time - half, time[-1] + half)
    for first, last in _spells(trace["ordered"].to_numpy() == 0):
        axes.axvspan(edges[first], edges[last], color="#dcdcdc", lw=0, zorder=0)
    axes.fill_between(time, order - error, order + error, color="#56b4e9", alpha=0.45, lw=0)
    axes.plot(time, order, color="#0072b2", lw=0.9)
    axes.stairs(trace["recovered"], edges, baseline=None, color="#d55e00", lw=1.3)
    low, high = min(order.min(), 0), max(order.max(), 1)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(low - 0.1, high + 0.1), xlabel="time [s]",
             ylabel="order parameter")  # fmt: skip
    axes.set_yticks([0, 0.5, 1])
    axes.set_title(f"(a) surface layer, {reference:g} e/px a frame", loc="left")
    axes.legend(
        handles=[
            Line2D([], [], color="#0072b2", lw=0.9, label="order ± standard error"),
            Line2D([], [], color="#d55e00", lw=1.3, label="recovered state"),
            Patch(color="#dcdcdc", label="truly disordered"),
        ],
        loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=3, borderaxespad=0.1,
        handlelength=1.6, columnspacing=1.4,
    )  # fmt: skip


def _rates(axes: Axes, rows: pd.DataFrame, along: str, factor: float, top: float) -> None:
    """Draw rates with their intervals, all realisations beside each other, and the true ones."""
    number = rows["realisation"].nunique()
    for side, (step, colour) in zip((-1, 1), COLOURS.items(), strict=True):
        own = rows[rows["step"] == step]
        axes.axhline(own["true_rate"].iloc[0], color=colour, lw=1, zorder=1)
        axes.axhline(own["realised_rate"].iloc[0], color=colour, lw=1, ls="--", zorder=1)
        shift = np.exp(APART * side * (own["realisation"] + 1) * 3 / (number + 1))
        value = own["rate"].where(np.isfinite(own["rate"]))
        axes.vlines(
            own[along] * factor * shift, own["low"].clip(upper=top), own["high"].clip(upper=top),
            color=colour, lw=0.9, alpha=0.7,
        )  # fmt: skip
        axes.plot(own[along] * factor * shift, value, ls="none", marker="o", ms=3, color=colour)
    places = np.sort(rows[along].unique()) * factor
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.set(xlim=(places[0] / 1.4, places[-1] * 1.4), ylim=(0, top))
    axes.grid(axis="y")


def _strain(axes: Axes, table: pd.DataFrame, reference: float) -> None:
    """Draw the outward displacement of each surface column, and their mean."""
    near = np.isclose(table["dose_e_per_px"], reference)
    table = table[near & (table["realisation"] == 0)].astype({"column": str})
    shown = set.intersection(*(set(t["column"]) for _, t in table.groupby("method")))
    single = table[(table["column"] != "mean") & table["column"].isin(shown)]
    names = single.groupby("column")["x_nm"].mean().sort_values().index.tolist()
    place = {name: i for i, name in enumerate(names)} | {"mean": len(names) + 0.8}
    for shift, (method, (colour, marker, label)) in zip(
        (-0.16, 0.16), METHODS.items(), strict=True
    ):
        own = table[(table["method"] == method) & table["column"].isin(list(place))]
        x = own["column"].map(place).to_numpy() + shift
        axes.errorbar(x, 1e3 * own["outward_nm"], yerr=1e3 * own["se_nm"], ls="none", ms=3.5,
                      marker=marker, color=colour, elinewidth=0.9, label=label)  # fmt: skip
        axes.plot(x, 1e3 * own["noiseless_nm"], ls="none", marker="_", ms=7, mew=1.2, color=colour,
                  alpha=0.75)  # fmt: skip
        if method == "fit":
            axes.hlines(1e3 * own["true_nm"], x - 0.6, x + 0.28, color="black", lw=1.3,
                        label="true")  # fmt: skip
    axes.axhline(0, color="#b0b0b0", lw=0.7, zorder=0)
    axes.axvline(len(names) - 0.1, color="#b0b0b0", lw=0.7)
    axes.set_xticks(list(place.values()), [*map(str, range(1, len(names) + 1)), "mean"])
    axes.tick_params(axis="x", length=0)
    low, high = axes.get_ylim()
    axes.set(xlabel="surface column, from the left", ylim=(low, high + 0.22 * (high - low)))
    axes.set_ylabel("outward displacement [pm]", labelpad=1)
    axes.set_title("(d) strain of the ordered surface", loc="left")
    axes.legend(loc="upper left", ncols=3, columnspacing=0.8, handletextpad=0.2, handlelength=1.2,
                borderaxespad=0.1)  # fmt: skip


def _spells(on: np.ndarray) -> list[tuple[int, int]]:
    """Return first and one past the last of each run of True."""
    edges = np.flatnonzero(np.diff(np.r_[False, on, False].astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
