"""Figure: how precisely columns are located, how often missed, and their atoms counted."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN

# Method -> label, colour (Okabe and Ito's), marker.
LOCATED = {
    "blobs": ("blobs", "#d55e00", "o"),
    "fits": ("Gaussian fits", "#0072b2", "s"),
    "centroids": ("centroids", "#009e73", "^"),
    "network": ("blobs, denoised", "#332288", "*"),
}
# In what is missed centroids are like the blobs that they start at.
MISSED = ("blobs", "fits", "network")
COUNTED = {"film": ("sum over a film", "#d55e00", "o"), "one frame": ("one frame", "#0072b2", "s")}
WITHIN = 1.5  # times the bound: the light line
MOST_MISSED = 0.5  # above it a marker is open: only the clearest columns are located
FEWEST = 20  # located columns, over all frames, of which an error is shown
LEGEND = {"handlelength": 1.8, "borderaxespad": 0.2, "labelspacing": 0.35}


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with the table that it shows."""
    located = inputs.table("positions", "positions")
    counted = inputs.table("atom_counts", "positions")
    located = located[(located["columns"] == "all") & located["method"].isin(LOCATED)]
    counted = counted[counted["columns"] == "all"]
    figure, axes = plt.subplots(
        1, 3, figsize=(WIDTH_IN, 3.4),
        gridspec_kw={"wspace": 0.36, "left": 0.07, "right": 0.985, "bottom": 0.14, "top": 0.92},
    )  # fmt: skip
    _errors(axes[0], located)
    _failures(axes[1], located)
    _atoms(axes[2], counted)
    for panel in axes:
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter(FuncFormatter(_plain))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlabel("dose of a frame [e/pixel]")
        panel.grid()
    return figure, _shown(located, counted)


def _errors(axes: Axes, table: pd.DataFrame) -> None:
    for method, (label, colour, marker) in LOCATED.items():
        own = table[(table["method"] == method) & (table["n_located"] >= FEWEST)]
        own = own.sort_values("dose_e_per_px")
        if not len(own):
            continue
        dose, value = own["dose_e_per_px"], own["rms_pm"]
        error = np.array([value - own["rms_pm_low"], own["rms_pm_high"] - value])
        axes.errorbar(dose, value, yerr=error, color=colour, lw=1.2, elinewidth=0.7, capsize=0,
                      label=label)  # fmt: skip
        open_ = own["failure_rate"] > MOST_MISSED
        for part, face in ((open_, "white"), (~open_, colour)):
            axes.plot(dose[part], value[part], ls="none", marker=marker, color=colour, mfc=face,
                      ms=7 if marker == "*" else 4.5, zorder=3)  # fmt: skip
    bound = table.groupby("dose_e_per_px")["all_bound_pm"].first()
    axes.plot(bound.index, bound, color="black", lw=1.2, zorder=1)
    axes.plot(bound.index, WITHIN * bound, color="#b5b5b5", lw=1.2, zorder=1)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("RMS error along one axis [pm]")
    axes.set_title("(a) error of those located", loc="left")
    handles = [
        Line2D([], [], color=colour, marker=marker, lw=1.2, ms=7 if marker == "*" else 4.5,
               label=label)
        for method, (label, colour, marker) in LOCATED.items() if method in set(table["method"])
    ]  # fmt: skip
    handles += [
        Line2D([], [], color="black", lw=1.2, label="Cramér-Rao bound"),
        Line2D([], [], color="#b5b5b5", lw=1.2, label=f"{WITHIN:g} times the bound"),
    ]
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * 3.5)  # room for the legend
    axes.legend(handles=handles, loc="upper right", **LEGEND)


def _failures(axes: Axes, table: pd.DataFrame) -> None:
    for method in MISSED:
        label, colour, marker = LOCATED[method]
        own = table[table["method"] == method].sort_values("dose_e_per_px")
        if len(own):
            _curve(axes, own, "failure_rate", label, colour, marker)
    axes.set_title("(b) failure rate", loc="left")
    _as_shares(axes, "share missed")


def _atoms(axes: Axes, table: pd.DataFrame) -> None:
    for averaging, (label, colour, marker) in COUNTED.items():
        own = table[table["averaging"] == averaging].sort_values("dose_e_per_px")
        if averaging == "film" and len(own):
            label = f"sum of {own['frames'].mean():.0f} frames"
        if len(own):
            _curve(axes, own, "right", label, colour, marker)
    chance = table.loc[table["averaging"] == "one frame", "chance"]
    axes.axhline(chance.iloc[0], color="#8c8c8c", lw=1.2, ls=":", zorder=1,
                 label="always the commonest")  # fmt: skip
    axes.set_title("(c) number of atoms", loc="left")
    _as_shares(axes, "share counted rightly")


def _as_shares(axes: Axes, label: str) -> None:
    axes.set(ylim=(-0.03, 1.36), yticks=np.linspace(0, 1, 6))
    axes.spines["left"].set_bounds(-0.03, 1)  # above is room for the legend, not a share
    axes.set_ylabel(label, y=0.5 / 1.36)
    axes.legend(loc="upper right", **LEGEND)


def _curve(axes: Axes, own: pd.DataFrame, name: str, label: str, colour: str, marker: str) -> None:
    value = own[name]
    error = np.array([value - own[f"{name}_low"], own[f"{name}_high"] - value])
    axes.errorbar(
        own["dose_e_per_px"], value, yerr=np.maximum(error, 0), color=colour, marker=marker, lw=1.2,
        elinewidth=0.7, capsize=0, ms=7 if marker == "*" else 4.5, label=label,
    )  # fmt: skip


def _shown(located: pd.DataFrame, counted: pd.DataFrame) -> pd.DataFrame:
    names = ["method", "dose_e_per_px", "n_true", "n_located", "rms_pm", "rms_pm_low",
             "rms_pm_high", "all_bound_pm", "failure_rate", "failure_rate_low",
             "failure_rate_high"]  # fmt: skip
    few = located["n_located"] < FEWEST
    errors = located[names].copy()
    errors.loc[few, ["rms_pm", "rms_pm_low", "rms_pm_high"]] = np.nan
    atoms = counted[["averaging", "dose_e_per_px", "frames", "n_counts", "right", "right_low",
                     "right_high", "chance"]]  # fmt: skip
    return pd.concat([errors.assign(panel="a, b"), atoms.assign(panel="c")], ignore_index=True)


def _plain(value: float, _position: int) -> str:
    return f"{value:g}"
