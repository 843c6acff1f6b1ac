"""The multislice engine: exact places, exact planes, nothing lost."""

import numpy as np
import pytest
import torch
from abtem.parametrizations import LobatoParametrization
from ase import Atoms

from lowdose.imaging.electron import interaction_parameter
from lowdose.imaging.multislice import multislice, stored_points
from lowdose.imaging.phonons import displaced
from lowdose.imaging.potential import PlaneTransmission, planes
from lowdose.imaging.waves import exit_waves
from lowdose.runtime import UserError

CELL = (12.0, 10.0)


@pytest.fixture
def dimer() -> Atoms:
    """Two atoms of different elements at different depths, off the grid and off symmetry."""
    return Atoms("PtO", positions=[[4.03, 5.21, 2.0], [6.78, 4.4, 4.5]], cell=[*CELL, 6.0],
                 pbc=[True, False, False])  # fmt: skip


def test_planes_are_the_depths_of_the_atoms():
    depths = np.array([5.0, 1.0, 1.005, 3.0, 5.0])
    assert [sorted(p.tolist()) for p in planes(depths, 0.02)] == [[1, 2], [3], [0, 4]]
    # No group spans more than the tolerance, however densely the depths follow each other.
    rng = np.random.default_rng(0)
    depths = rng.uniform(0, 30, 400)
    groups = planes(depths, 0.7)
    assert sorted(np.concatenate(groups)) == list(range(400))
    assert max(np.ptp(depths[g]) for g in groups) <= 0.7 + 1e-6
    firsts = [depths[g].min() for g in groups]
    assert firsts == sorted(firsts)


def plane(grid: int, sigmas: dict, thermal: str = "potential") -> PlaneTransmission:
    return PlaneTransmission(CELL, grid, "lobato", sigmas, 300.0, thermal)


def test_phase_is_its_fourier_series():
    # A second route: the series summed by hand, term by term, at a few points.
    place = np.array([[3.17, 7.71]])
    phase = plane(48, {"O": 0.1}).of(["O"], place).angle().numpy()
    index = np.arange(-16, 17)
    kx, ky = index / CELL[0], index / CELL[1]
    k2 = kx[:, None] ** 2 + ky[None, :] ** 2
    factor = LobatoParametrization().projected_scattering_factor("O")(k2)
    factor = factor * np.exp(-2 * (np.pi * 0.1) ** 2 * k2) / (CELL[0] * CELL[1])
    for i, j in [(12, 37), (13, 38), (0, 0), (30, 5)]:
        x, y = i * CELL[0] / 48 - place[0, 0], j * CELL[1] / 48 - place[0, 1]
        wave = np.exp(2j * np.pi * (kx[:, None] * x + ky[None, :] * y))
        expected = interaction_parameter(300.0) * np.sum(factor * wave).real
        assert phase[i, j] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_integral_of_the_phase_is_the_forward_scattering():
    phase = plane(64, {}).of(["Pt", "O"], np.array([[1, 2], [7, 3.3]])).angle()
    forward = sum(
        LobatoParametrization().projected_scattering_factor(s)(np.array([0.0])).item()
        for s in ("Pt", "O")
    )
    expected = interaction_parameter(300.0) * forward
    assert phase.mean().item() * CELL[0] * CELL[1] == pytest.approx(expected, rel=1e-5)


