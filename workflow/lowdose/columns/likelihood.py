"""How far the counts themselves support a column: likelihood ratios, p- and e-values.

The per-column ratio is that of Mohan et al., IEEE Trans. Comput. Imaging 8, 585 (2022).  Used on
the counts that the image came from it is optimistic, since the column's intensity was estimated
from them.  The cross-fitted form is honest: thin the counts into two independent halves
(:func:`thin`), propose columns on the one, test them on the other
(:func:`cross_fitted_e_values`), and choose with :func:`e_bh`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import gammainc, gammaincc, gammaln, xlogy

from lowdose.columns.discs import disc_pixels, disc_sums
from lowdose.runtime import UserError

COLUMN_RADIUS_NM = 0.05
"""Radius of a column's disc."""

LEAST_RELATIVE_LAMBDA = 1e-3
"""Column intensities are floored at this fraction of vacuum: a logarithm of 0 says nothing."""


def likelihood_ratio(
    counts: np.ndarray,
    positions_nm: np.ndarray,
    pixel_size_nm: float,
    lambda_column: float | np.ndarray,
    lambda_vacuum: float | np.ndarray,
    radius_nm: float = COLUMN_RADIUS_NM,
) -> pd.DataFrame:
    """Return the log-likelihood ratio of each column against vacuum.

    Parameters
    ----------
    counts : array (y, x)
        Counts [e/px].
    positions_nm : array (column, 2)
        Centres (x, y) [nm].
    pixel_size_nm : float
        Pixel size [nm].
    lambda_column, lambda_vacuum : float or array (column,)
        Expected counts in the column's disc and in vacuum beside it [e/px]; vacuum positive.
    radius_nm : float
        Radius of the discs [nm].

    Returns
    -------
    DataFrame
        ``x_nm, y_nm, n_pixels, n_mean, lambda_column, lambda_vacuum, llr_per_pixel, llr_total``;
        ``llr_per_pixel = n_mean ln(lambda_column / lambda_vacuum) - (lambda_column -
        lambda_vacuum)`` [nat/px], and the total is that times the pixels [nat].  Positive: the
        counts favour the column.  NaN for a disc outside the frame.

    Raises
    ------
    UserError
        If a vacuum level is not positive, or as :func:`disc_sums`.
    """
    positions_nm = _positions(positions_nm)
    total, n_pixels = disc_sums(counts, positions_nm, pixel_size_nm, radius_nm)
    vacuum = _per_column(lambda_vacuum, len(positions_nm))
    column = _floored(_per_column(lambda_column, len(positions_nm)), vacuum)
    llr = xlogy(total, column / vacuum) - n_pixels * (column - vacuum)
    return _table(positions_nm, n_pixels, total, column, vacuum, llr)


