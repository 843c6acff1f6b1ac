"""How good is a denoised frame when nobody knows the truth?  The counts can say.

Counts that were dealt at random to two frames are independent given what is in front of the beam
(:func:`lowdose.columns.likelihood.thin`).  One part is denoised, the other has not been seen by the
denoiser and tests it: for the mean squared error, and for structure that the denoiser has left
out.  After Batson and Royer, ICML 2019 (arXiv:1901.11365) and Oliveira, Lei and Tibshirani, J. Am.
Stat. Assoc. (2023, arXiv:2112.01611).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import fft, stats

from lowdose.columns.likelihood import thin
from lowdose.runtime import UserError

# The counts that are dealt to the first part -> its expectation, both (y, x) [e/px].
Denoise = Callable[[np.ndarray], np.ndarray]

SHARE = 0.9
LEAST_EXPECTED = 1e-3  # e/px: below it a residual's scale is no longer known


class Risk(NamedTuple):
    """What counts alone say of a denoiser's error on one frame.

    Attributes
    ----------
    mse, mse_low, mse_high : float
        Mean squared error with its confidence limits [(e/px)²].
    gain, gain_low, gain_high : float
        By how much it is below that of a constant image, the mean of the counts [(e/px)²].  The
        greater part of the noise of `mse` does not depend on the denoiser and is not in here.
    share : float
        Part of the dose at which both hold.
    """

    mse: float
    mse_low: float
    mse_high: float
    gain: float
    gain_low: float
    gain_high: float
    share: float


class Residuals(NamedTuple):
    """What a denoised frame has left in counts that it has not seen.

    Attributes
    ----------
    variance : float
        Of Pearson residuals, 1 if the expectation is right.
    excess : float
        Standard errors by which it is above 1.
    correlation : array (lag_y, lag_x)
        Autocorrelation of the residuals, lag 0 in the middle and 1 there; structure that was left
        out shows as peaks.
    whiteness_p : float
        P-value of no correlation at any of these lags (Ljung and Box, Biometrika 65, 297, 1978).
    deviance : float
        Mean Poisson deviance of a pixel; about 1 at many counts, less at few.
    """

    variance: float
    excess: float
    correlation: np.ndarray
    whiteness_p: float
    deviance: float


def thinned_risk(
    denoise: Denoise,
    counts: np.ndarray,
    rng: np.random.Generator,
    *,
    share: float = SHARE,
    splits: int = 1,
    level: float = 0.95,
) -> Risk:
    """Estimate the mean squared error of a denoiser on one frame, without its expectation.

    Parameters
    ----------
    denoise : callable
        Takes counts at `share` of the frame's dose, returns their expectation (at that dose).
    counts : array (y, x) or (frame, y, x)
        Whole electrons of a frame, or of a movie that is denoised as one.
    rng : numpy.random.Generator
        Deals the electrons.
    share : float
        Part of the electrons that the denoiser is given, between 0 and 1.
    splits : int
        How often they are dealt anew; the estimates are averaged.
    level : float
        Confidence level.

    Returns
    -------
    Risk
        Of the expectation **at the whole frame's dose**, as estimated from `share` of it: a
        denoiser that is given all electrons does a little better.

    Raises
    ------
    UserError
        If the counts are not whole electrons, or a number is impossible.

    Notes
    -----
    With y' ~ Binomial(y, p) and a = y - y', which is independent of y' and has the mean
    q lambda, q = 1 - p, ``mean((a / q - f(y') / p)^2) - mean(a) / q^2`` has the expectation
    ``mean((lambda - f(y') / p)^2)``: the variance of a / q, lambda / q, is what the second term
    estimates.  Given y' the pixels' terms are independent, and their variances follow from
    Poisson's factorial moments, which a (a - 1) ... (a - k + 1) estimates without bias: the
    interval needs no resampling.  With several splits it is that of one, and conservative.
    """
    if not 0 < share < 1:
        raise UserError(f"The share of the electrons is {share}; give a number between 0 and 1.")
    if splits < 1 or not 0 < level < 1:
        raise UserError("Give 1 split or more and a confidence level between 0 and 1.")
    counts = np.asarray(counts)
    if counts.ndim not in (2, 3):
        raise UserError(f"The counts have shape {counts.shape}; give a frame or a movie of them.")
    q, found = 1 - share, []
    for _ in range(splits):
        seen, unseen = thin(counts, share, rng)
        estimate = _like(denoise(seen), counts) / share
        constant = seen.mean(dtype=np.float64) / share
        a = unseen.astype(np.float64)
        mse = np.mean((a / q - estimate) ** 2 - a / q**2)
        gain = np.mean((a / q - constant) ** 2 - (a / q - estimate) ** 2)
        # a^2 / q^2 - a (2 f / q + 1 / q^2) and 2 a (f - c) / q are what scatters.
        slope = 2 * estimate / q + 1 / q**2
        second = a * (a - 1)
        third = second * (a - 2)
        scatter = (4 * third + 6 * second + a) / q**4 + slope**2 * a
        scatter -= 2 * slope * (2 * second + a) / q**2
        of_gain = 4 * (estimate - constant) ** 2 * a / q**2
        found.append((mse, gain, scatter.mean() / a.size, of_gain.mean() / a.size))
    mse, gain, *variances = np.mean(found, axis=0)
    reach = stats.norm.ppf((1 + level) / 2) * np.sqrt(np.maximum(variances, 0))
    ends = [float(value + sign * r) for value, r in zip((mse, gain), reach, strict=True)
            for sign in (-1, 1)]  # fmt: skip
    return Risk(float(mse), *ends[:2], float(gain), *ends[2:], share)


def unsupervised_mse(
    estimate: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    third: np.ndarray,
    *,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Estimate the mean squared error from three further noisy copies of the same signal (uMSE).

    For noise of which nothing is known but that the copies have it independently: frames of a
    specimen that stands still, on a camera that counts no electrons.  (Counts are better dealt,
    :func:`thinned_risk`: each frame is then its own copy, and may change.)

    Parameters
    ----------
    estimate : array (y, x) or (frame, y, x)
        Made from none of the three.
    first, second, third : array, the same shape and unit
        Copies with independent noise of one variance at each pixel.
    level : float
        Confidence level.

    Returns
    -------
    mse, low, high : float
        Without bias; it may be negative where the error is small.  The limits take pixels as
        independent.

    Raises
    ------
    UserError
        If shapes differ, values are not finite, or the level is none.

    Notes
    -----
    ``mean((a - f)^2 - (b - c)^2 / 2)``: the second term is the variance of the noise in a (Marcos
    Morales et al., ICML 2023, arXiv:2210.05553).
    """
    if not 0 < level < 1:
        raise UserError(f"The confidence level is {level}; give a number between 0 and 1.")
    arrays = [np.asarray(one, dtype=np.float64) for one in (estimate, first, second, third)]
    if any(one.shape != arrays[0].shape or not np.isfinite(one).all() for one in arrays):
        shapes = ", ".join(str(one.shape) for one in arrays)
        raise UserError(
            f"Give an estimate and three copies, finite and of one shape, not {shapes}."
        )
    f, a, b, c = arrays
    terms = (a - f) ** 2 - (b - c) ** 2 / 2
    mean, error = float(terms.mean()), float(terms.std(ddof=1) / np.sqrt(terms.size))
    reach = float(stats.norm.ppf((1 + level) / 2)) * error
    return mean, mean - reach, mean + reach


def psnr_of(risk: Risk, dose_e_per_px: float, reference: float = 0.45) -> tuple[float, ...]:
    """Return the PSNR that a risk stands for, and its limits [dB].

    Parameters
    ----------
    risk : Risk
    dose_e_per_px : float
        Of the whole frame, in vacuum.
    reference : float
        Dose to which images are scaled first, as in :func:`lowdose.metrics.psnr`.

    Returns
    -------
    psnr, low, high : float
        Infinite where the risk, which may be estimated as negative, is not positive.
    """
    errors = np.maximum([risk.mse, risk.mse_high, risk.mse_low], 0)
    with np.errstate(divide="ignore"):
        return tuple(float(v) for v in -10 * np.log10(errors * (reference / dose_e_per_px) ** 2))


def residuals(unseen: np.ndarray, expected: np.ndarray, reach_px: int = 48) -> Residuals:
    """Test an expectation on counts that it was not made from.

    Parameters
    ----------
    unseen : array (y, x)
        Counts [e/px].
    expected : array (y, x)
        Their expectation [e/px], from other counts of the same frame: with :func:`thin`,
        ``(1 - share) / share`` times what was made of the part that was seen.
    reach_px : int
        Lags up to this many pixels are looked at.

    Returns
    -------
    Residuals
    """
    unseen = _frame(unseen).astype(np.float64)
    expected = np.maximum(_like(expected, unseen), LEAST_EXPECTED)
    if not 1 <= reach_px < min(unseen.shape) // 2:
        raise UserError(f"Lags up to {reach_px} px do not fit a frame of {unseen.shape} px.")
    pearson = (unseen - expected) / np.sqrt(expected)
    n = pearson.size
    variance = float(np.mean(pearson**2))
    # The fourth moment of a Poisson residual: 3 + 1 / lambda.
    error = np.sqrt(np.mean(2 + 1 / expected) / n)
    correlation = _autocorrelation(pearson, reach_px)
    # Of each pair of opposite lags, which are one number, one.
    half = correlation.ravel()[: correlation.size // 2]
    statistic = n * np.sum(half**2)
    ratio = np.where(unseen > 0, unseen / expected, 1.0)
    deviance = 2 * np.mean(unseen * np.log(ratio) - (unseen - expected))
    return Residuals(
        variance,
        float((variance - 1) / error),
        correlation,
        float(stats.chi2.sf(statistic, len(half))),
        float(deviance),
    )


def _autocorrelation(residual: np.ndarray, reach: int) -> np.ndarray:
    """Return the autocorrelation at lags up to `reach`, without wrapping round."""
    centred = residual - residual.mean()
    shape = [fft.next_fast_len(n + reach, real=True) for n in residual.shape]
    power = np.abs(fft.rfft2(centred, shape)) ** 2
    full = fft.irfft2(power, shape)
    lags = np.arange(-reach, reach + 1)
    values = full[np.ix_(lags, lags)]
    pairs = np.outer(*(n - np.abs(lags) for n in residual.shape))
    # Each lag by the pairs of pixels that it has, scaled so that its variance is 1 / n.
    return values / values[reach, reach] * np.sqrt(residual.size / pairs)


def _frame(counts) -> np.ndarray:
    counts = np.asarray(counts)
    if counts.ndim != 2:
        raise UserError(f"The counts have shape {counts.shape}; give one frame (y, x).")
    return counts


def _like(estimate, counts: np.ndarray) -> np.ndarray:
    estimate = np.asarray(estimate, dtype=np.float64)
    if estimate.shape != counts.shape or not np.isfinite(estimate).all():
        raise UserError("The expectation is not a finite image of the counts' shape.")
    return estimate
