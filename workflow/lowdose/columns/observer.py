"""What the electrons allow: the ideal observer of one column, and the Cramér-Rao bound.

The ideal observer knows both expected images exactly, with the column and without it, and has to
say which of them the counts came from.  Its likelihood ratio is the best test there is (Neyman
and Pearson), and so nothing that looks at the same counts alone decides more often rightly: a
denoiser that does must have been told the answer.  See Barrett and Myers, Foundations of Image
Science (2004), chapter 13, for the observer, its detectability d' and its efficiency.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from lowdose.runtime import UserError

# Pixels at which the two expectations differ by less than this share say nothing.
_SAME = 1e-4
# The characteristic function is followed until it is below this, in steps fine enough for sums
# that lie this many standard deviations from 0.
_VANISHED = 1e-9
_REACH = 12.0
_STEPS_AT_ONCE, _MOST_STEPS = 32, 20_000


def log_ratio(counts: np.ndarray, present: np.ndarray, absent: np.ndarray) -> np.ndarray:
    """Return the log-likelihood ratio of counts: column present against absent.

    Parameters
    ----------
    counts : array (..., y, x)
        Counts [e/px].
    present, absent : array (y, x)
        Expected counts with the column and without it [e/px], positive.

    Returns
    -------
    float64 array (...)
        ``sum(n ln(present / absent) - (present - absent))`` [nat].

    Raises
    ------
    UserError
        If the expectations differ in shape or are not positive.
    """
    present, absent = _pair(present, absent)
    weights = np.log(present / absent)
    return np.tensordot(np.asarray(counts, np.float64), weights, 2) - np.sum(present - absent)


@dataclass(frozen=True)
class Ideal:
    """How well the ideal observer decides one column at one dose.

    Attributes
    ----------
    d_prime : float
        Distance of the two means of the log-likelihood ratio in units of the root of the mean
        of its two variances.
    auc : float
        Area under the ROC: how often the log-likelihood ratio of a frame with the column exceeds
        that of one without it.
    error : float
        Share of wrong decisions when present and absent are equally likely and the more likely
        one is chosen.
    """

    d_prime: float
    auc: float
    error: float


class IdealObserver:
    """Decides between two expected images that are known exactly.

    Parameters
    ----------
    present, absent : array (y, x)
        Expected image with the column and without it, vacuum = 1; positive.

    Raises
    ------
    UserError
        As :func:`log_ratio`; also if the images are equal.
    """

    def __init__(self, present: np.ndarray, absent: np.ndarray) -> None:
        present, absent = _pair(present, absent)
        differ = np.abs(present - absent) > _SAME * absent
        if not differ.any():
            raise UserError("Both expected images are the same; give a pair that differs.")
        self._present, self._absent = present[differ], absent[differ]
        self._weights = np.log(self._present / self._absent)

    def at(self, dose_e_per_px: float) -> Ideal:
        """Return how well it decides at a dose [e/px in vacuum].

        Notes
        -----
        AUC and error are exact: sums of weighted Poisson counts have a known characteristic
        function, which is inverted numerically (Gil-Pelaez, Biometrika 38, 481, 1951).
        """
        _check_dose(dose_e_per_px)
        present, absent = dose_e_per_px * self._present, dose_e_per_px * self._absent
        w, shift = self._weights, np.sum(present - absent)
        means = [float(w @ expected) for expected in (present, absent)]
        variances = [float(w**2 @ expected) for expected in (present, absent)]
        d_prime = (means[0] - means[1]) / np.sqrt(np.mean(variances))
        # Of a frame with the column minus an independent one without it: two Poisson sums.
        auc = _above_zero(np.r_[w, -w], np.r_[present, absent], 0.0)
        missed = 1 - _above_zero(w, present, shift)
        invented = _above_zero(w, absent, shift)
        return Ideal(float(d_prime), auc, (missed + invented) / 2)

    def dose_for(self, error: float) -> float:
        """Return the dose at which so many of its decisions are wrong [e/px in vacuum].

        Parameters
        ----------
        error : float
            Between 0 and 1/2.
        """
        if not 0 < error < 0.5:
            raise UserError(f"The error is {error}; give a share between 0 and 0.5.")

        def excess(log_dose: float) -> float:
            return self.at(np.exp(log_dose)).error - error

        # d' grows as the root of the dose, and two normals err by its half: nearly there.
        guess = 2 * np.log(-2 * norm.ppf(error) / self.at(1.0).d_prime)
        low, high = guess, guess
        while excess(low) < 0:
            low -= 1
        while excess(high) > 0:
            high += 1
        return float(np.exp(brentq(excess, low, high, xtol=1e-4) if low < high else guess))


def d_prime_of(auc: float | np.ndarray) -> float | np.ndarray:
    """Return the detectability of an area under the ROC: sqrt(2) times the normal quantile."""
    return np.sqrt(2) * norm.ppf(auc)


def position_bound(
    column: np.ndarray, expected: np.ndarray, pixel_size_nm: float, dose_e_per_px: float
) -> tuple[float, float]:
    """Return the Cramér-Rao bound of a column's position: standard deviations along x and y [nm].

    Parameters
    ----------
    column : array (y, x)
        What the column adds to the expected image, vacuum = 1; it moves as a whole.
    expected : array (y, x)
        Expected image with the column, vacuum = 1; positive.
    pixel_size_nm : float
        Pixel size [nm].
    dose_e_per_px : float
        In vacuum.

    Returns
    -------
    x_nm, y_nm : float
        No unbiased estimate of the position scatters less, when everything else is known.

    Raises
    ------
    UserError
        If shapes differ, an expectation is not positive or pixel size or dose are not.

    Notes
    -----
    For Poisson counts of expectation lambda the Fisher information is
    ``sum(d lambda / da * d lambda / db / lambda)`` (Kay, Estimation Theory, 1993, chapter 3).
    Far from the borders a Gaussian column of height A and width s on a level b much higher than A
    has ``pi A^2 / (2 b)`` per pixel area and electron.
    """
    expected, column = np.asarray(expected, np.float64), np.asarray(column, np.float64)
    if expected.shape != column.shape:
        raise UserError(f"The column's image {column.shape} and the expectation {expected.shape} "
                        "differ in shape; give both for the same pixels.")  # fmt: skip
    if not (expected > 0).all():
        raise UserError("An expected count is not positive; give the expected image above 0.")
    if not pixel_size_nm > 0:
        raise UserError(f"pixel_size_nm is {pixel_size_nm}; give a positive size in nm.")
    _check_dose(dose_e_per_px)
    along_y, along_x = np.gradient(column, pixel_size_nm)
    derivative = np.stack([along_x.ravel(), along_y.ravel()])
    information = dose_e_per_px * (derivative / expected.ravel()) @ derivative.T
    x, y = np.sqrt(np.diag(np.linalg.inv(information)))
    return float(x), float(y)


def _above_zero(weights: np.ndarray, expected: np.ndarray, offset: float) -> float:
    """Return P(S > offset) + P(S = offset) / 2 of S = sum(weights * Poisson(expected))."""
    mean, deviation = weights @ expected - offset, np.sqrt(weights**2 @ expected)
    # |phi| falls as a Gaussian first and then stays at exp(-2 * all electrons) or so.
    step = np.pi / (abs(mean) + _REACH * deviation)
    t = (np.arange(_MOST_STEPS) + 0.5) * step
    total = 0.0
    for start in range(0, _MOST_STEPS, _STEPS_AT_ONCE):
        block = t[start : start + _STEPS_AT_ONCE]
        phase = np.outer(block, weights)
        log_size = (np.cos(phase) - 1) @ expected
        angle = np.sin(phase) @ expected - block * offset
        size = np.exp(log_size)
        total += np.sum(size * np.sin(angle) / block) * step
        if size.max() < _VANISHED:
            break
    return float(np.clip(0.5 + total / np.pi, 0.0, 1.0))


def _pair(present, absent) -> tuple[np.ndarray, np.ndarray]:
    present, absent = np.asarray(present, np.float64), np.asarray(absent, np.float64)
    if present.shape != absent.shape:
        raise UserError(
            f"The images with the column {present.shape} and without it {absent.shape} differ in "
            "shape; give both for the same pixels."
        )
    if not ((present > 0).all() and (absent > 0).all()):
        raise UserError("An expected count is not positive; give expected images above 0.")
    return present, absent


def _check_dose(dose_e_per_px: float) -> None:
    if not dose_e_per_px > 0:
        raise UserError(f"The dose is {dose_e_per_px} e/px; give a positive dose.")
