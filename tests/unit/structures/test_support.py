"""Both supports are the crystals that they claim to be, whole and stoichiometric."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from lowdose.structures.lattices import RUTILE_U, neighbour_distances
from lowdose.structures.support import lateral_period, layer_spacing, rutile, support_slab


def small(structures: dict, **changes) -> dict:
    return {**structures, "periods": 4, "trilayers": 4, **changes}


@pytest.mark.parametrize(("layers", "nm"), [(16, 3.06), (21, 4.02), (26, 4.97), (31, 5.93)])
def test_ceria_thickness_of_the_paper(section, layers, nm):
    slab = support_slab(small(section, trilayers=2), layers)
    planes = np.unique(np.round(slab.positions[:, 2], 3))
    assert len(planes) == layers
    # Each layer is as thick as the spacing: the outermost atoms are one spacing less apart.
    assert layers * layer_spacing(section) == pytest.approx(10 * nm, abs=0.05)
    assert np.ptp(planes) == pytest.approx((layers - 1) * layer_spacing(section), abs=1e-3)


def test_periods_and_layers_of_the_closed_form(section, gold):
    assert lateral_period(section) == pytest.approx(6.6271, abs=1e-4)  # 5.411 sqrt(3/2)
    assert lateral_period(gold) == pytest.approx(6.4969, abs=1e-4)  # 4.594 sqrt(2)
    assert layer_spacing(gold) == pytest.approx(1.4795)  # 2.959 / 2


@pytest.mark.parametrize("system", ["section", "gold"])
def test_supports_are_stoichiometric_with_oxygen_on_both_faces(request, system):
    structures = small(request.getfixturevalue(system))
    slab = support_slab(structures, 12)
    metal = np.array(slab.get_chemical_symbols()) == structures["support_cation"]
    # Two cations a trilayer, a period and a pair of layers along the beam, in both lattices.
    assert metal.sum() == 4 * 4 * 12
    assert np.sum(~metal) == 2 * metal.sum()
    height = slab.positions[:, 1]
    assert height.min() == pytest.approx(0)
    assert height[~metal].min() < height[metal].min()
    assert height[~metal].max() > height[metal].max()


@pytest.mark.parametrize("system", ["section", "gold"])
def test_supports_have_the_bonds_of_their_crystal(request, system):
    structures = small(request.getfixturevalue(system))
    bulk = neighbour_distances(structures)
    slab = support_slab(structures, 12)
    metal = np.array(slab.get_chemical_symbols()) == structures["support_cation"]
    cations, oxygen = slab.positions[metal], slab.positions[~metal]
    # One of each kind of cation in the middle of the slab.
    middle = np.argsort(np.linalg.norm(cations - slab.positions.mean(axis=0), axis=1))[:4]
    cation = structures["support_cation"]
    for centre in cations[middle]:
        bonds = np.sort(np.linalg.norm(oxygen - centre, axis=1))
        others = np.sort(np.linalg.norm(cations - centre, axis=1))
        if system == "section":
            assert np.allclose(bonds[:8], bulk["Ce", "O"])  # a cube of 8 O
            assert bonds[8] > 4
            assert np.allclose(others[1:13], bulk["Ce", "Ce"])
        else:
            # TiO6: four at 1.95 Å, two at 1.98 Å (Burdett 1987: 1.946 and 1.976), then a gap.
            assert bonds[:6] == pytest.approx([1.948] * 4 + [1.982] * 2, abs=2e-3)
            assert bonds[6] > 3
            assert others[1:3] == pytest.approx([2.959] * 2)
        assert bonds[0] == pytest.approx(bulk[tuple(sorted((cation, "O")))])
    near = cKDTree(oxygen).query(oxygen, k=2)[0][:, 1]
    assert near.min() == pytest.approx(bulk["O", "O"])


def test_rutile_surface_has_five_fold_titanium_and_bridging_oxygen(gold):
    a, c = 4.594, 2.959
    cations, oxygen = rutile(a, c, 3, 10, 3)
    inner = (cations[:, 2] > 2 * c - 0.1) & (cations[:, 2] < 3 * c + 0.1)
    top = cations[inner & (cations[:, 1] > cations[:, 1].max() - 0.1)]
    period = np.array([3 * a * np.sqrt(2), 0, 0])
    images = np.concatenate([oxygen + n * period for n in (-1, 0, 1)])
    bonds = [int(np.sum(np.linalg.norm(images - t, axis=1) < 2.2)) for t in top]
    # Even layers hold the five-fold Ti, odd ones the six-fold Ti below the bridging rows.
    even = np.rint(top[:, 2] / (c / 2)).astype(int) % 2 == 0
    assert {b for b, e in zip(bonds, even, strict=True) if e} == {5}
    assert {b for b, e in zip(bonds, even, strict=True) if not e} == {6}
    bridge = oxygen[oxygen[:, 1] > oxygen[:, 1].max() - 0.1]
    assert bridge[0, 1] - cations[:, 1].max() == pytest.approx((0.5 - RUTILE_U) * a * np.sqrt(2))
    metal_bonds = np.linalg.norm(cations - bridge[len(bridge) // 2], axis=1)
    assert np.sum(metal_bonds < 2.2) == 2


@pytest.mark.parametrize("system", ["section", "gold"])
def test_supports_repeat_across_the_lateral_boundary(request, system):
    structures = small(request.getfixturevalue(system), periods=3)
    slab = support_slab(structures, 6)
    width = 3 * lateral_period(structures)
    assert slab.cell.lengths()[0] == pytest.approx(width)
    symbols = np.array(slab.get_chemical_symbols())
    for element in (structures["support_cation"], "O"):
        atoms = slab.positions[symbols == element]
        moved = atoms + np.array([lateral_period(structures), 0, 0])
        for positions in (atoms, moved):
            positions[:, 0] = np.mod(positions[:, 0] + 1e-3, width)
        assert cKDTree(atoms, boxsize=[width, 0, 0]).query(moved)[0].max() < 1e-6


def test_columns_of_cations_are_numbered_and_oxygen_has_none(gold):
    slab = support_slab(small(gold), 9)
    metal = np.array(slab.get_chemical_symbols()) == "Ti"
    number = slab.arrays["column"]
    assert np.all(number[~metal] == 0)
    # Two columns a period and trilayer; one atom on every other layer: five or four of nine.
    assert sorted(set(number[metal])) == list(range(1, 2 * 4 * 4 + 1))
    assert sorted(set(np.bincount(number[metal])[1:])) == [4, 5]
    for n in (1, 7, 32):
        assert np.ptp(slab.positions[number == n, :2], axis=0).max() < 1e-9
