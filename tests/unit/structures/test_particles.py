"""Particles are Pt in zone axis, faceted, and the fourth family is a true (111) twin."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from lowdose.structures.particles import CENTRES, FAMILIES, HABITS, particle
from lowdose.structures.truth import missing_neighbours

PT = 3.92
BOND = PT / np.sqrt(2)


def columns(positions: np.ndarray) -> np.ndarray:
    """Distinct projected positions of an ideal particle."""
    return np.unique(np.round(positions[:, :2], 3) + 0.0, axis=0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("centre", CENTRES)
def test_columns_are_straight_and_spaced_by_a_bond(family, centre):
    positions = particle(family, 22.0, centre, PT)
    assert positions[:, 1].min() == pytest.approx(0)
    for x, y in columns(positions):
        here = np.hypot(positions[:, 0] - x, positions[:, 1] - y) < 0.3
        assert np.ptp(positions[here, :2], axis=0).max() < 1e-9
        assert np.allclose(np.diff(np.sort(positions[here, 2])), BOND)


@pytest.mark.parametrize("family", FAMILIES)
def test_atoms_touch_at_the_bond_length_and_bulk_has_twelve_neighbours(family):
    positions = particle(family, 26.0, (0.0, 0.0), PT)
    near = cKDTree(positions).query(positions, k=2)[0][:, 1]
    assert np.allclose(near, BOND)
    coordination = np.array([len(n) - 1 for n in cKDTree(positions).query_ball_point(
        positions, 1.1 * BOND)])  # fmt: skip
    assert coordination.max() == 12
    middle = np.linalg.norm(positions - positions.mean(axis=0), axis=1) < BOND
    assert np.all(coordination[middle] == 12)


def test_facets_lie_at_the_distances_of_the_habit():
    size, habit = 30.0, HABITS["PtNp1"]
    positions = particle("PtNp1", size, (0.0, 0.0), PT)
    spacing = PT / np.sqrt(3)
    foot = round(habit.foot * size / 2 / spacing) * spacing
    # The upper (111) facet is the last whole layer within the Wulff distance of the centre.
    assert positions[:, 1].max() == pytest.approx(
        foot + np.floor(size / 2 * habit.top / spacing) * spacing
    )
    from lowdose.structures.lattices import ORIENTATION

    centred = positions - [0, foot, 0]
    for axis in np.eye(3):
        assert np.abs(centred @ (ORIENTATION @ axis)).max() <= habit.ratio_100 * size / 2 + 1e-6


@pytest.mark.parametrize("size", [15.5, 18.0, 21.0, 25.0, 29.0])
@pytest.mark.parametrize("centre", CENTRES)
def test_twin_has_both_stackings_and_whole_bulk_at_the_plane(size, centre):
    positions = particle("PtNp4", size, centre, PT)
    spacing, row = PT / np.sqrt(3), PT / np.sqrt(6)
    period = PT * np.sqrt(3 / 8)
    layer = np.rint(positions[:, 1] / spacing).astype(int)
    # From layer to layer the columns step by one third of their distance: right below the
    # plane and left above it, or the other way round; ABC below, CBA above.
    phase = np.array([positions[layer == n, 0][0] % period for n in range(layer.max() + 1)])
    step = np.round((np.diff(phase) % period) / row * 2).astype(int)
    turns = np.flatnonzero(np.diff(step))
    assert set(step) == {1, 2}
    assert len(turns) == 1
    # At the plane, too, inner columns have six neighbours in projection and twelve in space.
    plane = turns[0] + 1
    points = columns(positions)
    at_plane = points[np.abs(points[:, 1] - plane * spacing) < 0.3]
    missing = missing_neighbours(points)
    inner = np.abs(at_plane[:, 0] - np.median(at_plane[:, 0])) < 3.0
    of_plane = np.abs(points[:, 1] - plane * spacing) < 0.3
    assert np.all(missing[of_plane][inner] == 0)
    coordination = np.array([len(n) - 1 for n in cKDTree(positions).query_ball_point(
        positions, 1.1 * BOND)])  # fmt: skip
    middle = np.median(at_plane[:, 0])
    core = (layer == plane) & (np.abs(positions[:, 0] - middle) < 2.5)
    core &= np.abs(positions[:, 2] - positions[layer == plane, 2].mean()) < 1.5
    assert core.any()
    assert np.all(coordination[core] == 12)


def test_families_and_centres_give_different_particles():
    seen = set()
    for family in FAMILIES:
        for centre in CENTRES[:3]:
            points = particle(family, 24.0, centre, PT)
            local = np.round(points - points.min(axis=0), 1)
            seen.add(local[np.lexsort(local.T)].tobytes())
    assert len(seen) == 12
