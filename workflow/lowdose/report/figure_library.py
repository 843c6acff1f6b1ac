"""Figure: every shape of the model library, its columns to scale, coloured by site."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from lowdose.report.inputs import Inputs
from lowdose.report.style import SITE_COLOURS, WIDTH_IN, nice_length
from lowdose.structures.plan import BLANKS

DEFECTS = {
    "D0": "perfect",
    "D1": "one column\nremoved",
    "D2": "two columns\nremoved",
    "Dh": "one column\nhalved",
    "Ds": "adatom\ncolumn",
}
DISC_NM = 0.115  # radius: neighbouring columns are 0.24 nm apart
CATION_NM = 0.07
SUPPORT_NM = 0.42  # of the support that is drawn: two layers of cations
AROUND_NM = 0.2  # kept free around a particle
SMALLEST_PANEL_IN = 0.6
LARGEST_PANEL_IN = 1.3
LOWEST_PANEL_IN = 0.42
ACROSS = 10  # shapes of a family side by side
MARK = "#000000"


@dataclass(frozen=True)
class Block:
    """Some base shapes of one family: a row for each defect, a column for each base shape."""

    family: str
    meaning: str
    shapes: tuple[str, ...]
    variants: tuple[str, ...]
    defects: tuple[str, ...]
    height_nm: float


def shapes(models: pd.DataFrame) -> pd.DataFrame:
    """Choose one model of every shape, the least tilted and then the thinnest.

    Parameters
    ----------
    models : DataFrame
        ``models.csv``.

    Returns
    -------
    DataFrame
        Its rows, one for each base shape with each of its defects, blanks left out.
    """
    with_particle = models[~models["base_shape"].isin(BLANKS)]
    tilt = np.hypot(with_particle["tilt_x_deg"], with_particle["tilt_y_deg"])
    order = with_particle.assign(tilt=tilt).sort_values(
        ["family", "base_shape", "defect", "tilt", "layers", "model_id"]
    )
    return order.drop_duplicates(["base_shape", "defect"]).drop(columns="tilt")


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row for each shape.

    It needs ``models.csv`` and ``columns.parquet`` alone; `spec` is not read.
    """
    models, columns = inputs.models()
    chosen = shapes(models)
    drawn = columns[columns["model_id"].isin(chosen["model_id"])]
    about = _about(chosen, drawn[drawn["is_particle"]])
    width_nm = about["width_nm"].max() + 2 * AROUND_NM
    blocks = _blocks(about)
    rows = _rows(blocks)
    across = max(sum(len(block.shapes) for block in row) for row in rows)
    label, gap, head = 0.62, 0.16, 0.42
    room = WIDTH_IN - 0.06 - max(len(row) for row in rows) * (label + gap)
    panel = min(room / across, LARGEST_PANEL_IN)
    scale = panel / width_nm  # inches a nm
    # One step for all blocks side by side, high enough for a heading of three lines.
    steps = [max(*(b.height_nm * scale + 0.03 for b in row), LOWEST_PANEL_IN) for row in rows]
    heights = [
        head + step * max(len(b.defects) for b in row)
        for row, step in zip(rows, steps, strict=True)
    ]
    legend = 0.55
    total = sum(heights) + gap * (len(rows) - 1) + legend + 0.05
    figure = plt.figure(figsize=(WIDTH_IN, total))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, WIDTH_IN)
    axes.set_ylim(total, 0)  # inches from the upper left corner
    axes.set_axis_off()

    paint = _Paint(axes, scale)
    of_model = dict(list(drawn.groupby("model_id")))
    rows_of = about.set_index(["base_shape", "defect"])
    top = 0.05
    for row, step, height in zip(rows, steps, heights, strict=True):
        left = 0.03
        for block in row:
            _headings(axes, block, (left, top), label, panel, head, step, SUPPORT_NM * scale)
            for i, defect in enumerate(block.defects):
                bottom = top + head + (i + 1) * step - 0.03
                for k, shape in enumerate(block.shapes):
                    if (shape, defect) in rows_of.index:
                        one = rows_of.loc[(shape, defect)]
                        middle = left + label + (k + 0.5) * panel
                        paint.shape(of_model[one["model_id"]], one, middle, bottom, panel)
            left += label + len(block.shapes) * panel + gap
        top += height + gap
    paint.finish()
    used = set(drawn["site"])
    if (drawn["changed"] & (drawn["site"] != "vacancy")).any():
        used.add("halved or added")
    _legend(axes, used, scale, panel, total)
    return figure, about


