"""The facets are those of a Winterbottom construction, and recipes are a stated rule."""

import numpy as np
import pytest

from lowdose.structures.lattices import ORIENTATION
from lowdose.structures.shapes import (
    FAMILIES,
    LEFT_100,
    RIGHT_111,
    TOP,
    recipe,
    winterbottom,
)

COUNTS = {"PtNp1": 7, "PtNp2": 7, "PtNp3": 8, "PtNp4": 7}


def indices(normal: np.ndarray) -> tuple[int, ...]:
    """Miller indices of a direction in the image, scaled to -1, 0 and 1."""
    crystal = ORIENTATION.T @ normal
    return tuple(int(i) for i in np.rint(crystal / np.abs(crystal).max()))


@pytest.mark.parametrize("adhesion", [0.4, 0.9, 1.5])
def test_facets_are_111_and_100_at_the_distances_of_their_energies(adhesion):
    facets = winterbottom(1.15, adhesion)
    assert facets.interface == pytest.approx(1 - adhesion)
    assert np.allclose(np.linalg.norm(facets.normals, axis=1), 1)
    named = [indices(n) for n in facets.normals]
    assert len(set(named)) == len(named)
    for name, normal, distance in zip(named, facets.normals, facets.distances, strict=True):
        order = sum(map(abs, name))  # 3 for {111}, 1 for {100}
        assert distance == pytest.approx({3: 1.0, 1: 1.15}[order])
        assert np.allclose(normal, ORIENTATION @ np.array(name) / np.sqrt(order), atol=1e-6)
    assert (1, 1, 1) in named  # the top
    assert (-1, -1, -1) not in named  # the interface


def test_free_particle_shares_its_surface_as_the_closed_form_says():
    # Truncated octahedron of {111} distance 1: its octahedron has an edge of sqrt(6) and a
    # vertex at sqrt(3); a plane at distance r cuts a square of side s = sqrt(2) (sqrt(3) - r).
    ratio = 1.3
    side = np.sqrt(2) * (np.sqrt(3) - ratio)
    squares = 6 * side**2
    triangles = 8 * np.sqrt(3) / 4 * 6 - 24 * np.sqrt(3) / 4 * side**2
    # With an adhesion near 0 the interface takes one of the eight hexagons away.
    free = squares + triangles * 7 / 8
    assert winterbottom(ratio, 1e-4).share_100 == pytest.approx(squares / free, rel=1e-3)
    # In the image lie the (111) at 70.5°, whose outline meets (00-1) below it.
    corner = np.linalg.solve([RIGHT_111[:2], [-LEFT_100[0], -LEFT_100[1]]], [1, ratio])
    assert winterbottom(ratio, 1e-4).width == pytest.approx(2 * corner[0], rel=1e-4)


def test_ratio_and_adhesion_shape_the_particle():
    assert winterbottom(1.72, 0.5).share_100 < 0.001 < winterbottom(1.60, 0.5).share_100
    assert winterbottom(1.15, 0.5).share_100 > winterbottom(1.40, 0.5).share_100
    # The raft is cut above the widest height: it is narrower than the free shape.
    assert winterbottom(1.15, 1.5).width < winterbottom(1.15, 0.5).width


def test_named_facets_are_seen_edge_on():
    assert [indices(np.array(n)) for n in (TOP, RIGHT_111, LEFT_100)] == [
        (1, 1, 1), (1, 1, -1), (0, 0, 1)
    ]  # fmt: skip
    angles = [np.degrees(np.arccos(n[1])) for n in (RIGHT_111, LEFT_100)]
    assert angles == pytest.approx([70.53, 54.74], abs=0.01)


def test_recipes_interleave_the_sizes_and_stay_in_their_ranges():
    recipes = [recipe(f, i, n, (15.0, 30.0)) for f, n in COUNTS.items() for i in range(n)]
    sizes = np.sort([r.size for r in recipes])
    assert len(recipes) == 29
    assert sizes[0] == pytest.approx(15 + 15 / 56)  # PtNp1a: (0 + 1/8) / 7
    assert sizes[-1] == pytest.approx(15 + 15 * 6.875 / 7)  # PtNp4g: (6 + 7/8) / 7
    assert np.diff(sizes).min() > 0.05
    for r in recipes:
        family = FAMILIES[r.family]
        assert family.ratio_100[0] <= r.ratio_100 <= family.ratio_100[1]
        assert family.adhesion[0] <= r.adhesion <= family.adhesion[1]
    assert len({(r.family, r.ratio_100, r.adhesion) for r in recipes}) == 29
    # The first term of the golden sequence is half the golden ratio's inverse.
    assert recipes[0].adhesion == pytest.approx(0.45 + 0.5 * 0.618034 / 2, abs=1e-4)
    assert {r.variant for r in recipes if r.family == "PtNp3"} == {"plain", "truncated", "stepped"}
    assert min(f.adhesion[0] for f in FAMILIES.values()) > 0
    assert not any(f.adhesion[0] <= 1 <= f.adhesion[1] for f in FAMILIES.values())
