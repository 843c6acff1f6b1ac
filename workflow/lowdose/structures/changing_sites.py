"""Where the surface of a particle may change: places for each kind of change, and their choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from lowdose.runtime import UserError
from lowdose.structures.defects import FEWEST_ATOMS, FEWEST_LEFT, new_columns
from lowdose.structures.particles import FEWEST_COLUMNS
from lowdose.structures.shapes import LEFT_100, RIGHT_111, TOP
from lowdose.structures.truth import NEIGHBOUR_REACH, column_means, missing_neighbours

LOCAL_KINDS = ("step", "corner", "adatom", "vacancy", "partial")  # those of few places first
NEEDS = {
    "step": f"facet of {FEWEST_COLUMNS} columns",
    "corner": "column where two facets meet",
    "adatom": "facet with room for a new column",
    "vacancy": f"surface column of {FEWEST_ATOMS} atoms or more",
    "partial": f"surface column of {FEWEST_ATOMS} atoms or more",
}
TRIALS = 200  # random orders in which places are handed out


@dataclass(frozen=True)
class Site:
    """A place that changes as one.

    Attributes
    ----------
    columns : tuple of int
        Its columns of the perfect particle, from 0; none for a column that comes.
    points : array (k, 2)
        Projected positions of its columns on the ideal lattice [Å].
    added : array (m, 3)
        Atoms of a column that comes, on the ideal lattice [Å].
    """

    columns: tuple[int, ...]
    points: np.ndarray
    added: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))


def candidates(
    kind: str, positions: np.ndarray, label: np.ndarray, full: np.ndarray, lattice_constant: float
) -> list[Site]:
    """Return all places of a perfect particle at which a change may happen.

    Parameters
    ----------
    kind : str
        One of `LOCAL_KINDS`: `vacancy` and `partial` take what the defects D1 and Dh take,
        `adatom` what Ds adds; `corner` is a column that lacks three (obtuse) or four (acute)
        neighbours, where two facets meet; `step` is either half of the outermost row of a facet
        that is seen edge-on.
    positions : array (n, 3)
        The particle on its ideal lattice: right, up, beam [Å], lowest layer at y = 0.
    label : array (n,) of int
        Number of each atom's column, from 0.
    full : array (columns,) of int
        Atoms of each column before its occupancy was lowered.
    lattice_constant : float
        Of the particle [Å].
    """
    columns = column_means(positions, label)[:, :2]
    if kind == "adatom":
        return [
            Site((), atoms[:1, :2], atoms)
            for atoms in new_columns(positions, label, columns, lattice_constant)
        ]
    # What rests on the support stays.
    free = columns[:, 1] > 0.5
    if kind == "step":
        return [
            Site(half, columns[list(half)]) for half in _terraces(columns) if free[[*half]].all()
        ]
    missing = missing_neighbours(columns, lattice_constant)
    if kind == "corner":
        usable = free & (missing >= 3) & (missing <= 4)
    else:
        usable = free & (missing >= 2) & (missing <= 3) & (full >= FEWEST_ATOMS)
        usable &= np.bincount(label) >= FEWEST_LEFT
    return [Site((int(i),), columns[[i]]) for i in np.lexsort(np.round(columns, 3).T) if usable[i]]


def choose_sites(
    kinds: Sequence[str],
    possible: Mapping[str, Sequence[Site]],
    seen: Callable[[Site], tuple[bool, bool]],
    lattice_constant: float,
    rng: np.random.Generator,
    name: str,
) -> list[Site]:
    """Choose one place for each process, no column of one a neighbour of another's.

    Parameters
    ----------
    kinds : sequence of str
        Kind of each process, of `LOCAL_KINDS`.
    possible : mapping
        All places of each kind, from :func:`candidates`.
    seen : callable
        Says of a place whether a movie shows it always, and whether it shows it at all.  Places
        that it always shows are preferred, those that it never shows are not taken.
    lattice_constant : float
        Of the particle [Å].
    rng : numpy.random.Generator
    name : str
        Base shape, for messages.

    Returns
    -------
    list of Site
        In the order of `kinds`.

    Raises
    ------
    UserError
        If a kind has no such place in the movie, or they have no room beside each other.
    """
    views = {kind: [seen(site) for site in possible[kind]] for kind in dict.fromkeys(kinds)}
    for kind, of_kind in views.items():
        if not any(sometimes for _, sometimes in of_kind):
            raise UserError(
                f"{name} shows no {NEEDS[kind]} in the filmed square for the process {kind}; "
                "choose another base_shape, a larger side_px or less drift."
            )
    order = sorted(range(len(kinds)), key=lambda i: LOCAL_KINDS.index(kinds[i]))
    reach = NEIGHBOUR_REACH * lattice_constant
    for grade in (0, 1):  # shown always, shown at times
        for _ in range(TRIALS):
            chosen: dict[int, Site] = {}
            for i in order:
                views_of, sites = views[kinds[i]], possible[kinds[i]]
                shown = [n for n in rng.permutation(len(sites)) if views_of[n][grade]]
                taken = list(chosen.values())
                free = [n for n in shown if all(_apart(sites[n], t, reach) for t in taken)]
                if not free:
                    break
                # Where a place that is shown at times will do, one that always is is better.
                chosen[i] = sites[next((n for n in free if views_of[n][0]), free[0])]
            if len(chosen) == len(kinds):
                return [chosen[i] for i in range(len(kinds))]
    raise UserError(
        f"{name} has no room in the filmed square for {len(kinds)} processes whose columns are no "
        "neighbours; take fewer sites, another base_shape or a larger side_px."
    )


def _apart(one: Site, other: Site, reach: float) -> bool:
    return float(cKDTree(one.points).query(other.points)[0].min()) > reach


def _terraces(columns: np.ndarray) -> list[tuple[int, ...]]:
    """Return both halves of the outermost row of each facet that is seen edge-on."""
    sides = [np.array(n) for n in (RIGHT_111, LEFT_100)]
    normals = [np.array(TOP), *sides, *(side * [-1, 1, 1] for side in sides)]  # twins turn them
    found: dict[tuple[int, ...], None] = {}
    for normal in normals:
        height = columns @ normal[:2]
        row = np.flatnonzero(height > height.max() - 0.1)
        if len(row) >= FEWEST_COLUMNS:
            along = columns[row] @ np.array([normal[1], -normal[0]])
            row = row[np.argsort(along)]
            half = len(row) // 2
            found[tuple(map(int, row[:half]))] = found[tuple(map(int, row[-half:]))] = None
    return list(found)
