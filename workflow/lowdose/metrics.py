"""Image metrics of the study: PSNR, contrast PSNR, SSIM, Poisson deviance.

Every function takes the clean expectation and an estimate of it, both in expected electrons
per pixel, and the dose in vacuum.  None of these metrics sees one wrong column; the surface
metrics of :mod:`lowdose.columns` do.
"""

from __future__ import annotations

import numpy as np
from scipy.special import kl_div
from skimage.metrics import structural_similarity

from lowdose.runtime import UserError

REFERENCE_DOSE_E_PER_PX = 0.45
"""Dose in vacuum (electrons per pixel) at which PSNR and SSIM are read, with MAX = 1."""

DEVIANCE_FLOOR_E_PER_PX = 1e-3
"""Least expectation that the deviance accepts; an estimate of 0 would cost infinitely much."""

SSIM_WINDOW_PX = 7
"""Side of scikit-image's default (uniform) window."""


def psnr(clean: np.ndarray, estimate: np.ndarray, *, dose_e_per_px: float) -> float:
    """Return the peak signal-to-noise ratio with MAX = 1 at 0.45 electrons per pixel.

    Both images are first scaled by 0.45 / dose, so that the same relative error scores the
    same at every dose.  A raw Poisson frame of 0.45 e/px scores 3.47 dB.

    Parameters
    ----------
    clean, estimate : array (..., y, x)
        Expected counts [e/px].
    dose_e_per_px : float
        Expected counts in vacuum [e/px], positive.

    Returns
    -------
    float
        Decibels; infinite for identical images.

    Raises
    ------
    UserError
        If the shapes differ or the dose is not positive.

    Notes
    -----
    Convention of Vincent et al., Microsc. Microanal. 27, 1431 (2021), without the clamping of
    their code to [0, 1], which favours noisy images.
    """
    clean, estimate = _pair(clean, estimate, dose_e_per_px)
    scale = REFERENCE_DOSE_E_PER_PX / dose_e_per_px
    return _decibel(1.0, scale**2 * _mse(clean, estimate))


def contrast_psnr(clean: np.ndarray, estimate: np.ndarray, *, dose_e_per_px: float) -> float:
    """Return 10 log10(var(clean) / MSE): the decibels above the best constant image.

    Parameters
    ----------
    clean, estimate : array (..., y, x)
        Expected counts [e/px].
    dose_e_per_px : float
        Checked for the sake of one signature; the ratio does not depend on the scale.

    Returns
    -------
    float
        Decibels; 0 for the constant image at the mean of `clean`, infinite for identical
        images, minus infinity where `clean` itself is constant and the estimate is not it.

    Raises
    ------
    UserError
        If the shapes differ or the dose is not positive.
    """
    clean, estimate = _pair(clean, estimate, dose_e_per_px)
    return _decibel(float(np.var(clean, dtype=np.float64)), _mse(clean, estimate))


def ssim(clean: np.ndarray, estimate: np.ndarray, *, dose_e_per_px: float) -> float:
    """Return scikit-image's structural similarity, data range 1 at 0.45 electrons per pixel.

    Parameters
    ----------
    clean, estimate : array (y, x)
        Expected counts [e/px], at least 7 x 7 pixels.
    dose_e_per_px : float
        Expected counts in vacuum [e/px], positive.

    Returns
    -------
    float
        At most 1, which identical images reach.

    Raises
    ------
    UserError
        If the images are not two-dimensional, differ in shape or are below 7 x 7 pixels, or
        the dose is not positive.
    """
    clean, estimate = _pair(clean, estimate, dose_e_per_px)
    if clean.ndim != 2 or min(clean.shape) < SSIM_WINDOW_PX:
        raise UserError(
            f"SSIM got an image of shape {clean.shape}; give one frame (y, x) of at least "
            f"{SSIM_WINDOW_PX} x {SSIM_WINDOW_PX} pixels."
        )
    scale = np.float32(REFERENCE_DOSE_E_PER_PX / dose_e_per_px)
    return float(
        structural_similarity(
            clean.astype(np.float32) * scale, estimate.astype(np.float32) * scale, data_range=1.0
        )
    )


def poisson_deviance(clean: np.ndarray, estimate: np.ndarray, *, dose_e_per_px: float) -> float:
    """Return the mean of lambda ln(lambda / est) - lambda + est against the clean lambda.

    This is the Kullback-Leibler divergence, in nats per pixel, between the Poisson counts that
    the specimen emits and those that the estimate predicts.

    Parameters
    ----------
    clean, estimate : array (..., y, x)
        Expected counts [e/px]; `estimate` is floored at 1e-3.
    dose_e_per_px : float
        Checked for the sake of one signature; the deviance is taken at the frame's own dose.

    Returns
    -------
    float
        At least 0; 0 for identical images (above the floor).

    Raises
    ------
    UserError
        If the shapes differ or the dose is not positive.
    """
    clean, estimate = _pair(clean, estimate, dose_e_per_px)
    floored = np.maximum(estimate.astype(np.float64), DEVIANCE_FLOOR_E_PER_PX)
    return float(np.mean(kl_div(clean.astype(np.float64), floored)))


def image_metrics(
    clean: np.ndarray, estimate: np.ndarray, *, dose_e_per_px: float, slow: bool = True
) -> dict[str, float]:
    """Return all image metrics of one frame.

    Parameters
    ----------
    clean, estimate : array (y, x)
        Expected counts [e/px], at least 7 x 7 pixels.
    dose_e_per_px : float
        Expected counts in vacuum [e/px], positive.
    slow : bool
        False leaves the last two, which take ten times as long as the others, as NaN.

    Returns
    -------
    dict
        ``psnr`` [dB], ``contrast_psnr`` [dB], ``ssim`` and ``poisson_deviance`` [nat/px].

    Raises
    ------
    UserError
        As the single metrics.
    """
    fast, rest = (psnr, contrast_psnr), (ssim, poisson_deviance)
    values = {m.__name__: m(clean, estimate, dose_e_per_px=dose_e_per_px) for m in fast}
    for m in rest:
        of = m(clean, estimate, dose_e_per_px=dose_e_per_px) if slow else float("nan")
        values[m.__name__] = of
    return values


def _pair(clean, estimate, dose_e_per_px) -> tuple[np.ndarray, np.ndarray]:
    clean, estimate = np.asarray(clean), np.asarray(estimate)
    if clean.shape != estimate.shape:
        raise UserError(
            f"The clean image has shape {clean.shape} and its estimate {estimate.shape}; compare "
            "images of one shape."
        )
    if not dose_e_per_px > 0:
        raise UserError(f"dose_e_per_px is {dose_e_per_px}; give a positive dose.")
    return clean, estimate


def _mse(clean: np.ndarray, estimate: np.ndarray) -> float:
    # Summed in float64: a float32 sum of 10^6 squares loses the third decimal of a decibel.
    difference = np.subtract(clean, estimate, dtype=np.float64)
    return float(np.mean(np.square(difference)))


def _decibel(signal: float, error: float) -> float:
    if error == 0:
        return float("inf")
    if signal == 0:
        return float("-inf")
    return float(10 * np.log10(signal / error))
