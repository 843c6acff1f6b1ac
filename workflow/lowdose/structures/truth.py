"""True columns: where they are, how many atoms they hold, whether they face the vacuum."""

from __future__ import annotations

import numpy as np
import pandas as pd
from ase import Atoms
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

# The six neighbours of a bulk column of fcc along [110] lie at 0.612 a (four) and 0.707 a (two);
# the next shell begins at a.
NEIGHBOUR_REACH = 0.84  # lattice constants
SAME_COLUMN = 0.3  # Å

SITES = {1: "step", 2: "facet", 3: "edge", 4: "corner"}  # by missing neighbours; 5, 6: adatom


def columns_of(atoms: Atoms) -> pd.DataFrame:
    """Gather the metal atoms of an untilted model in atomic columns along z.

    Parameters
    ----------
    atoms : ase.Atoms
        Image right, up and beam along x, y and z [Å].  ``arrays["column"]`` holds the number
        of each atom's column, from 1; 0 for oxygen, whose columns do not count as columns of
        the image, and for atoms of no column, such as contamination.  ``arrays["missing"]``
        holds the neighbours that its column lacks towards the vacuum, -1 in the support.  Both
        come from the ideal lattice, so that a rotated or relaxed particle keeps its columns.

    Returns
    -------
    pandas.DataFrame
        One row a column, sorted by element, height and x: ``column``, ``x, y`` [Å, y up],
        ``z_mean`` [Å] (means over the atoms), ``element``, ``n_atoms``, ``is_particle``,
        ``is_surface`` and ``site`` (see :func:`sites_of`; `support` in the support).
    """
    number, missing = atoms.arrays["column"], atoms.arrays["missing"]
    labels, first, index = np.unique(number, return_index=True, return_inverse=True)
    counts = np.bincount(index, minlength=len(labels))
    means = column_means(atoms.positions, index)
    symbols = np.array(atoms.get_chemical_symbols(), dtype=object)
    lacking = missing[first].astype(int)
    columns = pd.DataFrame(
        {
            "column": labels.astype(int),
            "x": means[:, 0],
            "y": means[:, 1],
            "z_mean": means[:, 2],
            "element": symbols[first].astype(str),
            "n_atoms": counts.astype(int),
            "is_particle": lacking >= 0,
            "is_surface": lacking > 0,
            "site": np.array(sites_of(lacking), dtype=object),
        }
    )
    columns = columns[columns["column"] > 0]
    return columns.sort_values(["element", "y", "x"], ignore_index=True)


def missing_neighbours(points: np.ndarray, lattice_constant: float) -> np.ndarray:
    """Count the neighbours that each column of a particle lacks towards the vacuum.

    A bulk column of fcc along [110] has six projected neighbours, also at a (111) twin plane.
    Columns of the lowest layer have two of them on the side of the support, which do not
    count: the interface is not a surface.

    Parameters
    ----------
    points : array (n, 2)
        Projected positions (x, y up) [Å] of the ideal, untilted particle.
    lattice_constant : float
        Of the particle [Å].

    Returns
    -------
    array (n,) of int
        0 for bulk and interface columns.
    """
    if len(points) == 0:
        return np.zeros(0, dtype=int)
    reach = NEIGHBOUR_REACH * lattice_constant
    neighbours = cKDTree(points).query_ball_point(points, reach, return_length=True) - 1
    lowest = points[:, 1] < points[:, 1].min() + 0.5
    return np.maximum(np.where(lowest, 4, 6) - neighbours, 0)


def sites_of(missing: np.ndarray) -> list[str]:
    """Name the site by the number of missing neighbours.

    -1 support, 0 bulk, 1 step (re-entrant: at the foot of a step or of an overhanging facet,
    beside a vacancy), 2 facet, 3 edge (obtuse corner of the outline), 4 corner (acute), 5 or 6
    adatom.
    """
    names = {-1: "support", 0: "bulk"} | SITES
    return [names.get(int(n), "adatom") for n in missing]


def group_columns(points: np.ndarray) -> np.ndarray:
    """Number points (n, 2) [Å] so that those within `SAME_COLUMN` of each other share a number.

    Returns
    -------
    array (n,) of int
        From 0, in the order in which the columns first appear.
    """
    if len(points) == 0:
        return np.zeros(0, dtype=int)
    pairs = cKDTree(points).query_pairs(SAME_COLUMN, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points),) * 2)
    return connected_components(graph, directed=False)[1]


def column_means(positions: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return the mean position (columns, 3) of the atoms (n, 3) of each label from 0."""
    counts = np.bincount(label)
    sums = np.stack([np.bincount(label, weights=p) for p in positions.T], axis=1)
    return sums.reshape(len(counts), positions.shape[1]) / counts[:, None]


def project(columns: pd.DataFrame, tilt_deg: tuple[float, float], exit_z: float) -> np.ndarray:
    """Project columns along a tilted beam onto the exit plane.

    The propagator of :mod:`lowdose.imaging.waves` carries the wave sideways by
    ``-tan(tilt)`` per unit depth, so that a column's image is a streak from its entrance to
    its exit point; the position is the streak's middle, referred to the exit plane.

    Parameters
    ----------
    columns : DataFrame
        From :func:`columns_of`.
    tilt_deg : (float, float)
        Tilt about y (moves x) and about x (moves y up) [degrees], in this order of effect:
        the first moves columns along x, the second along y.
    exit_z : float
        Depth of the exit plane [Å].

    Returns
    -------
    array (n, 2)
        x and y (up) [Å].
    """
    depth = exit_z - columns["z_mean"].to_numpy()
    shift = depth[:, None] * np.tan(np.deg2rad(np.asarray(tilt_deg)))[None, :]
    return columns[["x", "y"]].to_numpy() + shift
