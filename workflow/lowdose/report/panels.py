"""Denoised images of one frame side by side: the whole particle, and a zoom on its surface."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lowdose.metrics import psnr
from lowdose.report.shown_frame import (
    ZOOM_NM,
    choose_frame,
    disc_mask,
    grey_limits,
    particle_crop,
    zoom_crop,
)
from lowdose.report.style import RING, WIDTH_IN, ring, scale_bar, show_image

if TYPE_CHECKING:
    from lowdose.data.frames import FrameSet

RING_ON_WHITE = "#00a5b8"
RING_NM = 0.12  # half a neighbour distance


def draw_panels(
    frames: FrameSet,
    image_of: Callable[[str, int], np.ndarray],
    shown: Sequence[str],
    names_shown: Mapping[str, str],
    dose: float,
    per_row: int,
) -> tuple[Figure, pd.DataFrame]:
    """Draw what each denoiser makes of one frame, all at the same grey scale.

    Parameters
    ----------
    frames : FrameSet
    image_of : callable
        (denoiser, frame) -> image (y, x), vacuum = 1.
    shown : sequence of str
        Denoisers, in order.
    names_shown : mapping
        Their names in the figure.
    dose : float
        Electrons per pixel in vacuum.
    per_row : int
        Panels a row.

    Returns
    -------
    Figure
    DataFrame
        One row a panel.
    """
    frame, x, y, vacancy = choose_frame(frames)
    clean, pixel = frames.clean[frame], frames.pixel_size_nm
    whole = particle_crop(frames, frame)
    height, width = whole.of(clean).shape
    zoom = zoom_crop(frames, x, y, ZOOM_NM, ZOOM_NM * height / width)
    low, high = grey_limits(whole.of(clean))
    grey = {"cmap": "gray", "vmin": low, "vmax": high}

    rows_of_panels = math.ceil((len(shown) + 1) / per_row)
    gap, title_in = 0.06, 0.34
    panel_w = (WIDTH_IN - 0.1 - gap * (per_row - 1)) / per_row
    panel_h = panel_w * height / width
    block_h = 2 * panel_h + gap + title_in
    figure = plt.figure(figsize=(WIDTH_IN, rows_of_panels * block_h + 0.08))
    total = figure.get_figheight()

    def panel(number: int, second: int) -> plt.Axes:
        row, column = divmod(number, per_row)
        left = 0.05 + column * (panel_w + gap)
        top = 0.02 + row * block_h + title_in + second * (panel_h + gap)
        box = (left / WIDTH_IN, 1 - (top + panel_h) / total, panel_w / WIDTH_IN, panel_h / total)
        return figure.add_axes(box)

    records = []
    disc = disc_mask(clean.shape, x, y, pixel)
    for number, name in enumerate(shown):
        image = image_of(name, frame)
        score = (
            math.inf if name == "clean" else psnr(clean * dose, image * dose, dose_e_per_px=dose)
        )
        above, below = panel(number, 0), panel(number, 1)
        picture = show_image(above, whole.of(image), pixel, whole.origin, **grey)
        show_image(below, zoom.of(image), pixel, zoom.origin, **grey)
        note = "what is to be found" if name == "clean" else f"{score:.1f} dB"
        above.set_title(names_shown[name] + "\n", pad=2.5, linespacing=1.05)
        above.annotate(
            note, (0.5, 1), xytext=(0, 2.5), textcoords="offset points",
            xycoords="axes fraction", ha="center", fontsize=7.5, color="#555555",
        )  # fmt: skip
        above.add_patch(
            Rectangle(
                (zoom.left * pixel, zoom.top * pixel), (zoom.right - zoom.left) * pixel,
                (zoom.bottom - zoom.top) * pixel, facecolor="none", edgecolor=RING,
                linewidth=0.7, linestyle=(0, (3, 2)),
            )
        )  # fmt: skip
        ring(below, x, y, RING_NM)
        if number % per_row == 0:
            scale_bar(above, 0.3)
            scale_bar(below, 0.35)
        records.append({
            "denoiser": name, "title": names_shown[name], "frame": frame,
            "model_id": frames.table["model_id"].iloc[frame],
            "c1_nm": frames.table["c1_nm"].iloc[frame],
            "dose_e_per_px": dose, "realisation": 0, "psnr_db": score,
            "intensity_at_ring": float(np.mean(image[disc])),
            "clean_at_ring": float(np.mean(clean[disc])),
            "ring_x_nm": x, "ring_y_nm": y, "ring_is_vacancy": vacancy,
            "grey_black": low, "grey_white": high, "pixel_size_nm": pixel,
        })  # fmt: skip

    _key(panel(len(shown), 0), panel(len(shown), 1), picture, (low, high), vacancy)
    return figure, pd.DataFrame(records)


def _key(above: plt.Axes, below: plt.Axes, picture, limits: tuple[float, float], vacancy: bool):
    """Explain ring, frame and grey scale in the panel that is left."""
    above.set_axis_off()
    below.set_axis_off()
    bar_axes = above.inset_axes((0.12, 0.42, 0.8, 0.09))
    bar = above.figure.colorbar(picture, cax=bar_axes, orientation="horizontal", extend="both")
    bar.set_ticks([limits[0], 1.0, limits[1]], labels=[f"{limits[0]:g}", "1", f"{limits[1]:g}"])
    bar.outline.set_linewidth(0.5)
    above.text(0.52, 0.60, "grey scale of all panels\n(vacuum = 1)", ha="center", va="bottom",
               transform=above.transAxes, fontsize=7.5)  # fmt: skip
    what = "true vacancy:\nno column here" if vacancy else "highest column"
    below.text(0.27, 0.72, what, va="center", fontsize=7.5, transform=below.transAxes)
    below.plot([0.16], [0.72], "o", ms=11, mfc="none", mec=RING_ON_WHITE, mew=1.4,
               transform=below.transAxes)  # fmt: skip
    below.plot([0.16], [0.36], "s", ms=11, mfc="none", mec=RING_ON_WHITE, mew=1.2, ls="none",
               transform=below.transAxes)  # fmt: skip
    below.text(0.27, 0.36, "enlarged in the\nrow below", va="center", fontsize=7.5,
               transform=below.transAxes)  # fmt: skip
