"""Frozen phonons: what their mean wave is, and where the Debye-Waller factor gives the same."""

import numpy as np
import pytest
from abtem.parametrizations import LobatoParametrization
from ase import Atoms
from scipy.integrate import trapezoid
from scipy.special import j0

from lowdose.imaging.electron import interaction_parameter
from lowdose.imaging.optics import WaveOptics
from lowdose.imaging.thermal import HIGHEST, effective_phase
from lowdose.imaging.waves import exit_waves

WIDTH, HEIGHT = 9.6, 9.2  # Å
CONFIGURATIONS = 150


def sheet(element: str, planes: int = 1, behind: float = 0.0) -> Atoms:
    """Sixteen columns, 2.3 Å apart, and a way behind them to the exit plane [Å]."""
    x, y, n = np.meshgrid(np.arange(4), np.arange(4), np.arange(planes), indexing="ij")
    x = 1.7 + 2.4 * x + 0.4 * (n % 2)
    positions = np.stack([x, 1.9 + 2.3 * y, 1.4 * (n + 1)], axis=-1).reshape(-1, 3)
    return Atoms(f"{element}{len(positions)}", positions=positions,
                 cell=[WIDTH, HEIGHT, 1.4 * planes + behind])  # fmt: skip


def simulated(atoms: Atoms, simulation: dict, **settings) -> np.ndarray:
    """The wave, or all configurations' waves, without tilt."""
    return exit_waves(atoms, [(0, 0)], {**simulation, "grid": 128, **settings})[0].astype(complex)


