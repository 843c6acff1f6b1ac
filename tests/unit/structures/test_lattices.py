"""The fcc lattice is seen along [110] with (111) upwards; bond lengths are the known ones."""

import numpy as np
import pytest

from lowdose.structures.lattices import (
    ORIENTATION,
    column_spacing,
    fcc_sites,
    neighbour_distances,
)

PT = 3.92


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


def test_shortest_distances_of_platinum_on_ceria(section):
    # Kept from the literature, not from the formulas: Pt 2.77, CeO2 2.34, 2.71 and 3.83, PtO 2.02.
    expected = {("Ce", "Ce"): 3.826, ("Ce", "O"): 2.343, ("Ce", "Pt"): 3.40, ("O", "O"): 2.706,
                ("O", "Pt"): 2.02, ("Pt", "Pt"): 2.772}  # fmt: skip
    assert neighbour_distances(section) == pytest.approx(expected, abs=1e-3)


def test_shortest_distances_of_gold_on_rutile(gold):
    expected = {("Au", "Au"): 2.884, ("Au", "O"): 2.02, ("Au", "Ti"): 2.96, ("O", "O"): 2.534,
                ("O", "Ti"): 1.948, ("Ti", "Ti"): 2.959}  # fmt: skip
    assert neighbour_distances(gold) == pytest.approx(expected, abs=1e-3)
