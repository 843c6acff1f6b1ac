"""Surface defects of a particle (meanings ours: the paper does not publish its own).

D0 none; D1 one surface column removed; D2 that one and a second one, no neighbour of it; Dh the
first one reduced to half its atoms; Ds one column added: an adatom column, which rests on two
columns of a facet, or a step-edge column, which has a third one beside it and so continues a
terrace.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from lowdose.runtime import UserError
from lowdose.structures.truth import NEIGHBOUR_REACH, column_means, missing_neighbours

DEFECTS = ("D0", "D1", "D2", "Dh", "Ds")
FEWEST_ATOMS = 4  # a column of fewer atoms is not where one looks for a vacancy
FEWEST_LEFT = 2  # of a column whose occupancy was lowered: else it cannot be halved
FEWEST_ADDED = 2  # a row, no lone atom


@dataclass(frozen=True)
class Change:
    """What a defect changes in a perfect particle.

    Attributes
    ----------
    kept : array of int
        Which atoms of the perfect particle stay.
    added : array (k, 3)
        Positions of new atoms, one column [Å].
    columns : tuple of int
        Numbers of the columns at stake; a new column has the number after the last.
    """

    kept: np.ndarray
    added: np.ndarray
    columns: tuple[int, ...] = ()


def find_defect(
    positions: np.ndarray,
    label: np.ndarray,
    defect: str,
    lattice_constant: float,
    rng: np.random.Generator,
    name: str,
    full: np.ndarray | None = None,
) -> Change:
    """Choose the site of one surface defect.

    Parameters
    ----------
    positions : array (n, 3)
        A perfect particle on its ideal lattice: right, up, beam [Å], lowest layer at y = 0.
    label : array (n,) of int
        Number of each atom's column, from 0.
    defect : str
        One of `DEFECTS`.
    lattice_constant : float
        Of the particle [Å].
    rng : numpy.random.Generator
        Chooses the site.  The same generator state gives D1, D2 and Dh the same first site,
        so that each of them differs from the next in one column alone (matched pairs).
    name : str
        Base shape, for messages.
    full : array (columns,) of int, optional
        Atoms of each column before its occupancy was lowered, which decide where a vacancy may
        be, so that the occupancy does not move it; at least two atoms must be left.

    Raises
    ------
    UserError
        If the particle has no site for it.
    """
    everything = np.arange(len(positions))
    nothing = np.zeros((0, 3))
    if defect == "D0":
        return Change(everything, nothing)
    columns = column_means(positions, label)[:, :2]
    if defect == "Ds":
        added = _new_column(positions, label, columns, lattice_constant, rng, name)
        return Change(everything, added, (len(columns),))
    counts = np.bincount(label)
    missing = missing_neighbours(columns, lattice_constant)
    # Edges and facets: taking an acute corner away only gives another, smaller particle.
    usable = (missing >= 2) & (missing <= 3) & (columns[:, 1] > 0.5)
    usable &= (counts >= FEWEST_LEFT) & ((counts if full is None else full) >= FEWEST_ATOMS)
    candidates = [i for i in np.lexsort(np.round(columns, 3).T) if usable[i]]
    if not candidates:
        raise UserError(
            f"{name} has no surface column of {FEWEST_ATOMS} atoms or more for defect {defect}; "
            "make the particle larger (structures.size_nm) or its columns fuller "
            "(structures.surface_occupancy)."
        )
    first = int(rng.choice(candidates))
    if defect == "Dh":
        atoms = np.flatnonzero(label == first)
        atoms = atoms[np.argsort(positions[atoms, 2])]
        taken = atoms[(len(atoms) + 1) // 2 :]
        return Change(np.setdiff1d(everything, taken), nothing, (first,))
    removed = [first]
    if defect == "D2":
        distance = np.linalg.norm(columns - columns[first], axis=1)
        reach = NEIGHBOUR_REACH * lattice_constant
        others = [i for i in candidates if distance[i] > 2 * reach]
        if not others:  # a small particle: the farthest that is no neighbour
            others = [
                i for i in candidates if distance[i] > max(reach, *distance[candidates]) - 0.1
            ]
        if not others:
            raise UserError(
                f"{name} has no second surface column for defect D2 away from the first; make "
                "the particle larger (structures.size_nm)."
            )
        removed.append(int(rng.choice(others)))
    return Change(everything[~np.isin(label, removed)], nothing, tuple(removed))


def _new_column(
    positions: np.ndarray,
    label: np.ndarray,
    columns: np.ndarray,
    lattice_constant: float,
    rng: np.random.Generator,
    name: str,
) -> np.ndarray:
    """Continue the lattice by one column on a facet or along a step edge."""
    found = new_columns(positions, label, columns, lattice_constant)
    if not found:
        raise UserError(
            f"{name} has no facet for the new column of defect Ds; make the particle larger "
            "(structures.size_nm)."
        )
    return found[int(rng.integers(len(found)))]


def new_columns(
    positions: np.ndarray, label: np.ndarray, columns: np.ndarray, lattice_constant: float
) -> list[np.ndarray]:
    """Return every column by which the lattice may go on: on a facet or along a step edge.

    Parameters
    ----------
    positions : array (n, 3)
        A perfect particle on its ideal lattice: right, up, beam [Å], lowest layer at y = 0.
    label : array (n,) of int
        Number of each atom's column, from 0.
    columns : array (columns, 2)
        Projected position of each column [Å].
    lattice_constant : float
        Of the particle [Å].

    Returns
    -------
    list of array (k, 3)
        Atoms of each [Å], sorted by x and y.
    """
    reach = NEIGHBOUR_REACH * lattice_constant
    bond = lattice_constant / np.sqrt(2)
    tree = cKDTree(columns)
    steps = {tuple(s) for i, near in enumerate(tree.query_ball_point(columns, reach))
             for j in near if i != j
             for s in [np.round(columns[j] - columns[i], 4)]}  # fmt: skip
    found = {}
    for x, y in columns:
        for dx, dy in sorted(steps):
            site = np.array([x + dx, y + dy])
            resting = tree.query_ball_point(site, reach)
            apart = tree.query(site)[0] > 0.56 * lattice_constant
            # On top of a facet (not beside the foot), on two or three columns, touching none.
            if len(resting) in (2, 3) and apart and site[1] > columns[:, 1].max() * 0.4:
                depth = _bound_depths(site, positions[np.isin(label, resting)], bond)
                if len(depth) >= FEWEST_ADDED:
                    found[tuple(np.round(site, 1))] = (site, depth)
    return [
        np.column_stack([np.full(len(depth), site[0]), np.full(len(depth), site[1]), depth])
        for _, (site, depth) in sorted(found.items(), key=lambda item: item[0])
    ]


def _bound_depths(site: np.ndarray, support: np.ndarray, bond: float) -> np.ndarray:
    """Return the depths z [Å] at which an atom on `site` is bound and too close to none.

    Those are the hollows of the facet: three bonds on {111}, four on {100}, more at a step.
    """
    candidates = np.unique(np.round(np.concatenate([support[:, 2], support[:, 2] + bond / 2]), 6))
    candidates = candidates[np.diff(candidates, prepend=-np.inf) > 1e-3]
    atoms = np.column_stack([np.broadcast_to(site, (len(candidates), 2)), candidates])
    distance = np.linalg.norm(atoms[:, None] - support[None], axis=2)
    bonds = np.sum(np.abs(distance - bond) < 0.02 * bond, axis=1)
    return candidates[(bonds >= 3) & (distance.min(axis=1) > 0.98 * bond)]
