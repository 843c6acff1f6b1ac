"""How many atoms columns hold, counted from their intensity on films whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lowdose import seeds
from lowdose.columns.atom_counts import AtomCounts, calibrate, count_atoms
from lowdose.columns.discs import disc_sums
from lowdose.columns.fitting import FIT_RADIUS_NM
from lowdose.data.movies import Movie
from lowdose.evaluation.film_columns import (
    counts_of,
    doses_of,
    places_of,
    true_columns,
    used_frames,
)
from lowdose.evaluation.statistics import bootstrap_interval
from lowdose.runtime import UserError

RADII_NM = (0.04, 0.05, 0.06, 0.07, 0.08, 0.1, FIT_RADIUS_NM)
"""Discs whose intensity may tell the number of atoms."""


def counted(films: Mapping[str, Movie], spec: Mapping) -> pd.DataFrame:
    """Count the atoms of columns from their intensity; each film is judged by the others.

    Parameters
    ----------
    films : mapping
        Name -> movie; two or more.
    spec : mapping
        ``doses_e_per_px`` (mean over a film's frames, in vacuum); ``frames`` of each film that are
        used, evenly spaced; ``seed``.

    Returns
    -------
    DataFrame
        One row a ``dose_e_per_px``, way of ``averaging`` (``one frame``, or ``film``: all frames in
        which a column is present and holds so many atoms) and group of ``columns`` (``all,
        surface``): ``frames``, mean number in an average; ``n_columns, n_counts``; ``right,
        right_low, right_high``: share with the right number of atoms; ``within_one``;
        ``probability``: mean of what the truth was given; ``chance``: share that would be right if
        the commonest number were always said; ``not_covered``: share whose number the calibration
        lacks, which are wrong; ``radius_nm`` and ``sign``, means over the counts.

    Raises
    ------
    UserError
        If there is one film only, or on some film no disc tells the numbers of atoms apart.

    Notes
    -----
    The intensity is the mean of the counts over a disc at the column's **true place**, over the
    dose.  Its radius, and whether it rises (sign 1) or falls (-1) with the number of atoms, are
    those that give the true numbers of the other films' clean columns the highest probability on
    average, at the shot noise of the dose.  Intervals: 95 %, over films' columns.
    """
    if len(films) < 2:
        raise UserError("Atoms are counted on one film after learning on others; give two films.")
    used = {name: used_frames(movie, spec["frames"]) for name, movie in films.items()}
    clean = {
        name: _discs(movie, movie.clean, np.ones(len(movie.clean)), used[name], name)
        for name, movie in films.items()
    }
    rows = []
    for dose in spec["doses_e_per_px"]:
        tables = []
        for name, movie in films.items():
            learned = pd.concat([own for other, own in clean.items() if other != name])
            counts, doses = counts_of(movie, dose, spec["seed"]), doses_of(movie, dose)
            discs = _discs(movie, counts, doses, range(len(counts)), name)
            single = discs[discs["frame"].isin(used[name])]
            tables += [_judged(single, learned).assign(averaging="one frame"),
                       _judged(_summed(discs), learned).assign(averaging="film")]  # fmt: skip
        table = pd.concat(tables, ignore_index=True)
        for averaging, own in table.groupby("averaging", sort=False):
            for group, part in (("all", own), ("surface", own[own["is_surface"]])):
                if len(part):
                    about = {"dose_e_per_px": dose, "averaging": averaging, "columns": group}
                    rows.append(about | _shares(part, spec["seed"]))
    return pd.DataFrame(rows)


def _discs(movie: Movie, images, doses, frames, film: str) -> pd.DataFrame:
    """Return electrons, their variance and the exposure (pixels times dose) of columns' discs."""
    columns = true_columns(movie, frames, film)
    columns = columns[columns["all"]].sort_values("frame", kind="stable")
    if not len(columns):
        raise UserError(f"The film {film} shows no column 0.15 nm or more inside; leave it out.")
    places = [(i, places_of(own)) for i, own in columns.groupby("frame")]
    about = columns[["frame", "unit", "n_atoms"]].assign(
        is_surface=columns["is_surface"].astype(bool), frames=1
    )
    tables = []
    for radius in RADII_NM:
        sums = [disc_sums(images[i], where, movie.pixel_size_nm, radius) for i, where in places]
        electrons, pixels = (np.concatenate(part) for part in zip(*sums, strict=True))
        variance = np.maximum(electrons + pixels * movie.dark_e_per_px, 1.0)
        exposure = pixels * doses[columns["frame"]]
        tables.append(about.assign(radius_nm=radius, electrons=electrons, variance=variance,
                                   exposure=exposure))  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def _summed(discs: pd.DataFrame) -> pd.DataFrame:
    """Return the discs of all frames in which a column holds so many atoms as one."""
    groups = discs.groupby(["unit", "n_atoms", "radius_nm"], as_index=False)
    sums = groups[["electrons", "variance", "exposure", "frames"]].sum()
    return sums.assign(is_surface=groups["is_surface"].mean()["is_surface"] > 0.5)


def _judged(discs: pd.DataFrame, learned: pd.DataFrame) -> pd.DataFrame:
    """Return the number of atoms of each column, from the disc that tells it best."""
    exposure = discs.groupby("radius_nm")["exposure"].mean()
    best, reason = None, None
    for radius, known in learned.groupby("radius_nm"):
        value, true = known["electrons"] / known["exposure"], known["n_atoms"].to_numpy()
        for sign in (1, -1):
            try:
                calibration = calibrate(sign * value.to_numpy(), true)
            except UserError as error:
                reason = error
                continue
            noise = np.sqrt(value.to_numpy() / exposure[radius])
            said = count_atoms(calibration, sign * value.to_numpy(), noise)
            score = _of_truth(said, true).mean()
            if best is None or score > best[0]:
                best = score, radius, sign, calibration
    if best is None:
        raise reason
    _, radius, sign, calibration = best
    own = discs[discs["radius_nm"] == radius]
    value = sign * (own["electrons"] / own["exposure"]).to_numpy()
    noise = (np.sqrt(own["variance"]) / own["exposure"]).to_numpy()
    said, true = count_atoms(calibration, value, noise), own["n_atoms"].to_numpy()
    return own[["unit", "is_surface", "n_atoms", "frames"]].assign(
        said=said.n_atoms, probability=_of_truth(said, true),
        covered=np.isin(true, said.numbers), radius_nm=radius, sign=sign,
    )  # fmt: skip


def _of_truth(said: AtomCounts, true: np.ndarray) -> np.ndarray:
    """Return the probability that each true number was given: 0 if it is not covered."""
    return np.where(true[:, None] == said.numbers, said.probability, 0.0).sum(axis=1)


def _shares(part: pd.DataFrame, seed: int) -> dict:
    right = part["said"] == part["n_atoms"]
    own = part[["unit"]].assign(value=right.astype(float))
    share = bootstrap_interval(
        own, "value", "unit", bounds=(0.0, 1.0), rng=seeds.rng(seed, "atom counts")
    )
    return {
        "frames": part["frames"].mean(), "n_columns": part["unit"].nunique(),
        "n_counts": len(part), "right": share.estimate, "right_low": share.low,
        "right_high": share.high,
        "within_one": ((part["said"] - part["n_atoms"]).abs() <= 1).mean(),
        "probability": part["probability"].mean(),
        "chance": part["n_atoms"].value_counts(normalize=True).iloc[0],
        "not_covered": (~part["covered"]).mean(),
        "radius_nm": part["radius_nm"].mean(), "sign": part["sign"].mean(),
    }  # fmt: skip
