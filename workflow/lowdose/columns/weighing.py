"""Columns of a frame of which nothing is known but its counts: found, and weighed by them.

What :mod:`lowdose.evaluation.belief` does with simulated frames needs what they come with: the dose
in vacuum, the line of the interface, a detection threshold that was chosen on other frames with
truth.  Here all of it is read off the frame, so that it works on a microscope's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from lowdose.columns.detection import COLUMN_SIGMA_NM, detect_columns
from lowdose.columns.discs import disc_means, disc_pixels
from lowdose.columns.fitting import fit_columns
from lowdose.columns.likelihood import (
    cross_fitted_e_values,
    likelihood_ratio,
    q_values,
    thin,
)
from lowdose.columns.matching import match
from lowdose.columns.support import Support, find_support
from lowdose.columns.surface import NEIGHBOUR_NM, surface_columns
from lowdose.columns.vacuum import vacuum_level
from lowdose.columns.weighted_counts import profile_weights, weighted_p_value

# Counts (y, x) -> their expectation, both electrons per pixel.
Denoise = Callable[[np.ndarray], np.ndarray]

SHARE = 0.5  # of the electrons on which columns are proposed; the rest tests them
RADIUS_NM = 0.06  # of the discs that are weighed: a quarter of the neighbour distance
TESTED_NM = 0.08  # of the profiles that are tested: a third of it

THRESHOLD = 0.35
"""Least response of a column relative to the strong ones of its frame.  On validation frames of
0.2 to 10 e/px this has the best surface F1, or 0.01 less, for a network and for a filter alike."""

STRONGEST = 20  # columns that say what is strong
LEAST_RESPONSE = 0.012  # of vacuum; weaker blobs are nothing, however weak the strong ones are
NEIGHBOURS_NM = 1.35  # of the nearest distance: beyond the longer bond of a projection, 1.155
GATE = 0.3  # of it: columns this close are the same one
FULL = 6  # projected neighbours in the bulk
NOTHING = {"p_value": 1.0, "e_value": 0.0}
FEWEST_PX = 32  # along each side of a frame
LARGEST_NM = 0.05  # pixel: a column has to cover some of them
FITTED = ("x_fit_nm", "y_fit_nm", "x_se_nm", "y_se_nm", "width_nm", "amplitude_e", "amplitude_se_e")


@dataclass(frozen=True)
class Seen:
    """What a denoised image shows.

    Attributes
    ----------
    columns : DataFrame
        ``x_nm, y_nm, response``; ``where``, particle or support; ``is_surface``; ``at_border``, too
        close to the frame's border to know its neighbours; ``n_missing``, neighbours that a surface
        column lacks of the six (in the bottom layer four) of the bulk, -1 elsewhere.
    vacuum : float
        Expected counts in vacuum [e/px]; the frame's mean where none is seen.
    vacuum_nm2 : float
        Area in which it was measured [nm²], 0 where none is seen.
    polarity : {1, -1}
        Bright or dark columns.
    neighbour_nm : float
        Distance of nearest neighbours [nm].
    support : Support or None
    """

    columns: pd.DataFrame
    vacuum: float
    vacuum_nm2: float
    polarity: int
    neighbour_nm: float
    support: Support | None


@dataclass(frozen=True)
class Weighed:
    """What a frame's counts say of the columns that its denoised image shows.

    Attributes
    ----------
    columns : DataFrame
        One row a column, see :func:`weigh`.
    seen : Seen
        On the whole frame.
    untested : str
        Why nothing was tested, in words; empty if it was.
    n_proposed : int
        Surface columns that one half proposed: so many were tested.
    """

    columns: pd.DataFrame
    seen: Seen
    untested: str
    n_proposed: int


def see(counts: np.ndarray, image: np.ndarray, pixel_size_nm: float) -> Seen:
    """Find the columns of a denoised image, and which of them are a particle's surface.

    Parameters
    ----------
    counts, image : array (y, x)
        A frame and its denoised image [e/px].
    pixel_size_nm : float

    Returns
    -------
    Seen

    Raises
    ------
    UserError
        If the frame is not one of finite values, or its pixels are too large for columns.
    """
    level, area = vacuum_level(counts, image, pixel_size_nm)
    relative = np.asarray(image, dtype=np.float32) / np.float32(max(level, 1e-9))
    support = find_support(relative, pixel_size_nm)
    candidates = {sign: _candidates(relative, pixel_size_nm, sign, support) for sign in (1, -1)}
    strongest = {
        sign: one.loc[~one["of_support"], "response"].head(STRONGEST).mean()
        for sign, one in candidates.items()
    }
    # Of a lattice of bright columns the gaps are dark blobs, but weaker ones.
    polarity = -1 if strongest[-1] > np.nan_to_num(strongest[1]) else 1
    found = candidates[polarity]
    points = found[["x_nm", "y_nm"]].to_numpy()
    of_support = found["of_support"].to_numpy()
    # Each lattice has its own strength: the support's columns are not the particle's.
    kept = np.zeros(len(found), dtype=bool)
    response = found["response"].to_numpy()
    for part in (of_support, ~of_support):
        if part.any():
            kept |= part & (response >= THRESHOLD * response[part][:STRONGEST].mean())
    columns = found.loc[kept, ["x_nm", "y_nm", "response"]].reset_index(drop=True)
    columns["where"] = np.where(of_support[kept], "support", "particle")
    particle = columns["where"].to_numpy() == "particle"
    neighbour = _neighbour_distance(points[kept][particle])
    extent = pixel_size_nm * (np.array(relative.shape[::-1]) - 1)
    surface, border, missing = _surface(points[kept], particle, support, neighbour, extent)
    columns = columns.assign(is_surface=surface, at_border=border, n_missing=missing)
    return Seen(columns, level, area, polarity, neighbour, support)


def weigh(
    counts: np.ndarray,
    image: np.ndarray,
    denoise: Denoise,
    pixel_size_nm: float,
    rng: np.random.Generator | None,
) -> Weighed:
    """Find the columns of a denoised frame, and ask the counts for each of them.

    Parameters
    ----------
    counts, image : array (y, x)
        The frame, whole electrons per pixel, and its denoised image [e/px].
    denoise : callable
        What made the image.
    pixel_size_nm : float
    rng : numpy.random.Generator or None
        Deals the electrons; None where they cannot be dealt, and nothing is tested.

    Returns
    -------
    Weighed
        Its ``columns``, ordered from top to bottom, have ``x_nm, y_nm, where, is_surface,
        at_border, n_missing`` (:class:`Seen`); of the particle's columns the fit of the image,
        ``x_fit_nm, y_fit_nm, x_se_nm, y_se_nm, width_nm, amplitude_e, amplitude_se_e``, whose
        errors are what the counts allow;
        ``llr``, the log-likelihood ratio against vacuum on the counts from which the image was made
        (optimistic); and of the test on counts that the proposal has not seen ``llr_unseen``,
        ``p_value`` and ``e_value`` (1 and 0 for a column that one half of the electrons does not
        propose) and, of surface columns only, ``q_value``.

    Notes
    -----
    One half of the electrons is denoised and proposes columns; the other half is independent of it
    (:func:`lowdose.columns.likelihood.thin`).  Without the column its disc would hold vacuum, whose
    level the first half says: this is the null, under which its counts are Poisson with that mean.
    They are weighted by the profile that the first half shows (:mod:`weighted_counts
    <lowdose.columns.weighted_counts>`): of 100 surface columns 5 more are supported at 0.45 e/px
    than by their sum.  (To add the tails that neighbours leave changes no verdict on test frames of
    0.45 to 20 e/px.)  The q-value is the least level at which Benjamini and Hochberg keep the
    column among all surface columns that the half proposes.
    """
    if min(np.shape(counts)) < FEWEST_PX or pixel_size_nm > LARGEST_NM:
        return _unseen(counts)
    whole = see(counts, image, pixel_size_nm)
    columns = whole.columns.sort_values(["y_nm", "x_nm"], kind="stable", ignore_index=True)
    places = columns[["x_nm", "y_nm"]].to_numpy()
    # The support's are many, and nobody asks where they are to a picometre.
    own = np.flatnonzero(columns["where"] == "particle")
    fits = fit_columns(np.maximum(image, 0), places[own], pixel_size_nm).set_index(own)
    names = {"x_nm": "x_fit_nm", "y_nm": "y_fit_nm", "amplitude": "amplitude_e",
             "amplitude_se": "amplitude_se_e"}  # fmt: skip
    fits = fits.rename(columns=names)[[*FITTED]]
    level = disc_means(image, places, pixel_size_nm, RADIUS_NM)
    ratio = likelihood_ratio(
        counts, places, pixel_size_nm, level, max(whole.vacuum, 1e-9), RADIUS_NM
    )
    columns = columns.drop(columns="response").join(fits).assign(llr=ratio["llr_total"])
    missing = dict.fromkeys(("llr_unseen", "p_value", "e_value", "q_value"), np.nan)
    columns = columns.assign(**missing)
    if rng is None:
        return Weighed(columns, whole, "the values are no whole electrons", 0)
    first, second = thin(counts, SHARE, rng)
    half = denoise(first)
    proposed = see(first, half, pixel_size_nm)
    if not (whole.vacuum_nm2 and proposed.vacuum_nm2):
        return Weighed(columns, whole, "no vacuum is seen to compare with", 0)
    tested = unseen_test(second, half, proposed, pixel_size_nm)
    gate = GATE * whole.neighbour_nm
    i_shown, i_proposed, _ = match(places, tested[["x_nm", "y_nm"]].to_numpy(), gate)
    columns = columns.assign(**NOTHING)
    for name in ("llr_unseen", *NOTHING):
        columns.loc[i_shown, name] = tested[name].to_numpy()[i_proposed]
    # Of what a half proposes as surface, whatever the whole frame shows there.
    family = tested["is_surface"].to_numpy()
    q = np.ones(len(tested))
    q[family] = q_values(tested["p_value"].to_numpy()[family])
    surface = columns["is_surface"].to_numpy()
    columns.loc[surface, "q_value"] = 1.0
    on_both = surface[i_shown]
    columns.loc[i_shown[on_both], "q_value"] = q[i_proposed[on_both]]
    return Weighed(columns, whole, "", int(family.sum()))


def unseen_test(
    unseen: np.ndarray, half: np.ndarray, proposed: Seen, pixel_size_nm: float
) -> pd.DataFrame:
    """Test proposed columns on counts that the proposal has not seen.

    Parameters
    ----------
    unseen : array (y, x)
        The other electrons [e/px].
    half : array (y, x)
        Denoised image of the first ones [e/px].
    proposed : Seen
        Of that image.
    pixel_size_nm : float

    Returns
    -------
    DataFrame
        ``x_nm, y_nm, is_surface``, and ``llr_unseen, e_value, p_value``.
    """
    table = proposed.columns[["x_nm", "y_nm", "is_surface"]].reset_index(drop=True)
    places = table[["x_nm", "y_nm"]].to_numpy()
    vacuum = proposed.vacuum * (1 - SHARE) / SHARE
    tested = cross_fitted_e_values(
        half, unseen, places, pixel_size_nm, vacuum / (1 - SHARE), p=SHARE,
        radius_nm=TESTED_NM, pixelwise=True, polarity=proposed.polarity,
    )  # fmt: skip
    rows, cols, inside = disc_pixels(half.shape, places, pixel_size_nm, TESTED_NM)
    profile = half[rows, cols].astype(np.float64) * (1 - SHARE) / SHARE
    weights = np.where(inside, profile_weights(profile, vacuum, proposed.polarity), 0.0)
    total = np.sum(weights * unseen[rows, cols], axis=1)
    p_value = weighted_p_value(total, weights, vacuum, polarity=proposed.polarity)
    return table.assign(llr_unseen=tested["llr_total"], e_value=tested["e_value"], p_value=p_value)


def _candidates(
    relative: np.ndarray, pixel_size_nm: float, polarity: int, support: Support | None
) -> pd.DataFrame:
    """Return the blobs of one sign, and which of them lie on the support."""
    found = detect_columns(
        relative, pixel_size_nm, threshold=LEAST_RESPONSE, sigma_nm=COLUMN_SIGMA_NM,
        polarity=polarity,
    )  # fmt: skip
    of_support = np.zeros(len(found), dtype=bool)
    if support is not None:
        places = found[["y_nm", "x_nm"]].to_numpy() / pixel_size_nm
        of_support = ~support.free[tuple(np.rint(places).astype(int).T)]
    return found.assign(of_support=of_support)


def _unseen(counts: np.ndarray) -> Weighed:
    """Return that a frame is too small or too coarse for columns."""
    texts = pd.DataFrame({"where": pd.Series(dtype=object)})
    flags = {name: pd.Series(dtype=bool) for name in ("is_surface", "at_border")}
    numbers = dict.fromkeys(
        ("x_nm", "y_nm", *FITTED, "llr", "llr_unseen", "p_value", "e_value", "q_value"),
        pd.Series(dtype=float),
    )
    columns = texts.assign(**numbers, **flags, n_missing=pd.Series(dtype=int))
    seen = Seen(columns, float(np.mean(counts)), 0.0, 1, NEIGHBOUR_NM, None)
    return Weighed(columns, seen, "the frame is too small, or its pixels too large", 0)


def _neighbour_distance(points: np.ndarray) -> float:
    """Return the median distance to the nearest other column; that of Pt for a single one."""
    if len(points) < 2:
        return NEIGHBOUR_NM
    distance, _ = cKDTree(points).query(points, k=2)
    return float(np.median(distance[:, 1]))


def _surface(points, particle, support, neighbour, extent):
    """Return which columns are surface, which are at the border, and how many neighbours lack."""
    reach = NEIGHBOURS_NM * neighbour
    border = ((points < reach) | (points > extent - reach)).any(axis=1)
    surface, missing = np.zeros(len(points), dtype=bool), np.full(len(points), -1)
    own = points[particle]
    if not len(own):
        return surface, border, missing
    bottom = np.zeros(len(own), dtype=bool) if support is None else support.carries(own)
    outer = surface_columns(own, on_support=bottom, neighbour_nm=neighbour)
    # Beyond the border the particle goes on.
    surface[particle] = outer & ~border[particle]
    near = cKDTree(own).query_ball_point(own, reach, return_length=True) - 1
    lacking = np.maximum(np.where(bottom, 4, FULL) - near, 0)
    missing[particle] = np.where(surface[particle], lacking, -1)
    return surface, border, missing
