"""The lens: constants, envelopes, agreement with abTEM's CTF, and the sign of the defocus."""

import numpy as np
import pytest
import torch
from ase import Atoms

from lowdose.data.classes import ContrastMeter, contrast_class
from lowdose.imaging.camera import PixelGrid, blur
from lowdose.imaging.optics import WaveOptics, band_limit, fast_length, transfer, wavelength
from lowdose.imaging.waves import exit_waves
from lowdose.runtime import UserError


@pytest.mark.parametrize(("kev", "angstrom"), [(300, 0.0196875), (200, 0.0250793), (80, 0.0417572)])
def test_wavelength(kev, angstrom):
    assert wavelength(kev) == pytest.approx(angstrom, abs=1e-7)


def test_transfer_against_the_aberration_function_by_hand(optics):
    k = torch.tensor([0.0, 0.3, 0.7, 1.0])
    value = transfer(k, torch.zeros(4), 6.0, optics, 300.0).numpy()
    angle = 0.01968749 * k.numpy().astype(float)
    chi = 2 * np.pi / 0.01968749 * (60 * angle**2 / 2 - 13e4 * angle**4 / 4 + 5e7 * angle**6 / 6)
    spread = (np.pi * 40 * angle**2 / (2 * 0.01968749)) ** 2
    slope = 2 * np.pi / 0.01968749 * (60 * angle - 13e4 * angle**3 + 5e7 * angle**5)
    expected = np.exp(-1j * chi - spread - (0.0002 / 2) ** 2 * slope**2)
    assert np.abs(value - expected).max() < 1e-4
    assert value[0] == 1


def test_beyond_the_band_limit_the_lens_passes_less_than_1e_4(optics):
    limit = band_limit(optics, 300.0)
    assert limit == pytest.approx(1.566, abs=1e-3)  # 1/Å, 0.064 nm
    still = {**optics, "convergence_mrad": 0.0}
    value = transfer(torch.tensor([limit]), torch.zeros(1), 5.0, still, 300.0)
    assert abs(value).item() == pytest.approx(1e-4, rel=1e-3)
    assert band_limit({**optics, "focal_spread_nm": 0.0}, 300.0) == 3.5


@pytest.mark.parametrize("c1_nm", [0.0, 6.0, 9.0, 20.0])
def test_same_image_as_abtem(tilted_waves, particle_model, optics, c1_nm):
    import abtem

    wave = tilted_waves[4.0, 0.0]
    cell = particle_model.cell.lengths()[[1, 0]]
    with abtem.config.set({"device": "cpu", "precision": "float64", "dask.lazy": False}):
        theirs = abtem.Waves(
            wave.astype(np.complex128),  # abTEM's axes are merely named x and y
            energy=300e3,
            extent=tuple(cell),
        )
        lens = abtem.CTF(
            energy=300e3,
            defocus=-10 * c1_nm,
            Cs=optics["c3_um"] * 1e4,
            C50=optics["c5_mm"] * 1e7,
            focal_spread=10 * optics["focal_spread_nm"],
            angular_spread=optics["convergence_mrad"],
        )
        expected = np.abs(theirs.apply_ctf(lens).array) ** 2
    ours = WaveOptics(tuple(cell / 10), optics, 300.0)
    image = ours.intensity(ours.spectrum(wave), c1_nm)
    # The same points: abTEM's grid is sampled from our Fourier series.
    step = [cell[i] / 10 / wave.shape[i] for i in (0, 1)]
    across = step[1]
    for row in (100, 190, 300):
        grid = PixelGrid(
            ours.grid, ours.cell_nm, across, (row * step[0], 0.0), (1, wave.shape[1]),
            tuple(2 * m for m in ours.cut),
        )  # fmt: skip
        assert np.abs(grid.sample(image).numpy()[0] - expected[row]).max() < 1e-4


def test_mean_intensity_does_not_exceed_that_of_the_wave(tilted_waves, particle_model, optics):
    cell = tuple(particle_model.cell.lengths()[[1, 0]] / 10)
    lens = WaveOptics(cell, optics, 300.0)
    for wave in tilted_waves.values():
        spectrum = lens.spectrum(wave)
        power = torch.sum(spectrum.abs() ** 2).item()
        assert power < np.mean(np.abs(wave) ** 2) + 1e-5
        ideal = WaveOptics(cell, {**optics, "convergence_mrad": 0.0}, 300.0)
        mean = ideal.intensity(spectrum, 6.0).mean().item()
        assert 0.9 * power < mean < power


