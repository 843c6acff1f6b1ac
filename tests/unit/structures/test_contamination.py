"""Amorphous carbon on the particle: as dense as it is, and no closer than a bond."""

import numpy as np
import pytest
from ase import Atoms
from scipy.spatial import cKDTree

from lowdose.structures.contamination import (
    CLOSEST_CARBON,
    CLOSEST_METAL,
    DENSITY,
    contaminated,
)


@pytest.fixture(scope="module")
def ball() -> Atoms:
    """A ball of platinum on a simple cubic lattice above a sheet of cerium."""
    grid = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), -1).reshape(-1, 3) * 2.7
    metal = grid[np.linalg.norm(grid, axis=1) < 8.2] + [25, 20, 20]
    sheet = np.stack(np.meshgrid(np.arange(1, 50, 3.8), [9.5], np.arange(4, 36, 3.8)), -1)
    sheet = sheet.reshape(-1, 3)
    symbols = ["Pt"] * len(metal) + ["Ce"] * len(sheet)
    return Atoms(symbols, positions=np.vstack([metal, sheet]), cell=[50, 50, 40])


@pytest.fixture(scope="module")
def covered(ball) -> Atoms:
    return contaminated(ball, 8.0, np.random.default_rng(3))


def carbon_of(atoms: Atoms) -> np.ndarray:
    return atoms.positions[[s == "C" for s in atoms.get_chemical_symbols()]]


def test_the_model_itself_stays(ball, covered):
    assert np.array_equal(covered.positions[: len(ball)], ball.positions)
    assert np.array_equal(covered.numbers[: len(ball)], ball.numbers)
    assert np.array_equal(covered.cell, ball.cell)


def test_no_atom_is_closer_than_a_bond(ball, covered):
    carbon = carbon_of(covered)
    assert cKDTree(carbon).query(carbon, k=2)[0][:, 1].min() > CLOSEST_CARBON
    assert cKDTree(ball.positions).query(carbon)[0].min() > CLOSEST_METAL - 1e-9


def test_carbon_lies_on_the_particle_above_the_support(ball, covered):
    carbon = carbon_of(covered)
    metal = ball.positions[ball.numbers == 78]
    assert cKDTree(metal).query(carbon)[0].max() < 8.0 + CLOSEST_METAL
    assert carbon[:, 1].min() > 9.5 + CLOSEST_METAL - 1e-9


@pytest.mark.parametrize("cover", [0.25, 0.5, 1.0])
def test_density_is_that_of_amorphous_carbon_over_the_covered_share(ball, cover):
    # A second route: the volume within reach of the particle, by counting random points.
    rng = np.random.default_rng(8)
    low, high = np.array([5.0, 11.5, 1.0]), np.array([45.0, 38.0, 39.0])
    points = rng.uniform(low, high, (200_000, 3))
    distance = cKDTree(ball.positions[ball.numbers == 78]).query(points)[0]
    share = np.mean((distance > CLOSEST_METAL) & (distance < 8.0 + CLOSEST_METAL))
    volume = share * np.prod(high - low)
    count = len(carbon_of(contaminated(ball, 8.0, np.random.default_rng(3), cover)))
    assert count == pytest.approx(cover * DENSITY * volume, rel=0.1)


def test_half_a_cover_leaves_bare_patches(covered):
    # Patches, not a thin veil: most neighbourhoods are full or empty.
    carbon = carbon_of(covered)
    places = np.random.default_rng(1).uniform([14, 14, 9], [36, 31, 31], (4000, 3))
    shell = np.abs(np.linalg.norm(places - [25, 20, 20], axis=1) - 13.0) < 1.5
    near = cKDTree(carbon).query_ball_point(places[shell], 3.0, return_length=True)
    # A veil of the same mean would leave exp(-mean) of them empty.
    assert np.mean(near == 0) > 5 * np.exp(-near.mean())
