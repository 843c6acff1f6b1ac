"""Intervals over two crossed sources of scatter: base shapes and training seeds.

Each seed's network is judged on the same shapes, so a value scatters with the shape, with the
seed and with their combination, ``y = mean + a_shape + b_seed + e``, and the variance of its mean
over S shapes and K seeds is ``var(a) / S + var(b) / K + var(e) / (S K)``.  Resampling shapes
alone would say nothing of another training; resampling all rows would take frames of one shape
for independent.

The standard error is that of the two-way analysis of variance, ``(MS_shape + MS_seed - MS_e) /
(S K)``, not below that of either source alone, with Satterthwaite's degrees of freedom; of a
ratio, the analysis is that of its influence values.  Below `MIN_BOOTSTRAP_UNITS` shapes or seeds
(three seeds have ten resamples, none beyond the extreme ones) the interval is Student's t with
that error.  From there on it is the bootstrap that draws shapes and seeds with replacement,
independently of each other (the pigeonhole bootstrap: Owen, Ann. Appl. Stat. 1, 386, 2007),
scaled about the estimate to that error, since it counts the combination thrice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from lowdose.evaluation.statistics import MIN_BOOTSTRAP_UNITS, Interval, bootstrap_interval
from lowdose.runtime import UserError


class Components(NamedTuple):
    """Mean squares of a two-way table and what they say of its mean.

    ``shape``, ``seed`` and ``rest`` are mean squares (the variances of one value times how often
    its level occurs, plus that of the rest); ``variance`` is that of the mean, ``freedom`` the
    degrees of freedom that it is known to.
    """

    shape: float
    seed: float
    rest: float
    variance: float
    freedom: float


def crossed_interval(
    table: pd.DataFrame,
    value: str,
    units: Sequence[str] = ("base_shape", "seed"),
    *,
    weights: str | None = None,
    level: float = 0.95,
    draws: int = 2000,
    bounds: tuple[float, float] | None = None,
    rng: np.random.Generator,
) -> Interval:
    """Return a mean or ratio with its interval over base shapes and training seeds.

    Parameters
    ----------
    table : DataFrame
        One row a frame, realisation and seed.
    value : str
        Column of the value, or of the numerator; rows where it is NaN are left out.
    units : (str, str)
        Columns of the two crossed units.
    weights : str, optional
        Column of the denominator: the estimate is then ``sum(value) / sum(weights)``.
    level : float
        Confidence level, between 0 and 1.
    draws : int
        Bootstrap draws.
    bounds : (float, float), optional
        What values are possible; limits are clipped to it.
    rng : numpy.random.Generator

    Returns
    -------
    Interval
        ``(estimate, low, high)``.  With a single seed that over shapes alone, of
        :func:`lowdose.evaluation.statistics.bootstrap_interval`.

    Raises
    ------
    UserError
        If a shape was not evaluated with every seed, or as for `bootstrap_interval`.
    """
    rows = table[table[value].notna()]
    if rows[units[1]].nunique() < 2 or rows[units[0]].nunique() < 2:
        one = units[0] if rows[units[1]].nunique() < 2 else units[1]
        statistic = "mean" if weights is None else "ratio"
        return bootstrap_interval(
            rows, value, one, weights=weights, statistic=statistic, level=level, draws=draws,
            bounds=bounds, rng=rng,
        )  # fmt: skip
    top, bottom = _cells(rows, value, units, weights)
    estimate = float(top.sum() / bottom.sum())
    found = components((top - estimate * bottom) / bottom.mean())
    t = stats.t.ppf((1 + level) / 2, found.freedom)
    error = np.sqrt(found.variance)
    if min(top.shape) < MIN_BOOTSTRAP_UNITS:
        limits = np.array([estimate - t * error, estimate + t * error])
    else:
        limits = estimate + error * _percentiles(top, bottom, stats.norm.cdf(-t), draws, rng)
    if bounds is not None:
        limits = np.clip(limits, *bounds)
    return Interval(estimate, *map(float, limits))


def components(values: np.ndarray) -> Components:
    """Analyse the variance of a two-way table without replication.

    Parameters
    ----------
    values : array (shape, seed)
        At least 2 x 2.
    """
    s, k = values.shape
    mean, rows, columns = values.mean(), values.mean(axis=1), values.mean(axis=0)
    rest = values - rows[:, None] - columns + mean
    squares = np.array(
        [
            k * np.sum((rows - mean) ** 2) / (s - 1),
            s * np.sum((columns - mean) ** 2) / (k - 1),
            np.sum(rest**2) / ((s - 1) * (k - 1)),
        ]
    )
    combined = max(squares[0] + squares[1] - squares[2], squares[0], squares[1])
    parts = np.array([s - 1, k - 1, (s - 1) * (k - 1)])
    # Satterthwaite, Biometrics Bull. 2, 110 (1946).
    scatter = np.sum(squares**2 / parts)
    freedom = combined**2 / scatter if scatter > 0 else 1.0
    return Components(*map(float, squares), float(combined / (s * k)), float(max(freedom, 1.0)))


def _percentiles(
    top: np.ndarray, bottom: np.ndarray, tail: float, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Return both tails of the resampled ratio about the estimate, in standard deviations."""
    shapes, seeds = (rng.multinomial(n, np.full(n, 1 / n), size=draws) for n in top.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = np.einsum("ds,sk,dk->d", shapes, top, seeds) / np.einsum(
            "ds,sk,dk->d", shapes, bottom, seeds
        )
    drawn = drawn[np.isfinite(drawn)] - top.sum() / bottom.sum()
    return np.quantile(drawn, [tail, 1 - tail]) / max(drawn.std(), 1e-300)


def _cells(
    rows: pd.DataFrame, value: str, units: Sequence[str], weights: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return numerator and denominator of each (shape, seed), in sorted order."""
    ones = rows.assign(_weight=1.0 if weights is None else rows[weights])
    sums = ones.groupby(list(units), observed=True)[[value, "_weight"]].sum()
    parts = [sums[column].unstack() for column in (value, "_weight")]
    if (missing := parts[0].isna().stack()).any():
        shape, seed = missing[missing].index[0]
        raise UserError(
            f"{units[0]} {shape} has no row with {units[1]} {seed}; evaluate every "
            f"{units[1]} on the same frames."
        )
    return parts[0].to_numpy(float), parts[1].to_numpy(float)
