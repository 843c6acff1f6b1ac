"""True columns: where they are, how many atoms they hold, whether they face the vacuum."""

from __future__ import annotations

import numpy as np
import pandas as pd
from ase import Atoms
from scipy.spatial import cKDTree

# Six neighbours of a bulk column lie at 0.240 nm (four) and 0.277 nm (two); the next shell
# begins at 0.392 nm.
NEIGHBOUR_REACH = 3.3  # Å
SAME_COLUMN = 0.3  # Å

SITES = {1: "step", 2: "facet", 3: "edge", 4: "corner"}  # by missing neighbours; 5, 6: adatom


def columns_of(atoms: Atoms) -> pd.DataFrame:
    """Group the metal atoms of an untilted model into atomic columns along z.

    Parameters
    ----------
    atoms : ase.Atoms
        Image right, up and beam along x, y and z [Å].  Oxygen is left out: its columns do not
        count as columns of the image.

    Returns
    -------
    pandas.DataFrame
        One row a column: ``x, y`` [Å, y up], ``z_mean, z_low, z_high`` [Å], ``element``,
        ``n_atoms``, ``is_surface`` and ``site`` (see :func:`sites_of`; Ce has none).
    """
    tables = []
    for element in sorted(set(atoms.get_chemical_symbols()) - {"O"}):
        positions = atoms.positions[[s == element for s in atoms.get_chemical_symbols()]]
        label = _group(positions[:, :2])
        table = pd.DataFrame(positions, columns=["x", "y", "z"]).groupby(label)
        columns = pd.DataFrame(
            {
                "x": table["x"].mean(),
                "y": table["y"].mean(),
                "z_mean": table["z"].mean(),
                "z_low": table["z"].min(),
                "z_high": table["z"].max(),
                "element": element,
                "n_atoms": table.size(),
            }
        )
        if element == "Ce":
            columns["is_surface"], columns["site"] = False, "support"
        else:
            missing = missing_neighbours(columns[["x", "y"]].to_numpy())
            columns["is_surface"] = missing > 0
            columns["site"] = sites_of(missing)
        tables.append(columns)
    return pd.concat(tables, ignore_index=True).sort_values(
        ["element", "y", "x"], ignore_index=True
    )


def missing_neighbours(points: np.ndarray) -> np.ndarray:
    """Count the neighbours that each column of a particle lacks towards the vacuum.

    A bulk column of fcc along [110] has six projected neighbours, also at a (111) twin plane.
    Columns of the lowest layer have two of them on the side of the support, which do not
    count: the interface is not a surface.

    Parameters
    ----------
    points : array (n, 2)
        Projected positions (x, y up) [Å] of the untilted particle.

    Returns
    -------
    array (n,) of int
        0 for bulk and interface columns.
    """
    if len(points) == 0:
        return np.zeros(0, dtype=int)
    tree = cKDTree(points)
    neighbours = np.array([len(n) - 1 for n in tree.query_ball_point(points, NEIGHBOUR_REACH)])
    lowest = points[:, 1] < points[:, 1].min() + 0.5
    return np.maximum(np.where(lowest, 4, 6) - neighbours, 0)


def sites_of(missing: np.ndarray) -> list[str]:
    """Name the site by the number of missing neighbours.

    0 bulk, 1 step (re-entrant, for example beside a vacancy), 2 facet, 3 edge (obtuse corner
    of the outline), 4 corner (acute), 5 or 6 adatom.
    """
    return ["bulk" if n == 0 else SITES.get(int(n), "adatom") for n in missing]


def _group(points: np.ndarray) -> np.ndarray:
    """Label points that coincide in projection, within `SAME_COLUMN`."""
    pairs = cKDTree(points).query_pairs(SAME_COLUMN, output_type="ndarray")
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points),) * 2)
    return connected_components(graph, directed=False)[1]


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
