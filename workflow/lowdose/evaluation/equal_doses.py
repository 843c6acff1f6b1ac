"""Doses at which two are equally good: a denoiser's efficiency, and the dose that it needs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm

from lowdose import seeds
from lowdose.evaluation.statistics import Interval, interval_of

RIGHT = 0.95
HIGHEST_AUC = 0.99  # up to which an efficiency is given
NEVER = 1e9  # stands for a dose that is beyond all that were tried, in quantiles


def efficiency(rows: pd.DataFrame, limits: pd.DataFrame, spec: Mapping) -> Interval:
    """Return the dose at which the ideal observer does equally well, over the dose used.

    Parameters
    ----------
    rows : DataFrame
        From :func:`lowdose.evaluation.credibility.decisions`, of one denoiser and dose.
    limits : DataFrame
        From :func:`lowdose.evaluation.limits.limits_table`.
    spec : mapping
        ``draws``, ``seed``.

    Returns
    -------
    Interval
        95 % over base shapes; NaN where the area under the ROC is above 0.99, where many doses are
        alike, and 0 where it is at chance.
    """
    rng = seeds.rng(spec["seed"], "efficiency")
    return interval_of(_Efficiency(rows, limits), 0.95, spec["draws"], (0.0, np.inf), rng)


def doses_needed(rows: pd.DataFrame, spec: Mapping) -> pd.DataFrame:
    """Return the dose from which on 95 % of the decisions are right, by denoiser.

    Parameters
    ----------
    rows : DataFrame
        From :func:`lowdose.evaluation.credibility.decisions`.
    spec : mapping
        ``draws``, ``seed``.

    Returns
    -------
    DataFrame
        ``denoiser, dose_e_per_px, low, high`` [e/px], infinite where more than the highest dose
        is needed, in the order of `rows`; decisions are as in ``right_rate``, whose normal quantile
        is interpolated in the root of the dose.
    """
    found = []
    for name, group in rows[rows["kind"] != "half"].groupby("denoiser", sort=False):
        rng = seeds.rng(spec["seed"], "dose needed")
        interval = interval_of(_DoseNeeded(group), 0.95, spec["draws"], None, rng)
        values = [np.inf if not v < NEVER / 2 else v for v in interval]
        found.append(dict(zip(("denoiser", "dose_e_per_px", "low", "high"), (name, *values),
                              strict=True)))  # fmt: skip
    return pd.DataFrame(found)


class _Efficiency:
    """Ratio of doses at equal area under the ROC, for any multiplicity of the base shapes."""

    def __init__(self, own: pd.DataFrame, limits: pd.DataFrame) -> None:
        units = sorted(own["base_shape"].unique())
        self.n_units, self.dose = len(units), float(own["dose_e_per_px"].iloc[0])
        sums = own.groupby("base_shape")[["won", "compared"]].sum().loc[units]
        self.won, self.compared = sums["won"].to_numpy(), sums["compared"].to_numpy()
        # Each pair of the exact curves weighs what it does among the denoiser's comparisons.
        weight = own.groupby("pair")["compared"].sum()
        curve = limits[limits["pair"].isin(weight.index)]
        curve = curve.assign(top=curve["auc"] * curve["pair"].map(weight))
        top = curve.pivot_table(
            index="dose_e_per_px", columns="base_shape", values="top", aggfunc="sum"
        )
        self.doses, self.top = top.index.to_numpy(), top[units].to_numpy()

    def of(self, times: np.ndarray) -> np.ndarray:
        bottom = times @ self.compared
        auc = (times @ self.won) / bottom
        ideal = (times @ self.top.T) / bottom[:, None]
        equal = np.array([
            np.exp(np.interp(a, curve, np.log(self.doses)))
            for a, curve in zip(auc, ideal, strict=True)
        ])  # fmt: skip
        # At chance or below, nothing was learned from the counts; near 1 the ideal observer's
        # curve is flat, and doses cannot be told apart.
        ratio = np.where(auc <= 0.5, 0.0, equal / self.dose)
        return np.where(auc > HIGHEST_AUC, np.nan, ratio)


class _DoseNeeded:
    """The dose from which on the right rate stays above `RIGHT`, for any multiplicity of shapes."""

    def __init__(self, table: pd.DataFrame) -> None:
        sums = table.groupby(["dose_e_per_px", "base_shape"])[["n_right", "n_decided"]].sum()
        self.right, self.decided = (
            sums[name].unstack("base_shape").to_numpy() for name in ("n_right", "n_decided")
        )
        self.roots = np.sqrt(sums.index.levels[0].to_numpy())
        self.n_units = self.right.shape[1]

    def of(self, times: np.ndarray) -> np.ndarray:
        rates = (times @ self.right.T) / (times @ self.decided.T)
        return np.array([self._crossing(rate) for rate in rates])

    def _crossing(self, rate: np.ndarray) -> float:
        below = np.flatnonzero(rate < RIGHT)
        if not len(below):
            return float(self.roots[0] ** 2)
        k = below[-1]
        if k == len(rate) - 1:
            return NEVER
        # d' grows as the root of the dose, and the rate is the normal integral of its half.
        low, high, wanted = norm.ppf(np.clip([rate[k], rate[k + 1], RIGHT], 1e-3, 1 - 1e-3))
        share = (wanted - low) / (high - low)
        return float((self.roots[k] + share * (self.roots[k + 1] - self.roots[k])) ** 2)
