"""Surface defects of a particle (meanings ours: the paper does not publish its own).

D0 none; D1 one surface column removed; D2 two removed; Dh one column reduced to half its
atoms; Ds an adatom column on a facet.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from lowdose.runtime import UserError
from lowdose.structures.truth import (
    NEIGHBOUR_REACH,
    _group,
    missing_neighbours,
)

DEFECTS = ("D0", "D1", "D2", "Dh", "Ds")
FEWEST_ATOMS = 4  # a column of fewer atoms is not where one looks for a vacancy


def apply_defect(
    positions: np.ndarray, defect: str, rng: np.random.Generator, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Make one surface defect.

    Parameters
    ----------
    positions : array (n, 3)
        A perfect particle: right, up, beam [Å], lowest layer at y = 0.
    defect : str
        One of `DEFECTS`.
    rng : numpy.random.Generator
        Chooses the site.  The same generator state gives D1, D2 and Dh the same first site,
        so that they differ from D0 in that column alone (matched pairs).
    name : str
        Base shape, for messages.

    Returns
    -------
    positions : array (m, 3)
    changed : array (k, 3)
        Where columns were taken away or added: x, y and mean z of each [Å].

    Raises
    ------
    UserError
        If the particle has no site for it.
    """
    if defect == "D0":
        return positions, np.zeros((0, 3))
    label = _group(positions[:, :2])
    columns = np.array([positions[label == i].mean(axis=0) for i in range(label.max() + 1)])
    counts = np.bincount(label)
    order = np.lexsort(np.round(columns[:, :2], 3).T)
    if defect == "Ds":
        return _with_adatom(positions, label, columns, rng, name)
    missing = missing_neighbours(columns[:, :2])
    # Edges and facets: taking an acute corner away only gives another, smaller particle.
    usable = (missing >= 2) & (missing <= 3) & (counts >= FEWEST_ATOMS) & (columns[:, 1] > 0.5)
    candidates = [i for i in order if usable[i]]
    if not candidates:
        raise UserError(
            f"{name} has no surface column of {FEWEST_ATOMS} atoms or more for defect {defect}; "
            "make the particle larger (structures.size_nm)."
        )
    first = int(rng.choice(candidates))
    if defect == "Dh":
        column = positions[label == first]
        keep = label != first
        half = column[np.argsort(column[:, 2])][: (len(column) + 1) // 2]
        return np.concatenate([positions[keep], half]), columns[[first]]
    removed = [first]
    if defect == "D2":
        distance = np.linalg.norm(columns[:, :2] - columns[first, :2], axis=1)
        others = [i for i in candidates if distance[i] > 2 * NEIGHBOUR_REACH]
        if not others:
            raise UserError(
                f"{name} has no second surface column for defect D2 away from the first; make "
                "the particle larger (structures.size_nm)."
            )
        removed.append(int(rng.choice(others)))
    return positions[~np.isin(label, removed)], columns[removed]


def _with_adatom(
    positions: np.ndarray,
    label: np.ndarray,
    columns: np.ndarray,
    rng: np.random.Generator,
    name: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Continue the lattice by one column that rests on two surface columns."""
    tree = cKDTree(columns[:, :2])
    steps = {tuple(s) for i, near in enumerate(tree.query_ball_point(columns[:, :2], 3.3))
             for j in near if i != j
             for s in [np.round(columns[j, :2] - columns[i, :2], 4)]}  # fmt: skip
    bond = cKDTree(positions).query(positions, k=2)[0][:, 1].min()
    found = {}
    for x, y, _ in columns:
        for dx, dy in sorted(steps):
            site = np.array([x + dx, y + dy])
            resting = tree.query_ball_point(site, NEIGHBOUR_REACH)
            distance = tree.query(site)[0]
            # On top of a facet (not beside the foot), on two columns, touching none.
            if len(resting) == 2 and distance > 2.2 and site[1] > columns[:, 1].max() * 0.4:
                depth = _bound_depths(site, positions[np.isin(label, resting)], bond)
                if len(depth):
                    found[tuple(np.round(site, 1))] = (site, depth)
    if not found:
        raise UserError(f"{name} has no facet for an adatom (defect Ds); make it larger.")
    key = sorted(found)[int(rng.integers(len(found)))]
    site, depth = found[key]
    column = np.column_stack([np.full(len(depth), site[0]), np.full(len(depth), site[1]), depth])
    return np.concatenate([positions, column]), column.mean(axis=0, keepdims=True)


def _bound_depths(site: np.ndarray, support: np.ndarray, bond: float) -> np.ndarray:
    """Return the depths z [Å] at which an atom on `site` is bound and too close to none.

    Those are the hollows of the facet: three bonds on {111}, four on {100}.
    """
    candidates = np.unique(np.round(np.concatenate([support[:, 2], support[:, 2] + bond / 2]), 6))
    candidates = candidates[np.diff(candidates, prepend=-np.inf) > 1e-3]
    atoms = np.column_stack([np.broadcast_to(site, (len(candidates), 2)), candidates])
    distance = np.linalg.norm(atoms[:, None] - support[None], axis=2)
    bonds = np.sum(np.abs(distance - bond) < 0.02 * bond, axis=1)
    return candidates[(bonds >= 3) & (distance.min(axis=1) > 0.98 * bond)]
