"""Figure: where denoisers err, by defect, thickness, tilt, defocus, family and kind of site."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN, looks, titles_without_seeds

HIDDEN = ("constant", "raw")
SITES = ("facet", "edge", "corner", "step", "adatom")
# factor -> (what it is, measure, what that is)
PANELS = {
    "defect": ("defect of the surface", "f1", "surface F1"),
    "layers": ("thickness of the support [layers]", "f1", "surface F1"),
    "tilt_deg": ("tilt [°]", "f1", "surface F1"),
    "c1_nm": ("defocus C1, to 4 nm [nm]", "f1", "surface F1"),
    "family": ("family of shapes", "f1", "surface F1"),
    "site": ("kind of site", "recall", "recall as surface column"),
}
SPREAD = 0.62  # of the distance of two levels, over which denoisers stand side by side


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row a point."""
    table = inputs.table("strata", "summarise")
    known = set(table["denoiser"])
    names = [n for n in spec["shown"] if n not in HIDDEN and n in known]
    look = looks(spec)
    title = titles_without_seeds(spec, names)
    figure, axes = plt.subplots(
        2, 3, figsize=(WIDTH_IN, 5.6), sharey=True,
        gridspec_kw={"wspace": 0.09, "hspace": 0.5, "left": 0.075, "right": 0.995,
                     "bottom": 0.2, "top": 0.955},
    )  # fmt: skip
    records = []
    for k, (one, factor) in enumerate(zip(axes.flat, PANELS, strict=True)):
        records.append(_panel(one, table[table["factor"] == factor], factor, names, look))
        one.set_title(f"({'abcdef'[k]}) {PANELS[factor][2]}", loc="left")
    axes[0, 0].set_ylim(0, 1.05)
    handles = [
        axes[0, 0].plot([], [], ls="none", marker=look[n]["marker"] or "_", color=look[n]["color"],
                        ms=6, label=title[n])[0]
        for n in names
    ]  # fmt: skip
    figure.legend(handles=handles, loc="lower center", ncols=5, frameon=False, fontsize=8,
                  columnspacing=1.4, handletextpad=0.3)  # fmt: skip
    return figure, pd.concat(records, ignore_index=True)


def _panel(axes: Axes, table: pd.DataFrame, factor: str, names, look) -> pd.DataFrame:
    what, measure, _ = PANELS[factor]
    table = table.assign(level=table["level"].astype(str))
    shapes = table.groupby("level")["n_units"].first()
    levels = _ordered(list(shapes.index), factor)
    place = {level: i for i, level in enumerate(levels)}
    dodge = np.linspace(-SPREAD / 2, SPREAD / 2, len(names)) if len(names) > 1 else [0.0]
    records = []
    for shift, name in zip(dodge, names, strict=True):
        rows = table[table["denoiser"] == name]
        x = rows["level"].map(place) + shift
        value = rows[measure]
        error = [(value - rows[f"{measure}_low"]).clip(lower=0).fillna(0),
                 (rows[f"{measure}_high"] - value).clip(lower=0).fillna(0)]  # fmt: skip
        axes.errorbar(x, value, yerr=error, ls="none", marker=look[name]["marker"] or "_",
                      color=look[name]["color"], ms=4.2, elinewidth=0.7, capsize=0)  # fmt: skip
        records.append(
            pd.DataFrame(
                {
                    "factor": factor, "level": rows["level"], "denoiser": name, "measure": measure,
                    "value": value, "low": rows[f"{measure}_low"], "high": rows[f"{measure}_high"],
                    "n_shapes": rows["n_units"],
                }
            )
        )  # fmt: skip
    for edge in range(1, len(levels)):
        axes.axvline(edge - 0.5, color="#e5e5e5", lw=0.8, zorder=0)
    labels = [f"{level}\n({shapes[level]})" for level in levels]
    axes.set_xticks(range(len(levels)), labels)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.5, len(levels) - 0.5)
    axes.set_xlabel(what)
    axes.grid(axis="y")
    return pd.concat(records, ignore_index=True)


def _ordered(levels, factor: str) -> list[str]:
    if factor == "site":
        return [site for site in SITES if site in levels]
    if factor in ("defect", "family"):
        return sorted(levels)
    return sorted(levels, key=float)
