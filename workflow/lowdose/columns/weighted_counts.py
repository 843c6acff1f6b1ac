"""The tail of a weighted sum of Poisson counts: the exact test of an image against a level.

Which pixels of a disc speak for a column follows from its profile: the log-likelihood ratio of a
profile against a level is a sum of counts, each weighted by the logarithm of their ratio there.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

STEPS = 50
LONGEST = 2.0  # step of Newton's method, in standard deviations of the tilt
CLOSE = 1e-4  # to the mean, in standard deviations, where the formula is 0 / 0
LARGEST = 50.0  # exponent


def profile_weights(
    profile: np.ndarray, level: np.ndarray | float, polarity: int = 1
) -> np.ndarray:
    """Return how much a count in each pixel speaks for a profile against a level.

    Parameters
    ----------
    profile, level : array
        Expected counts with and without the column [e/px].
    polarity : {1, -1}
        Bright or dark columns.

    Returns
    -------
    float64 array
        ``ln(profile / level)`` where the profile is on the column's side of the level, else 0, of
        either polarity positive.  Without the other side's pixels, which the dark ring around a
        bright column has, a true level on that side makes the test conservative.
    """
    level = np.broadcast_to(np.asarray(level, dtype=np.float64), np.shape(profile))
    ratio = np.log(np.maximum(profile, 1e-3 * level) / level)
    return np.maximum(polarity * ratio, 0.0)


def weighted_p_value(
    total: np.ndarray, weights: np.ndarray, expected: np.ndarray, *, polarity: int = 1
) -> np.ndarray:
    """Return p-values of weighted sums of independent Poisson counts.

    Parameters
    ----------
    total : array (column,)
        ``sum(weights * counts)``.
    weights : array (column, pixel)
        0 or more.
    expected : array, broadcastable to (column, pixel)
        Expected counts under the null [e/px], positive.
    polarity : {1, -1}
        1: the chance of as much or more, for bright columns; -1: of as little or less.

    Returns
    -------
    float64 array (column,)
        Within [0, 1]; 1 where no pixel has a weight.

    Notes
    -----
    Saddlepoint approximation of Lugannani and Rice (Adv. Appl. Probab. 12, 475, 1980) with the
    cumulant generating function ``sum(expected * (exp(s * weights) - 1))``; against 200,000 drawn
    sums of discs at 0.2 e/px it is right within 5 % of the p-value down to 1e-3.
    """
    total = np.asarray(total, dtype=np.float64)
    weights = np.asarray(weights, dtype=np.float64)
    expected = np.broadcast_to(np.asarray(expected, dtype=np.float64), weights.shape)
    speak = weights > 0
    variance = np.sum(expected * weights**2, axis=1)
    scale = np.sqrt(np.where(variance > 0, variance, 1.0))
    mean = np.sum(expected * weights, axis=1)
    tilt = np.clip((total - mean) / scale, -LONGEST, LONGEST) / scale
    for _ in range(STEPS):
        grown = expected * np.exp(np.clip(tilt[:, None] * weights, -LARGEST, LARGEST))
        slope = np.sum(weights * grown, axis=1)
        curvature = np.maximum(np.sum(weights**2 * grown, axis=1), 1e-300)
        step = (total - slope) / curvature
        tilt += np.clip(step, -LONGEST / scale, LONGEST / scale)
        if np.all(np.abs(step) * scale < 1e-10):
            break
    grown = expected * np.exp(np.clip(tilt[:, None] * weights, -LARGEST, LARGEST))
    cumulant = np.sum(grown - expected, axis=1)
    curvature = np.sum(weights**2 * grown, axis=1)
    r = np.sign(tilt) * np.sqrt(np.maximum(2 * (tilt * total - cumulant), 0))
    v = tilt * np.sqrt(curvature)
    density = np.exp(-(r**2) / 2) / np.sqrt(2 * np.pi)
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = ndtr(-r) + density * (1 / v - 1 / r)
    # At the mean, its limit: the skewness alone.
    skewness = np.sum(expected * weights**3, axis=1) / scale**3
    tail = np.where(np.abs(r) < CLOSE, 0.5 - skewness / (6 * np.sqrt(2 * np.pi)), tail)
    if polarity == -1:
        tail = 1 - tail
        # No count at all in the pixels that speak: known exactly, where the formula has no tilt.
        nothing = np.exp(-np.sum(expected, axis=1, where=speak))
        tail = np.where(total <= 0, nothing, tail)
    else:
        tail = np.where(total <= 0, 1.0, tail)
    return np.where(speak.any(axis=1), np.clip(tail, 0.0, 1.0), 1.0)
