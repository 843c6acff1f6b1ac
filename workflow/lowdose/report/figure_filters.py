"""Figure: the learned equivalent filters, at a surface and at a bulk column."""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lowdose.report.inputs import Inputs
from lowdose.report.shown_frame import true_columns
from lowdose.report.style import WIDTH_IN, ring, scale_bar, show_image, titles
from lowdose.runtime import UserError
from lowdose.sweeps import first_of_each

PLACES = ("surface", "bulk")
ZOOM_NM = 0.9
RADIUS_NM = 0.07
AT_MOST = 4  # networks
LINEAR = 0.002  # of the peak: the linear part of the colour scale


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row a filter."""
    filters = inputs.filters()
    frames = inputs.frame_set()
    networks = [n for n in first_of_each(spec["networks"]) if (n, PLACES[0]) in filters][:AT_MOST]
    if not networks:
        raise UserError(f"{inputs.mechanism} holds no filter of a network of this study.")
    pixel = frames.pixel_size_nm
    peak = max(np.abs(filters[n, w][0]).max() for n in networks for w in PLACES)
    # Far from the centre a filter is less than a thousandth of its peak.
    norm = SymLogNorm(linthresh=peak * LINEAR, linscale=0.6, vmin=-peak, vmax=peak, base=10)
    widest = max(max(filters[n, w][0].shape) for n in networks for w in PLACES) * pixel

    across, gap, label, key = 2 * len(PLACES), 0.07, 0.3, 0.88
    panel = (WIDTH_IN - label - key) / across - gap
    height = 0.42 + len(networks) * (panel + gap)
    figure = plt.figure(figsize=(WIDTH_IN, height))
    names, records = titles(spec), []
    for row, network in enumerate(networks):
        for k, where in enumerate(PLACES):
            gradient, about = filters[network, where]
            frame = int(about["frame"])
            seen = _Seen(gradient, about, pixel)
            truth = true_columns(frames, frame)
            for part, side in enumerate((widest, ZOOM_NM)):
                column = 2 * k + part
                box = (
                    (label + column * (panel + gap)) / WIDTH_IN,
                    1 - (0.38 + (row + 1) * panel + row * gap) / height,
                    panel / WIDTH_IN,
                    panel / height,
                )
                axes = figure.add_axes(box)
                picture = _show(axes, seen, side, norm, truth, thin=part == 0)
                if row == len(networks) - 1:
                    scale_bar(axes, 0.35, colour="black")
                if column == 0:
                    axes.set_ylabel(names[network], fontweight="bold")
                if row == 0:
                    axes.set_title(f"{where} column,\n{('whole field', 'centre')[part]}", pad=3)
            records.append({
                "denoiser": network, "where": where, "frame": frame,
                **{k: about[k] for k in ("x_nm", "y_nm", "half_width_px", "output",
                                         "linear_part", "remainder")},
                "filter_sum": float(gradient.sum(dtype=np.float64)),
                "filter_max": float(gradient.max()), "filter_min": float(gradient.min()),
                **seen.weight_within(),
            })  # fmt: skip
    left = label + across * (panel + gap) + 0.02
    bar_axes = figure.add_axes((left / WIDTH_IN, 0.1, 0.12 / WIDTH_IN, 0.75))
    bar = figure.colorbar(picture, cax=bar_axes)
    bar.set_ticks(_ticks(peak), minor=False)
    bar.minorticks_off()
    bar.set_label("d output pixel / d input pixel", labelpad=3)
    bar.outline.set_linewidth(0.5)
    return figure, pd.DataFrame(records)


def _ticks(peak: float) -> list[float]:
    """Return 0 and the powers of ten of either sign in the logarithmic part of the scale."""
    first = math.floor(math.log10(peak * LINEAR)) + 1
    powers = [10.0**k for k in range(first, math.floor(math.log10(peak)) + 1)]
    return [*(-p for p in reversed(powers)), 0.0, *powers]


class _Seen:
    """A filter with its place in the frame."""

    def __init__(self, gradient: np.ndarray, about: Mapping, pixel: float) -> None:
        self.gradient, self.pixel = gradient, pixel
        self.x, self.y = float(about["x_nm"]), float(about["y_nm"])
        # The window may be cut at the frame's edge: row and column say where its centre is.
        self.centre = int(about["row"]), int(about["column"])
        self.origin = (
            round(self.y / pixel) - self.centre[0],
            round(self.x / pixel) - self.centre[1],
        )

    def weight_within(self) -> dict[str, float]:
        """Share of the filter's absolute weight within some distances of its centre."""
        magnitude = np.abs(self.gradient).astype(np.float64)
        y, x = (
            (np.arange(n) - centre) * self.pixel
            for n, centre in zip(self.gradient.shape, self.centre, strict=True)
        )
        distance = np.hypot(y[:, None], x[None, :]) - 1e-9  # a pixel on the circle is inside
        total = magnitude.sum() or 1.0
        return {
            f"weight_within_{radius:g}_nm": float(magnitude[distance <= radius].sum() / total)
            for radius in (0.12, 0.24, 0.5, 1.0)
        }


def _show(
    axes: Axes, seen: _Seen, side_nm: float, norm: SymLogNorm, truth: pd.DataFrame, thin: bool
) -> object:
    picture = show_image(
        axes, seen.gradient, seen.pixel, seen.origin, cmap="RdBu_r", norm=norm,
        interpolation="nearest",
    )  # fmt: skip
    axes.set_xlim(seen.x - side_nm / 2, seen.x + side_nm / 2)
    axes.set_ylim(seen.y + side_nm / 2, seen.y - side_nm / 2)
    axes.set_facecolor("#f4f4f4")
    near = (truth["x_nm"] - seen.x).abs().lt(side_nm / 2) & (truth["y_nm"] - seen.y).abs().lt(
        side_nm / 2
    )
    for _, column in truth[near].iterrows():
        ring(axes, column["x_nm"], column["y_nm"], RADIUS_NM, edgecolor="#444444",
             linewidth=0.35 if thin else 0.7, alpha=0.55)  # fmt: skip
    if thin:
        axes.add_patch(
            Rectangle(
                (seen.x - ZOOM_NM / 2, seen.y - ZOOM_NM / 2), ZOOM_NM, ZOOM_NM, facecolor="none",
                edgecolor="black", linewidth=0.6, linestyle=(0, (3, 2)),
            )
        )  # fmt: skip
    return picture
