"""A particle's own lattice, and how far its columns are from it.

Two vectors and an origin are fitted to the positions of columns, of the bulk alone where a surface
is to be measured against it; displacements and strains of all columns follow, with errors that
hold both their own and the lattice's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order
from scipy.spatial import cKDTree

from lowdose.runtime import UserError

_ALIKE = 0.2  # of the neighbour distance: steps that are one vector
_COMMON = 0.3  # of the most frequent step's number: a lattice vector's
_TOLERANCE = 0.3  # of the shorter vector: a step that is a lattice vector
_LINKED = 1.35  # of the longer vector: how far a column is linked to others
_FEWEST = 6  # columns
_BEND = 0.3  # sine of the least angle between the vectors


@dataclass(frozen=True)
class OwnLattice:
    """A lattice fitted to columns.

    Attributes
    ----------
    positions_nm : array (column, 2)
        As given, (x, y).
    origin : array (2,)
        Node (0, 0), (x, y) [nm].
    vectors : array (2, 2)
        The two lattice vectors, each (x, y) [nm].
    covariance : array (2, 3, 3)
        Of (origin, first, second vector), along x and along y [nm²].
    index : int array (column, 2)
        Which node each column is on.
    assigned : bool array (column,)
        False for columns that no chain of lattice steps leads to, or whose node another column
        is closer to.
    fitted : bool array (column,)
        True for the columns that the lattice was fitted to.
    se_nm : array (column, 2)
        Standard errors of the positions, as given or, if not, from the residuals.
    chi2_per_dof : float
        Of the fitted columns; 1 if the errors are all there is.
    hat : array (2, column, column)
        What each column (last axis) adds to the x and to the y of each node.
    """

    positions_nm: np.ndarray
    origin: np.ndarray
    vectors: np.ndarray
    covariance: np.ndarray
    index: np.ndarray
    assigned: np.ndarray
    fitted: np.ndarray
    se_nm: np.ndarray
    chi2_per_dof: float
    hat: np.ndarray

    def nodes(self) -> np.ndarray:
        """Return the node of each column, (x, y) [nm]."""
        return self.origin + self.index @ self.vectors


def fit_lattice(
    positions_nm: np.ndarray,
    se_nm: np.ndarray | float | None = None,
    *,
    reference: np.ndarray | None = None,
    vectors_nm: np.ndarray | None = None,
) -> OwnLattice:
    """Fit a lattice to columns, whatever its angle.

    Parameters
    ----------
    positions_nm : array (column, 2)
        (x, y) [nm].
    se_nm : float or array (column, 2), optional
        Standard errors of x and y [nm].  Without them all are taken as equal, and estimated from
        the residuals.
    reference : bool array (column,), optional
        Columns to fit; by default all.  The others are indexed, not fitted.
    vectors_nm : array (2, 2), optional
        Approximate lattice vectors, each (x, y); by default the two shortest steps that
        neighbours have in common.

    Returns
    -------
    OwnLattice

    Raises
    ------
    UserError
        If arrays do not fit, fewer than six columns are to be fitted, or they show no lattice.

    Notes
    -----
    Columns are numbered by walking from neighbour to neighbour, each step rounded to whole
    vectors, so that slow distortions do not add up to a wrong number.  Weighted least squares of
    ``origin + i a + j b``, x and y apart.
    """
    places = np.asarray(positions_nm, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
        raise UserError(
            f"The positions have shape {places.shape}; give finite (x, y) [nm] of every column."
        )
    chosen = np.ones(len(places), bool) if reference is None else np.asarray(reference, bool)
    if chosen.shape != (len(places),) or chosen.sum() < _FEWEST:
        raise UserError(
            f"{chosen.sum()} of {len(places)} columns are the reference; give six or more."
        )
    errors = np.broadcast_to(1.0 if se_nm is None else np.asarray(se_nm, float), places.shape)
    if not (errors > 0).all():
        raise UserError("A standard error is not positive; leave columns without one out.")
    vectors = _steps_in_common(places) if vectors_nm is None else np.asarray(vectors_nm, float)
    index, assigned = _numbered(places, vectors, chosen)
    design = np.column_stack([np.ones(len(places)), index])
    for _ in range(2):  # again without columns whose node another one is closer to
        fitted = chosen & assigned
        if fitted.sum() < _FEWEST or np.linalg.matrix_rank(design[fitted]) < 3:
            raise UserError(
                f"Only {fitted.sum()} reference columns are on one lattice, or all on one line; "
                "give more of them, or approximate lattice vectors."
            )
        solved = [_weighted(design, places[:, k], fitted / errors[:, k] ** 2) for k in range(2)]
        parameters, covariance, hats = (np.array(part) for part in zip(*solved, strict=True))
        assigned = assigned & _closest(index, places - design @ parameters.T, assigned)
    residual = (places - design @ parameters.T)[fitted] / errors[fitted]
    chi2 = float(np.sum(residual**2) / (2 * fitted.sum() - 6))
    if se_nm is None:
        covariance, errors, chi2 = covariance * chi2, errors * np.sqrt(chi2), 1.0
    return OwnLattice(
        places, parameters[:, 0], parameters[:, 1:].T, covariance, index, assigned, fitted,
        np.array(errors), chi2, hats,
    )  # fmt: skip


def displacements(lattice: OwnLattice) -> pd.DataFrame:
    """Return how far each column is from its node.

    Parameters
    ----------
    lattice : OwnLattice

    Returns
    -------
    DataFrame
        ``i, j``; ``dx_nm, dy_nm``; ``dx_se_nm, dy_se_nm``, of the position and of the node
        together (which of a fitted column are correlated); NaN where a column is on no node.
    """
    apart = lattice.positions_nm - lattice.nodes()
    own = np.eye(len(apart)) - lattice.hat
    errors = np.sqrt([(w**2) @ se**2 for w, se in zip(own, lattice.se_nm.T, strict=True)]).T
    values = np.column_stack([apart, errors])
    values[~lattice.assigned] = np.nan
    table = pd.DataFrame(values, columns=["dx_nm", "dy_nm", "dx_se_nm", "dy_se_nm"])
    table.insert(0, "i", lattice.index[:, 0])
    table.insert(1, "j", lattice.index[:, 1])
    return table


def strains(lattice: OwnLattice, *, reach: float = _LINKED) -> pd.DataFrame:
    """Return the local strain at each column against the lattice.

    Parameters
    ----------
    lattice : OwnLattice
    reach : float
        Columns within this many of the longer lattice vector are its neighbours.

    Returns
    -------
    DataFrame
        ``exx, eyy, exy``, symmetric strain; ``rotation`` [rad], from x towards y, which on the
        screen is clockwise; of each its standard error ``*_se``; ``neighbours``.  NaN for a column
        on no node or whose neighbourhood does not span the plane.

    Notes
    -----
    The gradient of the displacement, by least squares of a plane through the displacements of the
    column and its neighbours.  It is linear in all positions, those that the lattice was fitted to
    included, and so its error is exact.
    """
    places, nodes = lattice.positions_nm, lattice.nodes()
    number = len(places)
    limit = reach * np.linalg.norm(lattice.vectors, axis=1).max()
    near = np.linalg.norm(nodes[:, None] - nodes, axis=2) <= limit
    near &= lattice.assigned & lattice.assigned[:, None]
    along = np.zeros((2, number, number))
    known = np.zeros(number, dtype=bool)
    for column in np.flatnonzero(near.sum(axis=1) >= 3):
        around = np.flatnonzero(near[column])
        arm = nodes[around] - nodes[around].mean(axis=0)
        square = arm.T @ arm
        if np.linalg.eigvalsh(square)[0] > 0.05 * np.trace(square):
            along[:, column, around] = np.linalg.solve(square, arm.T)
            known[column] = True
    # Of x and of y: what each position adds to the derivatives along x and y.
    weights = along @ (np.eye(number) - lattice.hat)[:, None]
    (xx, yx), (xy, yy) = (w @ places[:, k] for k, w in enumerate(weights))
    variance = [(w**2) @ lattice.se_nm[:, k] ** 2 for k, w in enumerate(weights)]
    (v_xx, v_yx), (v_xy, v_yy) = variance
    shear_se = np.sqrt(v_yx + v_xy) / 2
    values = {
        "exx": xx, "eyy": yy, "exy": (yx + xy) / 2, "rotation": (xy - yx) / 2,
        "exx_se": np.sqrt(v_xx), "eyy_se": np.sqrt(v_yy), "exy_se": shear_se,
        "rotation_se": shear_se,
    }  # fmt: skip
    table = pd.DataFrame({name: np.where(known, value, np.nan) for name, value in values.items()})
    return table.assign(neighbours=np.maximum(near.sum(axis=1) - 1, 0))


def _weighted(design, values, weight) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the parameters of a weighted fit, their covariance, and its hat matrix."""
    spread = np.linalg.inv(design.T @ (weight[:, None] * design))
    solve = spread @ (design * weight[:, None]).T
    return solve @ values, spread, design @ solve