def test_vibrating_atoms_transmit_the_product_of_what_each_transmits():
    places = np.array([[3.0, 4.0], [5.1, 4.6]])
    transmission = plane(144, {"Pt": 0.064, "O": 0.076}, "transmission")
    both = transmission.of(["Pt", "O"], places)
    one, other = transmission.of(["Pt"], places[:1]), transmission.of(["O"], places[1:])
    assert (both - one * other).abs().max() < 1e-5
    assert one.abs().min() < 0.9  # what platinum takes from the elastic wave
    assert both.abs().max() < 1 + 2e-3


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (3.0, -2.0)])
def test_moving_the_atoms_by_a_fraction_of_a_point_moves_the_wave(dimer, simulation, tilt):
    # Not so with abTEM's infinite projection: here its wave differs by up to 0.013, atom by atom.
    settings = {**simulation, "grid": 192}
    moved = dimer.copy()
    step = np.array([0.37, 0.81]) * np.array(CELL) / 192
    moved.positions[:, :2] += step
    first, second = (multislice(a, [tilt], settings)[0, 0] for a in (dimer, moved))
    k = [np.fft.fftfreq(n, length / n) for n, length in zip(first.shape, CELL, strict=True)]
    ramp = np.exp(-2j * np.pi * (k[0][:, None] * step[0] + k[1][None, :] * step[1]))
    expected = np.fft.ifft2(np.fft.fft2(first) * ramp)
    assert np.abs(second - expected).max() < 1e-4
    assert np.abs(second - first).max() > 0.05


def test_stored_points_lose_nothing(dimer, simulation):
    settings = {**simulation, "grid": 180}
    wave = multislice(dimer, [(0, 0)], settings)[0, 0]
    assert wave.shape == stored_points(CELL, 180) == (125, 108)
    # The first plane stands alone: behind it, before the second, the wave is known in closed
    # form up to the band limit; all of its spectrum must be on the stored points.
    alone = dimer[[0]]
    wave = multislice(alone, [(0, 0)], settings)[0, 0].astype(complex)
    displacement = {"Pt": 10 * simulation["debye_waller_nm"]["Pt"]}
    exact = plane(180, displacement, "transmission").of(["Pt"], alone.positions[:, :2])
    spectrum = torch.fft.fft2(exact, norm="forward").numpy()
    k = np.hypot(*np.meshgrid(*(np.fft.fftfreq(180, c / 180) for c in CELL), indexing="ij"))
    energy = np.sum(np.abs(spectrum[k < 180 / 3 / 12.0]) ** 2)
    assert np.mean(np.abs(wave) ** 2) == pytest.approx(energy, rel=1e-5)


def test_interaction_parameter_is_that_of_the_text_books():
    assert interaction_parameter(300.0) == pytest.approx(6.526e-4, rel=2e-4)
    assert interaction_parameter(100.0) == pytest.approx(9.244e-4, rel=2e-4)


def test_equal_planes_may_be_merged_without_a_trace(dimer, simulation):
    # A slice holds atoms of one depth exactly, so that a smaller tolerance changes nothing.
    settings = {**simulation, "grid": 96}
    waves = [exit_waves(dimer, [(2, 0)], {**settings, "slice_thickness_nm": t / 10})
             for t in (0.2, 1e-4)]  # fmt: skip
    assert np.array_equal(*waves)


def test_phonons_are_the_same_whenever_asked_and_as_large_as_said(dimer, simulation):
    atoms = Atoms("Pt400", positions=np.zeros((400, 3)), cell=[1, 1, 1])
    moves = np.concatenate([displaced(atoms, {"Pt": 0.064}, i) for i in range(5)])
    assert moves.std(axis=0) == pytest.approx([0.064] * 3, rel=0.06)
    assert np.abs(moves.mean(axis=0)).max() < 4 * 0.064 / np.sqrt(len(moves))
    settings = {**simulation, "grid": 96, "phonon_configurations": 3}
    waves = exit_waves(dimer, [(0, 0), (1, 0)], settings)
    assert waves.shape[:2] == (2, 3)
    assert np.array_equal(waves, exit_waves(dimer, [(0, 0), (1, 0)], settings))
    assert np.abs(waves[0, 0] - waves[0, 1]).max() > 1e-3


def test_tilts_beyond_the_small_angle_are_refused(dimer, simulation):
    with pytest.raises(UserError, match="largest that works is 6°"):
        exit_waves(dimer, [(0, 7)], simulation)
