"""Figure: trained on one kind of images, tested on every kind."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN

TITLES = {"all": "all", "contrast": "contrast", "family": "family", "defect": "defect",
          "layers": "layers", "tilt": "tilt"}  # fmt: skip
COLOURS = "cividis"  # even in brightness, and the same to colour-blind readers


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row a cell."""
    table = inputs.compared("geometry")
    trained = [one["training_set"] for one in spec["trainings"]]
    columns = list(
        table[["tested_axis", "tested_on"]].drop_duplicates().itertuples(index=False, name=None)
    )
    matrix = table.pivot_table(
        index="trained_on", columns=["tested_axis", "tested_on"], values="contrast_psnr_db"
    ).loc[trained, columns]
    height = 1.3 + 0.27 * len(trained)
    figure, axes = plt.subplots(figsize=(WIDTH_IN, height), gridspec_kw={
        "left": 0.135, "right": 0.985, "bottom": 0.12, "top": 1 - 0.75 / height})  # fmt: skip
    low, high = float(matrix.min(axis=None)), float(matrix.max(axis=None))
    image = axes.imshow(matrix, cmap=COLOURS, vmin=low, vmax=high, aspect="auto")
    middle = (low + high) / 2
    own_kind = (table["trained_axis"] == table["tested_axis"]) & (table["trained_axis"] != "all")
    matched = table[table["matched"] & own_kind]
    framed = set(zip(matched["trained_on"], matched["tested_axis"], matched["tested_on"],
                     strict=True))  # fmt: skip
    for i, name in enumerate(trained):
        for k, column in enumerate(columns):
            value = matrix.iat[i, k]
            axes.text(
                k, i, f"{value:.1f}", ha="center", va="center", fontsize=6.5,
                color="white" if value < middle else "black",
            )  # fmt: skip
            if (name, *column) in framed:
                axes.add_patch(Rectangle((k - 0.43, i - 0.44), 0.86, 0.88, fill=False,
                                         edgecolor="#d55e00", linewidth=1.2))  # fmt: skip
    axes.set_xticks(range(len(columns)), [on for _, on in columns], rotation=45, ha="left",
                    fontsize=7)  # fmt: skip
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(trained)), trained, fontsize=7)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    _separate(axes, columns, len(trained))
    axes.set_ylabel("trained on")
    bar = figure.colorbar(image, ax=axes, orientation="horizontal", fraction=0.035, pad=0.075,
                          aspect=50)  # fmt: skip
    bar.set_label("contrast PSNR: dB above a constant image", fontsize=8)
    bar.outline.set_visible(False)
    return figure, table


def _separate(axes, columns: list[tuple[str, str]], rows: int) -> None:
    """Draw white lines between the kinds of test frames and name them below."""
    first = 0
    for k, (axis, _) in enumerate(columns):
        if k + 1 < len(columns) and columns[k + 1][0] == axis:
            continue
        if k + 1 < len(columns):
            axes.axvline(k + 0.5, color="white", lw=3)
        axes.text((first + k) / 2, rows - 0.4, TITLES[axis], ha="center", va="top", fontsize=7.5)
        first = k + 1
