"""Fit columns: position, amplitude and width, each with its standard error.

Each column is a Gaussian on a level of its own, fitted within half the distance to its neighbours
by maximising the Poisson likelihood of the counts there (Fisher scoring; van Aert et al.,
Ultramicroscopy 109, 1236, 2009, for the model in this field).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lowdose.columns.detection import COLUMN_SIGMA_NM, detect_columns
from lowdose.columns.discs import disc_pixels
from lowdose.runtime import UserError

FIT_RADIUS_NM = 0.12
"""Half the distance of neighbouring columns: farther out a neighbour begins."""

STEPS = 40
PATIENCE = 8  # steps in which a width may still leave its limit
_CONVERGED = 1e-4  # of a pixel, and of the width
_STILL = 1e-4  # of the width: such a step is not followed by another
_FARTHEST = 0.5  # of the radius: a centre that moves farther has left its column
_NARROWEST, _WIDEST = 0.4, 2.5  # of the width it starts from
_FLOOR = 1e-3  # of the mean level: expectations are positive
_STRONGEST = 20  # candidates that decide the polarity


def fit_columns(
    image: np.ndarray,
    positions_nm: np.ndarray,
    pixel_size_nm: float,
    *,
    sigma_nm: float = COLUMN_SIGMA_NM,
    radius_nm: float = FIT_RADIUS_NM,
) -> pd.DataFrame:
    """Fit a Gaussian on a level to each column.

    Parameters
    ----------
    image : array (y, x)
        Counts [e/px], or an estimate of their expectation.
    positions_nm : array (column, 2)
        Where to start, (x, y) [nm], as detected.
    pixel_size_nm : float
    sigma_nm : float
        Width to start from [nm].
    radius_nm : float
        Radius of the disc of pixels that are fitted [nm].

    Returns
    -------
    DataFrame
        ``x_nm, y_nm``; ``amplitude`` above the level, signed, and ``level`` [e/px]; ``width_nm``,
        the Gaussian's standard deviation; ``x_se_nm, y_se_nm, amplitude_se``: standard errors, from
        the Fisher information at the fit; ``fitted``, False where the fit did not converge or left
        its column, and then the position is the one given and the rest is missing.

    Notes
    -----
    The standard errors are those of an image of **counts**.  Of a denoised image they are what
    its counts allow for this model (the Cramér-Rao bound), not the scatter of the denoiser.

    Raises
    ------
    UserError
        If the image is not one frame of finite values that are 0 or more, or as
        :func:`lowdose.columns.discs.disc_sums`.
    """
    image = np.asarray(image, dtype=np.float64)
    if image.ndim != 2 or not np.isfinite(image).all() or (image < 0).any():
        raise UserError(
            f"The image (shape {image.shape}) is not one frame of counts; give finite values of 0 "
            "or more, (y, x)."
        )
    start = np.asarray(positions_nm, dtype=np.float64).reshape(-1, 2)
    rows, cols, inside = disc_pixels(image.shape, start, pixel_size_nm, radius_nm)
    n = np.where(inside, image[rows, cols], 0.0)
    # In pixels from the place given.
    x = cols - start[:, :1] / pixel_size_nm
    y = rows - start[:, 1:] / pixel_size_nm
    width = np.full(len(start), sigma_nm / pixel_size_nm)
    ring = inside & (np.hypot(x, y) > 0.7 * radius_nm / pixel_size_nm)
    core = inside & (np.hypot(x, y) < 0.5 * width[:, None])
    level, height = (_mean(n, part) for part in (ring, core))
    theta = np.stack([0 * level, 0 * level, height - level, level, width], axis=1)
    least = _FLOOR * np.maximum(_mean(n, inside), 1e-12)
    limits = width[:, None] * [_NARROWEST, _WIDEST]
    step = np.full_like(theta, np.inf)
    moving = np.arange(len(start))
    with np.errstate(all="ignore"):
        for number in range(STEPS):
            here = (x[moving], y[moving])
            expected, slopes = _model(theta[moving], *here)
            information, score = _information(
                n[moving], expected, slopes, inside[moving], least[moving]
            )
            step[moving] = own = _solved(information, score)
            # A step longer than half a width has left the region where the model is linear.
            size = np.max(np.abs(own[:, [0, 1, 4]]) / (0.5 * theta[moving, 4:]), axis=1)
            theta[moving] += own / np.maximum(size, 1.0)[:, None]
            theta[moving, 4] = np.clip(theta[moving, 4], *limits[moving].T)
            # Most arrive within ten steps; the others need not wait for them, nor they for these.
            still = np.abs(own[:, [0, 1, 4]]).max(axis=1) < _STILL * width[moving]
            gone = np.hypot(*theta[moving, :2].T) * pixel_size_nm > _FARTHEST * radius_nm
            if number >= PATIENCE:  # with the width at a limit it is no column of that kind
                gone |= (theta[moving, 4:] == limits[moving]).any(axis=1)
            moving = moving[~(still | gone)]
            if not len(moving):
                break
        expected, slopes = _model(theta, x, y)
        information, _ = _information(n, expected, slopes, inside, least)
        errors = np.sqrt(np.diagonal(_inverse(information), axis1=1, axis2=2))
    moved = np.hypot(theta[:, 0], theta[:, 1]) * pixel_size_nm
    fitted = (
        np.isfinite(theta).all(axis=1)
        & np.isfinite(errors).all(axis=1)
        & (np.abs(step[:, [0, 1, 4]]).max(axis=1) < _CONVERGED * np.maximum(width, 1))
        & (moved < _FARTHEST * radius_nm)
        & (theta[:, 4] > limits[:, 0])
        & (theta[:, 4] < limits[:, 1])
    )
    theta[:, :2] = np.where(fitted[:, None], theta[:, :2], 0.0)
    found = {
        "x_nm": start[:, 0] + pixel_size_nm * theta[:, 0],
        "y_nm": start[:, 1] + pixel_size_nm * theta[:, 1],
    }
    rest = {
        "amplitude": theta[:, 2],
        "level": theta[:, 3],
        "width_nm": pixel_size_nm * theta[:, 4],
        "x_se_nm": pixel_size_nm * errors[:, 0],
        "y_se_nm": pixel_size_nm * errors[:, 1],
        "amplitude_se": errors[:, 2],
    }
    found |= {name: np.where(fitted, values, np.nan) for name, values in rest.items()}
    return pd.DataFrame({**found, "fitted": fitted})


def polarity_of(
    image: np.ndarray, pixel_size_nm: float, *, sigma_nm: float = COLUMN_SIGMA_NM
) -> int:
    """Return whether the columns of an image are bright (1) or dark (-1).

    Parameters
    ----------
    image : array (y, x)
        Relative image, vacuum = 1; denoised, or its noise decides.
    pixel_size_nm, sigma_nm : float
        Pixel size and scale of the detector [nm].

    Notes
    -----
    Of a lattice of bright columns the gaps are dark blobs, but weaker ones: the sign with the
    higher mean response of its strongest twenty candidates is taken.
    """
    strength = {}
    for sign in (1, -1):
        found = detect_columns(
            image, pixel_size_nm, threshold=0.0, sigma_nm=sigma_nm, polarity=sign
        )
        strength[sign] = found["response"].head(_STRONGEST).mean() if len(found) else 0.0
    return 1 if strength[1] >= strength[-1] else -1


def _model(theta: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return expected counts (column, pixel) and their derivatives (parameter, column, pixel)."""
    x0, y0, amplitude, level, width = (theta[:, k, None] for k in range(5))
    dx, dy = x - x0, y - y0
    square = dx**2 + dy**2
    shape = np.exp(-square / (2 * width**2))
    bell = amplitude * shape
    slopes = np.stack(
        [bell * dx / width**2, bell * dy / width**2, shape, np.ones_like(x),
         bell * square / width**3]
    )  # fmt: skip
    return level + bell, slopes


