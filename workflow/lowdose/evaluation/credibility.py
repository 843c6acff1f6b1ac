"""May a column be believed?  Denoisers at the columns at stake, beside what the electrons allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lowdose import seeds
from lowdose.evaluation.crossed import crossed_interval
from lowdose.evaluation.equal_doses import efficiency
from lowdose.evaluation.stakes import outcomes
from lowdose.evaluation.statistics import interval_method
from lowdose.evaluation.summary import with_intervals

IDEAL = "ideal"
FEWEST_POSITIONS = 3  # of a column, from which its scatter is computed
MEASURES = {
    "auc": ("won", "compared", (0, 1)),
    "fill_in_rate": ("n_filled", "n_absent", (0, 1)),
    "erasure_rate": ("n_erased", "n_present", (0, 1)),
    "right_rate": ("n_right", "n_decided", (0, 1)),
}


def decisions(
    sites: pd.DataFrame, denoisers: Sequence[str], pooled: Mapping[str, Sequence[str]] | None = None
) -> pd.DataFrame:
    """Return how each denoiser decides each pair, trainings of one network also taken together.

    Parameters
    ----------
    sites : DataFrame
        ``sites`` of all of them, with ``denoiser``; that of the ideal observer (`IDEAL`) may be
        among them.
    denoisers : sequence of str
        Their order.
    pooled : mapping, optional
        Name -> trainings that differ in their seed alone: they make a denoiser of that name more.

    Returns
    -------
    DataFrame
        As :func:`lowdose.evaluation.stakes.outcomes`, with ``denoiser`` and ``seed`` (number
        within its network), in that order; one row a pair, dose and seed.  Of several seeds each
        counts alike, however many realisations it has.
    """
    own = dict(list(sites.groupby("denoiser", sort=False)))
    found = {n: outcomes(own[n]).assign(seed=0) for n in (IDEAL, *denoisers) if n in own}
    for name, members in (pooled or {}).items():
        parts = [_shares(found[one]).assign(seed=k) for k, one in enumerate(members)]
        found[name] = pd.concat(parts, ignore_index=True)
    rows = [table.assign(denoiser=name) for name, table in found.items()]
    return pd.concat(rows, ignore_index=True)


def credibility_table(
    rows: pd.DataFrame, limits: pd.DataFrame, spec: Mapping, by: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Return how denoisers decide the columns at stake, by denoiser and dose.

    Parameters
    ----------
    rows : DataFrame
        From :func:`decisions`.
    limits : DataFrame
        From :func:`lowdose.evaluation.limits.limits_table`.
    spec : mapping
        ``draws``, ``seed``.
    by : tuple of str
        Further columns of `rows` that define groups, e.g. ``("kind",)`` or ``("site",)``.

    Returns
    -------
    DataFrame
        ``denoiser, dose_e_per_px``, `by`, ``n_seeds, n_realisations`` (of a frame, all seeds
        together), ``n_units, n_rows, method``, and with ``_low`` and ``_high`` over base shapes, of
        several seeds over both: ``auc``, ``fill_in_rate`` (a column is shown at an empty site),
        ``erasure_rate`` (none is shown at a column), ``right_rate`` (decisions that are right,
        where present and absent are equally frequent); ``efficiency`` (over base shapes alone): the
        dose at which the ideal observer has the same area under the ROC, divided by this dose;
        missing above an area of 0.99.
    """
    keys = ["denoiser", "dose_e_per_px", *by]
    streams = {
        # One stream for all groups: a new denoiser leaves the intervals of the others as they were.
        name: int(seeds.rng(spec["seed"], "credibility", name).integers(2**63))
        for name in MEASURES
    }
    found = []
    for key, group in rows.groupby(keys, sort=False):
        row = dict(zip(keys, key, strict=True)) | _counts(group)
        # Vacancies and adatoms are sites that are truly empty in one of the frames.
        empty = group[group["kind"] != "half"]
        for name, (value, weights, bounds) in MEASURES.items():
            of = group if name == "auc" else empty
            interval = (np.nan,) * 3
            if len(of):
                interval = crossed_interval(
                    of, value, weights=weights, bounds=bounds, draws=spec["draws"],
                    rng=np.random.default_rng(streams[name]),
                )  # fmt: skip
            row |= _named(name, interval)
        alike = limits
        for column in by:
            alike = alike[alike[column] == row[column]]
        found.append(row | _named("efficiency", efficiency(group, alike, spec)))
    place = {name: i for i, name in enumerate(rows["denoiser"].unique())}
    return pd.DataFrame(found).sort_values(
        keys, key=lambda c: c.map(place) if c.name == "denoiser" else c, ignore_index=True
    )


