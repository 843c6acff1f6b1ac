"""Figure: the error that counts alone give, beside the true one, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN, looks, titles


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
        rows = table[table["denoiser"] == name]
        error = [(rows["mse"] - rows["mse_low"]), (rows["mse_high"] - rows["mse"])]
        left.errorbar(
            rows["true_mse"], rows["mse"], yerr=error, ls="none", elinewidth=0.7, capsize=0,
            marker=look[name]["marker"] or "o", color=look[name]["color"], ms=3.5, alpha=0.75,
            label=title[name],
        )  # fmt: skip
    values = table.loc[table["true_mse"] > 0, "true_mse"]
    ends = values.min() / 1.6, values.max() * 1.6
    left.plot(ends, ends, color="#555555", lw=0.8, zorder=0)
    left.set(xscale="log", yscale="log", xlim=ends, ylim=ends,
             xlabel="true mean squared error [(e/px)²]",
             ylabel="estimate from counts alone [(e/px)²]")  # fmt: skip
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
    right.axvspan(-2, 2, color="#eeeeee", zorder=0)
    right.set_yticks(places, [title[n] for n in names])
    right.tick_params(axis="y", length=0)
    right.set_xscale("symlog", linthresh=3)
    right.set_xlabel("residual variance above 1 [standard errors]")
    right.set_title("(b) what was left out of the frame", loc="left")
    right.grid(axis="x")
    return figure, table[table["denoiser"].isin(names)].reset_index(drop=True)
