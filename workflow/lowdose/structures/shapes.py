"""What the four families are: their energies, variants and sizes, and the Winterbottom facets."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from ase.build import bulk
from wulffpack import Winterbottom

# wulffpack turns [111] to z about [1-10], which stays where it is; the rows are the axes of the
# image in its frame: right [11-2], up [111], beam [1-10].
VIEW = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, np.sqrt(2)], [1.0, -1.0, 0.0]]) / np.sqrt(2)

# Facets that are seen edge-on, so that a step or a cut on them shows: outward normals.
TOP = (0.0, 1.0, 0.0)  # (111)
RIGHT_111 = (np.sqrt(8 / 9), 1 / 3, 0.0)  # (11-1), 70.5° from the top
LEFT_100 = (-np.sqrt(2 / 3), np.sqrt(1 / 3), 0.0)  # (001), 54.7° from the top

# Where the Wulff centre sits in the unit cell (in nearest-neighbour units along x and z):
# on an atom, between two, or in a hollow; it decides which facets gain or lose a row.
CENTRES = ((0.0, 0.0), (0.5, 0.0), (0.25, 0.25), (0.0, 0.5), (0.75, 0.25))


@dataclass(frozen=True)
class Family:
    """A family of shapes (our meaning; the paper does not publish its own).

    Attributes
    ----------
    meaning : str
        In a few words, for ``models.csv``.
    ratio_100 : (float, float)
        Range of the surface energy of {100} over that of {111}: 1.15 is about the ratio of
        platinum, sqrt(3) leaves no {100} facet.
    adhesion : (float, float)
        Range of the work of adhesion over the surface energy of {111}: 0 leaves the particle
        free, 1 halves it, 2 wets the support.  By Dupré's equation the interface costs
        1 - adhesion, which is also its distance from the Wulff centre.
    variants : tuple of str
        Taken in turn: `plain`; `truncated`, the {100} facet to the upper left lies one layer
        too deep; `stepped`, half of the outermost layer of a facet is missing.
    twinned : bool
        Whether the crystal turns into its twin at a (111) plane parallel to the interface.
    """

    meaning: str
    ratio_100: tuple[float, float]
    adhesion: tuple[float, float]
    variants: tuple[str, ...]
    twinned: bool = False


FAMILIES = {
    "PtNp1": Family(
        "truncated octahedron of moderate adhesion (Winterbottom)",
        (1.10, 1.20), (0.45, 0.95), ("plain", "truncated", "stepped"),
    ),
    "PtNp2": Family(
        "flat raft of strong adhesion (Winterbottom)",
        (1.10, 1.20), (1.25, 1.55), ("plain", "stepped"),
    ),
    "PtNp3": Family(
        "octahedral with little {100} (Winterbottom)",
        (1.40, 1.65), (0.60, 0.97), ("plain", "truncated", "plain", "stepped"),
    ),
    "PtNp4": Family(
        "twinned on a (111) plane parallel to the interface (Winterbottom of two grains)",
        (1.10, 1.20), (0.35, 0.75), ("plain", "plain", "stepped"), twinned=True,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """All that decides a base shape before atoms are cut; see :func:`recipe`."""

    family: str
    index: int
    size: float  # Å, width aimed at
    ratio_100: float
    adhesion: float
    centre: tuple[float, float]
    variant: str


def recipe(family: str, index: int, count: int, size_range: tuple[float, float]) -> Recipe:
    """Return the parameters of one base shape: a rule, not chance.

    Sizes step evenly through the range, and the four families interleave: shape `index` of
    `count` of family f (0 to 3) lies at the share ``(index + (f + 1/2) / 4) / count``.  The
    two energies follow additive sequences of the golden ratio and of the plastic number,
    which fill their ranges evenly for any count.  Centre and variant are taken in turn.

    Parameters
    ----------
    family : str
        One of `FAMILIES`.
    index, count : int
        Which base shape of how many of its family.
    size_range : (float, float)
        Smallest and largest width [Å].
    """
    about = FAMILIES[family]
    place = (list(FAMILIES).index(family) + 0.5) / len(FAMILIES)
    low, high = size_range
    return Recipe(
        family=family,
        index=index,
        size=low + (high - low) * (index + place) / count,
        ratio_100=_spread(about.ratio_100, index, 0.7548776662466927),
        adhesion=_spread(about.adhesion, index, 0.6180339887498949),
        centre=CENTRES[index % len(CENTRES)],
        variant=about.variants[index % len(about.variants)],
    )


def _spread(bounds: tuple[float, float], index: int, step: float) -> float:
    low, high = bounds
    return round(low + (high - low) * (((index + 0.5) * step) % 1), 4)


@dataclass(frozen=True)
class Facets:
    """The polyhedron of a Winterbottom construction of unit {111} distance.

    Attributes
    ----------
    normals : array (n, 3)
        Outward, in image coordinates (right, up, beam); the interface is left out.
    distances : array (n,)
        From the Wulff centre.
    interface : float
        Height of the Wulff centre above the interface: 1 - adhesion.
    width : float
        Extent along x.
    share_100 : float
        Share of {100} in the free surface.
    """

    normals: np.ndarray
    distances: np.ndarray
    interface: float
    width: float
    share_100: float


@functools.lru_cache(maxsize=256)
def winterbottom(ratio_100: float, adhesion: float) -> Facets:
    """Construct the equilibrium shape on a (111) interface (Winterbottom 1967, by wulffpack).

    Parameters
    ----------
    ratio_100 : float
        Surface energy of {100} over that of {111}, 0.58 to 1.73.
    adhesion : float
        Work of adhesion over the surface energy of {111}, between 0 and 2, but not 1: the
        construction of wulffpack divides by the energy of the interface.
    """
    particle = Winterbottom(
        {(1, 1, 1): 1.0, (1, 0, 0): ratio_100},
        interface_direction=(-1, -1, -1),
        interface_energy=1 - adhesion,
        primitive_structure=bulk("Pt", "fcc", a=1.0),
    )
    free = [form for form in particle.forms if form.parent_miller_indices != "interface"]
    facets = [facet for form in free for facet in form.facets]
    # wulffpack scales to a number of atoms; every facet tells by how much.
    scale = particle.forms[0].facets[0].distance_from_origin / abs(particle.forms[0].energy)
    across = [VIEW[0] @ vertex for facet in facets for vertex in facet.vertices]
    area = {key: sum(f.area for f in free if f.parent_miller_indices == key)
            for key in ((1, 1, 1), (1, 0, 0))}  # fmt: skip
    return Facets(
        normals=np.array([VIEW @ facet.normal for facet in facets]),
        distances=np.array([f.energy for f in free for _ in f.facets]),
        interface=1 - adhesion,
        width=float(max(across) - min(across)) / scale,
        share_100=float(area[1, 0, 0] / sum(area.values())),
    )
