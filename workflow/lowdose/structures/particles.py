"""Metal particles: oriented fcc lattices cut by the facets of their Winterbottom shape."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from lowdose.runtime import UserError
from lowdose.structures.lattices import fcc_sites
from lowdose.structures.shapes import (
    FAMILIES,
    LEFT_100,
    RIGHT_111,
    TOP,
    Facets,
    Recipe,
    winterbottom,
)
from lowdose.structures.truth import column_means, group_columns, missing_neighbours

FEWEST_BONDS = 5  # a surface atom with fewer would have left: apices, stray rows
FEWEST_COLUMNS = 4  # a facet row must have as many to be split by a step


@dataclass(frozen=True)
class Particle:
    """A perfect base shape.

    Attributes
    ----------
    positions : array (n, 3)
        Right, up, beam [Å]; the lowest layer is at y = 0.
    scale : float
        Distance of the {111} facets from the Wulff centre [Å].
    share_100 : float
        Share of {100} in the free surface of the polyhedron.
    stepped : str
        Facet that carries a step, empty for none.
    twin_layer : int
        Number of the layer that both twins share, counted from the interface as 0; -1 for a
        single crystal.
    """

    positions: np.ndarray
    scale: float
    share_100: float
    stepped: str
    twin_layer: int


@functools.lru_cache(maxsize=256)
def cut(recipe: Recipe, lattice_constant: float) -> Particle:
    """Cut one base shape from the lattice.

    The polyhedron is scaled until the width of the particle in the image (between the centres
    of its outermost columns) is as near to ``recipe.size`` as whole columns allow.

    Parameters
    ----------
    recipe : Recipe
        From :func:`lowdose.structures.shapes.recipe`.
    lattice_constant : float
        fcc lattice constant [Å].

    Raises
    ------
    UserError
        If no atoms are left, or a stepped shape has no facet wide enough for a step.
    """
    facets = winterbottom(recipe.ratio_100, recipe.adhesion)
    guess = recipe.size / facets.width
    twin = _twin_layer(recipe, guess * facets.interface, lattice_constant)
    reach = 1.4 * max(recipe.size, 2 * guess) + 2 * lattice_constant
    bond = lattice_constant / np.sqrt(2)
    sites, grain = _lattice(reach, twin, lattice_constant)
    scales = _smallest_scale(sites, grain, facets, np.array(recipe.centre) * bond)
    # Loose atoms and a cut facet take columns off the width that the polyhedron has.
    aim, found = recipe.size, []
    for _ in range(2):
        scale = _nearest(scales, sites[:, 0], aim, guess)
        inside = scales <= scale
        positions, stepped = _finished(sites[inside], grain[inside], recipe, lattice_constant)
        width = np.ptp(positions[:, 0]) if len(positions) else 0.0
        particle = Particle(positions, scale, facets.share_100, stepped, twin)
        found.append((abs(width - recipe.size), len(found), particle))
        aim += recipe.size - width
    best = min(found)[2]
    if len(best.positions) == 0:
        raise UserError(
            f"A particle of {recipe.size / 10:.2f} nm has no atoms; raise structures.size_nm, "
            "1.0 nm works."
        )
    return best


def _finished(
    positions: np.ndarray, grain: np.ndarray, recipe: Recipe, lattice_constant: float
) -> tuple[np.ndarray, str]:
    """Clear a cut particle of loose atoms and overhangs, and make its variant."""
    bond = lattice_constant / np.sqrt(2)
    positions = _pruned(positions[_carried(positions, grain, bond)], bond)
    if grain.any():
        positions = _pruned(_without_sharp_rows(positions, lattice_constant), bond)
    stepped = ""
    if recipe.variant == "truncated":
        positions = _pruned(positions[~_outermost(positions, LEFT_100)], bond)
    elif recipe.variant == "stepped":
        positions, stepped = _stepped(positions, recipe)
        positions = _pruned(positions, bond)
    return positions, stepped


def _twin_layer(recipe: Recipe, centre_height: float, lattice_constant: float) -> int:
    """Put the twin plane next to the Wulff centre, where both grains have the same outline."""
    if not FAMILIES[recipe.family].twinned:
        return -1
    return max(2, round(centre_height / (lattice_constant / np.sqrt(3))))


def _lattice(reach: float, twin: int, lattice_constant: float) -> tuple[np.ndarray, np.ndarray]:
    """Return sites from the interface upwards, and the grain (0 or 1) of each.

    The upper grain of a twin is the mirror image of the lower one on the plane they share:
    stacking ...ABCBA... .
    """
    below = np.array([reach, 0.0 if twin < 0 else reach, reach])
    sites = fcc_sites(lattice_constant, -below, np.full(3, reach))
    if twin < 0:
        return sites, np.zeros(len(sites), dtype=int)
    height = twin * lattice_constant / np.sqrt(3)
    lower = sites[(sites[:, 1] > -1e-6) & (sites[:, 1] < height + 1e-6)]
    upper = sites[sites[:, 1] < height - 1e-6] * [1, -1, 1] + [0, 2 * height, 0]
    grain = np.repeat([0, 1], [len(lower), len(upper)])
    return np.concatenate([lower, upper]), grain


def _smallest_scale(
    sites: np.ndarray, grain: np.ndarray, facets: Facets, centre: np.ndarray
) -> np.ndarray:
    """Return the scale from which on each site lies inside the polyhedron on the interface.

    The Wulff centre rises with the scale s, at (cx, s i, cz), so that facet n at distance d
    holds a site p if  p.n - (cx nx + cz nz) <= s (d + i ny).
    """
    # A twin's facets are those of the lower grain turned by 180° about the interface normal.
    turned = facets.normals * np.array([-1, 1, -1])
    scale = np.empty(len(sites))
    for number, normals in enumerate((facets.normals, turned)):
        here = grain == number
        offset = normals[:, 0] * centre[0] + normals[:, 2] * centre[1]
        need = (sites[here] @ normals.T - offset) / (
            facets.distances + facets.interface * normals[:, 1]
        )
        scale[here] = need.max(axis=1, initial=0.0)
    return scale


def _nearest(scales: np.ndarray, x: np.ndarray, size: float, guess: float) -> float:
    """Return the scale near `guess` at which the width comes nearest to `size`."""
    order = np.argsort(scales, kind="stable")
    widths = np.maximum.accumulate(x[order]) - np.minimum.accumulate(x[order])
    tried = guess * np.linspace(0.8, 1.3, 101)
    count = np.searchsorted(scales[order], tried + 1e-6)
    miss = np.abs(np.where(count > 0, widths[count - 1], 0.0) - size)
    near = np.flatnonzero(miss < miss.min() + 1e-3)
    return float(tried[near[np.argmin(np.abs(tried[near] - guess))]] + 1e-6)


def _carried(positions: np.ndarray, grain: np.ndarray, bond: float) -> np.ndarray:
    """Return which atoms stay if those of the upper grain must rest on three atoms below.

    Else the upper grain, whose outline differs from the lower one's, would overhang it.
    """
    keep = np.ones(len(positions), dtype=bool)
    for height in np.unique(np.round(positions[grain == 1, 1], 3)):
        layer = np.flatnonzero(np.abs(positions[:, 1] - height) < 0.01)
        below = positions[keep & (positions[:, 1] < height - 0.01)]
        near = cKDTree(below).query_ball_point(positions[layer], 1.1 * bond)
        keep[layer] = [len(n) >= 3 for n in near]
    return keep


def _pruned(positions: np.ndarray, bond: float) -> np.ndarray:
    """Remove loose atoms, again and again: what is left is rows of well-bound atoms.

    Loose are atoms of fewer than `FEWEST_BONDS` bonds, of which the support counts for three,
    and single atoms that stand alone in projection.
    """
    while len(positions):
        near = cKDTree(positions).query_ball_point(positions, 1.1 * bond, return_length=True) - 1
        keep = near + 3 * (positions[:, 1] < 0.01) >= FEWEST_BONDS
        label = group_columns(positions[:, :2])
        keep &= np.bincount(label)[label] > 1
        if keep.all():
            break
        positions = positions[keep]
    return positions


def _without_sharp_rows(positions: np.ndarray, lattice_constant: float) -> np.ndarray:
    """Remove rows that have two neighbours only: where twins of unequal outline meet."""
    while len(positions):
        label = group_columns(positions[:, :2])
        points = column_means(positions, label)[:, :2]
        sharp = missing_neighbours(points, lattice_constant) >= 4
        if not sharp.any():
            break
        positions = positions[~sharp[label]]
    return positions


def _outermost(positions: np.ndarray, normal: tuple[float, float, float]) -> np.ndarray:
    height = positions @ np.array(normal)
    return height > height.max(initial=-np.inf) - 0.1


def _stepped(positions: np.ndarray, recipe: Recipe) -> tuple[np.ndarray, str]:
    """Take half of a facet's outermost layer off, so that a step edge runs along the beam."""
    facets = {"(111) top": TOP, "(11-1) right": RIGHT_111, "(001) left": LEFT_100}
    if FAMILIES[recipe.family].twinned:
        # The upper grain is turned by 180°.
        mirror = np.array([-1, 1, 1])
        facets = {"(111) top": TOP, "(11-1) left": tuple(RIGHT_111 * mirror),
                  "(001) right": tuple(LEFT_100 * mirror)}  # fmt: skip
    for name, normal in facets.items():
        layer = _outermost(positions, normal)
        along = positions[:, :2] @ np.array([normal[1], -normal[0]])  # down the facet, or right
        rows = np.unique(np.round(along[layer], 2))
        if len(rows) >= FEWEST_COLUMNS:
            # The right half of the top or the upper half of a side.
            ahead = np.sign(normal[0]) if normal[0] else -1.0
            half = np.sort(ahead * rows)[: len(rows) // 2]
            off = layer & (ahead * along < half[-1] + 0.1)
            return positions[~off], name
    raise UserError(
        f"A stepped particle of {recipe.size / 10:.2f} nm of family {recipe.family} has no facet "
        f"of {FEWEST_COLUMNS} columns for a step; raise structures.size_nm, 1.5 nm works."
    )
