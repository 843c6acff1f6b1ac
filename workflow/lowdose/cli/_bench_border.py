"""How much worse a network is at the border of an image than inside."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lowdose.data.frames import FrameSet
from lowdose.evaluation.release_metrics import Denoise

BORDER_PX = 20
CROP_PX = 384
MARGIN_PX = 64  # of the large frame around the crop: more than an effective field's half

# Rows and columns of a crop in its frame.
Crop = tuple[slice, slice]


def crops(frames: FrameSet, frame: int, side_px: int = CROP_PX) -> list[Crop]:
    """Return two crops of a frame, one ending and one beginning in the middle of the particle.

    In height both lie about the particle's middle, so that their borders also cross vacuum and
    support; they keep `MARGIN_PX` from the frame's own border as far as it has room.

    Parameters
    ----------
    frames : FrameSet
    frame : int
        Row of ``frames.table``.
    side_px : int
        Side of the crops.
    """
    columns = frames.columns
    particle = columns[(columns["frame"] == frame) & columns["is_particle"]]
    y, x = (float(particle[key].mean()) / frames.pixel_size_nm for key in ("y_nm", "x_nm"))
    height, width = frames.clean.shape[1:]
    top = _placed(y - side_px / 2, side_px, height)
    return [
        (slice(top, top + side_px), slice(left, left + side_px))
        for left in (_placed(x - side_px, side_px, width), _placed(x, side_px, width))
    ]


def border_losses(
    denoise: Denoise,
    frames: FrameSet,
    dose_e_per_px: float,
    seed: int,
    *,
    side_px: int = CROP_PX,
) -> pd.DataFrame:
    """Denoise crops and their frames, and compare the crops' outer pixels.

    Parameters
    ----------
    denoise : callable
        (counts (y, x) [e/px], dose [e/px]) -> expected counts.
    frames : FrameSet
    dose_e_per_px : float
    seed : int
        Root seed of the counts.
    side_px : int
        Side of the crops.

    Returns
    -------
    DataFrame
        One row a frame and crop: ``base_shape``, ``border_db`` of the crop's outer 20 pixels,
        ``same_pixels_db`` of those pixels in the whole frame's estimate, ``interior_db`` of the
        rest of the crop, each in decibels above the variance of the clean crop; the losses
        ``against_frame_db`` and ``against_interior_db``, positive where the border is worse.
    """
    outer = np.ones((side_px, side_px), dtype=bool)
    outer[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = False
    rows = []
    for number, shape in enumerate(frames.table["base_shape"]):
        clean = frames.clean[number] * np.float32(dose_e_per_px)
        counts = frames.counts(number, dose_e_per_px, 0, seed)
        large = _squares(denoise(counts, dose_e_per_px), clean)
        for crop in crops(frames, number, side_px):
            own = _squares(denoise(np.ascontiguousarray(counts[crop]), dose_e_per_px), clean[crop])
            variance = np.var(clean[crop], dtype=np.float64)
            border, same, interior = (
                10 * np.log10(variance / square.mean())
                for square in (own[outer], large[crop][outer], own[~outer])
            )
            rows.append({
                "base_shape": shape, "border_db": border, "same_pixels_db": same,
                "interior_db": interior, "against_frame_db": same - border,
                "against_interior_db": interior - border,
            })  # fmt: skip
    return pd.DataFrame(rows)


def _placed(start: float, side: int, length: int) -> int:
    """Return the start of a crop that keeps the margin, or half of what there is."""
    margin = min(MARGIN_PX, (length - side) // 2)
    return int(np.clip(round(start), margin, length - side - margin))


def _squares(estimate: np.ndarray, clean: np.ndarray) -> np.ndarray:
    return np.square(np.subtract(estimate, clean, dtype=np.float64))
