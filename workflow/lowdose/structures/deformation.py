"""What the paper's models do not have: thinned surface columns, relaxation, strain, registry.

All of it is decided by the perfect particle of a base shape, so that its defects and thicknesses
share it and matched pairs still differ in one column alone.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

POISSON_RATIO = 0.39  # of bulk platinum; gold 0.42 to 0.44
FULL_SHELL = 12  # neighbours of an atom inside fcc


def occupied(
    positions: np.ndarray,
    label: np.ndarray,
    missing: np.ndarray,
    share: tuple[float, float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Thin the surface columns: draw the share of its atoms that each one keeps.

    Parameters
    ----------
    positions : array (n, 3)
        Right, up, beam [Å].
    label : array (n,) of int
        Number of each atom's column, from 0.
    missing : array (columns,) of int
        Neighbours that each column lacks; 0 inside the particle, which is left as it is.
    share : (float, float)
        Range of the share, 0 to 1, uniform.
    rng : numpy.random.Generator

    Returns
    -------
    array (n,) of bool
        Atoms that stay.  Those at the two ends of a column go first, in turn; one always stays.
    """
    keep = np.ones(len(positions), dtype=bool)
    for column in np.flatnonzero(missing > 0):
        atoms = np.flatnonzero(label == column)
        atoms = atoms[np.argsort(positions[atoms, 2])]
        left = max(1, round(float(rng.uniform(*share)) * len(atoms)))
        gone = len(atoms) - left
        keep[atoms[: (gone + 1) // 2]] = False
        keep[atoms[len(atoms) - gone // 2 :]] = False
    return keep


def relaxation(
    positions: np.ndarray, around: np.ndarray, lattice_constant: float, percent: float
) -> np.ndarray:
    """Return how far the outermost atoms move.

    An atom with fewer than 12 neighbours moves along minus the sum of the directions to them
    (outwards) by `percent` of the neighbour distance.  Atoms of the lowest layer have the
    support for neighbours and move sideways only.

    Parameters
    ----------
    positions : array (n, 3)
        Atoms to move [Å], the lowest layer of the particle at y = 0.
    around : array (m, 3)
        All atoms that count as neighbours, `positions` among them [Å].
    lattice_constant : float
        [Å].
    percent : float
        Positive is outwards.

    Returns
    -------
    array (n, 3)
        Displacements [Å].
    """
    bond = lattice_constant / np.sqrt(2)
    moves = np.zeros_like(positions)
    for i, near in enumerate(cKDTree(around).query_ball_point(positions, 1.1 * bond)):
        delta = around[near] - positions[i]
        distance = np.linalg.norm(delta, axis=1)
        delta = delta[distance > 0.1 * bond]
        if len(delta) >= FULL_SHELL:
            continue
        outward = -(delta / np.linalg.norm(delta, axis=1, keepdims=True)).sum(axis=0)
        if positions[i, 1] < 0.01:
            outward[1] = 0.0
        length = np.linalg.norm(outward)
        if length > 0.01:
            moves[i] = outward / length * percent / 100 * bond
    return moves


def strained(positions: np.ndarray, middle: np.ndarray, percent: float) -> np.ndarray:
    """Strain a particle in the interface plane; its height follows.

    A film that is strained by e along both directions of its plane and free upwards strains by
    ``-2 nu / (1 - nu) e`` in height (isotropic elasticity, nu the Poisson ratio): -1.28 e.

    Parameters
    ----------
    positions : array (n, 3)
        [Å], the lowest layer at y = 0.
    middle : array (3,)
        Its x and z stay where they are [Å].
    percent : float
        100 e.
    """
    e = percent / 100
    up = -2 * POISSON_RATIO / (1 - POISSON_RATIO) * e
    origin = middle * [1, 0, 1]
    return (positions - origin) * [1 + e, 1 + up, 1 + e] + origin


def turned(positions: np.ndarray, middle: np.ndarray, degrees: float) -> np.ndarray:
    """Rotate positions (n, 3) about the interface normal through `middle`, from z towards x."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    rotation = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    origin = middle * [1, 0, 1]
    return (positions - origin) @ rotation.T + origin
