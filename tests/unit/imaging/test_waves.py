"""Exit waves: vacuum, energy, orientation, and columns where the library says they are."""

import numpy as np
import pytest
from ase import Atoms

from lowdose.imaging.camera import blur, detected
from lowdose.imaging.optics import WaveOptics
from lowdose.imaging.waves import exit_waves, to_image
from lowdose.structures.library import true_columns

F_MARKER = np.array([[8.0, 20.0], [8.0, 16.0], [8.0, 12.0], [12.0, 20.0], [11.0, 16.0]])  # x, y up


def scattering(wave: np.ndarray) -> np.ndarray:
    """Strength of what the specimen added to the vacuum's wave."""
    return np.abs(wave - 1) ** 2


def test_vacuum_is_one_and_stays_one(simulation, optics):
    empty = Atoms(cell=[30, 24, 20], pbc=[True, False, False])
    for wave in exit_waves(empty, [(0, 0), (4, 0)], {**simulation, "grid": 160}):
        assert np.abs(np.abs(wave) ** 2 - 1).max() < 1e-5
        lens = WaveOptics((2.4, 3.0), optics, 300.0)
        for c1 in (0.0, 9.0, 20.0):
            assert abs(lens.intensity(lens.spectrum(wave), c1) - 1).max() < 1e-3


def test_energy_is_conserved(tilted_waves, particle_model, simulation):
    # Elastic scattering keeps every electron.  The simulation may lose those few (0.4 % here)
    # that scatter beyond the antialiasing aperture at two thirds of the grid's Nyquist
    # frequency; it can never win any.
    still = {**simulation, "thermal": "potential"}
    for wave in exit_waves(particle_model, [(0, 0), (0, 4)], still):
        energy = np.mean(np.abs(wave.astype(np.complex128)) ** 2)
        assert 0.995 < energy < 1 + 1e-5
    # Electrons that scatter with a phonon leave the mean wave: some, and not many.
    for wave in tilted_waves.values():
        assert 0.96 < np.mean(np.abs(wave.astype(np.complex128)) ** 2) < 0.995


def test_weak_atom_follows_the_first_born_approximation(simulation):
    # One light atom: the scattered wave is i sigma V, with V the projected potential, whose
    # mean over the cell is known from the forward scattering factor:
    # integral of V = h^2 / (2 pi m e) f(0), sigma V -> lambda f(0) with the relativistic mass.
    from abtem.parametrizations import LobatoParametrization

    atom = Atoms("O", positions=[[6, 5, 4]], cell=[12, 10, 8], pbc=[True, False, False])
    wave = exit_waves(atom, [(0, 0)], {**simulation, "grid": 192})[0].astype(np.complex128)
    forward = LobatoParametrization().scattering_factor("O")(np.array([1e-12])).item()
    wavelength, mass_ratio = 0.0196875, 1 + 300 / 510.99895
    expected = wavelength * forward * mass_ratio / (12 * 10)
    assert np.mean(wave).imag == pytest.approx(expected, rel=0.02)


def test_marker_appears_where_its_coordinates_say(simulation, locate):
    cell = np.array([30.0, 24.0])
    marker = Atoms(f"Pt{len(F_MARKER)}", positions=np.column_stack([F_MARKER, np.full(5, 2.0)]),
                   cell=[*cell, 4.0], pbc=[True, False, False])  # fmt: skip
    wave = exit_waves(marker, [(0, 0)], {**simulation, "grid": 384})[0]
    step = tuple(length / n for length, n in zip((2.4, 3.0), wave.shape, strict=True))
    expected = np.column_stack([24.0 - F_MARKER[:, 1], F_MARKER[:, 0]]) / 10
    assert np.abs(locate(scattering(wave), step, expected, 1) - expected).max() < 0.002
    # An F: its upper bar is nearer to row 0 than its foot, and reaches to the right.
    strength = scattering(wave)
    middle = len(strength) // 2
    upper, lower = strength[:middle].sum(), strength[middle:].sum()
    assert upper > 2 * lower


