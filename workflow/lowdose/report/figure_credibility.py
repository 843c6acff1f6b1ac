"""Figure: who is right about the columns at stake, beside what the electrons allow."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from lowdose.evaluation.credibility import IDEAL, roc
from lowdose.evaluation.equal_doses import RIGHT
from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN, end_labels, looks, titles_without_seeds

HIDDEN = ("clean", "constant")  # always right, and never
PANELS = (
    ("auc", "(b) area under the ROC of a site", (0.45, 1.01)),
    ("right_rate", "(c) right decisions", (0.45, 1.01)),
    ("efficiency", "(d) efficiency (share of the dose\nthat an ideal observer needs)", None),
)
IDEAL_LOOK = {"color": "#000000", "marker": "", "linestyle": "-", "lw": 2.2}


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row a point of each panel."""
    table = inputs.table("credibility", "credibility")
    table = table[table["kind"] == "all"]
    # A network of several seeds is drawn once, in the place of its first.
    trainings = {members[0]: members for members in spec["pooled"].values()}
    all_seeds = {members[0]: name for name, members in spec["pooled"].items()}
    table = table[~table["denoiser"].isin(all_seeds)]
    table = table.replace({"denoiser": {name: first for first, name in all_seeds.items()}})
    known = set(table["denoiser"])
    names = [IDEAL, *(n for n in spec["shown"] if n not in HIDDEN and n in known)]
    look = {**looks(spec), IDEAL: IDEAL_LOOK}
    title = {**titles_without_seeds(spec, names), IDEAL: "ideal observer"}
    figure, axes = plt.subplots(
        2, 2, figsize=(WIDTH_IN, 7.0),
        gridspec_kw={"wspace": 0.62, "hspace": 0.33, "left": 0.085, "right": 0.87,
                     "bottom": 0.07, "top": 0.965},
    )  # fmt: skip
    sites = {name: [inputs.sites(one) for one in trainings.get(name, [name])] for name in names}
    records = _roc(axes[0, 0], sites, spec, look)
    for one, (metric, label, limits) in zip(axes.flat[1:], PANELS, strict=True):
        records.append(_against_dose(one, table, metric, names, look, title, limits))
        one.set_title(label, loc="left")
    reference = spec["reference_dose_e_per_px"]
    axes[0, 0].set_title(f"(a) at {reference:g} electrons per pixel", loc="left")
    axes[1, 0].axhline(RIGHT, color="#555555", lw=0.8, ls=(0, (1, 1)), zorder=1)
    for one in axes.flat[1:]:
        one.axvline(reference, color="#dddddd", lw=5, zorder=0)
    return figure, pd.concat(records, ignore_index=True)


def _roc(axes: Axes, every: Mapping, spec: Mapping, look) -> list[pd.DataFrame]:
    dose = spec["reference_dose_e_per_px"]
    records = []
    for name, tables in every.items():
        sites = pd.concat(tables, ignore_index=True)
        sites = sites[(sites["dose_e_per_px"] == dose) & (sites["kind"] != "half")]
        curve = roc(sites)
        style = {k: v for k, v in look[name].items() if k != "marker"}
        axes.plot(curve["fill_in_rate"], curve["shown_rate"], **{"lw": 1.2, **style})
        present = sites["present"].to_numpy(dtype=bool)
        reported = sites["reported"].to_numpy(dtype=bool)
        point = reported[~present].mean(), reported[present].mean()
        axes.plot(*point, marker=look[name]["marker"] or "o", color=look[name]["color"], ms=5.5,
                  mec="white", mew=0.6, ls="none", zorder=5)  # fmt: skip
        records.append(
            pd.DataFrame(
                {
                    "panel": "a", "denoiser": name, "x": [*curve["fill_in_rate"], point[0]],
                    "value": [*curve["shown_rate"], point[1]],
                    "what": [*["curve"] * len(curve), "threshold of the study"],
                }
            )
        )  # fmt: skip
    axes.plot([0, 1], [0, 1], color="#8c8c8c", lw=0.8, ls=(0, (1, 1)))
    axes.annotate(
        "prior alone: draws it\nwhatever the counts", (0.62, 0.60), rotation=0, fontsize=7.5,
        color="#555555", ha="left", va="top",
    )  # fmt: skip
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="fill-in rate: empty sites shown",
             ylabel="columns shown (1 − erasure rate)")  # fmt: skip
    axes.grid()
    return records


def _against_dose(axes: Axes, table, metric, names, look, title, limits) -> pd.DataFrame:
    doses = np.sort(table["dose_e_per_px"].unique())
    axes.set_xscale("log")
    ends, shown, records = [], [], []
    for k, name in enumerate(names):
        rows = table[table["denoiser"] == name].sort_values("dose_e_per_px")
        rows = rows[rows[metric].notna()]
        if metric == "efficiency":
            rows = rows[rows[metric] > 0]
            if name == IDEAL:
                rows = rows.iloc[:0]
        if rows.empty:
            continue
        x = rows["dose_e_per_px"] * 1.02 ** (k - (len(names) - 1) / 2)
        value = rows[metric]
        error = [(value - rows[f"{metric}_low"]).clip(lower=0),
                 (rows[f"{metric}_high"] - value).clip(lower=0)]  # fmt: skip
        style = {"lw": 1.3, **look[name]}
        _, caps, bars = axes.errorbar(x, value, yerr=error, elinewidth=0.8, **style)
        for part in (*caps, *bars):
            part.set_alpha(0.2)
        ends.append(float(value.iloc[-1]))
        shown.append(name)
        records.append(
            pd.DataFrame(
                {
                    "panel": metric, "denoiser": name, "x": rows["dose_e_per_px"],
                    "value": value, "low": rows[f"{metric}_low"], "high": rows[f"{metric}_high"],
                    "what": "estimate",
                }
            )
        )  # fmt: skip
    if limits:
        axes.set_ylim(*limits)
    else:
        axes.set_yscale("log")
        axes.set_ylim(0.01, 1.5)
        axes.axhline(1, color="#000000", lw=2.2)
        axes.yaxis.set_major_locator(LogLocator(10))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.set_xlim(doses.min() / 1.4, doses.max() * 1.4)
    axes.xaxis.set_major_locator(FixedLocator(list(doses)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
    axes.set_xlabel("dose [electrons per pixel in vacuum]")
    if shown:
        _label_ends(axes, doses.max() * 1.4, ends, shown, look, title)
    return pd.concat(records, ignore_index=True) if records else pd.DataFrame()


def _label_ends(axes: Axes, x: float, ends, shown, look, title) -> None:
    colours = [look[n]["color"] for n in shown]
    names = [title[n] for n in shown]
    if axes.get_yscale() == "linear":
        end_labels(axes, x, ends, names, colours)
        return
    # On a logarithmic axis, in its own measure: a linear twin of the same height.
    twin = axes.twinx()
    low, high = np.log(axes.get_ylim())
    twin.set_ylim(low, high)
    twin.set_yticks([])
    twin.spines["right"].set_visible(False)
    end_labels(twin, x, list(np.log(ends)), names, colours)
