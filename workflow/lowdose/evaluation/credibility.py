"""May a column be believed?  Denoisers at the columns at stake, beside what the electrons allow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm

from lowdose import seeds
from lowdose.evaluation.stakes import outcomes
from lowdose.evaluation.statistics import interval_of
from lowdose.evaluation.summary import with_intervals

IDEAL = "ideal"
RIGHT = 0.95
FEWEST_POSITIONS = 3  # of a column, from which its scatter is computed
HIGHEST_AUC = 0.99  # up to which an efficiency is given
NEVER = 1e9  # stands for a dose that is beyond all that were tried, in quantiles
MEASURES = {
    "auc": ("won", "compared", (0, 1)),
    "fill_in_rate": ("n_filled", "n_absent", (0, 1)),
    "erasure_rate": ("n_erased", "n_present", (0, 1)),
    "right_rate": ("n_right", "n_decided", (0, 1)),
}


def credibility_table(
    sites: pd.DataFrame, limits: pd.DataFrame, spec: Mapping, by: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Return how denoisers decide the columns at stake, by denoiser and dose.

    Parameters
    ----------
    sites : DataFrame
        ``sites`` of all of them, with ``denoiser``; that of the ideal observer among them.
    limits : DataFrame
        From :func:`lowdose.evaluation.limits.limits_table`.
    spec : mapping
        ``denoisers`` (their order), ``draws``, ``seed``.
    by : tuple of str
        Further columns of `sites` that define groups, e.g. ``("kind",)`` or ``("site",)``.

    Returns
    -------
    DataFrame
        ``denoiser, dose_e_per_px``, `by`, ``n_units, n_rows, method``, and with ``_low`` and
        ``_high`` over base shapes: ``auc``, `fill_in_rate` (a column is shown at an empty site),
        ``erasure_rate`` (none is shown at a column), ``right_rate`` (decisions that are right,
        where present and absent are equally frequent); ``efficiency``: the dose at which the ideal
        observer has the same area under the ROC, divided by this dose; missing above an area of
        0.99, where many doses are alike.
    """
    results = {name: outcomes(group) for name, group in sites.groupby("denoiser", sort=False)}
    rows = pd.concat([t.assign(denoiser=name) for name, t in results.items()], ignore_index=True)
    # Vacancies and adatoms are sites that are truly empty in one of the frames.
    keys = ["denoiser", "dose_e_per_px", *by]
    table = with_intervals(
        rows, {"auc": MEASURES["auc"]}, keys, spec["draws"], spec["seed"], "credibility"
    )
    rest = {k: v for k, v in MEASURES.items() if k != "auc"}
    empty = rows[rows["kind"] != "half"]
    if len(empty):
        decided = with_intervals(empty, rest, keys, spec["draws"], spec["seed"], "credibility")
        decided = decided.drop(columns=["n_units", "n_rows", "method"])
        table = table.merge(decided, on=keys, how="left")
    found = []
    for key, group in rows.groupby(keys, sort=False):
        chosen = dict(zip(by, key[2:], strict=True))
        own = limits
        for column, value in chosen.items():
            own = own[own[column] == value]
        found.append({**dict(zip(keys, key, strict=True)), **_efficiency(group, own, spec)})
    table = table.merge(pd.DataFrame(found), on=keys)
    place = {name: i for i, name in enumerate([IDEAL, *spec["denoisers"]])}
    return table.sort_values(
        keys, key=lambda c: c.map(place) if c.name == "denoiser" else c, ignore_index=True
    )


def doses_needed(sites: pd.DataFrame, spec: Mapping) -> pd.DataFrame:
    """Return the dose from which on 95 % of the decisions are right, by denoiser.

    Returns
    -------
    DataFrame
        ``denoiser, dose_e_per_px, low, high`` [e/px], infinite where more than the highest dose
        is needed; decisions are as in ``right_rate``, whose normal quantile is interpolated in
        the root of the dose.
    """
    rows = []
    for name, group in sites[sites["kind"] != "half"].groupby("denoiser", sort=False):
        table = outcomes(group)
        effect = _DoseNeeded(table)
        interval = interval_of(
            effect, 0.95, spec["draws"], None, seeds.rng(spec["seed"], "dose needed")
        )
        values = [np.inf if not v < NEVER / 2 else v for v in interval]
        rows.append(dict(zip(("denoiser", "dose_e_per_px", "low", "high"), (name, *values),
                             strict=True)))  # fmt: skip
    order = {name: i for i, name in enumerate([IDEAL, *spec["denoisers"]])}
    return pd.DataFrame(rows).sort_values("denoiser", key=lambda c: c.map(order), ignore_index=True)


