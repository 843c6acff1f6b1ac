"""Models that no experiment could show are refused, with a sentence that says why."""

import numpy as np
import pytest
from ase import Atoms

from lowdose.runtime import UserError
from lowdose.structures.checks import check_model
from lowdose.structures.library import build_structure


def metal(atoms: Atoms) -> np.ndarray:
    return np.array([s == "Pt" for s in atoms.get_chemical_symbols()])


def test_a_sound_model_passes(particle_model):
    check_model(particle_model, "sound")


def test_atoms_too_close(particle_model):
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
                check_model(atoms, "close")
        else:
            check_model(atoms, "close")


def test_atoms_too_close_across_the_lateral_boundary():
    width = 19.88
    atoms = Atoms("Pt2", positions=[[0.5, 5, 5], [width - 0.5, 5, 5]], cell=[width, 12, 10])
    with pytest.raises(UserError, match=r"1\.00 Å apart"):
        check_model(atoms, "wrapped")


@pytest.mark.parametrize(("move", "verb"), [(1.0, "floats above"), (-0.8, "sinks into")])
def test_floating_and_sinking_particles(particle_model, move, verb):
    atoms = particle_model.copy()
    atoms.positions[metal(atoms), 1] += move
    # Sinking brings Pt and O closer than a bond first, unless only the gap is looked at.
    expected = verb if move > 0 else f"{verb}|apart"
    with pytest.raises(UserError, match=expected):
        check_model(atoms, "moved")


def test_sinking_is_named_where_no_atoms_touch():
    # One Pt column in a gap of a sparse support: nothing touches, but it lies too low.
    atoms = Atoms("OPt", positions=[[2, 5, 5], [6, 5.5, 5]], cell=[8, 12, 10])
    with pytest.raises(UserError, match=r"sinks into its support: the gap is 0\.50 Å"):
        check_model(atoms, "low")


def test_support_that_does_not_join(particle_model):
    atoms = particle_model.copy()
    cell = atoms.cell.lengths()
    atoms.set_cell([cell[0] + 0.8, *cell[1:]])
    with pytest.raises(UserError, match="does not join across the lateral boundary"):
        check_model(atoms, "torn")


def test_particle_larger_than_its_cell(library, model):
    large = {**library, "size_nm": [4.5, 5.0]}
    with pytest.raises(UserError, match=r"PtNp1g-D0-16L does not fit its cell along [xyz]"):
        build_structure(large, model("PtNp1g"), 0)