def _about(chosen: pd.DataFrame, particles: pd.DataFrame) -> pd.DataFrame:
    """Measure every shape: width and height of the particle, columns by kind."""
    full = particles[particles["n_atoms"] > 0].groupby("model_id")
    measured = pd.DataFrame({
        "width_nm": full["x_nm"].max() - full["x_nm"].min(),
        "top_nm": full["y_nm"].min(),
        "left_nm": full["x_nm"].min(),
        "n_columns": full.size(),
        "n_atoms": full["n_atoms"].sum(),
        "n_surface": full["is_surface"].sum(),
    })  # fmt: skip
    changed = particles[particles["changed"]].groupby("model_id").size()
    keep = ["family", "meaning", "base_shape", "variant", "defect", "model_id", "layers",
            "tilt_x_deg", "tilt_y_deg", "interface_y_nm"]  # fmt: skip
    table = chosen[keep].merge(measured, left_on="model_id", right_index=True, how="left")
    table["n_changed"] = table["model_id"].map(changed).fillna(0).astype(int)
    table["height_nm"] = table["interface_y_nm"] - table["top_nm"]
    return table.reset_index(drop=True)


def _blocks(about: pd.DataFrame) -> list[Block]:
    blocks = []
    for family, rows in about.groupby("family"):
        names = sorted(rows["base_shape"].unique())
        for part in np.array_split(names, math.ceil(len(names) / ACROSS)):
            here = rows[rows["base_shape"].isin(part)]
            height = here["height_nm"].max() + AROUND_NM + SUPPORT_NM
            defects = sorted(here["defect"].unique(), key=_rank)
            variant = here.drop_duplicates("base_shape").set_index("base_shape")["variant"]
            blocks.append(
                Block(str(family), str(rows["meaning"].iloc[0]), tuple(map(str, part)),
                      tuple(variant[list(part)]), tuple(defects), height)
            )  # fmt: skip
    return blocks


def _rank(defect: str) -> tuple[int, str]:
    known = list(DEFECTS)
    return (known.index(defect) if defect in known else len(known)), defect


def _rows(blocks: list[Block]) -> list[list[Block]]:
    """Set as many blocks side by side as leave the panels large enough."""
    for beside in (4, 3, 2, 1):
        rows = [blocks[i : i + beside] for i in range(0, len(blocks), beside)]
        across = max(sum(len(block.shapes) for block in row) for row in rows)
        if (WIDTH_IN - 0.8 * min(beside, len(blocks))) / across >= SMALLEST_PANEL_IN:
            return rows
    return rows


