"""Both lattices are the crystals that they claim to be, seen along [110] with (111) upwards."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from lowdose.structures.lattices import (
    NEIGHBOUR_DISTANCE,
    ORIENTATION,
    column_spacing,
    fcc_sites,
)
from lowdose.structures.support import lateral_period, layer_spacing, support_slab

PT, CEO2 = 3.92, 5.411


def test_frame_of_reference_is_right_handed_and_orthogonal():
    assert np.linalg.det(ORIENTATION) == pytest.approx(1)
    assert np.allclose(ORIENTATION @ ORIENTATION.T, np.eye(3))


def test_fcc_site_has_twelve_neighbours_then_six():
    sites = fcc_sites(PT, np.full(3, -6.0), np.full(3, 6.0))
    distance = np.sort(np.linalg.norm(sites, axis=1))
    assert np.allclose(distance[1:13], PT / np.sqrt(2))  # 2.772 Å
    assert np.allclose(distance[13:19], PT)


def test_box_holds_as_many_sites_as_its_volume():
    # One period of the oriented lattice: a sqrt(3/2) x a sqrt(3) x a/sqrt(2) holds 6 atoms.
    period = PT * np.array([np.sqrt(1.5), np.sqrt(3), np.sqrt(0.5)])
    sites = fcc_sites(PT, np.full(3, -0.01), 4 * period - 0.02)
    assert len(sites) == 6 * 4**3


def test_projected_neighbours_are_0240_and_0277_nm_apart():
    sites = fcc_sites(PT, np.full(3, -12.0), np.full(3, 12.0))
    projected = np.unique(np.round(sites[:, :2], 6), axis=0)
    distance = np.sort(np.linalg.norm(projected, axis=1))[1:]
    near, far = column_spacing(PT)
    assert (near, far) == pytest.approx((2.4005, 2.7719), abs=1e-4)
    assert np.allclose(distance[:4], near)
    assert np.allclose(distance[4:6], far)
    assert distance[6] == pytest.approx(PT, abs=1e-5)  # the next shell, 0.392 nm


@pytest.mark.parametrize(("layers", "nm"), [(16, 3.06), (21, 4.02), (26, 4.97), (31, 5.93)])
def test_support_thickness_of_the_paper(layers, nm):
    slab = support_slab(CEO2, periods=3, layers=layers, trilayers=2)
    planes = np.unique(np.round(slab.positions[:, 2], 3))
    assert len(planes) == layers
    # Each layer is as thick as the spacing: the outermost atoms are one spacing less apart.
    assert layers * layer_spacing(CEO2) == pytest.approx(10 * nm, abs=0.05)
    assert np.ptp(planes) == pytest.approx((layers - 1) * layer_spacing(CEO2), abs=1e-3)


def test_support_is_stoichiometric_with_oxygen_on_both_faces():
    slab = support_slab(CEO2, periods=4, layers=16, trilayers=5)
    symbols = np.array(slab.get_chemical_symbols())
    assert np.sum(symbols == "O") == 2 * np.sum(symbols == "Ce")
    # Per trilayer, lateral period and pair of (220) layers: 2 Ce.
    assert np.sum(symbols == "Ce") == 5 * 4 * 16
    height = slab.positions[:, 1]
    assert height[symbols == "O"].min() < height[symbols == "Ce"].min()
    assert height[symbols == "O"].max() > height[symbols == "Ce"].max()


def test_support_has_the_bonds_of_fluorite():
    slab = support_slab(CEO2, periods=4, layers=16, trilayers=5)
    symbols = np.array(slab.get_chemical_symbols())
    middle = slab.positions.mean(axis=0)
    cerium = slab.positions[symbols == "Ce"]
    centre = cerium[np.argmin(np.linalg.norm(cerium - middle, axis=1))]
    oxygen = np.sort(np.linalg.norm(slab.positions[symbols == "O"] - centre, axis=1))
    metal = np.sort(np.linalg.norm(cerium - centre, axis=1))
    assert np.allclose(oxygen[:8], NEIGHBOUR_DISTANCE["Ce", "O"], atol=1e-3)  # a cube of 8 O
    assert oxygen[8] > 4
    assert np.allclose(metal[1:13], NEIGHBOUR_DISTANCE["Ce", "Ce"], atol=1e-3)


def test_support_repeats_across_its_lateral_boundary():
    slab = support_slab(CEO2, periods=3, layers=6, trilayers=2)
    width = 3 * lateral_period(CEO2)
    assert slab.cell.lengths()[0] == pytest.approx(width)
    for element in ("Ce", "O"):
        atoms = slab.positions[[s == element for s in slab.get_chemical_symbols()]]
        moved = atoms + np.array([lateral_period(CEO2), 0, 0])
        moved[:, 0] %= width
        moved[moved[:, 0] > width - 1e-3, 0] -= width
        tree = cKDTree(atoms)
        assert tree.query(moved)[0].max() < 1e-6
