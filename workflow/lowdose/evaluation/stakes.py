"""Columns at stake: sites at which two otherwise equal frames differ in one column.

F1 rewards the prior, since a denoiser that always draws the perfect facet finds most surface
columns without any evidence.  A matched pair asks for the evidence: the same particle in the same
lens, once with the column and once without it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lowdose.config_world import MARGIN_TOP_NM
from lowdose.data.frames import FrameSet

ABOUT = (
    "pair", "kind", "site", "n_atoms", "base_shape", "family", "layers", "tilt_x_deg",
    "tilt_y_deg", "c1_nm", "present", "frame", "x_nm", "y_nm",
)  # fmt: skip


def stakes(pairs: pd.DataFrame, frames: FrameSet) -> pd.DataFrame:
    """Return the columns at stake in a set of frames, two rows a pair and defocus.

    Parameters
    ----------
    pairs : DataFrame
        ``pairs.csv``: models that differ in one column, see
        :func:`lowdose.structures.tables.matched_pairs`.
    frames : FrameSet
        A pair takes part if the frames show both of its models at one defocus.

    Returns
    -------
    DataFrame
        `ABOUT`: the pair (with its defocus) and the column; ``present`` (bool), ``frame``, and
        the place in the frame [nm].  Of a pair of the kind ``half`` the one without it has half
        of the column's atoms.
    """
    table = frames.table
    shown = table[["frame", "model_id", "c1_nm", "family"]]
    both = pairs.merge(shown, left_on="model_present", right_on="model_id").merge(
        shown.drop(columns="family"),
        left_on=["model_absent", "c1_nm"],
        right_on=["model_id", "c1_nm"],
        suffixes=("_present", "_absent"),
    )
    both = both.assign(
        pair=both["pair"] + both["c1_nm"].map(" {:g} nm".format),
        y_nm=both["y_nm"] - MARGIN_TOP_NM,
    )
    sides = [
        both.assign(present=present, frame=both[f"frame_{'present' if present else 'absent'}"])
        for present in (True, False)
    ]
    rows = pd.concat(sides, ignore_index=True)[list(ABOUT)]
    return rows.sort_values(["pair", "present"], ascending=[True, False], ignore_index=True)


def site_scores(found: pd.DataFrame, places: pd.DataFrame, gate_nm: float) -> pd.DataFrame:
    """Return how strongly a column is shown at each place, and where.

    Parameters
    ----------
    found : DataFrame
        Candidate columns of an image, ``x_nm, y_nm, response``.
    places : DataFrame
        ``x_nm, y_nm``.
    gate_nm : float
        How far from the place the strongest candidate may lie [nm].

    Returns
    -------
    DataFrame
        ``score``, the response of the strongest candidate, 0 where there is none; its place,
        ``found_x_nm, found_y_nm``.
    """
    nothing = {"score": 0.0, "found_x_nm": np.nan, "found_y_nm": np.nan}
    result = pd.DataFrame(nothing, index=places.index)
    if found.empty or places.empty:
        return result
    at, points = (t[["x_nm", "y_nm"]].to_numpy() for t in (places, found))
    distance = np.linalg.norm(at[:, None] - points[None], axis=2)
    response = np.where(distance <= gate_nm, found["response"].to_numpy(), 0.0)
    best, shown = np.argmax(response, axis=1), response.max(axis=1) > 0
    result["score"] = response.max(axis=1)
    result.loc[shown, ["found_x_nm", "found_y_nm"]] = points[best[shown]]
    return result


def outcomes(sites: pd.DataFrame) -> pd.DataFrame:
    """Say of each pair and dose how the two frames were told apart.

    Parameters
    ----------
    sites : DataFrame
        One row a column at stake, dose and realisation: `ABOUT`, ``dose_e_per_px, realisation,
        score, reported``.

    Returns
    -------
    DataFrame
        One row a pair and dose: ``n_realisations`` of each frame; ``won`` of ``compared`` (pairs of
        one realisation with the column and one without it in which the former has the higher score,
        ties by half), so that won / compared is the area under the pair's ROC; ``n_present,
        n_erased, n_absent, n_filled``; ``n_right`` of ``n_decided``, where present and absent weigh
        alike; for a pair of the kind ``half``, whose site is never empty, the last six are missing.
    """
    by = ["pair", "dose_e_per_px"]
    about = ["kind", "site", "n_atoms", "base_shape", "family", "layers", "tilt_x_deg",
             "tilt_y_deg", "c1_nm"]  # fmt: skip
    rows = []
    for (pair, dose), group in sites.groupby(by, sort=True):
        present = group["present"].to_numpy(dtype=bool)
        score, reported = group["score"].to_numpy(), group["reported"].to_numpy(dtype=bool)
        one, other = score[present][:, None], score[~present][None]
        row = dict(zip(by, (pair, dose), strict=True)) | group.iloc[0][about].to_dict()
        row |= {
            "n_realisations": one.size,
            "won": float(np.sum(one > other) + np.sum(one == other) / 2),
            "compared": one.size * other.size,
        }
        if row["kind"] != "half":
            erased, filled = (~reported[present]).sum(), reported[~present].sum()
            n, m = one.size, other.size
            row |= {
                "n_present": n, "n_erased": erased, "n_absent": m, "n_filled": filled,
                "n_right": (n - erased) / n + (m - filled) / m, "n_decided": 2.0,
            }  # fmt: skip
        rows.append(row)
    return pd.DataFrame(rows)


def realisations(spec: Mapping, dose: float, full_grid: bool = False) -> int:
    """Return how many noise realisations the evaluation has at a dose; in full the same at all."""
    many = full_grid or dose == spec["reference_dose_e_per_px"]
    return spec["realisations" if many else "realisations_elsewhere"]
