"""Figure: validation PSNR against steps and against seconds."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN, looks, titles


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row a network and validation."""
    look, names = looks(spec), titles(spec)
    figure, axes = plt.subplots(
        1, 2, figsize=(WIDTH_IN, 3.1), sharey=True,
        gridspec_kw={"wspace": 0.06, "left": 0.085, "right": 0.985, "bottom": 0.15, "top": 0.96},
    )  # fmt: skip
    tables = []
    for name in spec["networks"]:
        history = inputs.history(name)
        tables.append(history.assign(network=name))
        last = history.iloc[-1]
        label = f"{names[name]}: {last['validation_psnr_db']:.2f} dB"
        for one, against in zip(axes, ("step", "seconds"), strict=True):
            one.plot(history[against], history["validation_psnr_db"], label=label, **look[name])
    axes[0].set_ylabel("validation PSNR [dB]")
    axes[0].set_xlabel("optimiser steps")
    axes[1].set_xlabel("training time on this machine [s]")
    for one in axes:
        one.grid(axis="y")
        one.set_xlim(left=0)
    if len(spec["networks"]) <= 12:
        axes[1].legend(loc="lower right", title="at the end", title_fontsize=8)
    columns = ["network", "step", "seconds", "loss", "learning_rate", "validation_psnr_db"]
    return figure, pd.concat(tables, ignore_index=True)[columns]
