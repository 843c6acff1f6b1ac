"""Platinum particles: four families of faceted shapes on a (111) interface."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from lowdose.structures.lattices import ORIENTATION, fcc_sites

FAMILIES = ("PtNp1", "PtNp2", "PtNp3", "PtNp4")


@dataclass(frozen=True)
class Habit:
    """Proportions of a family (our meaning; the paper does not publish its own).

    Attributes
    ----------
    ratio_100 : float
        Distance of the {100} facets over that of the {111} facets: 1.15 is the Wulff ratio
        of platinum, sqrt(3) = 1.73 the whole octahedron.
    top : float
        Distance of the upper (111) facet over that of the other {111} facets.
    foot : float
        Height of the Wulff centre above the interface over the {111} distance (Winterbottom:
        1 is a free particle, 0 a half particle).
    twin : float or None
        Height of a (111) twin plane over the particle's height, None for a single crystal.
    """

    ratio_100: float
    top: float
    foot: float
    twin: float | None
    meaning: str


HABITS = {
    "PtNp1": Habit(1.15, 1.0, 0.55, None, "Winterbottom shape of a truncated octahedron"),
    "PtNp2": Habit(1.15, 0.55, 0.35, None, "flat, raft-like: strong adhesion"),
    "PtNp3": Habit(1.50, 1.0, 0.45, None, "octahedral: almost no {100} facets, sharp corners"),
    "PtNp4": Habit(1.15, 1.0, 0.55, 0.55, "twinned on a (111) plane parallel to the interface"),
}

# Where the Wulff centre sits in the unit cell (in nearest-neighbour units along x and z):
# on an atom, between two, or in a hollow; it decides which facets gain or lose a row.
CENTRES = ((0.0, 0.0), (0.5, 0.0), (0.25, 0.25), (0.0, 0.5), (0.75, 0.25))


def particle(
    family: str, size: float, centre: tuple[float, float], lattice_constant: float
) -> np.ndarray:
    """Cut a particle of one family from the lattice.

    Parameters
    ----------
    family : str
        One of `FAMILIES`.
    size : float
        Width of the particle in the image, about: twice the {111} distance [Å].
    centre : (float, float)
        Shift of the Wulff centre along x and z in nearest-neighbour distances.
    lattice_constant : float
        fcc lattice constant [Å].

    Returns
    -------
    array (n, 3)
        Positions [Å]; the lowest layer is at y = 0, and x = z = 0 is the Wulff centre.
    """
    habit = HABITS[family]
    d111 = size / 2
    spacing = lattice_constant / np.sqrt(3)
    # Whole layers below the centre, so that the lowest layer is complete.
    foot = max(1, round(habit.foot * d111 / spacing)) * spacing
    reach = 1.8 * d111 + lattice_constant
    neighbour = lattice_constant / np.sqrt(2)
    shift = np.array([centre[0], 0.0, centre[1]]) * neighbour
    sites = fcc_sites(
        lattice_constant, np.array([-reach, -foot, -reach]), np.array([reach, reach, reach])
    )
    inside = np.ones(len(sites), dtype=bool)
    for normal in itertools.product((-1, 1), repeat=3):
        direction = ORIENTATION @ np.array(normal) / np.sqrt(3)
        limit = d111 * (habit.top if normal == (1, 1, 1) else 1.0)
        inside &= (sites - shift) @ direction <= limit + 1e-6
    for axis, sign in itertools.product(range(3), (-1, 1)):
        direction = ORIENTATION @ (sign * np.eye(3)[axis])
        inside &= (sites - shift) @ direction <= habit.ratio_100 * d111 + 1e-6
    positions = sites[inside]
    positions = positions - shift + [0, foot, 0]
    if habit.twin is not None:
        positions = _twinned(positions, habit.twin, spacing, lattice_constant)
    return positions


def _twinned(
    positions: np.ndarray, height: float, spacing: float, lattice_constant: float
) -> np.ndarray:
    """Turn the layers above a twin plane by 180° about the (111) normal.

    The turned crystal is the mirror image on the shared layer; it is shifted within the plane
    so that the stacking continues as ...ABCBA... .
    """
    layer = np.rint(positions[:, 1] / spacing).astype(int)
    plane = int(np.clip(round(height * layer.max()), 1, max(1, layer.max() - 1)))
    upper = layer > plane
    shared = positions[layer == plane]
    turned = positions[upper] * np.array([-1.0, 1.0, -1.0])
    # Layer n above the plane must sit where layer n below it sits: shift x accordingly.
    row = lattice_constant / np.sqrt(6)  # lateral step between layers
    origin = shared[np.argmin(np.abs(shared[:, 0]) + np.abs(shared[:, 2]))]
    above = positions[layer == plane + 1]
    if len(above) == 0:
        return positions
    reference = turned[layer[upper] == plane + 1]
    target = origin + np.array([-row, spacing, 0.0])
    move = target - reference[np.argmin(np.abs(reference[:, 0] - target[0]) * 10
                                        + np.abs(reference[:, 2] - target[2]))]  # fmt: skip
    turned = turned + np.array([move[0], 0.0, move[2]])
    return np.concatenate([positions[~upper], turned])