def _steps_in_common(places: np.ndarray) -> np.ndarray:
    """Return the two shortest vectors that many neighbours are apart."""
    tree = cKDTree(places)
    distance = np.median(tree.query(places, k=2)[0][:, 1])
    pairs = tree.query_pairs(2.1 * distance, output_type="ndarray")
    steps = places[pairs[:, 1]] - places[pairs[:, 0]]
    steps = np.concatenate([steps, -steps])
    alike = cKDTree(steps).query_ball_point(steps, _ALIKE * distance, return_length=True)
    found = []
    left = np.ones(len(steps), dtype=bool)
    while left.any():
        best = np.flatnonzero(left)[alike[left].argmax()]
        if alike[best] < _COMMON * alike.max():
            break
        group = np.linalg.norm(steps - steps[best], axis=1) < _ALIKE * distance
        found.append(steps[group].mean(axis=0))
        left &= np.linalg.norm(steps - steps[best], axis=1) > 2 * _ALIKE * distance
    found = sorted(found, key=np.linalg.norm)
    for second in found[1:]:
        first = found[0]
        area = abs(first[0] * second[1] - first[1] * second[0])
        if area > _BEND * np.linalg.norm(first) * np.linalg.norm(second):
            return np.array([first, second])
    raise UserError(
        "The columns have no two steps in common, so no lattice is seen; give approximate lattice "
        "vectors, or fewer false columns."
    )


