"""How many atoms a column holds, from its intensity, calibrated on simulated columns.

Intensity rises with the number of atoms only over a part of the range (in bright field it turns
at a thickness that depends on element, defocus and tilt), and only that part is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lowdose.runtime import UserError

_SHARED = 5.0  # columns: weight of the common scatter in that of one number of atoms
_LEAST_RISE = 2.0  # scatters by which the intensity rises over the whole range
_OUTSIDE = 3.0  # standard deviations from every number


@dataclass(frozen=True)
class Calibration:
    """Intensity of columns of each number of atoms.

    Attributes
    ----------
    numbers : int array (number,)
        Successive numbers of atoms over which the intensity rises.
    intensity : array (number,)
        Expected intensity, in the unit that was given.
    scatter : array (number,)
        Standard deviation of a column's true intensity about it (site, tilt, neighbours).
    se : array (number,)
        Standard error of `intensity`, of the regression.
    """

    numbers: np.ndarray
    intensity: np.ndarray
    scatter: np.ndarray
    se: np.ndarray


@dataclass(frozen=True)
class AtomCounts:
    """Atoms of columns.

    Attributes
    ----------
    n_atoms : int array (column,)
        Most probable number; 0 where the intensity is missing.
    probability : array (column, number)
        Of each number of the calibration; rows add up to 1 (NaN where missing).
    numbers : int array (number,)
    outside : bool array (column,)
        True where no number explains the intensity within three standard deviations.
    """

    n_atoms: np.ndarray
    probability: np.ndarray
    numbers: np.ndarray
    outside: np.ndarray


def calibrate(intensity: np.ndarray, n_atoms: np.ndarray, *, degree: int = 3) -> Calibration:
    """Learn from simulated columns what intensity so many atoms have.

    Parameters
    ----------
    intensity : array (column,)
        Of columns without noise, per electron of dose, positive for more contrast: with dark
        columns give minus their intensity.
    n_atoms : int array (column,)
        Their numbers of atoms.
    degree : int
        Of the polynomial, lowered to the different numbers there are, less one.

    Returns
    -------
    Calibration
        For the longest run of whole numbers over which the polynomial rises.

    Raises
    ------
    UserError
        If arrays do not fit, or the intensity says nothing of the number: it nowhere rises, or by
        less than twice its scatter over the whole range.

    Notes
    -----
    Least squares.  The scatter of each number of atoms is that of its own residuals, drawn
    towards the common one as if by five columns.  Beyond the range's end intensities turn back: a
    column of more atoms is taken for one of fewer, and only its neighbours can tell.
    """
    intensity = np.asarray(intensity, dtype=np.float64).ravel()
    n = np.asarray(n_atoms).ravel()
    if intensity.shape != n.shape or not len(n) or not np.isfinite(intensity).all():
        raise UserError(
            f"There are {intensity.size} intensities and {n.size} numbers of atoms; give one "
            "finite intensity for each simulated column."
        )
    if (n != np.rint(n)).any() or (n < 0).any():
        raise UserError("A number of atoms is not whole; give 0, 1, 2, ... for every column.")
    n = n.astype(int)
    seen = np.unique(n)
    degree = min(degree, len(seen) - 1)
    if degree < 1 or len(n) < degree + 2:
        raise UserError(
            f"{len(n)} columns of {len(seen)} different numbers of atoms calibrate nothing; give "
            "more, of two numbers at least."
        )
    # Centred and scaled, so that powers of ten atoms are no larger than those of one.
    middle, width = (seen[0] + seen[-1]) / 2, max((seen[-1] - seen[0]) / 2, 1)
    design = np.vander((n - middle) / width, degree + 1)
    spread = np.linalg.inv(design.T @ design)
    curve = spread @ design.T @ intensity
    residual = intensity - design @ curve
    common = np.sum(residual**2) / (len(n) - degree - 1)
    numbers = np.arange(seen[0], seen[-1] + 1)
    powers = np.vander((numbers - middle) / width, degree + 1)
    expected = powers @ curve
    of_each = np.array([np.sum(residual[n == one] ** 2) for one in numbers])
    columns = np.array([np.sum(n == one) for one in numbers])
    scatter = np.sqrt((of_each + _SHARED * common) / (columns + _SHARED))
    se = np.sqrt(common * np.einsum("ij,jk,ik->i", powers, spread, powers))
    first, last = _rising(expected)
    used = slice(first, last + 1)
    rise = expected[last] - expected[first]
    scale = np.mean(scatter[used])
    if first == last or rise < _LEAST_RISE * scale:
        raise UserError(
            "The intensity says nothing of the number of atoms: over the whole range it rises by "
            f"{rise / max(scale, 1e-300):.1f} of its scatter; calibrate at another defocus, or on "
            "fewer thicknesses."
        )
    return Calibration(numbers[used], expected[used], scatter[used], se[used])


def count_atoms(
    calibration: Calibration,
    intensity: np.ndarray,
    intensity_se: np.ndarray | float,
    *,
    prior: np.ndarray | None = None,
) -> AtomCounts:
    """Return the number of atoms of columns, with the probability of each number.

    Parameters
    ----------
    calibration : Calibration
    intensity : array (column,)
        Measured, in the calibration's unit: of counts, divided by the dose.
    intensity_se : float or array (column,)
        Their standard errors, 0 or more.
    prior : array (number,), optional
        Probability of each of the calibration's numbers before the measurement; equal by default.

    Returns
    -------
    AtomCounts

    Raises
    ------
    UserError
        If a standard error is negative or the prior does not fit.

    Notes
    -----
    Bayes' rule with normal errors whose variance is the sum of the measurement's, the scatter of
    columns of so many atoms, and the calibration's own.
    """
    value = np.asarray(intensity, dtype=np.float64).ravel()
    se = np.broadcast_to(np.asarray(intensity_se, dtype=np.float64), value.shape)
    if (se < 0).any():
        raise UserError("A standard error of an intensity is negative; give 0 or more.")
    numbers = calibration.numbers
    weight = np.ones(len(numbers)) if prior is None else np.asarray(prior, dtype=np.float64)
    if weight.shape != numbers.shape or (weight < 0).any() or not weight.sum() > 0:
        raise UserError(
            f"The prior has shape {weight.shape}; give one probability for each of the "
            f"{len(numbers)} numbers of the calibration."
        )
    variance = se[:, None] ** 2 + calibration.scatter**2 + calibration.se**2
    # An exact calibration of exact intensities has no error at all; the nearest number is sure.
    variance = np.maximum(variance, (1e-9 * np.ptp(calibration.intensity)) ** 2)
    pull = (value[:, None] - calibration.intensity) ** 2 / variance
    with np.errstate(divide="ignore"):
        log = np.log(weight) - np.log(variance) / 2 - pull / 2
    known = np.isfinite(value) & np.isfinite(se)
    log = np.where(known[:, None], log, np.nan)
    probability = np.exp(log - log.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    best = numbers[np.nan_to_num(probability).argmax(axis=1)]
    outside = known & (np.where(known[:, None], pull, 0).min(axis=1) > _OUTSIDE**2)
    return AtomCounts(np.where(known, best, 0), probability, numbers, outside)


def _rising(values: np.ndarray) -> tuple[int, int]:
    """Return first and last place of the longest rising run."""
    start, best = 0, (0, 0)
    for place in range(1, len(values)):
        if values[place] <= values[place - 1]:
            start = place
        if place - start > best[1] - best[0]:
            best = start, place
    return best
