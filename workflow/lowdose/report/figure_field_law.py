"""Figure: nanometres of context or pixels of network? Own pixel and field varied apart."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from lowdose.report.inputs import Inputs
from lowdose.report.style import POINTS, WIDTH_IN

ROWS = (("psnr_db", "PSNR [dB]"), ("fill_in_rate", "fill-in rate at vacancies"))
COLUMNS = (("px", "receptive field [pixels of the network]"), ("nm", "receptive field [nm]"))


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row a network and panel, and the fits' R squared."""
    table, fits = inputs.compared("field_law"), inputs.compared("field_law_fit")
    explained = fits.set_index(["measure", "against"])
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH_IN, 5.4), sharey="row", gridspec_kw={
        "wspace": 0.05, "hspace": 0.36, "left": 0.085, "right": 0.985, "bottom": 0.085,
        "top": 0.965})  # fmt: skip
    records = []
    for line, (measure, label) in zip(axes, ROWS, strict=True):
        for one, (against, axis) in zip(line, COLUMNS, strict=True):
            records += _panel(one, table, measure, against)
            found = explained.loc[(measure, against)]
            one.set_xlabel(axis)
            one.set_title(
                f"$R^2$ = {found['r_squared']:.2f} [{found['low']:.2f} to {found['high']:.2f}]",
                loc="right", fontsize=8, pad=2,
            )  # fmt: skip
        line[0].set_ylabel(label)
    axes[0, 0].legend(loc="lower right", title="network's own pixel", title_fontsize=8)
    shown = fits.rename(columns={"r_squared": "value"})[
        ["measure", "against", "value", "low", "high"]
    ].assign(kind="r_squared")
    return figure, pd.concat([pd.DataFrame(records), shown], ignore_index=True)


def _panel(axes: Axes, table: pd.DataFrame, measure: str, against: str) -> list[dict]:
    records = []
    pixels = sorted(table["own_pixel_size_nm"].unique())
    colours = plt.get_cmap("viridis")(np.linspace(0.0, 0.8, len(pixels)))
    for k, pixel in enumerate(pixels):
        rows = table[table["own_pixel_size_nm"] == pixel].sort_values("receptive_field_px")
        values, low, high = (rows[f"{measure}{end}"] for end in ("", "_low", "_high"))
        field = rows[f"receptive_field_{against}"]
        axes.errorbar(
            field, values,
            yerr=[(values - low).clip(lower=0), (high - values).clip(lower=0)],
            color=colours[k], marker=POINTS[k % len(POINTS)], lw=1.2, elinewidth=0.8,
            label=f"{1000 * pixel:.3g} pm",
        )  # fmt: skip
        records += [
            {"kind": "network", "measure": measure, "against": against, "network": network,
             "own_pixel_size_nm": pixel, "field": x, "value": value, "low": a, "high": b}
            for network, x, value, a, b in zip(rows["network"], field, values, low, high,
                                               strict=True)
        ]  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
    return records
