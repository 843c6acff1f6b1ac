"""Change the pixel size of counted images without changing what they count."""

from __future__ import annotations

import math

import numpy as np

from lowdose.runtime import UserError

REFERENCE_DOSE_E_PER_PX = 0.45
REFERENCE_PIXEL_SIZE_NM = 0.0061
# Networks take pixels of this much more or less than their own as they are: they are trained on
# them (`scale_jitter`).
PIXEL_TOLERANCE = 0.05
# What lies beyond an image whose sides are no multiple of a network's stride, relative to the
# vacuum: the vacuum itself, without noise, as nothing inside of an image is.
FILLING = 1.0


def dose_e_per_px(dose_e_per_a2: float, pixel_size_nm: float) -> float:
    """Return the dose per pixel, in electrons, of a dose in e/Å² (1 nm = 10 Å)."""
    return dose_e_per_a2 * (10.0 * pixel_size_nm) ** 2


def dose_e_per_a2(dose_e_per_px: float, pixel_size_nm: float) -> float:
    """Return the dose in e/Å² of a dose in electrons per pixel (1 nm = 10 Å)."""
    return dose_e_per_px / (10.0 * pixel_size_nm) ** 2


def bin_counts(counts: np.ndarray, factor: int) -> np.ndarray:
    """Sum blocks of `factor` x `factor` pixels.

    A sum of independent Poisson counts is a Poisson count, so binned frames need no new noise
    model.  The centre of bin 0 lies at pixel ``(factor - 1) / 2`` of the input.

    Parameters
    ----------
    counts : array (..., y, x)
        Counts or expected counts, in electrons per pixel.
    factor : int
        Pixels per bin along each axis, at least 1.  Rows and columns at the lower and right
        edge that fill no bin are left out.

    Returns
    -------
    array (..., y // factor, x // factor)
        Same unit, electrons per (larger) pixel.

    Raises
    ------
    UserError
        If `factor` is below 1, or larger than the image.
    """
    height, width = counts.shape[-2:]
    if factor < 1 or factor > min(height, width):
        raise UserError(
            f"Binning by {factor} does not fit an image of {height} x {width} pixels; "
            f"give a whole number from 1 to {min(height, width)}."
        )
    rows, columns = height // factor, width // factor
    whole = counts[..., : rows * factor, : columns * factor]
    return whole.reshape(*counts.shape[:-2], rows, factor, columns, factor).sum(axis=(-3, -1))


def resample_counts(
    counts: np.ndarray, pixel_size_nm: float, target_nm: float
) -> tuple[np.ndarray, float]:
    """Resample to another pixel size, keeping the counts per area.

    Each new pixel gathers the counts of the area that it covers, those of a pixel cut by its
    edge in proportion.  Pixel 0 of input and output share their centre, so a position in nm
    stays what it was.  At a whole-number ratio that is odd this is exact binning.

    Parameters
    ----------
    counts : array (..., y, x)
        Counts or expected counts, in electrons per pixel.
    pixel_size_nm, target_nm : float
        Pixel sizes of the input and of the output, in nm.

    Returns
    -------
    resampled : float32 array (..., y', x')
        Electrons per new pixel: the mean changes by ``(target_nm / pixel_size_nm) ** 2``.
    noise_factor : float
        Variance over mean of `resampled` for a uniform Poisson frame, averaged over pixels.
        1 for Poisson counts; below 1 where a count is shared between neighbours, which also
        correlates their noise.

    Raises
    ------
    UserError
        If a pixel size is not positive and finite.
    """
    for name, value in (("pixel_size_nm", pixel_size_nm), ("target_nm", target_nm)):
        if not (math.isfinite(value) and value > 0):
            raise UserError(f"{name} is {value}; give a pixel size in nm above 0.")
    ratio = target_nm / pixel_size_nm
    down = overlaps(counts.shape[-2], ratio)
    across = overlaps(counts.shape[-1], ratio)
    resampled = down @ np.asarray(counts, dtype=np.float64) @ across.T
    noise_factor = float(_variance_over_mean(down) * _variance_over_mean(across))
    return resampled.astype(np.float32), noise_factor


def overlaps(size: int, ratio: float) -> np.ndarray:
    """Return what part of each old pixel a new pixel gathers, along one axis.

    The first and the last new pixel may reach past the frame by less than half their width;
    what is missing there is taken to be as bright as the rest of them.

    Parameters
    ----------
    size : int
        Old pixels.
    ratio : float
        New pixel size over old pixel size.

    Returns
    -------
    array (new, old)
        Lengths shared by new pixel i and old pixel j, in old pixels; each row adds up to
        `ratio`.
    """
    number = math.floor((size - 1) / ratio + 1e-9) + 1
    centres = ratio * np.arange(number)[:, None]
    old = np.arange(size)[None, :]
    shared = np.minimum(centres + ratio / 2, old + 0.5) - np.maximum(centres - ratio / 2, old - 0.5)
    shared = np.clip(shared, 0.0, None)
    return shared * (ratio / shared.sum(axis=1, keepdims=True))


def _variance_over_mean(weights: np.ndarray) -> float:
    """Variance over mean along one axis, for unit-rate Poisson counts weighted by `weights`."""
    return float(np.mean((weights**2).sum(axis=1) / weights.sum(axis=1)))
