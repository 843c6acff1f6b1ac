"""The true columns of a film: which of them count, how they look, what their counts allow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from lowdose.columns.fitting import FIT_RADIUS_NM, fit_columns
from lowdose.columns.observer import position_bound
from lowdose.data.movies import Movie
from lowdose.runtime import UserError

MARGIN_NM = 0.15
"""Columns nearer to the frame's border are cut."""

_PATCH_NM = FIT_RADIUS_NM * np.sqrt(np.pi) / 2  # half a square of the area that a fit sees


class Look(NamedTuple):
    """How columns look: width [nm] and the level they stand on, vacuum = 1."""

    width_nm: float
    level: float


def used_frames(movie: Movie, number: int) -> np.ndarray:
    """Return so many frames, evenly spaced, or all there are."""
    last = len(movie.clean) - 1
    return np.unique(np.rint(np.linspace(0, last, min(number, last + 1))).astype(int))


def doses_of(movie: Movie, dose_e_per_px: float) -> np.ndarray:
    """Return the dose of each frame [e/px in vacuum] where their mean is the one given."""
    return movie.dose_e_per_px * (dose_e_per_px / movie.dose_e_per_px.mean())


def counts_of(movie: Movie, dose_e_per_px: float, seed: int) -> np.ndarray:
    """Draw the counts of all frames, whose mean dose is the one given: float32 (frame, y, x)."""
    return movie.counts(0, seed, dose=dose_e_per_px / float(movie.dose_e_per_px.mean()))


def places_of(table: pd.DataFrame) -> np.ndarray:
    """Return positions (x, y) [nm] as an array (column, 2)."""
    return table[["x_nm", "y_nm"]].to_numpy(dtype=np.float64)


def well_inside(x_nm, y_nm, shape: tuple[int, int], pixel_size_nm: float) -> np.ndarray:
    """Return which places are the margin or more inside a frame of so many rows and columns."""
    far_y, far_x = (np.array(shape) - 1) * pixel_size_nm - MARGIN_NM
    return (x_nm >= MARGIN_NM) & (y_nm >= MARGIN_NM) & (x_nm <= far_x) & (y_nm <= far_y)


def true_columns(movie: Movie, frames: Iterable[int], film: str) -> pd.DataFrame:
    """Return the true columns of some frames of a film, and which of them count.

    Parameters
    ----------
    movie : Movie
    frames : iterable of int
    film : str
        Its name.

    Returns
    -------
    DataFrame
        The movie's truth with ``unit``, film and column as a name, and bool ``there``; ``all``:
        present and well inside the frame; ``surface`` of these; ``switching``: present or absent,
        well inside, of a column that is both in the course of the film.
    """
    truth = movie.truth[movie.truth["frame"].isin(frames)].reset_index(drop=True)
    inside = well_inside(truth["x_nm"], truth["y_nm"], movie.clean.shape[1:], movie.pixel_size_nm)
    there = truth["n_atoms"] > 0
    present = inside & there & (truth["state"] == "present")
    certain = movie.truth[movie.truth["state"].isin(["present", "absent"])]
    states = certain.groupby("column")["state"].nunique()
    switching = inside & truth["state"].isin(["present", "absent"])
    switching &= truth["column"].isin(states.index[states == 2])
    return truth.assign(
        unit=film + " " + truth["column"].astype(str), there=there, all=present,
        surface=present & truth["is_surface"].astype(bool), switching=switching,
    )  # fmt: skip


def with_clean_fits(movie: Movie, columns: pd.DataFrame) -> pd.DataFrame:
    """Add the Gaussian that fits the clean image of each column, and its Cramér-Rao bounds.

    Parameters
    ----------
    movie : Movie
    columns : DataFrame
        From :func:`true_columns`.

    Returns
    -------
    DataFrame
        With ``fit_width_nm, fit_level`` (vacuum = 1), ``x_bound, y_bound`` and ``x_patch, y_patch``
        [nm], of a film whose mean dose is 1 e/px; missing where ``all`` is False or nothing fits.

    Notes
    -----
    `bound` takes the Gaussian as the column's own contribution to the clean image.  `patch` takes
    all of a square of the area of the fitted disc, half the distance to the neighbours: as if it
    moved as a whole.  What the fringes beyond know is in neither.
    """
    names = ["fit_width_nm", "fit_level", "x_bound", "y_bound", "x_patch", "y_patch"]
    pixel, values = movie.pixel_size_nm, np.full((len(columns), len(names)), np.nan)
    doses = doses_of(movie, 1.0)
    for frame, own in columns[columns["all"]].groupby("frame"):
        clean = movie.clean[frame].astype(np.float64)
        fits = fit_columns(clean, places_of(own), pixel)
        for row, fit in zip(own.index, fits.itertuples(), strict=True):
            near = _square(clean.shape, fit.x_nm, fit.y_nm, pixel, _PATCH_NM)
            values[row, 4:] = position_bound(clean[near], clean[near], pixel, doses[frame])
            if not fit.fitted:
                continue
            far = _square(clean.shape, fit.x_nm, fit.y_nm, pixel, 2 * FIT_RADIUS_NM)
            y, x = (np.arange(side.start, side.stop) * pixel for side in far)
            square = (x - fit.x_nm) ** 2 + (y[:, None] - fit.y_nm) ** 2
            bell = fit.amplitude * np.exp(-square / (2 * fit.width_nm**2))
            values[row, :2] = fit.width_nm, fit.level
            values[row, 2:4] = position_bound(bell, clean[far], pixel, doses[frame])
    return columns.assign(**dict(zip(names, values.T, strict=True)))


def look_of(columns: Iterable[pd.DataFrame]) -> Look:
    """Return the median width and level of the columns of all films.

    Parameters
    ----------
    columns : iterable of DataFrames
        From :func:`with_clean_fits`.

    Raises
    ------
    UserError
        If no film shows a column that a Gaussian fits.
    """
    fits = pd.concat([own[["fit_width_nm", "fit_level"]] for own in columns]).dropna()
    if not len(fits):
        raise UserError(
            "In no film a Gaussian fits a column 0.15 nm or more inside; give films with columns."
        )
    return Look(*map(float, fits.median()))


def _square(shape, x_nm, y_nm, pixel_size_nm, half_nm) -> tuple[slice, slice]:
    half = round(half_nm / pixel_size_nm)
    middle = (round(place / pixel_size_nm) for place in (y_nm, x_nm))
    return tuple(slice(max(m - half, 0), min(m + half + 1, n)) for m, n in
                 zip(middle, shape, strict=True))  # fmt: skip
