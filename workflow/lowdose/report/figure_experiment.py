"""Figure: what each denoiser makes of an experiment's frames."""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN, scale_bar, show_image, titles

PER_ROW = 5
SIDE_NM = 4.0  # of the part that is shown
GAP_IN, TITLE_IN, NAME_IN = 0.05, 0.36, 0.24
OF_RANGE = (0.5, 99.5)  # percentiles of a network's image that are black and white


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with the table of all judged frames.

    Parameters
    ----------
    inputs : Inputs
    spec : mapping
        ``files, denoisers, networks``.
    """
    shown = [name for name in spec["denoisers"] if name != "constant"]
    found = [inputs.recording(name) for name in spec["files"]]
    panel = (WIDTH_IN - 0.1 - GAP_IN * (PER_ROW - 1)) / PER_ROW
    rows = math.ceil(len(shown) / PER_ROW)
    block = NAME_IN + rows * (panel + TITLE_IN)
    figure = plt.figure(figsize=(WIDTH_IN, len(found) * block + 0.05))
    height = figure.get_figheight()
    names = titles(spec)
    for number, (name, one) in enumerate(zip(spec["files"], found, strict=True)):
        top = number * block
        figure.text(0.05 / WIDTH_IN, 1 - (top + 0.17) / height, name, fontweight="bold")
        best = next((one.images[n] for n in reversed(shown) if n in one.images), None)
        window = _window(one, best)
        low, high = np.percentile(best[window], OF_RANGE)
        scores = one.judged.groupby("denoiser")[["gain", "gain_low", "gain_high"]].mean()
        for place, denoiser in enumerate(shown):
            row, column = divmod(place, PER_ROW)
            left = 0.05 + column * (panel + GAP_IN)
            above = top + NAME_IN + row * (panel + TITLE_IN) + TITLE_IN
            axes = figure.add_axes(
                (left / WIDTH_IN, 1 - (above + panel) / height, panel / WIDTH_IN, panel / height)
            )
            axes.set_title(f"{names.get(denoiser, denoiser)}\n", pad=2, linespacing=1.05)
            if denoiser not in one.images:
                axes.text(0.5, 0.5, "not made for\nthis pixel size", ha="center", va="center",
                          transform=axes.transAxes, fontsize=7.5)  # fmt: skip
                axes.set_xticks([])
                axes.set_yticks([])
                continue
            corner = (window[0].start, window[1].start)
            show_image(axes, one.images[denoiser][window], one.pixel_size_nm, corner,
                       cmap="gray", vmin=low, vmax=high)  # fmt: skip
            axes.annotate(_score(scores.loc[denoiser]), (0.5, 1), xytext=(0, 2), ha="center",
                          textcoords="offset points", xycoords="axes fraction", fontsize=7.5,
                          color="#555555")  # fmt: skip
            if column == 0:
                scale_bar(axes, 0.3)
    return figure, pd.concat([one.judged for one in found], ignore_index=True)


def _score(gain: pd.Series) -> str:
    """Say a gain and half its interval in 10⁻³ (e/px)²."""
    if not np.isfinite(gain["gain"]):
        return ""
    half = 500 * (gain["gain_high"] - gain["gain_low"])
    digits = max(0, 1 - math.floor(math.log10(half))) if half > 0 else 1
    text = f"{1e3 * gain['gain']:.{min(digits, 2)}f} ± {half:.{min(digits, 2)}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def _window(one, image: np.ndarray) -> tuple[slice, slice]:
    """Return the square around the particle's columns, or in the middle if there are none."""
    particle = one.columns[(one.columns["frame"] == 0) & (one.columns["where"] == "particle")]
    side = min(int(SIDE_NM / one.pixel_size_nm), *image.shape)
    if len(particle):
        middle = particle[["y_px", "x_px"]].median().to_numpy()
    else:
        middle = np.array(image.shape) / 2
    start = np.clip(np.rint(middle - side / 2), 0, np.array(image.shape) - side).astype(int)
    return slice(start[0], start[0] + side), slice(start[1], start[1] + side)
