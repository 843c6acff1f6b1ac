"""Sums of pixels, and the way back to single pixels.

At 6 pm a pixel an image of 1 Å resolution is oversampled, and half an electron a pixel defeats
variance stabilisation.  Sums of b x b pixels cure both: b² times the counts, 1/b² of the work.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from lowdose.sampling import bin_counts


def bin_padded(counts: np.ndarray, factor: int) -> np.ndarray:
    """Sum blocks of `factor` x `factor` pixels of a frame of any size.

    Parameters
    ----------
    counts : array (y, x)
        Electrons per pixel.
    factor : int
        Pixels per bin and axis, at least 1.

    Returns
    -------
    array (ceil(y / factor), ceil(x / factor))
        Electrons per bin.  Bins that reach past the frame are filled with its mirror image
        (edge pixel included), so they hold as many counts as their neighbours.
    """
    padding = [(0, -size % factor) for size in counts.shape]
    return bin_counts(np.pad(counts, padding, mode="symmetric"), factor)


def at_least(image: np.ndarray, side: int) -> np.ndarray:
    """Return an image of `side` pixels or more along each axis, for methods that need as many.

    Parameters
    ----------
    image : array (y, x)
    side : int

    Returns
    -------
    array (max(y, side), max(x, side))
        What is lacking at the lower and right edge is its mirror image, edge pixel included.
    """
    lacking = [(0, max(side - size, 0)) for size in image.shape]
    return np.pad(image, lacking, mode="symmetric")


def spread(sums: np.ndarray, factor: int, shape: tuple[int, int]) -> np.ndarray:
    """Spread sums over their pixels along a smooth surface that has exactly these sums.

    The running total along an axis is interpolated with a cubic spline and differenced, so
    the block sums of the result are `sums` again: no blur by the bin and no shift, although
    the bins' centres lie (factor - 1) / 2 pixels from their first pixel.

    Parameters
    ----------
    sums : array (y', x')
        Electrons per bin, as `bin_padded` returns them.
    factor : int
        Pixels per bin and axis.
    shape : (int, int)
        Size of the frame; what the padding added is cut off.

    Returns
    -------
    array (y, x)
        Electrons per pixel; may undershoot zero beside a steep edge.
    """
    if factor == 1:
        return sums[: shape[0], : shape[1]]
    for axis in (0, 1):
        edges = factor * np.arange(sums.shape[axis] + 1)
        total = np.cumsum(sums, axis=axis, dtype=np.float64)
        total = np.insert(total, 0, 0.0, axis=axis)
        # "natural": no slope of the image at the border, as in the mirrored frame.
        spline = CubicSpline(edges, total, axis=axis, bc_type="natural")
        sums = np.diff(spline(np.arange(edges[-1] + 1)), axis=axis)
    return sums[: shape[0], : shape[1]]
