"""Figure: validation PSNR against steps and against seconds."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN, looks, titles, titles_without_seeds
from lowdose.sweeps import first_of_each

MOST_NAMED = 12  # trainings; of more, the first of each network has a name, the others its colour


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row a network and validation."""
    look, names = looks(spec), titles(spec)
    first = {name.split(".")[0]: name for name in first_of_each(spec["networks"])}
    all_named = len(spec["networks"]) <= MOST_NAMED
    if not all_named:
        names |= titles_without_seeds(spec, list(first.values()))
    figure, axes = plt.subplots(
        1, 2, figsize=(WIDTH_IN, 3.1), sharey=True,
        gridspec_kw={"wspace": 0.06, "left": 0.085, "right": 0.985, "bottom": 0.15, "top": 0.96},
    )  # fmt: skip
    tables = []
    for name in spec["networks"]:
        history = inputs.history(name)
        tables.append(history.assign(network=name))
        last = history.iloc[-1]
        own = first[name.split(".")[0]]
        keys = {**look[own], "markersize": 2, "lw": 0.7, "zorder": 1}
        if all_named or name == own:
            label = f"{names[name]}: {last['validation_psnr_db']:.2f} dB"
            keys = {**look[name], "label": label}
        for one, against in zip(axes, ("step", "seconds"), strict=True):
            one.plot(history[against], history["validation_psnr_db"], **keys)
    axes[0].set_ylabel("validation PSNR [dB]")
    axes[0].set_xlabel("optimiser steps")
    axes[1].set_xlabel("training time on this machine [s]")
    for one in axes:
        one.grid(axis="y")
        one.set_xlim(left=0)
    if len(first) <= MOST_NAMED:
        axes[1].legend(loc="lower right", title="at the end", title_fontsize=8)
    columns = ["network", "step", "seconds", "loss", "learning_rate", "validation_psnr_db"]
    return figure, pd.concat(tables, ignore_index=True)[columns]