class _Paint:
    """Collects discs of all panels, so that they are drawn as one."""

    def __init__(self, axes: Axes, scale: float) -> None:
        self.axes, self.scale = axes, scale
        self.discs: list[pd.DataFrame] = []

    def shape(
        self, table: pd.DataFrame, one: pd.Series, middle: float, bottom: float, panel: float
    ) -> None:
        """Draw one shape with its interface `SUPPORT_NM` above `bottom` (inches)."""
        centre = one["left_nm"] + one["width_nm"] / 2
        x = middle + (table["x_nm"] - centre) * self.scale
        interface = bottom - SUPPORT_NM * self.scale
        y = interface + (table["y_nm"] - one["interface_y_nm"]) * self.scale
        support = ~table["is_particle"]
        half = panel / 2 - CATION_NM * self.scale
        seen = ~support | ((x - middle).abs().le(half) & y.le(bottom - CATION_NM * self.scale))
        self.axes.add_patch(
            Rectangle((middle - panel / 2 + 0.01, interface), panel - 0.02, bottom - interface,
                      facecolor="#f1eee8", edgecolor="none", zorder=0)
        )  # fmt: skip
        self.discs.append(
            pd.DataFrame({"x": x, "y": y, "site": table["site"], "changed": table["changed"]})[seen]
        )

    def finish(self) -> None:
        """Put the discs on the page: changed columns have a black rim, vacancies are open."""
        discs = pd.concat(self.discs)
        vacant, changed = discs["site"] == "vacancy", discs["changed"]
        support = discs["site"] == "support"
        for radius_nm, part, edge, width in (
            (CATION_NM, support, "#444444", 0.2),
            (DISC_NM, ~support & ~changed & ~vacant, "#444444", 0.2),
            (DISC_NM, changed & ~vacant, MARK, 0.9),
            (DISC_NM, vacant, MARK, 1.0),
        ):
            # The page is in inches, so that a size in points is a length in nm.
            size = (2 * 72 * self.scale * radius_nm) ** 2
            colours = [SITE_COLOURS.get(site, "none") for site in discs["site"][part]]
            self.axes.scatter(discs["x"][part], discs["y"][part], s=size, c=colours, zorder=2,
                              edgecolors=edge, linewidths=width)  # fmt: skip


def _headings(
    axes: Axes, block: Block, corner: tuple[float, float], label: float, panel: float,
    head: float, step: float, support: float,
) -> None:  # fmt: skip
    left, top = corner
    axes.text(left, top + 0.14, block.family, fontsize=9, fontweight="bold")
    width = label + len(block.shapes) * panel
    # How a shape was constructed, in brackets, stands in the card; a letter is 0.053 inches wide.
    words = re.sub(r"\s*\([^()]*\)$", "", block.meaning)
    words = textwrap.shorten(words, int((width - label) / 0.053), placeholder=" …")
    axes.text(left + label, top + 0.14, words, fontsize=7, color="#444444")
    axes.plot([left, left + width], [top + 0.19] * 2, color="#bbbbbb", lw=0.5)
    for k, (shape, variant) in enumerate(zip(block.shapes, block.variants, strict=True)):
        middle = left + label + (k + 0.5) * panel
        axes.text(middle, top + 0.26, shape, fontsize=6.5, ha="center", va="center",
                  color="#333333")  # fmt: skip
        if variant != "plain":
            axes.text(middle, top + 0.355, variant, fontsize=6, ha="center", va="center",
                      color="#777777")  # fmt: skip
    for i, defect in enumerate(block.defects):
        middle = top + head + (i + 0.5) * step - support / 2
        axes.text(left, middle, defect, fontsize=8, fontweight="bold", va="bottom")
        axes.text(left, middle + 0.02, DEFECTS.get(defect, ""), fontsize=6.2, va="top",
                  color="#444444", linespacing=1.05)  # fmt: skip


def _legend(axes: Axes, used: set[str], scale: float, panel: float, total: float) -> None:
    handles = [
        Line2D([], [], marker="o", ls="none", ms=6.5, mfc=colour, mec="#444444", mew=0.3,
               label={"support": "support cation"}.get(site, site))
        for site, colour in SITE_COLOURS.items() if site in used
    ]  # fmt: skip
    marks = {"vacancy": "none", "halved or added": "#dddddd"}
    handles += [
        Line2D([], [], marker="o", ls="none", ms=6.5, mfc=colour, mec=MARK, mew=1.0, label=mark)
        for mark, colour in marks.items() if mark in used
    ]  # fmt: skip
    axes.legend(
        handles=handles, loc="lower right", ncols=math.ceil(len(handles) / 2), fontsize=7.5,
        bbox_to_anchor=(1 - 0.03 / WIDTH_IN, 0.04 / total), handletextpad=0.1, columnspacing=1.1,
        borderaxespad=0,
    )  # fmt: skip
    length = nice_length(1.2 * panel / scale)
    axes.add_patch(
        Rectangle((0.06, total - 0.17), length * scale, 0.035, facecolor="black", edgecolor="none")
    )
    axes.text(0.06, total - 0.2, f"{length:g} nm", fontsize=7.5, va="bottom")
