"""Occupancy, relaxation, strain and rotation do what their closed forms say."""

import numpy as np
import pytest

from lowdose import seeds
from lowdose.structures.deformation import occupied, relaxation, strained, turned
from lowdose.structures.particles import cut
from lowdose.structures.shapes import recipe
from lowdose.structures.truth import column_means, group_columns, missing_neighbours

PT = 3.92
BOND = PT / np.sqrt(2)


@pytest.fixture(scope="module")
def perfect() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, labels and missing neighbours of PtNp1g."""
    positions = cut(recipe("PtNp1", 6, 7, (15.0, 30.0)), PT).positions
    label = group_columns(positions[:, :2])
    return positions, label, missing_neighbours(column_means(positions, label)[:, :2], PT)


def test_full_occupancy_keeps_everything_and_none_keeps_one(perfect):
    positions, label, missing = perfect
    assert occupied(positions, label, missing, (1.0, 1.0), seeds.rng(0)).all()
    keep = occupied(positions, label, missing, (0.01, 0.01), seeds.rng(0))
    left = np.bincount(label[keep])
    assert np.all(left[missing > 0] == 1)
    assert np.array_equal(left[missing == 0], np.bincount(label)[missing == 0])


def test_surface_columns_lose_their_ends_in_equal_parts(perfect):
    positions, label, missing = perfect
    keep = occupied(positions, label, missing, (0.5, 0.5), seeds.rng(0))
    for column in np.flatnonzero(missing > 0):
        z = np.sort(positions[label == column, 2])
        left = np.sort(positions[keep & (label == column), 2])
        assert len(left) == round(0.5 * len(z))
        assert np.allclose(np.diff(left), BOND)  # in one piece
        lost_low, lost_high = np.sum(z < left[0] - 0.1), np.sum(z > left[-1] + 0.1)
        assert 0 <= lost_low - lost_high <= 1


def test_shares_are_uniform_over_their_range(perfect):
    positions, label, missing = perfect
    shares = []
    for n in range(40):
        keep = occupied(positions, label, missing, (0.4, 1.0), seeds.rng(n))
        rows = np.bincount(label)[missing > 0]
        shares += list((np.bincount(label[keep])[missing > 0] / rows)[rows >= 8])
    assert np.mean(shares) == pytest.approx(0.7, abs=0.02)
    assert np.std(shares) == pytest.approx(0.6 / np.sqrt(12), abs=0.02)


def test_relaxation_moves_facets_along_their_normals(perfect):
    positions, _, _ = perfect
    moves = relaxation(positions, positions, PT, 2.0)
    length = np.linalg.norm(moves, axis=1)
    moved = length > 1e-9
    assert np.allclose(length[moved], 0.02 * BOND)
    assert np.allclose(relaxation(positions, positions, PT, -2.0), -moves)
    top = positions[:, 1] > positions[:, 1].max() - 0.1
    middle = top & (np.linalg.norm(positions[:, [0, 2]], axis=1) < 6)
    assert middle.any()
    assert np.allclose(moves[middle], [0, 0.02 * BOND, 0])
    # The interface stays at its height, and its inner atoms stay altogether.
    lowest = positions[:, 1] < 0.1
    assert np.abs(moves[lowest, 1]).max() == 0
    assert np.abs(moves[lowest & (np.linalg.norm(positions[:, [0, 2]], axis=1) < 5)]).max() == 0
    inside = np.linalg.norm(positions - positions.mean(axis=0), axis=1) < 5
    assert np.abs(moves[inside]).max() == 0


def test_strain_has_the_height_of_a_biaxially_strained_film():
    corners = np.array([[0.0, 0, 0], [10, 20, 30]])
    moved = strained(corners, np.array([5.0, 10, 15]), 2.0)
    assert np.ptp(moved, axis=0) == pytest.approx([10.2, 20 * (1 - 0.02 * 0.78 / 0.61), 30.6])
    assert moved[0] == pytest.approx([-0.1, 0, -0.3])  # about the middle; the foot stays


def test_rotation_is_about_the_normal_through_the_middle():
    middle = np.array([1.0, 7.0, 2.0])
    moved = turned(np.array([[1.0, 3.0, 12.0], [1.0, 5.0, 2.0]]), middle, 90.0)
    assert moved == pytest.approx(np.array([[11.0, 3.0, 2.0], [1.0, 5.0, 2.0]]))
