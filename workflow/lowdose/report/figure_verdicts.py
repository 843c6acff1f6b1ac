"""Figure: false discoveries and power of the verdicts on columns, against what they promise."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lowdose.evaluation.verdicts import PLAIN, TESTS
from lowdose.report.inputs import Inputs
from lowdose.report.style import BASELINE_COLOURS, MARKERS, WIDTH_IN, titles

LEAST = 0.004  # a rate of 0 is drawn here
PANELS = (
    ("false_discovery_rate", "false discoveries among\nthe believed columns"),
    ("power", "share of the true surface\ncolumns that is believed"),
)


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with the table that it shows."""
    table, title = inputs.table("verdicts", "verdicts"), titles(spec)
    names = list(dict.fromkeys(table["denoiser"]))
    figure, axes = plt.subplots(
        2, len(names), figsize=(WIDTH_IN, 5.6), sharex=True, sharey="row", squeeze=False,
        gridspec_kw={"wspace": 0.1, "hspace": 0.12, "left": 0.11, "right": 0.985,
                     "bottom": 0.17, "top": 0.95},
    )  # fmt: skip
    for column, name in enumerate(names):
        rows = table[table["denoiser"] == name]
        for row, (metric, label) in enumerate(PANELS):
            one = axes[row, column]
            _panel(one, rows, metric)
            if column == 0:
                one.set_ylabel(label)
        axes[0, column].set_title(title.get(name, name))
        axes[1, column].set_xlabel("nominal false-discovery rate")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, bbox_to_anchor=(0.52, 0.0))
    return figure, table


def _panel(axes: Axes, table: pd.DataFrame, metric: str) -> None:
    levels = np.sort(table["level"].dropna().unique())
    axes.set_xscale("log")
    rate = metric == "false_discovery_rate"
    if rate:
        axes.set_yscale("log")
        axes.set_ylim(LEAST, 1)
        axes.plot(levels, levels, color="#555555", lw=0.9, label="as promised")
        axes.yaxis.set_major_locator(FixedLocator([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(-0.03, 1.03)
    for k, test in enumerate(TESTS):
        rows = table[table["test"] == test].sort_values("level")
        if rows.empty:
            continue
        value = rows[metric].clip(lower=LEAST) if rate else rows[metric]
        low, high = rows[f"{metric}_low"], rows[f"{metric}_high"]
        error = [(value - low.clip(lower=LEAST if rate else 0)).clip(lower=0),
                 (high - value).clip(lower=0)]  # fmt: skip
        axes.errorbar(
            rows["level"] * 1.04 ** (k - 1), value, yerr=error, label=test, elinewidth=0.8,
            marker=MARKERS[k], color=BASELINE_COLOURS[k], lw=1.2,
        )  # fmt: skip
    for test, dashes in zip(PLAIN, ((0, (4, 1.5)), (0, (1, 1))), strict=True):
        value = float(table.loc[table["test"] == test, metric].iloc[0])
        axes.axhline(max(value, LEAST) if rate else value, color="#8c8c8c", ls=dashes, lw=1.1,
                     label=test)  # fmt: skip
    axes.xaxis.set_major_locator(FixedLocator(list(levels)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid()