def thin(counts: np.ndarray, p: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Split counts into two independent frames by tossing a coin for every electron.

    If the counts are Poisson with mean lambda, the parts are independent Poisson with means
    p lambda and (1 - p) lambda.

    Parameters
    ----------
    counts : array
        Whole, non-negative numbers of electrons, of any dtype.
    p : float
        Probability that an electron goes to the first part, within [0, 1].
    rng : numpy.random.Generator
        Source of the coin.

    Returns
    -------
    first, second : arrays like `counts`
        Parts that add up to `counts`.

    Raises
    ------
    UserError
        If the counts are not whole non-negative numbers or p is no probability.
    """
    counts = np.asarray(counts)
    if not 0 <= p <= 1:
        raise UserError(f"The share p of the first half is {p}; give a number from 0 to 1.")
    with np.errstate(invalid="ignore"):
        whole = counts.astype(np.int64)
    if (whole != counts).any() or (whole < 0).any():
        raise UserError(
            "The counts are not whole electrons, so they cannot be split into independent "
            "halves; give counts that were neither resampled nor scaled."
        )
    first = rng.binomial(whole, p).astype(counts.dtype)
    return first, counts - first


def cross_fitted_e_values(
    denoised_a: np.ndarray,
    counts_b: np.ndarray,
    positions_nm: np.ndarray,
    pixel_size_nm: float,
    lambda_vacuum: float | np.ndarray,
    *,
    p: float = 0.5,
    radius_nm: float = COLUMN_RADIUS_NM,
    pixelwise: bool = False,
    polarity: int | None = None,
) -> pd.DataFrame:
    """Test columns that one half of the counts proposed on the other half.

    Parameters
    ----------
    denoised_a : array (y, x)
        Expected counts at the dose of half A, i.e. p times the frame's [e/px], from A alone.
    counts_b : array (y, x)
        Counts of half B [e/px].
    positions_nm : array (column, 2)
        Columns proposed from A alone, (x, y) [nm].
    pixel_size_nm : float
        Pixel size [nm].
    lambda_vacuum : float, array (column,) or array (y, x)
        What to expect without the column, **at the whole frame's dose** [e/px], positive; not
        estimated from B.
    p : float
        Share of the counts in A, between 0 and 1.
    radius_nm : float
        Radius of the discs [nm].
    pixelwise : bool
        Expect in each pixel what `denoised_a` says there, not its mean over the disc.
    polarity : {1, -1}, optional
        Test only for bright (1) or dark (-1) columns: a proposed intensity on the wrong side of
        vacuum is set to vacuum, where the e-value is 1.

    Returns
    -------
    DataFrame
        As :func:`likelihood_ratio`, at the dose of B, and ``e_value = exp(llr_total)``.

    Raises
    ------
    UserError
        If p is not inside (0, 1), the polarity is none, or as :func:`likelihood_ratio`.

    Notes
    -----
    Given A, the likelihood ratio of B has expectation 1 under the null, so the e-value is valid
    (Vovk and Wang, Ann. Stat. 49, 1736, 2021): P(e >= 1 / level) <= level.  With `polarity` it
    stays valid (conservative) where the true level is on the null's other side, e.g. a dark
    fringe tested for a bright column.
    """
    if not 0 < p < 1:
        raise UserError(f"The share p of the first half is {p}; give a number between 0 and 1.")
    if polarity not in (1, -1, None):
        raise UserError(f"polarity is {polarity}; give 1 (bright), -1 (dark) or None (both).")
    denoised_a, counts_b = np.asarray(denoised_a), np.asarray(counts_b)
    if denoised_a.shape != counts_b.shape:
        raise UserError(
            f"The denoised half has shape {denoised_a.shape} and the other half "
            f"{counts_b.shape}; give two halves of one frame."
        )
    positions_nm = _positions(positions_nm)
    rows, cols, inside = disc_pixels(counts_b.shape, positions_nm, pixel_size_nm, radius_nm)
    n_pixels = inside.sum(axis=1)
    n = np.where(inside, counts_b[rows, cols], 0).astype(np.float64)
    level = np.asarray(lambda_vacuum, dtype=np.float64)
    if level.ndim == 2:
        null = level[rows, cols]
    else:
        null = np.broadcast_to(_per_column(level, len(positions_nm))[:, None], inside.shape)
    null = null * (1 - p)
    proposed = denoised_a[rows, cols].astype(np.float64) * ((1 - p) / p)
    if not pixelwise:
        proposed = np.broadcast_to(_disc_mean(proposed, inside)[:, None], inside.shape)
    proposed = _floored(proposed, null)
    if polarity is not None:
        proposed = np.maximum(proposed, null) if polarity == 1 else np.minimum(proposed, null)
    ratio = xlogy(n, proposed / null) - (proposed - null)
    llr = np.sum(ratio, axis=1, where=inside)
    table = _table(
        positions_nm,
        n_pixels,
        n.sum(axis=1),
        _disc_mean(proposed, inside),
        _disc_mean(null, inside),
        llr,
    )
    # Beyond exp(700) a float64 overflows; no conclusion depends on it.
    table["e_value"] = np.exp(np.minimum(table["llr_total"], 700.0))
    return table


def poisson_p_value(
    total: np.ndarray,
    expected: np.ndarray,
    *,
    polarity: int = 1,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Return exact p-values of counts against a Poisson expectation.

    Parameters
    ----------
    total : array
        Counts of each column's disc [e]; whole numbers.
    expected : array
        Their expectation without the column [e], positive.
    polarity : {1, -1}
        1: P(N >= total), for bright columns; -1: P(N <= total), for dark ones.
    rng : numpy.random.Generator, optional
        With it the p-values are randomised, P(N > total) + U P(N = total), and exactly uniform
        under the null; without it they are conservative.

    Returns
    -------
    float64 array
        Within [0, 1].

    Raises
    ------
    UserError
        If an expectation is not positive or the polarity is none.
    """
    total = np.asarray(total, dtype=np.float64)
    expected = np.asarray(expected, dtype=np.float64)
    if not (expected > 0).all():
        raise UserError("An expected count is not positive; give the vacuum level of the disc.")
    if polarity not in (1, -1):
        raise UserError(f"polarity is {polarity}; give 1 (bright columns) or -1 (dark ones).")
    if polarity == 1:
        tail = np.where(total > 0, gammainc(np.maximum(total, 1), expected), 1.0)
    else:
        tail = gammaincc(total + 1, expected)
    if rng is not None:
        exactly = np.exp(xlogy(total, expected) - expected - gammaln(total + 1))
        tail = tail - rng.random(np.shape(tail)) * exactly
    return np.clip(tail, 0.0, 1.0)


def e_bh(e_values: np.ndarray, level: float) -> np.ndarray:
    """Choose hypotheses by e-values at a false-discovery rate, under any dependence.

    Parameters
    ----------
    e_values : array (hypothesis,)
        Non-negative; NaN counts as no evidence.
    level : float
        False-discovery rate, between 0 and 1.

    Returns
    -------
    bool array (hypothesis,)
        True for the chosen: the k largest, k the largest number whose k-th largest e-value is
        at least m / (level k) of m hypotheses.

    Raises
    ------
    UserError
        If the level is not between 0 and 1.

    Notes
    -----
    Wang and Ramdas, J. R. Stat. Soc. B 84, 822 (2022).
    """
    return _step_up(1.0 / np.maximum(np.nan_to_num(_flat(e_values), nan=0.0), 1e-300), level)


def benjamini_hochberg(p_values: np.ndarray, level: float) -> np.ndarray:
    """Choose hypotheses by independent p-values at a false-discovery rate.

    Parameters
    ----------
    p_values : array (hypothesis,)
        Within [0, 1]; NaN counts as no evidence.
    level : float
        False-discovery rate, between 0 and 1.

    Returns
    -------
    bool array (hypothesis,)
        True for the chosen.

    Raises
    ------
    UserError
        If the level is not between 0 and 1.

    Notes
    -----
    Benjamini and Hochberg, J. R. Stat. Soc. B 57, 289 (1995).
    """
    return _step_up(np.nan_to_num(_flat(p_values), nan=np.inf), level)


def q_values(p_values: np.ndarray) -> np.ndarray:
    """Return the least false-discovery rate at which each hypothesis is chosen.

    Parameters
    ----------
    p_values : array (hypothesis,)
        Within [0, 1]; NaN counts as no evidence.

    Returns
    -------
    float64 array (hypothesis,)
        Benjamini and Hochberg's adjusted p-values, within [0, 1]: ``q <= level`` chooses what
        :func:`benjamini_hochberg` chooses at that level.
    """
    p = np.nan_to_num(_flat(p_values), nan=1.0)
    order = np.argsort(p, kind="stable")
    raised = p[order] * len(p) / np.arange(1, len(p) + 1)
    result = np.empty(len(p))
    result[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return result


def _step_up(values: np.ndarray, level: float) -> np.ndarray:
    if not 0 < level < 1:
        raise UserError(f"The false-discovery rate is {level}; give a number between 0 and 1.")
    m = len(values)
    passed = np.sort(values) <= level * np.arange(1, m + 1) / m if m else np.zeros(0, bool)
    if not passed.any():
        return np.zeros(m, dtype=bool)
    return values <= level * (np.flatnonzero(passed)[-1] + 1) / m


def _disc_mean(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    n = inside.sum(axis=1)
    sums = np.sum(values, axis=1, where=inside)
    return sums / np.where(n > 0, n, np.nan)


def _table(positions_nm, n_pixels, total, column, vacuum, llr) -> pd.DataFrame:
    pixels = np.where(n_pixels > 0, n_pixels, np.nan)
    return pd.DataFrame(
        {
            "x_nm": positions_nm[:, 0],
            "y_nm": positions_nm[:, 1],
            "n_pixels": n_pixels,
            "n_mean": total / pixels,
            "lambda_column": column,
            "lambda_vacuum": vacuum,
            "llr_per_pixel": llr / pixels,
            "llr_total": np.where(n_pixels > 0, llr, np.nan),
        }
    )


def _floored(column: np.ndarray, vacuum: np.ndarray) -> np.ndarray:
    if not (vacuum > 0).all():
        raise UserError("A vacuum level is not positive; give expected counts above 0.")
    return np.maximum(column, LEAST_RELATIVE_LAMBDA * vacuum)


def _per_column(level, n: int) -> np.ndarray:
    return np.broadcast_to(np.asarray(level, dtype=np.float64), (n,)).copy()


def _positions(positions_nm) -> np.ndarray:
    return np.asarray(positions_nm, dtype=np.float64).reshape(-1, 2)


def _flat(values) -> np.ndarray:
    return np.asarray(values, dtype=np.float64).ravel()
