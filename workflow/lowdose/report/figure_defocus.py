"""Figure: contrast class and contrast of the columns against defocus, beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from lowdose.report.class_table import (
    CLASSES,
    COLOURS,
    PAPER,
    PAPER_BLACK_UP_TO_NM,
    PAPER_COLOUR,
    PAPER_IMAGES,
    PAPER_WHITE_AT_20_NM,
    PAPER_WHITE_FROM_NM,
    class_counts,
)
from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN, end_labels

BETWEEN = (0.05, 0.95)  # quantiles of the band


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with the shares and the contrasts at each C1.

    It needs ``classes.parquet`` alone; `spec` is not read.
    """
    images = inputs.contrast_classes()
    images = images[images["contrast"].isin(CLASSES)]
    counts = class_counts(images)
    figure = plt.figure(figsize=(WIDTH_IN, 5.4))
    c1 = np.sort(images["c1_nm"].unique())
    step = float(np.diff(c1).min()) if len(c1) > 1 else 1.0
    limits = c1[0] - 0.7 * step, c1[-1] + 0.7 * step
    above = figure.add_axes((0.105, 0.5, 0.65, 0.36))
    beside = figure.add_axes((0.845, 0.5, 0.145, 0.36), sharey=above)
    below = figure.add_axes((0.105, 0.095, 0.65, 0.34))
    _shares(above, counts[counts["by"] == "c1_nm"], step, limits)
    _overall(beside, counts[counts["by"] == "all"].iloc[0])
    contrast = _contrast(below, images, limits)
    shares = counts[counts["by"].isin(["all", "c1_nm"])]
    keep = ["by", "value", "images", *CLASSES, *(f"{n}_percent" for n in CLASSES),
            *(f"paper_{n}_percent" for n in CLASSES)]  # fmt: skip
    tables = [shares[keep].assign(table="shares"), contrast.assign(table="contrast")]
    return figure, pd.concat(tables, ignore_index=True)


def _stack(axes: Axes, places: np.ndarray, percents: Mapping[str, np.ndarray], width: float):
    base = np.zeros(len(places))
    for name in CLASSES:
        axes.bar(places, percents[name], bottom=base, width=width, color=COLOURS[name],
                 edgecolor="#555555", linewidth=0.5)  # fmt: skip
        base = base + percents[name]


