"""Where a movie looks: the filmed part of the cell, its drift and its rotation, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lowdose.data.frames import region
from lowdose.imaging.camera import PixelGrid
from lowdose.runtime import UserError

ABOVE = 0.35  # share of the filmed square above the particle's upper facet
AHEAD = 0.125  # its middle is so many sides to the right of the facet's left end
BESIDE_NM = 0.25  # a square that leaves as much on both sides has the particle in its middle
MARGIN_NM = 0.05  # a column nearer to the edge of a frame is not in its truth


@dataclass(frozen=True)
class View:
    """What each frame of a movie shows of the cell.

    The specimen turns about the point that the middle of the filmed part has where nothing
    drifts, and is then shifted: a point c of the cell is seen at
    ``middle of the frame + R(angle) (c - turning point) + drift``.

    Attributes
    ----------
    cell_nm : (float, float)
        Height and width of the cell [nm].
    pixel_size_nm : float
    shape : (int, int)
        Pixels of a frame.
    origin_nm : (float, float)
        y (down) and x, in the cell, of the first pixel's centre without drift and rotation [nm].
    drift_nm : array (frame, 2)
        Shift along y (down) and x [nm].
    rotation_deg : array (frame,)
        Counter-clockwise.
    """

    cell_nm: tuple[float, float]
    pixel_size_nm: float
    shape: tuple[int, int]
    origin_nm: tuple[float, float]
    drift_nm: np.ndarray
    rotation_deg: np.ndarray

    @property
    def _half(self) -> np.ndarray:
        """From the first pixel's centre to the middle, y and x [nm]."""
        return self.pixel_size_nm * (np.array(self.shape) - 1) / 2

    def places(self, frame: int, xy_nm: np.ndarray) -> np.ndarray:
        """Return where a frame shows points of the cell.

        Parameters
        ----------
        frame : int
        xy_nm : array (n, 2)
            x and y (down) in the cell, which is periodic along x [nm].

        Returns
        -------
        array (n, 2)
            x and y from the centre of the frame's upper left pixel [nm].
        """
        half, width = self._half, self.cell_nm[1]
        from_turning_point = np.asarray(xy_nm) - (np.array(self.origin_nm) + half)[::-1]
        dx = (from_turning_point[:, 0] + width / 2) % width - width / 2
        dy = from_turning_point[:, 1]
        angle = np.deg2rad(self.rotation_deg[frame])
        x = np.cos(angle) * dx + np.sin(angle) * dy
        y = np.cos(angle) * dy - np.sin(angle) * dx
        return np.column_stack([x, y]) + (self.drift_nm[frame] + half)[::-1]

    def shows(self, places_nm: np.ndarray) -> np.ndarray:
        """Say which places (n, 2), from :meth:`places`, are `MARGIN_NM` inside a frame."""
        last = 2 * self._half[::-1]
        return np.all((places_nm >= MARGIN_NM) & (places_nm <= last - MARGIN_NM), axis=1)

    def share_shown(self, xy_nm: np.ndarray) -> np.ndarray:
        """Return the share of the frames that show each point (n, 2) of the cell."""
        frames = range(len(self.drift_nm))
        return np.mean([self.shows(self.places(i, xy_nm)) for i in frames], axis=0)

    def in_cell(self, frame: int, vector_nm: np.ndarray) -> np.ndarray:
        """Return a vector (y, x) of a frame in the directions of the cell."""
        return _turned(vector_nm, np.deg2rad(self.rotation_deg[frame]))

    def pixels(self, frame: int, grid: tuple[int, int], band: tuple[int, int]) -> PixelGrid:
        """Return what samples the image of the cell at the pixels of a frame."""
        origin = np.array(self.origin_nm) - self.in_cell(frame, self.drift_nm[frame])
        return PixelGrid(grid, self.cell_nm, self.pixel_size_nm, tuple(origin), self.shape, band,
                         float(self.rotation_deg[frame]))  # fmt: skip


