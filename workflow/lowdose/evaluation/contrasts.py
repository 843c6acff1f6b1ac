"""Paired comparisons of denoisers at the columns at stake, Holm-corrected."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lowdose import seeds
from lowdose.evaluation.credibility import MEASURES
from lowdose.evaluation.crossed import crossed_interval
from lowdose.evaluation.statistics import holm, paired_difference
from lowdose.runtime import UserError

COMPARED = ("auc", "fill_in_rate", "erasure_rate", "right_rate")


def contrasts(rows: pd.DataFrame, spec: Mapping) -> pd.DataFrame:
    """Compare one denoiser with others on the same pairs of frames.

    Parameters
    ----------
    rows : DataFrame
        From :func:`lowdose.evaluation.credibility.decisions`.
    spec : mapping
        ``contrasts`` (each with ``question, reference, others``), ``reference_dose_e_per_px``,
        ``draws``, ``seed``.

    Returns
    -------
    DataFrame
        ``question, measure, reference, denoiser``; ``difference`` (reference minus the other) with
        ``low, high`` at 95 % over base shapes, where either has several seeds over both;
        ``p_value`` of exchanging the two within whole base shapes, seeds averaged, and ``p_holm``,
        over the others of one question and measure; ``n_units, n_seeds``.

    Notes
    -----
    With n shapes no p-value is below 2 / 2^n, so that a family of k comparisons has none below
    2 k / 2^n: each question is a family of its own, or with eight shapes nothing could ever be
    shown.  Seeds of different networks have nothing in common but their number; they are paired
    by it, as far as both have it, so that each training counts once.
    """
    rows = rows[np.isclose(rows["dose_e_per_px"], spec["reference_dose_e_per_px"])]
    tables = []
    for one in spec["contrasts"]:
        for measure in COMPARED:
            found = [
                {
                    "question": one["question"], "measure": measure,
                    "reference": one["reference"], "denoiser": other,
                    **_difference(rows, measure, one["reference"], other, spec),
                }
                for other in one["others"]
            ]  # fmt: skip
            if found:
                table = pd.DataFrame(found)
                table.insert(8, "p_holm", holm(table["p_value"].to_numpy()))
                tables.append(table)
    if not tables:
        raise UserError("No two denoisers are to be compared; give the sweep two networks.")
    return pd.concat(tables, ignore_index=True)


def _difference(rows: pd.DataFrame, measure: str, a: str, b: str, spec: Mapping) -> dict:
    value, weights, _ = MEASURES[measure]
    own = rows[rows["denoiser"].isin([a, b]) & rows[value].notna()]
    own = own.assign(rate=own[value] / own[weights])
    sides = [own[own["denoiser"] == name] for name in (a, b)]
    for name, side in zip((a, b), sides, strict=True):
        if side.empty:
            raise UserError(f"There are no columns at stake of {name}; evaluate it first.")
    stream = ("contrast", measure, a, b)
    many = [side["seed"].nunique() for side in sides]
    on = ["pair", "seed"] if min(many) > 1 else ["pair"]
    if min(many) > 1:
        common = set(sides[0]["seed"]) & set(sides[1]["seed"])
        sides = [side[side["seed"].isin(common)] for side in sides]
        own = own[own["seed"].isin(common)]
    longer, shorter = (0, 1) if many[0] >= many[1] else (1, 0)
    joined = sides[longer].merge(
        sides[shorter][[*on, "rate"]], on=on, suffixes=("", "_other"), validate="many_to_one"
    )
    sign = 1 if longer == 0 else -1
    joined["gain"] = sign * (joined["rate"] - joined["rate_other"])
    interval = crossed_interval(
        joined, "gain", draws=spec["draws"], rng=seeds.rng(spec["seed"], *stream)
    )
    mean = own.groupby(["denoiser", "pair", "base_shape"], as_index=False)["rate"].mean()
    exchanged = paired_difference(
        mean, "rate", a, b, pair="pair", draws=spec["draws"], rng=seeds.rng(spec["seed"], *stream)
    )
    return {
        "difference": interval.estimate, "low": interval.low, "high": interval.high,
        "p_value": exchanged.p_value, "n_units": exchanged.n_units,
        "n_seeds": joined["seed"].nunique(),
    }  # fmt: skip
