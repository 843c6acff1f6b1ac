"""Figure: how networks average at each kind of site, and whether a missing column changes that."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lowdose.evaluation.filters_at_sites import KINDS
from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN, looks, titles

PANELS = (
    ("extent_nm", "(a) radius that holds 90 % of\nthe filter's energy [nm]", True),
    ("lattice_contrast", "(b) lattice spots in the filter's\nspectrum (1: none)", True),
    ("remainder", "(c) remainder: what the network\nadds to the filtered counts", False),
)


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row a network, kind of site and panel."""
    table = inputs.table("filters", "filters")
    changes = inputs.table("filter_changes", "filters")
    known = set(table["denoiser"])
    names = [n for n in spec["shown"] if n in known]
    look, title = looks(spec), titles(spec)
    figure, axes = plt.subplots(
        2, 2, figsize=(WIDTH_IN, 6.4),
        gridspec_kw={"wspace": 0.28, "hspace": 0.42, "left": 0.09, "right": 0.985,
                     "bottom": 0.13, "top": 0.925},
    )  # fmt: skip
    kinds = [k for k in KINDS if k in set(table["kind"])]
    records = []
    for one, (metric, label, logarithmic) in zip(axes.flat, PANELS, strict=False):
        for k, name in enumerate(names):
            rows = table[table["denoiser"] == name]
            groups = [rows.loc[rows["kind"] == kind, metric].to_numpy() for kind in kinds]
            records += _dots(one, groups, kinds, k, len(names), look[name], title[name], metric)
        one.set_title(label, loc="left")
        one.set_xticks(range(len(kinds)), kinds, rotation=30, ha="right")
        if logarithmic:
            one.set_yscale("log")
            one.yaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
            one.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
            one.yaxis.set_minor_formatter(NullFormatter())
        one.grid(axis="y")
    records += _changes(axes[1, 1], changes, names, look, title)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=min(5, len(names)),
                  bbox_to_anchor=(0.52, 0.0))  # fmt: skip
    return figure, pd.DataFrame(records)


def _dots(axes: Axes, groups, kinds, k: int, many: int, look, title, metric) -> list[dict]:
    """Draw every site as a dot and their median as a bar; return the medians."""
    shift = (k - (many - 1) / 2) * 0.8 / max(many, 1)
    records = []
    for place, (kind, values) in enumerate(zip(kinds, groups, strict=True)):
        x = place + shift
        axes.plot(np.full(len(values), x), values, ls="none", marker=look["marker"] or "o", ms=3.2,
                  alpha=0.45, mew=0, color=look["color"])  # fmt: skip
        if len(values):
            axes.plot([x - 0.3 / many, x + 0.3 / many], [np.median(values)] * 2, lw=2.2,
                      color=look["color"], label=title if place == 0 else None,
                      solid_capstyle="butt")  # fmt: skip
            records.append({"panel": metric, "denoiser": title, "kind": kind, "n": len(values),
                            "median": float(np.median(values)), "least": values.min(),
                            "greatest": values.max()})  # fmt: skip
    return records


def _changes(axes: Axes, changes: pd.DataFrame, names, look, title) -> list[dict]:
    records = []
    for name in names:
        rows = changes[changes["denoiser"] == name]
        if rows.empty:
            continue
        axes.plot(rows["by_noise"], rows["change"], ls="none", ms=4.5, mew=0, alpha=0.8,
                  marker=look[name]["marker"] or "o", color=look[name]["color"])  # fmt: skip
        ratio = rows["change"] / rows["by_noise"].clip(lower=1e-9)
        records.append({"panel": "change over that by noise", "denoiser": title[name],
                        "kind": "vacancy and adatom", "n": len(rows),
                        "median": float(ratio.median()), "least": ratio.min(),
                        "greatest": ratio.max()})  # fmt: skip
    ends = 0.0, 1.05 * float(changes[["by_noise", "change"]].max().max())
    axes.plot(ends, ends, color="#555555", lw=0.8, zorder=0)
    axes.set(xlim=ends, ylim=ends, xlabel="change of the filter from noise to noise\n(1 − cosine)",
             ylabel="when the column is removed")  # fmt: skip
    axes.set_title("(d) does a missing column change\nthe filter?", loc="left")
    axes.grid()
    return records
