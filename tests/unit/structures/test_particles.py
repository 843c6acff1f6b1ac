"""Particles are metal in zone axis, faceted, complete at the interface; the fourth is a twin."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from lowdose.runtime import UserError
from lowdose.structures.particles import FEWEST_BONDS, cut
from lowdose.structures.shapes import FAMILIES, LEFT_100, Recipe, recipe, winterbottom
from lowdose.structures.truth import missing_neighbours

PT = 3.92
BOND, SPACING = PT / np.sqrt(2), PT / np.sqrt(3)
COUNTS = {"PtNp1": 7, "PtNp2": 7, "PtNp3": 8, "PtNp4": 7}
RECIPES = [recipe(f, i, n, (15.0, 30.0)) for f, n in COUNTS.items() for i in range(n)]


def columns(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct projected positions of an ideal particle, and the atoms of each."""
    return np.unique(np.round(positions[:, :2], 3) + 0.0, axis=0, return_counts=True)


def name(r: Recipe) -> str:
    return f"{r.family}{chr(97 + r.index)}"


@pytest.mark.parametrize("r", RECIPES, ids=name)
def test_every_base_shape_is_a_sound_particle(r):
    positions = cut(r, PT).positions
    points, counts = columns(positions)
    assert counts.min() >= 2
    # Straight rows of atoms, a bond apart.
    for x, y in points:
        row = positions[np.hypot(positions[:, 0] - x, positions[:, 1] - y) < 0.3]
        assert np.allclose(np.diff(np.sort(row[:, 2])), BOND)
    # Atoms touch at the bond length, are bound by five or more, and twelve inside.
    tree = cKDTree(positions)
    assert np.allclose(tree.query(positions, k=2)[0][:, 1], BOND)
    bonds = tree.query_ball_point(positions, 1.1 * BOND, return_length=True) - 1
    lowest = positions[:, 1] < 0.01
    assert (bonds + 3 * lowest).min() >= FEWEST_BONDS
    assert bonds.max() == 12
    # The lowest row is complete, and no row of the outline sticks out alone.
    foot = np.sort(points[points[:, 1] < 0.01, 0])
    assert np.allclose(np.diff(foot), PT * np.sqrt(3 / 8), atol=2e-3)
    assert missing_neighbours(points, PT).max() <= 3
    # The width is the one aimed at, to one column.
    assert abs(np.ptp(points[:, 0]) - r.size) < PT * np.sqrt(3 / 8)


def test_single_crystals_fill_the_polyhedron_of_their_facets():
    for r in RECIPES:
        if r.variant != "plain" or FAMILIES[r.family].twinned:
            continue
        particle, facets = cut(r, PT), winterbottom(r.ratio_100, r.adhesion)
        centre = np.array([r.centre[0] * BOND, particle.scale * facets.interface,
                           r.centre[1] * BOND])  # fmt: skip
        height = (particle.positions - centre) @ facets.normals.T
        limit = particle.scale * facets.distances
        assert np.all(height <= limit + 1e-5)
        # No facet lies more than two of its layers (and a lost apex) inside the polyhedron.
        assert np.all(height.max(axis=0) > limit - 2 * SPACING)


def test_facets_are_seen_at_70_and_55_degrees_from_the_top():
    # PtNp1g: the right side is (11-1) above the equator, the left side (001).
    positions = cut(RECIPES[6], PT).positions
    points, _ = columns(positions)
    rows = [points[np.abs(points[:, 1] - n * SPACING) < 0.1, 0] for n in range(9)]
    lower, upper = rows[-2:]
    right = np.degrees(np.arctan2(SPACING, lower.max() - upper.max()))
    left = np.degrees(np.arctan2(SPACING, upper.min() - lower.min()))
    assert (right, left) == pytest.approx((70.53, 54.74), abs=0.1)