def mean_and_error(waves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean wave and the variance of that mean."""
    mean = waves.mean(axis=0)
    return mean, np.sum(np.abs(waves - mean) ** 2, axis=0) / (len(waves) * (len(waves) - 1))


@pytest.mark.parametrize(("element", "planes"), [("O", 1), ("O", 3), ("C", 3)])
def test_squared_mean_wave_is_that_of_the_debye_waller_factor(simulation, element, planes):
    # Light atoms and few configurations: their error covers the absorption (see below).
    sigmas = {"debye_waller_nm": {"O": 0.0076, "C": 0.0070}}
    count = 100
    # On the way phases become intensities: at the exit of one plane there is nothing to see.
    atoms = sheet(element, planes, behind=20.0)
    expected = np.abs(simulated(atoms, simulation, **sigmas)) ** 2
    waves = simulated(atoms, simulation, **sigmas, phonon_configurations=count)
    assert waves.shape == (count, *expected.shape)
    mean, variance = mean_and_error(waves)
    found = np.abs(mean) ** 2 - variance  # the noise of the mean adds its own square
    # To first order |mean|^2 errs by 2 Re(conj(mean) error of the mean).
    error = np.var(2 * np.real(np.conj(mean) * waves), axis=0) / (count - 1)
    assert 0.4 < np.mean((found - expected) ** 2) / np.mean(error) < 2
    # ... which means something: atoms at rest are far outside that error.
    still = np.abs(simulated(atoms, simulation, debye_waller_nm={})) ** 2
    assert np.mean((found - still) ** 2) / np.mean(error) > 10


def test_mean_wave_of_heavy_atoms_is_their_smeared_transmission(simulation):
    # The exact mean over displacements within the plane: each atom's exp(i phase), not its
    # phase, smeared by the Gaussian; the plane lies at the exit, where nothing has spread yet.
    atoms = sheet("Pt")
    # Atoms that do not blur their own potential need a finer grid.
    fine = {"grid": 288}
    waves = simulated(atoms, simulation, phonon_configurations=CONFIGURATIONS, **fine)
    mean, variance = mean_and_error(waves)
    shape = mean.shape
    k2 = (
        np.fft.fftfreq(shape[0], HEIGHT / shape[0])[:, None] ** 2
        + np.fft.fftfreq(shape[1], WIDTH / shape[1])[None, :] ** 2
    )
    smear = np.exp(-2 * np.pi**2 * 0.064**2 * k2)
    alone = simulated(atoms[:1], simulation, debye_waller_nm={}, **fine)
    spectrum = np.fft.fft2(np.fft.ifft2(np.fft.fft2(alone) * smear))
    ky = np.fft.fftfreq(shape[0], HEIGHT / shape[0])[:, None]
    kx = np.fft.fftfreq(shape[1], WIDTH / shape[1])[None, :]
    expected = np.ones(shape, dtype=complex)
    for x, y, _ in atoms.positions - atoms.positions[0]:
        expected *= np.fft.ifft2(spectrum * np.exp(-2j * np.pi * (kx * x - ky * y)))
    assert 0.4 < np.mean(np.abs(mean - expected) ** 2) / np.mean(variance) < 2
    # So does the engine, by the effective phase of one atom ...
    engine = simulated(atoms, simulation, **fine)
    assert 0.4 < np.mean(np.abs(mean - engine) ** 2) / np.mean(variance) < 2
    # ... but not if the Debye-Waller factor smears the phase, which leaves out what the motion
    # takes from the elastic wave (the absorption of Yoshioka and of Hall and Hirsch).
    smeared_phase = simulated(atoms, simulation, thermal="potential", **fine)
    assert np.mean(np.abs(mean - smeared_phase) ** 2) / np.mean(variance) > 4
    assert np.mean(np.abs(mean) ** 2) < np.mean(np.abs(smeared_phase) ** 2)


def test_effective_phase_is_its_first_order_for_a_weak_atom(simulation):
    # A tenth of the interaction: the phase is the smeared potential, the absorption second order.
    k = np.linspace(0.0, 4.0, 40)
    scattering = LobatoParametrization().projected_scattering_factor("O")(k**2)
    for share in (0.1, 0.01):
        sigma = share * interaction_parameter(300.0)
        phase, absorption = effective_phase("O", "lobato", 0.076, sigma)
        first = sigma * scattering * np.exp(-2 * (np.pi * 0.076 * k) ** 2)
        assert np.abs(phase(k) / first - 1).max() < 2e-3 * share
        assert 0 < np.abs(absorption(k) / first).max() < 0.06 * share


def test_effective_phase_of_platinum_by_a_second_route():
    # The mean of exp(i sigma v) over 200,000 random places of the atom, point by point.
    sigma, u = interaction_parameter(300.0), 0.064
    phase, absorption = effective_phase("Pt", "lobato", u, sigma)
    k = np.linspace(0.0, HIGHEST, 4000)
    rng = np.random.default_rng(7)
    places = u * rng.standard_normal((200_000, 2))
    potential = LobatoParametrization().projected_potential("Pt")
    for r in (0.0, 0.05, 0.1, 0.2, 0.5, 1.0):
        kernel = 2 * np.pi * k * j0(2 * np.pi * k * r)
        effective = trapezoid((phase(k) + 1j * absorption(k)) * kernel, k)
        moved = np.hypot(places[:, 0] + r, places[:, 1])
        expected = np.mean(np.exp(1j * sigma * potential(moved)))
        assert np.exp(1j * effective) == pytest.approx(expected, abs=3e-3), r


def test_difference_of_heavy_atoms_images_is_known(simulation, optics):
    # What is left are the thermal diffuse electrons themselves.  Sheets of Pt are the worst
    # case; `lowdose converge` reports it for real models.
    atoms = sheet("Pt")
    lens = WaveOptics((HEIGHT / 10, WIDTH / 10), optics, 300.0)
    waves = simulated(atoms, simulation, phonon_configurations=60)
    for c1 in (0.0, 6.0, 9.0):
        phonons = np.mean([lens.intensity(lens.spectrum(w), c1).numpy() for w in waves], axis=0)
        image = lens.intensity(lens.spectrum(simulated(atoms, simulation)), c1).numpy()
        difference = np.std(phonons - image) / np.std(image)
        assert 0.02 < difference < 0.25, f"C1 {c1:g} nm: {100 * difference:.1f} % of the contrast"
        assert np.corrcoef(phonons.ravel(), image.ravel())[0, 1] > 0.98