def _shares(axes: Axes, counts: pd.DataFrame, step: float, limits: tuple[float, float]) -> None:
    """Stack the shares at each C1, with the ranges of the paper's classes above them."""
    c1 = counts["value"].to_numpy(dtype=float)
    percents = {name: counts[f"{name}_percent"].to_numpy() for name in CLASSES}
    _stack(axes, c1, percents, 0.86 * step)
    axes.set_xlim(limits)
    axes.set_ylim(0, 100)
    axes.set_ylabel("share of the images [%]")
    axes.tick_params(labelbottom=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _known(axes, c1, step)


def _known(axes: Axes, c1: np.ndarray, step: float) -> None:
    """Show what the paper's test set says of each C1: ranges of the classes, one share."""
    ranges = {
        "white": c1[c1 >= PAPER_WHITE_FROM_NM],
        "intermediate": c1,
        "black": c1[c1 <= PAPER_BLACK_UP_TO_NM],
    }
    across = axes.get_xaxis_transform()
    for row, name in enumerate(reversed(CLASSES)):
        height, at = 1.075 + 0.085 * row, ranges[name]
        if not len(at):
            continue
        left, right = at[0] - 0.43 * step, at[-1] + 0.43 * step
        axes.add_patch(Rectangle((left, height - 0.035), right - left, 0.07, transform=across,
                                 facecolor=COLOURS[name], edgecolor=PAPER_COLOUR, linewidth=0.8,
                                 clip_on=False))  # fmt: skip
        wide = len(at) > 0.4 * len(c1)
        axes.annotate(
            f"in the paper: {name}", ((left + right) / 2 if wide else right, height),
            xycoords=across, xytext=(0 if wide else 4, -0.5), textcoords="offset points",
            fontsize=7.5, color="black" if wide and name != "black" else PAPER_COLOUR, va="center",
            ha="center" if wide else "left", annotation_clip=False,
        )  # fmt: skip
    if 20 in c1:
        white, images = PAPER_WHITE_AT_20_NM
        axes.plot(20, 100 * white / images, "D", color=PAPER_COLOUR, ms=5.5, mec="white", mew=0.6)
        axes.annotate(
            f"paper: {100 * white / images:.0f} % white", (20, 100 * white / images),
            xytext=(-6, -9), textcoords="offset points", fontsize=7.5, color=PAPER_COLOUR,
            ha="right", va="top",
            bbox={"boxstyle": "square,pad=0.15", "fc": "white", "ec": "none"},
        )  # fmt: skip


def _overall(axes: Axes, row: pd.Series) -> None:
    """Set the shares of all images beside the paper's."""
    percents = {name: np.array([row[f"{name}_percent"], 100 * PAPER[name] / PAPER_IMAGES])
                for name in CLASSES}  # fmt: skip
    _stack(axes, np.arange(2.0), percents, 0.8)
    base = np.zeros(2)
    for name in CLASSES:
        for k, share in enumerate(percents[name]):
            middle = base[k] + share / 2
            inside = share >= 7
            ink = "white" if name == "black" else "black"
            if inside:
                axes.text(k, middle, f"{share:.1f}", ha="center", va="center", fontsize=7.5,
                          color=ink)  # fmt: skip
            elif share > 0:  # too thin for a number: beside it
                axes.annotate(f"{share:.1f}", (k + 0.4, middle), xytext=(2, 0), fontsize=7.5,
                              textcoords="offset points", va="center",
                              annotation_clip=False)  # fmt: skip
        base += percents[name]
    axes.set_xticks([0, 1], [f"this study\n({row['images']:,})", f"paper\n({PAPER_IMAGES:,})"])
    axes.get_xticklabels()[1].set_color(PAPER_COLOUR)
    axes.tick_params(labelleft=False)
    axes.set_xlim(-0.55, 1.75)
    axes.set_title("all images [%]", fontsize=8.5)
    handles = [Patch(facecolor=COLOURS[name], edgecolor="#555555", linewidth=0.5, label=name)
               for name in reversed(CLASSES)]  # fmt: skip
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(-0.06, -0.27),
                title="columns look", title_fontsize=8, alignment="left",
                borderaxespad=0)  # fmt: skip


def _contrast(axes: Axes, images: pd.DataFrame, limits: tuple[float, float]) -> pd.DataFrame:
    """Draw the mean column contrast against C1: the middle of the images by thickness."""
    records = []
    whole = images.groupby("c1_nm")["mean_contrast"].quantile([BETWEEN[0], 0.5, BETWEEN[1]])
    whole = whole.unstack()
    axes.fill_between(whole.index, whole[BETWEEN[0]], whole[BETWEEN[1]], color="#e3e3e3", lw=0,
                      label=f"{100 * (BETWEEN[1] - BETWEEN[0]):.0f} % of all images")  # fmt: skip
    for c1, row in whole.iterrows():
        records.append({"by": "all", "value": "all", "c1_nm": c1, "median_contrast": row[0.5],
                        "low": row[BETWEEN[0]], "high": row[BETWEEN[1]]})  # fmt: skip
    thick = sorted(images["layers"].unique())
    shades = [plt.get_cmap("viridis")(v) for v in np.linspace(0.05, 0.85, max(len(thick), 2))]
    ends = []
    for layers, colour in zip(thick, shades, strict=False):
        of_it = images[images["layers"] == layers].groupby("c1_nm")["mean_contrast"].median()
        axes.plot(of_it.index, of_it, "o-", ms=2.5, lw=1.2, color=colour)
        ends.append(float(of_it.iloc[-1]))
        for c1, value in of_it.items():
            records.append({"by": "layers", "value": layers, "c1_nm": c1,
                            "median_contrast": value})  # fmt: skip
    axes.axhline(0, color="#555555", lw=0.7)
    axes.set_xlim(limits)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("defocus C1 [nm], positive = overfocus")
    axes.set_ylabel("contrast of the columns\n(mean over an image)")
    end_labels(axes, limits[1], ends, [f"{n} layers" for n in thick], shades[: len(thick)])
    axes.legend(loc="lower left", bbox_to_anchor=(1.0, -0.02), fontsize=7.5)
    return pd.DataFrame(records)
