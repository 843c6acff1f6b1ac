"""Match found columns to true ones, and score the match."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from lowdose.runtime import UserError

GATE_NM = 0.072
"""Matching gate: 0.3 of the 0.240 nm between neighbouring Pt columns along [110]."""

PAPER_GATE_NM = 0.062
"""The paper's gate, 10 px of 6.2 pm."""


def match(
    true_nm: np.ndarray, found_nm: np.ndarray, gate_nm: float = GATE_NM
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match two sets of columns one to one.

    Among all one-to-one matchings with no pair further apart than the gate, take those with most
    pairs, and among them the one of least total distance.

    Parameters
    ----------
    true_nm, found_nm : array (column, 2)
        Positions (x, y) [nm].
    gate_nm : float
        Greatest distance of a pair [nm], itself allowed; positive.

    Returns
    -------
    i_true, i_found : int array (pair,)
        Indices of the pairs, by increasing `i_true`.
    distance_nm : float array (pair,)
        Their distances [nm], the localisation errors.

    Raises
    ------
    UserError
        If the gate is not positive.
    """
    if not gate_nm > 0:
        raise UserError(f"The matching gate is {gate_nm} nm; give a positive distance.")
    true_nm = np.asarray(true_nm, dtype=np.float64).reshape(-1, 2)
    found_nm = np.asarray(found_nm, dtype=np.float64).reshape(-1, 2)
    empty = np.empty(0, dtype=np.intp)
    if not len(true_nm) or not len(found_nm):
        return empty, empty, np.empty(0)
    near = cKDTree(true_nm).query_ball_tree(cKDTree(found_nm), gate_nm)
    i = np.repeat(np.arange(len(near)), [len(n) for n in near])
    if not len(i):
        return empty, empty, np.empty(0)
    j = np.concatenate([np.asarray(n, dtype=np.intp) for n in near])
    distance = np.linalg.norm(true_nm[i] - found_nm[j], axis=1)
    pairs = [_assign(i[part], j[part], distance[part], gate_nm) for part in _parts(i, j)]
    i_true = np.concatenate([p[0] for p in pairs])
    i_found = np.concatenate([p[1] for p in pairs])
    order = np.argsort(i_true)
    i_true, i_found = i_true[order], i_found[order]
    return i_true, i_found, np.linalg.norm(true_nm[i_true] - found_nm[i_found], axis=1)


def scores(n_true: int, n_found: int, n_matched: int) -> dict[str, float]:
    """Return precision, recall, F1 and Jaccard of a one-to-one match.

    Parameters
    ----------
    n_true, n_found, n_matched : int
        Numbers of true columns, found columns and pairs.

    Returns
    -------
    dict
        ``precision = matched / found``, ``recall = matched / true``,
        ``f1 = 2 matched / (true + found)``, ``jaccard = matched / (true + found - matched)``.
        With nothing to find and nothing found all are 1.  With nothing found, precision has no
        value (NaN), the rest is 0; with nothing to find but something found, recall has none.
        Averages over frames should therefore pool the counts, not average the ratios.

    Raises
    ------
    UserError
        If a number is negative or there are more pairs than columns.
    """
    if n_matched < 0 or n_matched > min(n_true, n_found):
        raise UserError(
            f"{n_matched} pairs of {n_true} true and {n_found} found columns are impossible; "
            "count the pairs of a one-to-one match."
        )
    if n_true == n_found == 0:
        return {"precision": 1.0, "recall": 1.0, "f1": 1.0, "jaccard": 1.0}
    return {
        "precision": n_matched / n_found if n_found else float("nan"),
        "recall": n_matched / n_true if n_true else float("nan"),
        "f1": 2 * n_matched / (n_true + n_found),
        "jaccard": n_matched / (n_true + n_found - n_matched),
    }


def _parts(i: np.ndarray, j: np.ndarray) -> list[np.ndarray]:
    """Return the candidate pairs of each connected component: small problems of their own."""
    shape = (int(i.max()) + 1, int(j.max()) + 1)
    size = sum(shape)
    graph = coo_matrix((np.ones(len(i), dtype=bool), (i, j + shape[0])), shape=(size, size))
    label = connected_components(graph, directed=False)[1][i]
    order = np.argsort(label, kind="stable")
    return np.split(order, np.nonzero(np.diff(label[order]))[0] + 1)


def _assign(i, j, distance, gate_nm) -> tuple[np.ndarray, np.ndarray]:
    if len(i) == 1:
        return i, j
    rows, row = np.unique(i, return_inverse=True)
    cols, col = np.unique(j, return_inverse=True)
    # One pair more outweighs any saving in distance, so the number of pairs is greatest first.
    reward = 2 * gate_nm * (min(len(rows), len(cols)) + 1)
    cost = np.zeros((len(rows), len(cols)))
    cost[row, col] = distance - reward
    r, c = linear_sum_assignment(cost)
    real = cost[r, c] < 0
    return rows[r[real]], cols[c[real]]
