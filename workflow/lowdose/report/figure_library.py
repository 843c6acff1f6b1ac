"""Figure: the shapes of the model library, and how their images look at every defocus."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lowdose.report.inputs import Inputs
from lowdose.report.style import SITE_COLOURS, WIDTH_IN, scale_bar

AT_MOST = 6  # shapes of a family that are shown
SUPPORT_NM = 0.75  # of the support that is drawn
BELOW_NM = 1.25  # and room for the scale bar
CLASSES = {"black": "#222222", "intermediate": "#9a9a9a", "white": "#ffffff"}


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with the columns of each shape and the counts of classes."""
    models, columns = inputs.models()
    shown = _shapes(models)
    families = sorted(shown)
    counts = _counts(inputs.contrast_classes())
    across = max(map(len, shown.values()))

    of_model = {m: columns[columns["model_id"] == m] for ms in shown.values() for m in ms}
    extent = _extent(of_model, models)
    label, gap = 0.62, 0.05
    panel_w = min((WIDTH_IN - label) / across - gap, 2.0)
    panel_h = panel_w * extent[1] / extent[0]
    classes_h, legend_h = 1.75, 0.32
    total = len(families) * (panel_h + gap) + legend_h + classes_h + 0.55
    figure = plt.figure(figsize=(WIDTH_IN, total))
    tables = []
    for row, family in enumerate(families):
        for column, model in enumerate(shown[family]):
            axes = figure.add_axes((
                (label + column * (panel_w + gap)) / WIDTH_IN,
                1 - (0.03 + (row + 1) * panel_h + row * gap) / total,
                panel_w / WIDTH_IN, panel_h / total,
            ))  # fmt: skip
            about = models.set_index("model_id").loc[model]
            tables.append(_shape(axes, of_model[model], about, extent))
            if column == 0:
                axes.annotate(family, (0, 0.5), xytext=(-6, 0), xycoords="axes fraction",
                              textcoords="offset points", ha="right", va="center",
                              fontweight="bold")  # fmt: skip
                if row == len(families) - 1:
                    scale_bar(axes, 0.35, colour="black")
    used = {site for table in tables for site in table["site"]}
    sites = [s for s in SITE_COLOURS if s in used]
    handles = [
        Line2D([], [], marker="o", ls="none", ms=6, mfc=SITE_COLOURS[s], mec="#444444", mew=0.4,
               label=s) for s in sites
    ]  # fmt: skip
    below = classes_h + 0.5
    figure.legend(handles=handles, loc="lower center", ncols=len(sites), handletextpad=0.2,
                  bbox_to_anchor=(0.5, below / total), columnspacing=1.4)  # fmt: skip
    axes = figure.add_axes((0.62 / WIDTH_IN, 0.42 / total, (WIDTH_IN - 2.0) / WIDTH_IN,
                            (classes_h - 0.05) / total))  # fmt: skip
    _classes(axes, counts)
    shapes = pd.concat(tables, ignore_index=True).assign(table="columns")
    flat = counts.reset_index().melt("c1_nm", var_name="contrast", value_name="images")
    return figure, pd.concat([shapes, flat.assign(table="classes")], ignore_index=True)


def _shapes(models: pd.DataFrame) -> dict[str, list[str]]:
    """Choose one perfect model of each base shape, the least tilted and then the thinnest."""
    perfect = models[models["defect"] == "D0"].copy()
    perfect["tilt"] = np.hypot(perfect["tilt_x_deg"], perfect["tilt_y_deg"])
    first = perfect.sort_values(["base_shape", "tilt", "layers"]).drop_duplicates("base_shape")
    chosen = {}
    for family, group in first.groupby("family"):
        names = list(group["model_id"])
        places = np.linspace(0, len(names) - 1, min(AT_MOST, len(names))).round().astype(int)
        chosen[str(family)] = [names[i] for i in places]
    return chosen


def _extent(of_model: Mapping[str, pd.DataFrame], models: pd.DataFrame) -> tuple[float, float]:
    """Return width and height [nm] that hold every shape."""
    width = height = 0.0
    interface = models.set_index("model_id")["interface_y_nm"]
    for model, table in of_model.items():
        metal = table[table["element"] == "Pt"]
        width = max(width, metal["x_nm"].max() - metal["x_nm"].min())
        height = max(height, interface[model] - metal["y_nm"].min())
    return width + 0.5, height + 0.5 + BELOW_NM


def _shape(
    axes: Axes, table: pd.DataFrame, about: pd.Series, extent: tuple[float, float]
) -> pd.DataFrame:
    metal = table[table["element"] == "Pt"]
    middle = (metal["x_nm"].min() + metal["x_nm"].max()) / 2
    bottom = about["interface_y_nm"] + BELOW_NM
    axes.set_xlim(middle - extent[0] / 2, middle + extent[0] / 2)
    axes.set_ylim(bottom, bottom - extent[1])
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    inside = table[
        (table["x_nm"] - middle).abs().lt(extent[0] / 2)
        & (table["y_nm"] < about["interface_y_nm"] + SUPPORT_NM)
    ].sort_values(["y_nm", "x_nm"])
    point_nm = extent[0] / (axes.get_window_extent().width / axes.figure.dpi * 72)
    sizes = np.where(inside["element"] == "Pt", 0.105, 0.075) * 2 / point_nm
    axes.scatter(
        inside["x_nm"], inside["y_nm"], s=sizes**2, c=[SITE_COLOURS[s] for s in inside["site"]],
        edgecolors="#444444", linewidths=0.3,
    )  # fmt: skip
    axes.text(
        0.02, 0.98, f"{about['base_shape']}: {len(metal)} columns", transform=axes.transAxes,
        ha="left", va="top", fontsize=7, color="#333333",
    )  # fmt: skip
    keep = ["model_id", "x_nm", "y_nm", "element", "n_atoms", "is_surface", "site"]
    return inside[keep]


def _counts(classes: pd.DataFrame) -> pd.DataFrame:
    """Count the images of each contrast class at each C1."""
    counts = pd.crosstab(classes["c1_nm"], classes["contrast"])
    return counts.reindex(columns=list(CLASSES), fill_value=0)


def _classes(axes: Axes, counts: pd.DataFrame) -> None:
    steps = np.diff(counts.index) if len(counts) > 1 else np.ones(1)
    base = np.zeros(len(counts))
    for name, colour in CLASSES.items():
        axes.bar(
            counts.index, counts[name], bottom=base, color=colour, width=0.86 * steps.min(),
            edgecolor="#555555", linewidth=0.4, label=f"{name}\n({counts[name].sum()})",
        )  # fmt: skip
        base += counts[name].to_numpy()
    axes.set_xlabel("defocus C1 [nm], positive = overfocus")
    axes.set_ylabel("images")
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5),
                title="columns look", title_fontsize=8)  # fmt: skip