def test_to_image_turns_x_y_up_into_rows_down():
    # abTEM's element [i, j] is the point x = i, y = j of a cell 4 wide and 5 high.
    array = 10.0 * np.arange(4)[:, None] + np.arange(5)[None, :]
    image = to_image(array)
    for row in range(5):
        for column in range(4):
            assert image[row, column] == 10 * column + (5 - row) % 5
    assert np.array_equal(to_image(np.stack([array, -array])), np.stack([image, -image]))


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (4.0, 0.0), (-4.0, 0.0), (0.0, 4.0), (0.0, -4.0)])
@pytest.mark.parametrize("depth", [32.0, 52.0])
def test_lone_column_follows_the_tilt_to_the_exit_plane(
    simulation, optics, model, locate, tilt, depth
):
    # Ten atoms whose middle lies 1.3 nm before the exit plane, or 3.3 nm in the deeper cell:
    # referred to another plane, the same column moves by 1.3 or 3.3 nm times tan 4°.
    z = 19.0 - 12.47 + 2.772 * np.arange(10)
    xy = np.array([9.1, 12.3])
    atoms = Atoms("Pt10", positions=np.column_stack([np.tile(xy, (10, 1)), z]),
                  cell=[22.0, 22.0, depth], pbc=[True, False, False])  # fmt: skip
    atoms.info["changed"] = []
    atoms.set_array("column", np.ones(10, int))
    atoms.set_array("missing", np.full(10, 4))
    wave = exit_waves(atoms, [tilt], {**simulation, "grid": 192})[0]
    truth = true_columns(atoms, model("PtNp1a", tilt=tilt))[["y_nm", "x_nm"]].to_numpy()
    moved = (truth[0] - [(22 - xy[1]) / 10, xy[0] / 10]) * [-1, 1]
    expected = (depth - 19.0) / 10 * np.tan(np.deg2rad([tilt[1], tilt[0]]))
    assert moved == pytest.approx(expected, abs=1e-3)
    lens = WaveOptics((2.2, 2.2), optics, 300.0)
    # Vacuum behind the column acts as overfocus; less C1 looks at the same plane in both cells.
    image = lens.intensity(lens.spectrum(wave), 9.0 - (depth - 32.0) / 10).numpy()
    step = tuple(2.2 / n for n in image.shape)
    assert np.abs(locate(image, step, truth, 1) - truth).max() < 0.005


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (4.0, 0.0), (-4.0, 0.0), (0.0, 4.0), (0.0, -4.0)])
@pytest.mark.parametrize("c1_nm", [9.0, 12.0])
def test_columns_of_a_model_lie_within_0_02_nm_of_the_truth(
    tilted_waves, particle_model, optics, camera, model, locate, tilt, c1_nm
):
    cell = tuple(particle_model.cell.lengths()[[1, 0]] / 10)
    truth = true_columns(particle_model, model("PtNp1c", tilt=tilt))
    truth = truth.loc[truth["element"] == "Pt", ["y_nm", "x_nm"]].to_numpy()
    lens = WaveOptics(cell, optics, 300.0)
    through = blur(lens.grid, cell, camera, camera["pixel_size_nm"])
    image = detected(lens.intensity(lens.spectrum(tilted_waves[tilt]), c1_nm), through, 1.0)
    step = tuple(length / n for length, n in zip(cell, image.shape, strict=True))
    error = locate(image, step, truth, 1) - truth
    assert np.linalg.norm(error, axis=1).max() < 0.02
    # No systematic shift along the tilt: half a slice at 4° would make 0.007 nm.
    assert abs(error.mean(axis=0) @ [-tilt[1], tilt[0]]) / 4 < 0.002


def test_dark_columns_lie_on_the_truth_too(tilted_waves, particle_model, optics, model, locate):
    cell = tuple(particle_model.cell.lengths()[[1, 0]] / 10)
    truth = true_columns(particle_model, model("PtNp1c"))
    truth = truth.loc[truth["element"] == "Pt", ["y_nm", "x_nm"]].to_numpy()
    lens = WaveOptics(cell, optics, 300.0)
    image = lens.intensity(lens.spectrum(tilted_waves[0.0, 0.0]), 0.0).numpy()
    step = tuple(length / n for length, n in zip(cell, image.shape, strict=True))
    error = locate(image, step, truth, -1) - truth
    assert np.linalg.norm(error, axis=1).max() < 0.02


def test_thermal_motion_blurs_the_atom(simulation):
    atom = Atoms("Pt", positions=[[6, 5, 4]], cell=[12, 10, 8], pbc=[True, False, False])
    still = {**simulation, "grid": 128, "debye_waller_nm": {"Pt": 0.0}}
    strength = [
        scattering(exit_waves(atom, [(0, 0)], {**still, "debye_waller_nm": {"Pt": u}})[0]).max()
        for u in (0.0, 0.0064, 0.0128)
    ]
    assert strength[0] > strength[1] > strength[2]


def test_waves_do_not_depend_on_their_company(simulation):
    atom = Atoms("Pt", positions=[[6, 5, 4]], cell=[12, 10, 8], pbc=[True, False, False])
    settings = {**simulation, "grid": 96}
    both = exit_waves(atom, [(0, 0), (3, 0)], settings)
    assert both.dtype == np.complex64
    assert np.array_equal(both[1], exit_waves(atom, [(3, 0)], settings)[0])
