"""Figure: the error that counts alone give, beside the true one, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN, looks, titles

LEAST_GAIN = -0.1  # (e/px)²: the raw counts, far below a constant image, are left out


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with the table that it shows."""
    table = inputs.table("risk", "risk")
    known = set(table["denoiser"])
    names = [n for n in spec["shown"] if n in known]
    look, title = looks(spec), titles(spec)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH_IN, 3.9),
        gridspec_kw={"wspace": 0.62, "left": 0.09, "right": 0.975, "bottom": 0.12, "top": 0.93,
                     "width_ratios": (1, 0.9)},
    )  # fmt: skip
    for name in names:
        rows = table[(table["denoiser"] == name) & (table["true_gain"] > LEAST_GAIN)]
        error = [(rows["gain"] - rows["gain_low"]), (rows["gain_high"] - rows["gain"])]
        left.errorbar(
            1e3 * rows["true_gain"], 1e3 * rows["gain"], yerr=1e3 * np.array(error), ls="none",
            elinewidth=0.7, capsize=0, marker=look[name]["marker"] or "o",
            color=look[name]["color"], ms=3.5, alpha=0.75,
        )  # fmt: skip
    ends = np.array([*left.get_xlim(), *left.get_ylim()])
    ends = ends.min(), ends.max()
    left.plot(ends, ends, color="#555555", lw=0.8, zorder=0)
    left.set(xlim=ends, ylim=ends, xlabel="true gain over a constant image [10⁻³ (e/px)²]",
             ylabel="gain estimated from counts alone")  # fmt: skip
    left.set_title("(a) without the truth, and with it", loc="left")
    left.grid()
    places = np.arange(len(names))[::-1]
    for place, name in zip(places, names, strict=True):
        rows = table[table["denoiser"] == name]
        scatter = np.linspace(-0.22, 0.22, len(rows)) if len(rows) > 1 else [0.0]
        right.plot(
            rows["excess"], place + np.asarray(scatter), ls="none", ms=4, alpha=0.75,
            marker=look[name]["marker"] or "o", color=look[name]["color"],
        )  # fmt: skip
    right.set_xlim(-5, 1.5 * max(float(table["excess"].max()), 10))
    right.axvspan(-2, 2, color="#eeeeee", zorder=0)
    right.set_yticks(places, [title[n] for n in names])
    right.tick_params(axis="y", length=0)
    right.set_xscale("symlog", linthresh=3)
    right.xaxis.set_major_locator(FixedLocator([-3, 0, 3, 10, 100, 1000]))
    right.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    right.xaxis.set_minor_locator(NullLocator())
    right.set_xlabel("residual variance above 1 [standard errors]")
    right.set_title("(b) what was left out of the frame", loc="left")
    right.grid(axis="x")
    return figure, table[table["denoiser"].isin(names)].reset_index(drop=True)
