"""The parametric null of a column: what a whole pipeline says of a frame that does not have it.

A column's log-likelihood ratio is computed from the image that was made from the same counts, at a
place that was found on it, beside neighbours whose tails are no vacuum; no formula knows its
distribution.  So it is drawn: the expected image without that column, new counts, and everything
that was done to the measured counts, detector included.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve
from scipy.spatial import cKDTree

from lowdose.columns.discs import disc_pixels
from lowdose.runtime import UserError

ERASED_NM = 0.12
"""Radius of the disc that is erased: half the distance of neighbouring columns."""

APART_NM = 0.6
"""Columns this far apart may be erased together: neither's disc reaches the other's neighbours."""

# Counts (y, x) -> places (column, 2) [nm] and statistic (column,) of the columns that it reports.
Pipeline = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def erased(
    image: np.ndarray, positions_nm: np.ndarray, pixel_size_nm: float, radius_nm: float = ERASED_NM
) -> np.ndarray:
    """Return an image without columns: their discs are filled in from what surrounds them.

    Parameters
    ----------
    image : array (y, x)
        Expected counts.
    positions_nm : array (column, 2)
        Centres (x, y) [nm].
    pixel_size_nm, radius_nm : float
        Pixel size and radius of the discs [nm].

    Returns
    -------
    float64 array (y, x)
        In the discs the harmonic function of the values at their rims (Laplace's equation), which
        is between the least and the greatest of these: vacuum where vacuum surrounds the column,
        and the tails of its neighbours where they do.

    Raises
    ------
    UserError
        As :func:`lowdose.columns.discs.disc_sums`.
    """
    result = np.array(image, dtype=np.float64)
    rows, cols, inside = disc_pixels(result.shape, positions_nm, pixel_size_nm, radius_nm)
    hole = np.zeros(result.shape, dtype=bool)
    hole[rows[inside], cols[inside]] = True
    if not hole.any():
        return result
    if hole.all():
        raise UserError("The discs cover the whole image; erase fewer columns.")
    number = np.full(result.shape, -1)
    number[hole] = np.arange(hole.sum())
    y, x = np.nonzero(hole)
    own = number[y, x]
    diagonal, known = np.zeros(len(own)), np.zeros(len(own))
    i, j = [], []
    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        ny, nx = y + dy, x + dx
        within = (ny >= 0) & (ny < hole.shape[0]) & (nx >= 0) & (nx < hole.shape[1])
        other = number[ny[within], nx[within]]
        diagonal += within
        unknown = other >= 0
        i.append(own[within][unknown])
        j.append(other[unknown])
        rim = ~unknown
        np.add.at(known, own[within][rim], result[ny[within][rim], nx[within][rim]])
    i, j = np.concatenate(i), np.concatenate(j)
    neighbours = sparse.coo_matrix((np.ones(len(i)), (i, j)), shape=(len(own),) * 2)
    result[y, x] = spsolve((sparse.diags(diagonal) - neighbours).tocsc(), known)
    return result


def groups(positions_nm: np.ndarray, apart_nm: float = APART_NM) -> list[np.ndarray]:
    """Divide columns into few groups, in each of which they lie far apart.

    Parameters
    ----------
    positions_nm : array (column, 2)
    apart_nm : float
        Least distance within a group [nm].

    Returns
    -------
    list of int array
        Every column is in one of them.
    """
    positions = np.asarray(positions_nm, dtype=np.float64).reshape(-1, 2)
    if not len(positions):
        return []
    near = cKDTree(positions).query_ball_point(positions, apart_nm)
    colour = np.full(len(positions), -1)
    for k, others in enumerate(near):
        taken = set(colour[others])
        colour[k] = next(c for c in range(len(positions) + 1) if c not in taken)
    return [np.flatnonzero(colour == c) for c in range(colour.max() + 1)]


def null_statistics(
    pipeline: Pipeline,
    expected: np.ndarray,
    positions_nm: np.ndarray,
    pixel_size_nm: float,
    *,
    draws: int,
    gate_nm: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw what a pipeline says of each column where it is not.

    Parameters
    ----------
    pipeline : callable
        Everything from counts to the columns that are reported, each with its statistic.
    expected : array (y, x)
        Expected counts with all columns: an estimate, or the truth of a simulation [e/px].
    positions_nm : array (column, 2)
        The columns, (x, y) [nm].
    pixel_size_nm : float
    draws : int
        New frames of each group of columns.
    gate_nm : float
        How far from a column's place the pipeline may report it [nm].
    rng : numpy.random.Generator
        Draws the counts, which are Poisson.

    Returns
    -------
    array (column, draw)
        The statistic of the column that is reported at the place, the greatest of several; minus
        infinity where none is.
    """
    positions = np.asarray(positions_nm, dtype=np.float64).reshape(-1, 2)
    found = np.full((len(positions), draws), -np.inf)
    for group in groups(positions):
        without = np.maximum(erased(expected, positions[group], pixel_size_nm), 0)
        for draw in range(draws):
            places, statistic = pipeline(rng.poisson(without).astype(np.float32))
            if not len(places):
                continue
            near = cKDTree(places).query_ball_point(positions[group], gate_nm)
            for column, here in zip(group, near, strict=True):
                if here:
                    found[column, draw] = np.max(np.asarray(statistic)[here])
    return found


def monte_carlo_p_values(
    statistic: np.ndarray, null: np.ndarray, *, pooled: bool = False
) -> np.ndarray:
    """Return p-values of statistics against draws of their null.

    Parameters
    ----------
    statistic : array (column,)
    null : array (column, draw)
        From :func:`null_statistics`.
    pooled : bool
        Compare each column with the draws of all, which resolves small p-values with few draws
        and asks that their nulls be alike.

    Returns
    -------
    array (column,)
        ``(1 + draws at least as large) / (1 + draws)``: valid if the column's own null was drawn
        (Davison and Hinkley, Bootstrap Methods, 1997, section 4.2).
    """
    statistic, null = np.asarray(statistic, np.float64), np.asarray(null, np.float64)
    if len(statistic) != len(null):
        raise UserError(f"{len(statistic)} statistics and nulls of {len(null)} columns differ.")
    against = np.broadcast_to(null.ravel(), (len(null), null.size)) if pooled else null
    return (1 + np.sum(against >= statistic[:, None], axis=1)) / (1 + against.shape[1])
