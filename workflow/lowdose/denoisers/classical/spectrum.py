"""Filters of a frame's spectrum: what they share."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import fft, ndimage

# Of a power that is exponentially distributed, as noise's is, the median lies at ln 2 of the mean.
MEDIAN_OF_NOISE = np.log(2)
BORDER_SIGMA_NM = 0.15
FEWEST_BINS = 100  # of a ring: its median is then known to a seventh


def periodic_and_smooth(image: np.ndarray, sigma_px: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Split an image into one that is periodic and one that is smooth; their sum is the image.

    Opposite borders differ, which would put a cross into the spectrum and let a filter carry the
    support into the vacuum.  After L. Moisan, J. Math. Imaging Vis. 39, 161 (2011),
    doi:10.1007/s10851-010-0227-1.

    Parameters
    ----------
    image : array (y, x)
    sigma_px : float
        The jumps at the borders are those of the image behind a Gaussian of this width [pixels]:
        those of its noise are not smooth, and would escape the filter.

    Returns
    -------
    periodic, smooth : float64 array (y, x)
    """
    image = np.asarray(image, dtype=np.float64)
    height, width = image.shape
    jump = np.zeros_like(image)
    calm = ndimage.gaussian_filter(image, sigma_px, mode="reflect") if sigma_px else image
    jump[0] += calm[0] - calm[-1]
    jump[-1] -= calm[0] - calm[-1]
    jump[:, 0] += calm[:, 0] - calm[:, -1]
    jump[:, -1] -= calm[:, 0] - calm[:, -1]
    y, x = np.arange(height)[:, None], np.arange(width // 2 + 1)
    curvature = 4 - 2 * np.cos(2 * np.pi * y / height) - 2 * np.cos(2 * np.pi * x / width)
    curvature[0, 0] = 1
    spectrum = fft.rfft2(jump) / curvature
    spectrum[0, 0] = 0
    smooth = fft.irfft2(spectrum, s=image.shape)
    return image - smooth, smooth


def frequency(shape: tuple[int, int], pixel_size_nm: float) -> np.ndarray:
    """Return the spatial frequency of each bin of ``rfft2`` [1/nm]."""
    along_y = fft.fftfreq(shape[0], pixel_size_nm)[:, None]
    return np.hypot(along_y, fft.rfftfreq(shape[1], pixel_size_nm))


def background(power: np.ndarray, radius: np.ndarray, ring: float) -> np.ndarray:
    """Return the power of what is the same in all directions: noise, and no Bragg spots.

    Parameters
    ----------
    power, radius : array
        Power and frequency of each bin.
    ring : float
        Width of the rings in which the median is taken, in the unit of `radius`.

    Returns
    -------
    array, shape of `power`
        The median of each ring, which spots do not move, times 1 / ln 2, which for noise makes it
        the mean; linear between the rings.
    """
    order = np.argsort(radius, axis=None, kind="stable")
    order = order[np.searchsorted(radius.ravel()[order], 0, side="right") :]  # not the mean
    if not order.size:
        return np.zeros_like(power)
    number = np.floor(radius.ravel()[order] / ring).astype(int)
    ends = [0]
    for end in [*np.flatnonzero(np.diff(number)) + 1, order.size]:
        if end - ends[-1] >= FEWEST_BINS:
            ends.append(int(end))
    ends = [*ends[:-1], order.size] if len(ends) > 1 else [0, order.size]
    rings = [order[first:last] for first, last in pairwise(ends)]
    levels = [np.median(power.ravel()[one]) / MEDIAN_OF_NOISE for one in rings]
    return np.interp(radius, [radius.ravel()[one].mean() for one in rings], levels)


def border_sigma_px(pixel_size_nm: float) -> float:
    """Return the width behind which a border's jump is looked for: about a column's spacing."""
    return BORDER_SIGMA_NM / pixel_size_nm


def low_pass(radius: np.ndarray, cutoff: float, order: int) -> np.ndarray:
    """Return Butterworth's gain ``(1 + (radius / cutoff)^(2 order))^-1/2``."""
    return (1 + (radius / cutoff) ** (2 * order)) ** -0.5