def view(
    spec: Mapping,
    cell_nm: tuple[float, float],
    pixel_size_nm: float,
    columns_nm: np.ndarray,
    rng: np.random.Generator,
) -> View:
    """Place the filmed part of the cell.

    A square has the left end of the particle's upper facet a little left of and above its
    middle, with vacuum above; a square that has room for the whole particle has it in its middle.
    Half-way through the movie the particle is there.  Without motion, pixels are some of those
    that :func:`lowdose.data.frames.render` has.

    Parameters
    ----------
    spec : mapping
        As :class:`lowdose.config_movies.MovieSpec`.
    cell_nm : (float, float)
        Height and width of the cell [nm].
    pixel_size_nm : float
    columns_nm : array (n, 2)
        x and y (down) of the particle's columns in the cell [nm].
    rng : numpy.random.Generator
        Draws the random walk.

    Raises
    ------
    UserError
        If the square is larger than the field, or moves beyond it.
    """
    frames = spec["frames"]
    steps = np.arange(frames)[:, None] * np.array(spec["drift_nm_per_frame"])
    walk = rng.normal(0.0, spec["jitter_nm"], (frames, 2))
    walk[0] = 0.0
    drift = steps + np.cumsum(walk, axis=0)
    angles = np.linspace(*spec["rotation_deg"], frames)
    radians = np.deg2rad(angles)
    moves = np.array([_turned(d, a) for d, a in zip(drift, radians, strict=True)])
    top, bottom = region(cell_nm[0])
    whole = np.array([int((bottom - top) / pixel_size_nm), int(cell_nm[1] / pixel_size_nm)])
    side = spec["side_px"]
    if side is None:
        # What is cut off above and below, so that no frame leaves the field.
        lean = np.abs(np.sin(radians)) * whole[1] * pixel_size_nm
        room = bottom - top - np.ptp(moves[:, 0]) - lean.max()
        shape = np.array([min(int(room / pixel_size_nm), whole[0]), whole[1]])
    else:
        shape = np.array([side, side])
    if np.any(shape > whole) or shape[0] < 1:
        raise UserError(
            f"A square of side_px = {side} is larger than the field of {whole[0]} x {whole[1]} "
            f"pixels; {whole.min()} or less works."
            if side
            else "Drift and rotation leave nothing of the field for the movie; lower them."
        )
    half = pixel_size_nm * (shape - 1) / 2
    reach = half[0] * np.cos(radians) + half[1] * np.abs(np.sin(radians))
    lowest = top + float((reach + moves[:, 0]).max())
    highest = bottom - float((reach - moves[:, 0]).max())
    if lowest > highest + pixel_size_nm:
        raise UserError(
            f"A square of side_px = {side} that drifts by {np.ptp(moves[:, 0]):.2f} nm and turns "
            f"by {np.ptp(angles):.3g}° leaves the field, which is {bottom - top:.2f} nm high; "
            "lower side_px, drift_nm_per_frame, jitter_nm or rotation_deg."
        )
    middle = np.array([top, 0.0]) + half
    if side is not None:
        middle = _aim(columns_nm, 2 * half[0])
    middle += moves.mean(axis=0)
    middle[0] = np.clip(middle[0], lowest, max(lowest, highest))
    origin = np.rint((middle - half - [top, 0]) / pixel_size_nm) * pixel_size_nm + [top, 0]
    return View(cell_nm, pixel_size_nm, (int(shape[0]), int(shape[1])),
                (float(origin[0]), float(origin[1])), drift, angles)  # fmt: skip


def _aim(columns_nm: np.ndarray, side_nm: float) -> np.ndarray:
    """Return the middle (y, x) of a square that has the particle's free surface in it."""
    x, y = columns_nm.T
    facet = y < y.min() + 0.05
    left, right = x.min(), x.max()
    middle = x[facet].min() + AHEAD * side_nm
    if side_nm >= right - left + 2 * BESIDE_NM:
        middle = (left + right) / 2
    return np.array([y.min() + (0.5 - ABOVE) * side_nm, middle])


def _turned(vector: np.ndarray, angle: float) -> np.ndarray:
    """Return a vector (y, x) of a frame that is turned by `angle` in the directions of the cell."""
    y, x = vector
    return np.array([np.sin(angle) * x + np.cos(angle) * y, np.cos(angle) * x - np.sin(angle) * y])
