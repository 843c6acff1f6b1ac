"""Figure: what a wider receptive field gains, all else equal, over shapes and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from scipy.optimize import isotonic_regression

from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN

PANELS = (
    ("psnr_db", "PSNR [dB]"),
    ("f1", "F1 of the surface columns"),
    ("fill_in_rate", "fill-in rate at vacancies"),
)
EQUAL, LONG, GUIDE = "#08519c", "#d55e00", "#9db8d2"


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row a point, tidy (``panel, network, x, value``)."""
    table = inputs.compared("field")
    figure, axes = plt.subplots(2, 3, figsize=(WIDTH_IN, 5.2), gridspec_kw={
        "wspace": 0.42, "hspace": 0.42, "left": 0.075, "right": 0.985, "bottom": 0.085,
        "top": 0.975})  # fmt: skip
    records = []
    for one, (measure, label) in zip(axes[0], PANELS, strict=True):
        records += _against_field(one, table, measure)
        one.set_ylabel(label)
    axes[0, 0].legend(loc="lower right", handlelength=1.2)
    records += _effective(axes[1, 0], table)
    curves = _curves(inputs, spec)
    records += _over_time(axes[1, 1], curves)
    records += _equal_time(axes[1, 2], curves)
    return figure, pd.DataFrame(records)


def _against_field(axes: Axes, table: pd.DataFrame, measure: str) -> list[dict]:
    records = []
    for long, rows in table.groupby("long"):
        values, low, high = (rows[f"{measure}{end}"] for end in ("", "_low", "_high"))
        whiskers = [(values - low).clip(lower=0), (high - values).clip(lower=0)]
        budget = "equal steps" if not long else f"{rows['minutes'].iloc[0]:g} minutes"
        axes.errorbar(
            rows["receptive_field_px"], values, yerr=whiskers, color=LONG if long else EQUAL,
            marker="D" if long else "o", linestyle="" if long else "-", lw=1.1, elinewidth=1.0,
            label=budget, zorder=3 if long else 2,
        )  # fmt: skip
        records += _records(measure, rows, rows["receptive_field_px"], values, low, high)
    _field_axis(axes, table["receptive_field_px"])
    return records


def _effective(axes: Axes, table: pd.DataFrame) -> list[dict]:
    rows = table[~table["long"] & table["effective_field_px"].notna()]
    ends = [table["receptive_field_px"].min(), table["receptive_field_px"].max()]
    axes.plot(ends, ends, color=GUIDE, lw=1.0, linestyle="--", label="nominal")
    axes.plot(
        rows["receptive_field_px"], rows["effective_field_px"], "o-", color=EQUAL, lw=1.1,
        label="effective",
    )  # fmt: skip
    axes.set_yscale("log")
    _field_axis(axes, table["receptive_field_px"])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("effective field [pixels]")
    axes.legend(loc="lower right", handlelength=1.2)
    nothing = rows["effective_field_px"] * np.nan
    return _records(
        "effective_field_px", rows, rows["receptive_field_px"], rows["effective_field_px"],
        nothing, nothing,
    )  # fmt: skip


def _curves(inputs: Inputs, spec: Mapping) -> pd.DataFrame:
    """Return the learning curve of each network of the sweep, the mean over its seeds."""
    tables = []
    for one in spec["trainings"]:
        history = inputs.history(one["denoiser"])[["step", "seconds", "validation_psnr_db"]]
        about = {k: one[k] for k in ("network", "receptive_field_px", "long", "seed")}
        tables.append(history.assign(**about))
    every = pd.concat(tables, ignore_index=True)
    # Long ones have as many steps as fit into their time, each seed others.
    steps = every[~every["long"]].groupby(["network", "receptive_field_px", "step"], sort=False)
    return (
        steps[["seconds", "validation_psnr_db"]].mean().reset_index()
        .sort_values(["receptive_field_px", "step"], kind="stable", ignore_index=True)
    )  # fmt: skip


def _over_time(axes: Axes, curves: pd.DataFrame) -> list[dict]:
    names = curves["network"].unique()
    shades = np.linspace(0.3, 1.0, max(len(names), 2))
    records, ends = [], {}
    for name, shade in zip(names, shades, strict=False):
        rows = curves[curves["network"] == name]
        axes.plot(
            rows["seconds"], rows["validation_psnr_db"], color=plt.get_cmap("Blues")(shade), lw=1.2
        )
        ends[f"{rows['receptive_field_px'].iloc[0]:g} px"] = rows.iloc[-1]
        nothing = rows["seconds"] * np.nan
        records += _records(
            "learning_curve", rows, rows["seconds"], rows["validation_psnr_db"], nothing, nothing
        )
    axes.set_xlabel("training time, one core [s]")
    axes.set_ylabel("validation PSNR [dB]")
    axes.set_xlim(0, 1.2 * curves["seconds"].max())  # room for the names
    axes.grid(axis="y")
    bottom, top = axes.get_ylim()
    heights = apart([end["validation_psnr_db"] for end in ends.values()], (top - bottom) / 16)
    for (text, end), height in zip(ends.items(), heights, strict=True):
        axes.annotate(
            text, (end["seconds"], height), xytext=(3, 0), textcoords="offset points",
            fontsize=6.5, va="center",
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip
    return records


def apart(heights: Sequence[float], distance: float) -> np.ndarray:
    """Return where labels stand that would stand at `heights`: moved until none overlap.

    Parameters
    ----------
    heights : sequence of float
    distance : float
        Least distance of two labels.
    """
    order = np.argsort(heights, kind="stable")
    sorted_ = np.asarray(heights, dtype=float)[order]
    steps = distance * np.arange(len(sorted_))
    moved = isotonic_regression(sorted_ - steps).x + steps
    result = np.empty(len(moved))
    result[order] = moved
    return result


def _equal_time(axes: Axes, curves: pd.DataFrame) -> list[dict]:
    """Read the curves where the fastest network has ended."""
    time = float(curves.groupby("network")["seconds"].max().min())
    rows = curves.groupby("network", sort=False)["receptive_field_px"].first().reset_index()
    values = pd.Series(
        [
            float(np.interp(time, one["seconds"], one["validation_psnr_db"]))
            for _, one in curves.groupby("network", sort=False)
        ]
    )
    axes.plot(rows["receptive_field_px"], values, "o-", color=EQUAL, lw=1.1)
    _field_axis(axes, rows["receptive_field_px"])
    axes.set_ylabel(f"validation PSNR after {time:.0f} s [dB]")
    nothing = values * np.nan
    return _records(
        "equal_time", rows.assign(long=False), rows["receptive_field_px"], values, nothing, nothing
    )


def _field_axis(axes: Axes, fields: pd.Series) -> None:
    axes.set_xscale("log")
    axes.set_xlim(fields.min() / 1.4, fields.max() * 1.4)
    axes.set_xlabel("receptive field [pixels]")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")


def _records(panel: str, rows: pd.DataFrame, x, value, low, high) -> list[dict]:
    long = rows["long"] if "long" in rows else [False] * len(rows)
    columns = zip(rows["network"], rows["receptive_field_px"], long, x, value, low, high,
                  strict=True)  # fmt: skip
    names = ("network", "receptive_field_px", "long", "x", "value", "low", "high")
    return [{"panel": panel, **dict(zip(names, one, strict=True))} for one in columns]