def test_stepped_shapes_show_a_step_and_truncated_ones_a_shorter_facet():
    for r in RECIPES:
        particle = cut(r, PT)
        points = columns(particle.positions)[0]
        if r.variant == "stepped":
            top = points[:, 1] > points[:, 1].max() - 0.1
            next_row = np.abs(points[:, 1] - points[:, 1].max() + SPACING) < 0.1
            missing = missing_neighbours(points, PT)
            assert particle.stepped == "(111) top"
            assert top.sum() >= 2
            # A column at the foot of the step lacks one neighbour; right of it lies a terrace.
            foot = points[next_row & (missing == 1), 0].max()
            terrace = next_row & (points[:, 0] > foot)
            assert foot > points[top, 0].max()
            assert terrace.sum() >= 2
            assert set(missing[terrace]) <= {2, 3}
        else:
            assert particle.stepped == ""
        if r.variant == "truncated":
            facets = winterbottom(r.ratio_100, r.adhesion)
            centre = [r.centre[0] * BOND, particle.scale * facets.interface, 0]
            height = ((particle.positions - centre) @ np.array(LEFT_100)).max()
            # {100} layers are a / 2 apart.
            assert height <= particle.scale * r.ratio_100 - PT / 2 + 1e-5


@pytest.mark.parametrize("r", [r for r in RECIPES if r.family == "PtNp4"], ids=name)
def test_twin_has_both_stackings_and_whole_bulk_at_the_plane(r):
    particle = cut(r, PT)
    positions, plane = particle.positions, particle.twin_layer
    layer = np.rint(positions[:, 1] / SPACING).astype(int)
    assert 2 <= plane <= layer.max() - 2
    # From layer to layer the columns step by one third of their distance: one way below the
    # plane, the other way above it: ABC below, CBA above.
    period = PT * np.sqrt(3 / 8)
    phase = np.array([positions[layer == n, 0][0] % period for n in range(layer.max() + 1)])
    step = np.rint((np.diff(phase) % period) / period * 3).astype(int) % 3
    assert set(step) == {1, 2}
    assert np.flatnonzero(np.diff(step)).tolist() == [plane - 1]
    bonds = cKDTree(positions).query_ball_point(positions, 1.1 * BOND, return_length=True) - 1
    middle = positions[layer == plane].mean(axis=0)
    core = (layer == plane) & (np.linalg.norm(positions - middle, axis=1) < 1.2 * BOND)
    assert core.any()
    assert np.all(bonds[core] == 12)
    # Nothing of the upper grain overhangs: each of its atoms rests on three.
    for atom in positions[layer > plane]:
        below = positions[np.abs(positions[:, 1] - atom[1] + SPACING) < 0.1]
        assert np.sum(np.linalg.norm(below - atom, axis=1) < 1.1 * BOND) == 3


def test_base_shapes_are_29_particles_of_one_and_a_half_to_three_nm():
    seen, widths = set(), []
    for r in RECIPES:
        points = cut(r, PT).positions
        local = np.round(points - points.min(axis=0), 1) + 0.0
        seen.add(local[np.lexsort(local.T)].tobytes())
        widths.append(np.ptp(points[:, 0]))
    assert len(seen) == 29
    assert min(widths) < 17.0
    assert max(widths) > 28.5


def test_families_are_what_they_are_called():
    by_family = {f: [cut(r, PT) for r in RECIPES if r.family == f] for f in FAMILIES}
    flat = {f: np.median([np.ptp(p.positions[:, 1]) / np.ptp(p.positions[:, 0]) for p in ps])
            for f, ps in by_family.items()}  # fmt: skip
    assert flat["PtNp2"] < 0.35 < min(flat["PtNp1"], flat["PtNp3"], flat["PtNp4"])
    assert max(p.share_100 for p in by_family["PtNp3"]) < 0.06
    assert min(p.share_100 for p in by_family["PtNp1"]) > 0.15
    assert {p.twin_layer >= 0 for p in by_family["PtNp4"]} == {True}
    assert {p.twin_layer for f in ("PtNp1", "PtNp2", "PtNp3") for p in by_family[f]} == {-1}


def test_too_small_a_particle_is_refused():
    small = Recipe("PtNp1", 0, 2.0, 1.15, 0.9, (0.25, 0.25), "plain")
    with pytest.raises(UserError, match=r"0\.20 nm has no atoms"):
        cut(small, PT)
    with pytest.raises(UserError, match="no facet of 4 columns for a step"):
        cut(Recipe("PtNp1", 0, 6.0, 1.15, 0.7, (0.0, 0.0), "stepped"), PT)