def roc(sites: pd.DataFrame) -> pd.DataFrame:
    """Return the ROC over all sites of one denoiser and dose, of truly empty or full ones.

    Returns
    -------
    DataFrame
        ``fill_in_rate, shown_rate`` from (0, 0) to (1, 1), and the ``threshold`` of the score.
    """
    chosen = sites[sites["kind"] != "half"]
    score, present = chosen["score"].to_numpy(), chosen["present"].to_numpy(dtype=bool)
    levels = np.unique(score)[::-1]
    shown, filled = (
        np.searchsorted(np.sort(-score[which]), -levels, side="right") / which.sum()
        for which in (present, ~present)
    )
    return pd.DataFrame(
        {
            "fill_in_rate": np.r_[0.0, filled, 1.0],
            "shown_rate": np.r_[0.0, shown, 1.0],
            "threshold": np.r_[np.inf, levels, -np.inf],
        }
    )


def localisation(sites: pd.DataFrame, limits: pd.DataFrame, spec: Mapping) -> pd.DataFrame:
    """Return how far reported columns at stake scatter, beside the Cramér-Rao bound.

    Parameters
    ----------
    sites, limits, spec
        As :func:`credibility_table`; the denoiser ``clean`` among them.

    Returns
    -------
    DataFrame
        ``denoiser, dose_e_per_px, n_columns, n_positions``; root mean squares over columns and
        both axes [pm]: ``scatter_pm`` of a column's position over noise realisations (of at least
        three in which it is reported), ``bias_pm`` of its mean from the position in the clean
        image, and ``bound_pm`` of an unbiased estimate that knows all but the position.  A scatter
        below the bound is prior knowledge: the column is drawn where columns use to be.
    """
    shown = sites[sites["present"] & sites["reported"] & (sites["kind"] != "half")]
    shown = shown[shown["found_x_nm"].notna()]
    axes = ["found_x_nm", "found_y_nm"]
    clean = shown[shown["denoiser"] == "clean"].groupby("pair")[axes].mean()
    bounds = limits.set_index(["pair", "dose_e_per_px"])[["bound_x_pm", "bound_y_pm"]]
    rows = []
    for (name, dose), group in shown.groupby(["denoiser", "dose_e_per_px"], sort=False):
        scatter, bias, bound, number = [], [], [], 0
        for pair, own in group.groupby("pair"):
            if len(own) < FEWEST_POSITIONS or pair not in clean.index:
                continue
            number += len(own)
            scatter += list(own[axes].var(ddof=1))
            # The mean's own scatter is no bias.
            away = (own[axes].mean() - clean.loc[pair]) ** 2 - own[axes].var(ddof=1) / len(own)
            bias += list(away)
            bound += list(np.square(bounds.loc[(pair, dose)]) / 1e6)
        if number:
            values = [1e3 * np.sqrt(max(np.mean(v), 0.0)) for v in (scatter, bias, bound)]
            rows.append((name, dose, len(scatter) // 2, number, *values))
    names = ["denoiser", "dose_e_per_px", "n_columns", "n_positions", "scatter_pm", "bias_pm",
             "bound_pm"]  # fmt: skip
    table = pd.DataFrame(rows, columns=names)
    order = {name: i for i, name in enumerate([IDEAL, *spec["denoisers"]])}
    return table.sort_values(
        ["denoiser", "dose_e_per_px"], ignore_index=True,
        key=lambda c: c.map(order).fillna(len(order)) if c.name == "denoiser" else c,
    )  # fmt: skip


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


def _efficiency(own: pd.DataFrame, limits: pd.DataFrame, spec: Mapping) -> dict[str, float]:
    interval = interval_of(
        _Efficiency(own, limits), 0.95, spec["draws"], (0.0, np.inf),
        seeds.rng(spec["seed"], "efficiency"),
    )  # fmt: skip
    return dict(zip(("efficiency", "efficiency_low", "efficiency_high"), interval, strict=True))


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