def _information(n, expected, slopes, inside, least) -> tuple[np.ndarray, np.ndarray]:
    """Return Fisher information (column, parameter, parameter) and score (column, parameter)."""
    expected = np.maximum(expected, least[:, None])
    weight = np.where(inside, 1 / expected, 0.0)
    information = np.einsum("icp,jcp,cp->cij", slopes, slopes, weight, optimize=True)
    return information, np.einsum("icp,cp->ci", slopes, (n - expected) * weight)


def _solved(information: np.ndarray, score: np.ndarray) -> np.ndarray:
    return np.einsum("cij,cj->ci", _inverse(information), score)


def _inverse(information: np.ndarray) -> np.ndarray:
    """Return the inverse of each matrix, scaled to a unit diagonal; NaN where there is none."""
    scale = np.sqrt(np.diagonal(information, axis1=1, axis2=2))
    scale = np.where(np.isfinite(scale) & (scale > 0), scale, np.nan)
    unit = information / (scale[:, :, None] * scale[:, None, :])
    good = np.isfinite(unit).all(axis=(1, 2))
    result = np.full_like(unit, np.nan)
    if good.any():
        result[good] = np.linalg.pinv(unit[good], rcond=1e-10, hermitian=True)
    return result / (scale[:, :, None] * scale[:, None, :])


def _mean(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    number = where.sum(axis=1)
    return np.sum(values, axis=1, where=where) / np.maximum(number, 1)
