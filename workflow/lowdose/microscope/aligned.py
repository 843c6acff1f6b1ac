"""Frames moved back by their drift, and summed: whole pixels, so that counts stay counts."""

from __future__ import annotations

import numpy as np

from lowdose.runtime import UserError

LEAST_SHARED_PX = 64  # a side that must be left when the frames are aligned


def align(counts: np.ndarray, shifts: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Move frames back by their shifts, rounded to whole pixels, and keep what all of them show.

    Parts of a pixel would need interpolation, which mixes the counts of neighbours: they would be
    Poisson counts no more, but smoother and correlated, which denoisers take for an image.  What
    rounding leaves is half a pixel at most, a hundredth of a lattice spacing at 0.006 nm a pixel.

    Parameters
    ----------
    counts : array (frame, y, x)
        Electrons per pixel.
    shifts : array (frame, 2)
        How far each frame is displaced, down and right, as of :func:`drift` [pixels].

    Returns
    -------
    aligned : array (frame, y', x')
        Of the same type, a copy.
    (first_row, first_col) : (int, int)
        Where its first pixel lies in the first frame.

    Raises
    ------
    UserError
        If the frames share less than 64 pixels along a side, or the shifts are not theirs.
    """
    shifts = np.asarray(shifts, dtype=np.float64)
    if shifts.shape != (len(counts), 2) or not np.isfinite(shifts).all():
        raise UserError(
            f"Shifts of shape {shifts.shape} do not align {len(counts)} frames; give a finite "
            "shift along y and x for each frame, or leave out --align."
        )
    whole = np.rint(shifts - shifts[0]).astype(int)
    first = -whole.min(axis=0)
    sides = np.array(counts.shape[1:]) - np.ptp(whole, axis=0)
    if sides.min() < LEAST_SHARED_PX:
        height, width = np.maximum(sides, 0)
        raise UserError(
            f"The frames drift so far that they share only {height} x {width} pixels, less than "
            f"{LEAST_SHARED_PX} a side; take fewer of them by --frames, or leave out --align."
        )
    aligned = np.empty((len(counts), *sides), counts.dtype)
    for k, (row, col) in enumerate(first + whole):
        aligned[k] = counts[k, row : row + sides[0], col : col + sides[1]]
    return aligned, (int(first[0]), int(first[1]))


def running_sums(counts: np.ndarray, number: int) -> np.ndarray:
    """Sum so many frames from each frame on: sums of Poisson counts are Poisson counts.

    Neighbouring sums share all frames but one and so most of their noise.

    Parameters
    ----------
    counts : array (frame, y, x)
        Electrons per pixel.
    number : int
        Frames of a sum.

    Returns
    -------
    float32 array (frame - number + 1, y, x)
        Frame k is the sum of the frames k to k + number - 1; exact for whole numbers of
        electrons.

    Raises
    ------
    UserError
        If `number` is not a whole number from 1 to that of the frames.
    """
    if number != int(number) or not 1 <= number <= len(counts):
        raise UserError(
            f"--sum is {number}, but there are {len(counts)} frames; give a whole number from 1 "
            f"to {len(counts)}."
        )
    number = int(number)
    # In double precision, so that what was added is taken away again without a rest.
    total = counts[:number].sum(axis=0, dtype=np.float64)
    sums = np.empty((len(counts) - number + 1, *counts.shape[1:]), np.float32)
    sums[0] = total
    for k in range(1, len(sums)):
        total += counts[k + number - 1]
        total -= counts[k - 1]
        sums[k] = total
    return sums