@pytest.fixture(scope="module")
def thin_particle(simulation):
    """A patch of 3 x 3 Pt columns of five atoms, 1.4 nm thick, in zone axis."""
    positions = []
    for row in range(3):
        for column in range(3):
            x = 10.0 + 2.4005 * column + 0.8002 * row
            z = 4.0 + 1.386 * ((column + row) % 2) + 2.772 * np.arange(5)
            positions += [[x, 10.0 + 2.2632 * row, depth] for depth in z]
    atoms = Atoms(f"Pt{len(positions)}", positions=positions, cell=[24.0, 24.0, 20.0],
                  pbc=[True, False, False])  # fmt: skip
    points = np.unique(np.round(atoms.positions[:, :2], 4), axis=0)
    wave = exit_waves(atoms, [(0, 0)], {**simulation, "grid": 192})[0]
    return wave, np.column_stack([24.0 - points[:, 1], points[:, 0]]) / 10


@pytest.mark.parametrize(("c1_nm", "expected"), [(0.0, "black"), (6.0, "white"), (9.0, "white")])
def test_columns_are_dark_at_zero_and_bright_at_6_and_9_nm(
    thin_particle, optics, camera, c1_nm, expected
):
    wave, points = thin_particle
    lens = WaveOptics((2.4, 2.4), optics, 300.0)
    through = blur(lens.grid, lens.cell_nm, camera, camera["pixel_size_nm"])
    meter = ContrastMeter(lens.grid, lens.cell_nm, through, camera["contrast_factor"])
    contrast = meter.contrast(lens.intensity(lens.spectrum(wave), c1_nm), points)
    assert contrast_class(contrast) == expected
    # The contrary sign of C1 would show the contrary: not bright at -6 nm.
    wrong = meter.contrast(lens.intensity(lens.spectrum(wave), -6.0), points)
    assert contrast_class(wrong) == "black"


def test_model_is_black_at_zero_and_white_at_nine(
    tilted_waves, particle_model, optics, camera, model
):
    from lowdose.data.classes import full_columns
    from lowdose.structures.library import true_columns

    cell = tuple(particle_model.cell.lengths()[[1, 0]] / 10)
    points = full_columns(true_columns(particle_model, model("PtNp1c")))
    lens = WaveOptics(cell, optics, 300.0)
    through = blur(lens.grid, cell, camera, camera["pixel_size_nm"])
    meter = ContrastMeter(lens.grid, cell, through, camera["contrast_factor"])
    spectrum = lens.spectrum(tilted_waves[0.0, 0.0])
    values = {c1: meter.contrast(lens.intensity(spectrum, c1), points) for c1 in (0.0, 6.0, 9.0)}
    assert contrast_class(values[0.0]) == "black"
    # At 6 nm its thickest columns (8 atoms) are still turning: bright on average only.
    assert values[6.0].mean() > 0
    assert contrast_class(values[9.0]) == "white"


def test_weak_object_shows_twice_the_imaginary_part_of_the_transfer(optics):
    # psi = 1 + i e cos(2 pi k x): the intensity is 1 + 2 e Re(i t(k)) cos, by hand.
    n, cycles, epsilon = 128, 9, 1e-3
    x = np.arange(n) / n
    wave = np.tile(1 + 1j * epsilon * np.cos(2 * np.pi * cycles * x), (n, 1))
    lens = WaveOptics((2.0, 2.0), optics, 300.0)
    for c1 in (-6.0, 0.0, 6.0):
        image = lens.intensity(lens.spectrum(wave), c1).double()
        k = torch.tensor([cycles / 20.0])
        passed = transfer(k, torch.zeros(1), c1, optics, 300.0).numpy()[0]
        amplitude = 2 * torch.fft.rfft(image[0], norm="forward")[cycles].real.item()
        assert amplitude == pytest.approx(2 * epsilon * (1j * passed).real, abs=2e-6)


def test_grid_that_cannot_hold_the_lens_is_refused(optics):
    lens = WaveOptics((5.0, 5.0), optics, 300.0)
    with pytest.raises(UserError, match=r"simulation\.grid is 96.*157 frequencies.*set it to 160"):
        lens.spectrum(np.ones((96, 96)))


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (7, 8), (121, 125), (97, 100), (331, 360)])
def test_fast_lengths(n, expected):
    assert fast_length(n) == expected
