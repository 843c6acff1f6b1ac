"""Models that no experiment could show are refused, with a sentence that says why."""

import numpy as np
import pytest
from ase import Atoms

from lowdose.runtime import UserError
from lowdose.structures.checks import check_model


def metal(atoms: Atoms) -> np.ndarray:
    return np.array([s == "Pt" for s in atoms.get_chemical_symbols()])


def test_a_sound_model_passes(particle_model, section):
    check_model(particle_model, "sound", section)
    check_model(Atoms(cell=[10, 10, 10]), "vacuum", section)


def test_atoms_too_close(particle_model, section):
    atoms = particle_model.copy()
    first, second = np.flatnonzero(metal(atoms))[:2]
    direction = atoms.positions[second] - atoms.positions[first]
    # 0.79 of the bulk distance is refused, 0.81 is not.
    for share, refused in ((0.79, True), (0.81, False)):
        atoms.positions[second] = (
            atoms.positions[first] + direction / np.linalg.norm(direction) * share * 2.772
        )
        if refused:
            with pytest.raises(UserError, match=r"close has Pt and Pt atoms 2\.19 Å apart"):
                check_model(atoms, "close", section)
        else:
            check_model(atoms, "close", section)


def test_atoms_too_close_across_the_lateral_boundary(section):
    width = 19.88
    atoms = Atoms("Pt2", positions=[[0.5, 5, 5], [width - 0.5, 5, 5]], cell=[width, 12, 10])
    with pytest.raises(UserError, match=r"1\.00 Å apart"):
        check_model(atoms, "wrapped", section)


@pytest.mark.parametrize(("move", "verb"), [(1.0, "floats above"), (-0.8, "sinks into")])
def test_floating_and_sinking_particles(particle_model, section, move, verb):
    atoms = particle_model.copy()
    atoms.positions[metal(atoms), 1] += move
    # Sinking brings Pt and O closer than a bond first, unless only the gap is looked at.
    expected = verb if move > 0 else f"{verb}|apart"
    with pytest.raises(UserError, match=expected):
        check_model(atoms, "moved", section)


def test_sinking_is_named_where_no_atoms_touch(section):
    # One Pt column in a gap of a sparse support: nothing touches, but it lies too low.
    atoms = Atoms("OPt", positions=[[2, 5, 5], [6, 5.5, 5]], cell=[8, 12, 10])
    with pytest.raises(UserError, match=r"sinks into its support: the gap is 0\.50 Å"):
        check_model(atoms, "low", section)


def test_support_that_does_not_join(particle_model, section):
    atoms = particle_model.copy()
    cell = atoms.cell.lengths()
    atoms.set_cell([cell[0] + 0.8, *cell[1:]])
    with pytest.raises(UserError, match="does not join across the lateral boundary"):
        check_model(atoms, "torn", section)


def test_gap_names_the_nearest_that_works(particle_model, section):
    atoms = particle_model.copy()
    atoms.positions[metal(atoms), 1] += 1.0
    with pytest.raises(UserError, match=r"interface_gap_nm: 0\.32 works"):
        check_model(atoms, "high", section)


def test_distances_follow_the_elements_and_lattice_constants(section):
    # 2.25 Å is 0.81 of platinum's distance and 0.78 of gold's.
    for element, a, fine in (("Pt", 0.392, True), ("Au", 0.4078, False)):
        own = {**section, "particle_element": element, "particle_lattice_nm": a}
        atoms = Atoms(f"{element}2", positions=[[5, 5, 5], [5, 5, 7.25]], cell=[20, 12, 10])
        if fine:
            check_model(atoms, "pair", own)
        else:
            with pytest.raises(UserError, match=r"Au and Au atoms 2\.25 Å .* of 2\.88 Å"):
                check_model(atoms, "pair", own)
