"""Is the column of a known site there?  Frame by frame, and with what comes before and after."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.ndimage import map_coordinates

from lowdose.columns.fitting import FIT_RADIUS_NM
from lowdose.columns.occupancy import site_log_ratio
from lowdose.columns.two_states import fit_chain
from lowdose.data.movies import Movie
from lowdose.evaluation.film_columns import doses_of, places_of, true_columns

METHODS = ("known site, one frame", "known site, chain")
_AWAY_NM = -100.0  # where a site is that a frame does not show: it then says nothing
_STEP_NM = 0.005  # between the points that the expected images are compared at


def known_sites(
    movie: Movie, counts: np.ndarray, dose_e_per_px: float, width_nm: float, film: str
) -> pd.DataFrame:
    """Decide in all frames whether the columns that come and go are there.

    Parameters
    ----------
    movie : Movie
    counts : array (frame, y, x)
        Counts [e/px] of all frames.
    dose_e_per_px : float
        Their mean dose in vacuum.
    width_nm : float
        Of columns, taken as Gaussian [nm].
    film : str
        Its name.

    Returns
    -------
    DataFrame
        :func:`lowdose.evaluation.film_columns.true_columns` that switch, for each ``method``, with
        what was decided as ``located``; empty where nothing switches.

    Notes
    -----
    Told are the place of each site, and what its clean images look like on average with the
    column and without: a level and a Gaussian on it.  Told is not when it switches: a frame is
    decided by the sign of its log-likelihood ratio, or by all frames through a chain of two
    states, whose rates are fitted to the sites of the film.
    """
    sites = true_columns(movie, range(len(counts)), film)
    sites = sites[sites["switching"]]
    if not len(sites):
        return sites
    columns, number = np.unique(sites["column"], return_inverse=True)
    where = sites["frame"].to_numpy(), number
    place = np.full((len(counts), len(columns), 2), _AWAY_NM)
    place[where] = places_of(sites)
    looks = [_level_and_height(movie, own, width_nm) for _, own in sites.groupby("column")]
    level, height = np.array(looks).T
    dark = movie.dark_e_per_px  # with its mean the counts are Poisson
    ratio = np.concatenate([
        site_log_ratio(counts[[i]] + dark, place[i], movie.pixel_size_nm, width_nm=width_nm,
                       amplitude=height * dose, level=level.mean() * dose + dark)
        for i, dose in enumerate(doses_of(movie, dose_e_per_px))
    ])  # fmt: skip
    decided = (ratio > 0, fit_chain(ratio, movie.frame_time_s).posterior > 0.5)
    tables = [
        sites.assign(method=method, located=said[where], all=False, surface=False)
        for method, said in zip(METHODS, decided, strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def _level_and_height(movie: Movie, site: pd.DataFrame, width_nm: float) -> tuple[float, float]:
    """Return the mean level of a site without its column, and the Gaussian that fits the rest."""
    steps = np.arange(-FIT_RADIUS_NM, FIT_RADIUS_NM + _STEP_NM / 2, _STEP_NM)
    x, y = (part.ravel() for part in np.meshgrid(steps, steps))
    inside = np.hypot(x, y) <= FIT_RADIUS_NM
    x, y = x[inside], y[inside]
    absent, present = (
        np.mean([_values(movie, row, x, y) for row in site[site["there"] == there].itertuples()],
                axis=0)
        for there in (False, True)
    )  # fmt: skip
    bell = np.exp(-(x**2 + y**2) / (2 * width_nm**2))
    level = float(absent.mean())
    return level, float(bell @ (present - absent) / (bell @ bell))


def _values(movie: Movie, row, x_nm: np.ndarray, y_nm: np.ndarray) -> np.ndarray:
    where = np.stack([row.y_nm + y_nm, row.x_nm + x_nm]) / movie.pixel_size_nm
    return map_coordinates(movie.clean[row.frame], where, order=1, mode="nearest")
