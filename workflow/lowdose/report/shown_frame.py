"""Which test frame the pictures show, and which part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from lowdose.data.frames import FrameSet

VACUUM_NM = 0.55  # shown around the particle
SUPPORT_NM = 0.75  # shown below the interface
ZOOM_NM = 1.25  # side of a zoom


@dataclass(frozen=True)
class Crop:
    """Rows and columns of a frame: ``image[top:bottom, left:right]``."""

    top: int
    bottom: int
    left: int
    right: int

    def of(self, image: np.ndarray) -> np.ndarray:
        """Cut the crop out of an image."""
        return image[self.top : self.bottom, self.left : self.right]

    @property
    def origin(self) -> tuple[int, int]:
        """Row and column of the first pixel."""
        return self.top, self.left


def choose_frame(frames: FrameSet) -> tuple[int, float, float, bool]:
    """Choose the frame whose vacancy leaves the clearest trace in the clean image.

    The trace is the mean difference, over a disc of 0.05 nm, between the frame and its partner:
    the same shape, thickness, tilt and defocus without the defect.

    Returns
    -------
    frame : int
    x_nm, y_nm : float
        The vacancy; without any, the highest platinum column of frame 0.
    vacancy : bool
        Whether it is a vacancy.
    """
    table, columns = frames.table, frames.columns
    best = None
    for _, empty in columns[columns["site"] == "vacancy"].iterrows():
        own = int(empty["frame"])
        partner = partner_of(frames, own)
        disc = disc_mask(frames.clean.shape[1:], empty["x_nm"], empty["y_nm"], frames.pixel_size_nm)
        here = frames.clean[own][disc].mean()
        trace = 0.0  # seen only if no vacancy has a partner
        if partner is not None:
            trace = abs(frames.clean[partner][disc].mean() - here)
        if best is None or trace > best[0]:
            place = own, float(empty["x_nm"]), float(empty["y_nm"])
            best = (float(trace), *place)
    if best is not None:
        return *best[1:], True
    first = int(table["frame"].iloc[0])
    metal = columns[(columns["frame"] == first) & columns["is_particle"]]
    top = metal.sort_values("y_nm").iloc[0]
    return first, float(top["x_nm"]), float(top["y_nm"]), False


def partner_of(frames: FrameSet, frame: int) -> int | None:
    """Return the frame of the perfect particle in the same condition, None if there is none."""
    table = frames.table
    same = ["base_shape", "layers", "tilt_x_deg", "tilt_y_deg", "c1_nm"]
    own = table[table["frame"] == frame].iloc[0]
    alike = table[(table[same] == own[same]).all(axis=1) & (table["defect"] == "D0")]
    return int(alike["frame"].iloc[0]) if len(alike) else None


def disc_mask(
    shape: tuple[int, int], x_nm: float, y_nm: float, pixel_size_nm: float, radius_nm: float = 0.05
) -> np.ndarray:
    """Return the pixels of an image whose centres lie within `radius_nm` of a position."""
    y, x = (np.arange(n) * pixel_size_nm for n in shape)
    return np.hypot(y[:, None] - y_nm, x[None, :] - x_nm) <= radius_nm


def particle_crop(frames: FrameSet, frame: int) -> Crop:
    """Return the crop that holds the particle, some vacuum around and some support below."""
    columns = frames.columns[frames.columns["frame"] == frame]
    metal = columns[columns["is_particle"]]
    interface = float(frames.table.set_index("frame").loc[frame, "interface_y_nm"])
    return _clipped(
        metal["y_nm"].min() - VACUUM_NM,
        interface + SUPPORT_NM,
        metal["x_nm"].min() - VACUUM_NM,
        metal["x_nm"].max() + VACUUM_NM,
        frames,
    )


def zoom_crop(
    frames: FrameSet, x_nm: float, y_nm: float, width_nm: float, height_nm: float
) -> Crop:
    """Return a crop of this size around a position, moved inwards at the frame's edge."""
    p, (rows, cols) = frames.pixel_size_nm, frames.clean.shape[1:]
    height, width = min(round(height_nm / p), rows), min(round(width_nm / p), cols)
    top = int(np.clip(round(y_nm / p) - height // 2, 0, rows - height))
    left = int(np.clip(round(x_nm / p) - width // 2, 0, cols - width))
    return Crop(top, top + height, left, left + width)


def grey_limits(clean: np.ndarray) -> tuple[float, float]:
    """Return black and white of a picture: the 0.2nd and 99.8th percentile of the clean image."""
    low, high = np.percentile(clean, [0.2, 99.8])
    return float(np.round(low, 2)), float(np.round(high, 2))


def true_columns(frames: FrameSet, frame: int) -> pd.DataFrame:
    """Return the platinum columns of a frame that hold atoms."""
    columns = frames.columns
    return columns[(columns["frame"] == frame) & columns["is_particle"] & (columns["n_atoms"] > 0)]


def _clipped(top: float, bottom: float, left: float, right: float, frames: FrameSet) -> Crop:
    p, (rows, cols) = frames.pixel_size_nm, frames.clean.shape[1:]
    return Crop(
        max(int(top / p), 0),
        min(int(bottom / p), rows),
        max(int(left / p), 0),
        min(int(right / p), cols),
    )