def _shares(rows: pd.DataFrame) -> pd.DataFrame:
    """Return every count as the share of what it is counted in."""
    rows = rows.copy()
    for value, weights, _ in MEASURES.values():
        rows[value] /= rows[weights]
        rows[weights] /= rows[weights]
    return rows


def _counts(group: pd.DataFrame) -> dict:
    n_units, n_seeds = group["base_shape"].nunique(), group["seed"].nunique()
    method = interval_method(n_units) if n_seeds < 2 else "crossed"
    many = round(group.groupby("seed")["n_realisations"].mean().sum())
    return {"n_seeds": n_seeds, "n_realisations": many, "n_units": n_units, "n_rows": len(group),
            "method": method}  # fmt: skip


def _named(name: str, interval: Sequence[float]) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))


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
    sites : DataFrame
        ``sites`` of all denoisers, with ``denoiser``; that of ``clean`` among them.
    limits : DataFrame
        From :func:`lowdose.evaluation.limits.limits_table`.
    spec : mapping
        ``denoisers`` (their order), ``draws``, ``seed``.

    Returns
    -------
    DataFrame
        ``denoiser, dose_e_per_px, n_units, n_columns, n_positions``; root mean squares over columns
        and both axes [pm], with ``_low`` and ``_high`` at 95 % over base shapes: ``scatter_pm`` of
        a column's position over noise realisations (of at least three in which it is reported),
        ``bias_pm`` of its mean from the position in the clean image, and ``bound_pm`` of an
        unbiased estimate that knows all but the position.  A scatter below the bound is prior
        knowledge: the column is drawn where columns use to be.
    """
    shown = sites[sites["present"] & sites["reported"] & (sites["kind"] != "half")]
    shown = shown[shown["found_x_nm"].notna()]
    axes = ["found_x_nm", "found_y_nm"]
    clean = shown[shown["denoiser"] == "clean"].groupby("pair")[axes].mean()
    shown = shown[shown["pair"].isin(clean.index)]
    bounds = limits.set_index(["pair", "dose_e_per_px"])[["bound_x_pm", "bound_y_pm"]]
    keys = ["denoiser", "dose_e_per_px"]
    rows = []
    for (*key, pair), own in shown.groupby([*keys, "pair"], sort=False):
        if len(own) < FEWEST_POSITIONS:
            continue
        variance = own[axes].var(ddof=1).to_numpy()
        # The mean's own scatter is no bias.
        away = (own[axes].mean() - clean.loc[pair]).to_numpy() ** 2 - variance / len(own)
        about = (*key, own["base_shape"].iloc[0], len(own))
        limit = np.square(bounds.loc[(pair, key[1])].to_numpy() / 1e3)
        rows += [(*about, *squares) for squares in zip(variance, away, limit, strict=True)]
    names = ["scatter_pm", "bias_pm", "bound_pm"]
    axis_rows = pd.DataFrame(rows, columns=[*keys, "base_shape", "n_positions", *names])
    measures = {name: (name, None, None) for name in names}
    table = with_intervals(axis_rows, measures, keys, spec["draws"], spec["seed"], "localisation")
    for column in (f"{name}{end}" for name in names for end in ("", "_low", "_high")):
        table[column] = 1e3 * np.sqrt(np.maximum(table[column], 0.0))
    number = axis_rows.groupby(keys)["n_positions"].sum() // 2
    table.insert(3, "n_columns", table.pop("n_rows") // 2)
    table.insert(4, "n_positions", number.loc[list(map(tuple, table[keys].to_numpy()))].to_numpy())
    order = {name: i for i, name in enumerate(spec["denoisers"])}
    return table.sort_values(
        keys, ignore_index=True, key=lambda c: c.map(order) if c.name == "denoiser" else c
    )