def _numbered(places, vectors, chosen) -> tuple[np.ndarray, np.ndarray]:
    """Number the columns by walking from the middle of the reference."""
    lengths = np.linalg.norm(vectors, axis=1)
    pairs = cKDTree(places).query_pairs(_LINKED * lengths.max(), output_type="ndarray")
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    steps = places[pairs[:, 1]] - places[pairs[:, 0]]
    whole = np.rint(steps @ np.linalg.inv(vectors)).astype(int)
    off = np.linalg.norm(steps - whole @ vectors, axis=1)
    good = (off < _TOLERANCE * lengths.min()) & whole.any(axis=1)
    pairs, whole = pairs[good], whole[good]
    number = len(places)
    graph = csr_matrix((np.arange(1, len(pairs) + 1), pairs.T), shape=(number, number))
    middle = np.where(chosen, np.hypot(*(places - np.median(places[chosen], axis=0)).T), np.inf)
    order, before = breadth_first_order(graph, middle.argmin(), directed=True)
    index, assigned = np.zeros((number, 2), dtype=int), np.zeros(number, dtype=bool)
    assigned[order] = True
    for column in order[1:]:
        index[column] = index[before[column]] + whole[graph[before[column], column] - 1]
    return index, assigned


def _closest(index, apart, assigned) -> np.ndarray:
    """Return the columns that are closest to their node among those on it."""
    order = np.lexsort((np.hypot(*apart.T), *index.T, ~assigned))
    first = np.ones(len(order), dtype=bool)
    first[1:] = (index[order[1:]] != index[order[:-1]]).any(axis=1)
    kept = np.zeros(len(order), dtype=bool)
    kept[order[first]] = True
    return kept
