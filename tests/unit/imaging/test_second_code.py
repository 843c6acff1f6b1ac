"""The second code: right by itself (closed forms), and agreed with by both engines."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from lowdose.imaging.optics import WaveOptics
from lowdose.imaging.waves import exit_waves

FILE = Path(__file__).parents[2] / "second_code.py"
TILTS_DEG = ((0.0, 0.0), (3.0, 0.0), (0.0, 3.0))
C1_NM = (0.0, 6.0, 9.0)
SIGMAS = {"Pt": 0.064, "Ce": 0.057, "O": 0.076}  # Å
CELL = (12.0, 16.0, 20.0)  # Å
MOTT_BETHE = 2 * np.pi**2 * 0.529177210544  # Å: f(g) -> Z / (MOTT_BETHE g^2) at high g


def load():
    """Load the code by its path, as ``lowdose shifted --second-code`` does."""
    spec = importlib.util.spec_from_file_location("second_code", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


second = load()


def column() -> Atoms:
    z = 4.0 + 2.772 * np.arange(6)
    return Atoms("Pt6", positions=np.column_stack([np.full(6, 5.3), np.full(6, 7.1), z]),
                 cell=[12.0, 14.0, 24.0])  # fmt: skip


def slab() -> Atoms:
    """Two by two by two cells of CeO2 along [001], periodic along x, with a vacuum above."""
    a = 5.411
    cells = a * np.stack(np.meshgrid(*3 * [np.arange(2)], indexing="ij"), -1).reshape(-1, 1, 3)
    cerium = a / 2 * np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]])
    oxygen = a / 4 * np.array([[i, j, k] for i in (1, 3) for j in (1, 3) for k in (1, 3)])
    positions = np.concatenate([(cells + sites).reshape(-1, 3) for sites in (cerium, oxygen)])
    return Atoms("Ce32O64", positions=positions + 0.6, cell=[2 * a, 15.0, 12.0])


def particle() -> Atoms:
    """A ridge of Pt: three rows of columns of 5, 4 and 3 atoms, nowhere symmetric."""
    sites = [(row, i, n) for row in range(3) for i in range(4 - row) for n in range(5 - row)]
    row, i, n = np.array(sites).T
    depth = 3.0 + 1.386 * ((i + row) % 2 + row + 2 * n)
    positions = np.column_stack([3.4 + 2.4005 * (i + row / 2), 4.0 + 2.2632 * row, depth])
    return Atoms(f"Pt{len(positions)}", positions=positions, cell=[14.0, 16.0, 20.0])


SPECIMENS = {"column": column, "slab": slab, "particle": particle}


def one_atom(number: int = 8, sigma: float = 1.0, **options) -> np.ndarray:
    """The wave of one atom at x = 3, y = 10 (up), z = 5 [Å]."""
    symbol = second.SYMBOLS[number]
    settings = {"grid": (160, 120), "slice_thickness": 0, "energy_kev": 300.0,
                "thermal": "potential", **options}  # fmt: skip
    return second.exit_wave([number], [[3, 10, 5]], CELL, sigmas={symbol: sigma}, **settings)


def test_it_imports_numpy_alone():
    lines = [line for line in FILE.read_text().splitlines() if line.startswith(("import", "from"))]
    assert lines == ["from collections.abc import Mapping, Sequence", "import numpy as np"]


@pytest.mark.parametrize("kev, angstrom", [(300, 0.0196875), (200, 0.0250793), (80, 0.0417572)])
def test_wavelength(kev, angstrom):
    length, mass = second.wavelength_and_mass(kev)
    assert length == pytest.approx(angstrom, abs=1e-7)
    assert mass == pytest.approx(1 + kev / 510.99895, rel=1e-8)


@pytest.mark.parametrize("number, symbol", second.SYMBOLS.items())
def test_scattering_factors_belong_to_their_elements(number, symbol):
    # Mott-Bethe: at high g only the nucleus is left.  Lobato & Van Dyck's fits obey it exactly,
    # which finds a digit typed wrongly; Kirkland's nearly.
    a, b = np.array(second.LOBATO[symbol])
    assert np.sum(a / b) * MOTT_BETHE == pytest.approx(number, rel=1e-8)
    assert np.sum(second.KIRKLAND[symbol][0]) * MOTT_BETHE == pytest.approx(number, rel=0.02)
    # The two fits describe one atom: within 4 % up to 3 1/Å (Pt at low g is the worst).
    g2 = np.linspace(0, 3, 301) ** 2
    ratio = second.scattering_factor(symbol, g2, "lobato") / second.scattering_factor(
        symbol, g2, "kirkland"
    )
    assert np.abs(ratio - 1).max() < 0.04


@pytest.mark.parametrize("parametrisation", ["lobato", "kirkland"])
def test_scattering_factors_against_those_of_abtem(parametrisation):
    from abtem.parametrizations import KirklandParametrization, LobatoParametrization

    theirs = {"lobato": LobatoParametrization, "kirkland": KirklandParametrization}
    g2 = np.linspace(0.001, 5, 500) ** 2
    for symbol in second.SYMBOLS.values():
        expected = theirs[parametrisation]().scattering_factor(symbol)(g2)
        found = second.scattering_factor(symbol, g2, parametrisation)
        assert np.abs(found / expected - 1).max() < 2e-5, symbol
    with pytest.raises(ValueError, match="use 'lobato' or 'kirkland'"):
        second.scattering_factor("Pt", g2, "peng")


def test_nothing_scatters_nothing():
    for tilt in TILTS_DEG:
        wave = second.exit_wave([], [], CELL, grid=64, slice_thickness=2.0, energy_kev=300.0,
                                sigmas={}, tilt_deg=tilt)  # fmt: skip
        assert wave.shape == (64, 64)
        assert np.abs(wave - 1).max() < 1e-12


def test_weak_atom_is_kinematic():
    # The first Born approximation: i gamma lambda f(k) / A, damped, at its place, then carried
    # to the exit plane.  Blurred by 1 Å an oxygen atom's phase is 0.01 at most, and the second
    # order below 1 % of the first.
    wave = one_atom()
    length, mass = 0.0196874890, 1.5870853543
    ky, kx = np.fft.fftfreq(160, 16 / 160)[:, None], np.fft.fftfreq(120, 12 / 120)[None, :]
    k2 = kx**2 + ky**2
    amplitude = mass * length / (12 * 16) * second.scattering_factor("O", k2)
    born = 1j * amplitude * np.exp(-2 * np.pi**2 * k2 - 1j * np.pi * length * 15 * k2)
    born *= np.exp(-2j * np.pi * (3 * kx + 6 * ky))  # row coordinate: 16 - 10 Å below the edge
    scattered = np.fft.fft2(wave - 1, norm="forward")
    assert np.linalg.norm(scattered - born) < 0.01 * np.linalg.norm(born)
    assert scattered[0, 0].imag == pytest.approx(length * mass * 2.0291 / 192, rel=1e-3)


def test_atom_appears_at_its_row_and_column_and_follows_the_tilt():
    # 15 Å below the atom, 3° carry it by 15 tan 3° = 0.786 Å to the right, or upwards.
    way = 15 * np.tan(np.deg2rad(3.0))
    for tilt, (row, column) in zip(TILTS_DEG, [(6, 3), (6, 3 + way), (6 - way, 3)], strict=True):
        strength = np.abs(one_atom(tilt_deg=tilt) - 1) ** 2
        y, x = np.arange(160) / 10, np.arange(120) / 10
        for profile, axis, period, expected in (
            (strength.sum(axis=1), y, 16, row), (strength.sum(axis=0), x, 12, column),
        ):  # fmt: skip
            turn = np.angle(np.sum(profile * np.exp(2j * np.pi * axis / period)))
            assert turn / (2 * np.pi) * period % period == pytest.approx(expected, abs=2e-3)


def test_energy_is_conserved():
    atoms = column()
    for tilt in TILTS_DEG[:2]:
        wave = second.exit_wave(atoms.numbers, atoms.positions, atoms.cell.lengths(), grid=256,
                                slice_thickness=0, energy_kev=300.0, sigmas=SIGMAS,
                                tilt_deg=tilt, thermal="potential")  # fmt: skip
        energy = np.mean(np.abs(wave) ** 2)
        assert 1 - 1e-5 < energy < 1 + 1e-12, energy


def test_thin_slices_converge_to_the_atomic_planes():
    # Strang splitting: atoms in the middle of their slice, an error of second order.
    atoms = particle()
    options = {"grid": 128, "energy_kev": 300.0, "sigmas": SIGMAS, "tilt_deg": (3.0, 0.0)}
    waves = [
        second.exit_wave(atoms.numbers, atoms.positions, atoms.cell.lengths(),
                         slice_thickness=thickness, **options)
        for thickness in (0, 0.1, 0.4)
    ]  # fmt: skip
    signal = np.linalg.norm(waves[0] - 1)
    error = [np.linalg.norm(wave - waves[0]) / signal for wave in waves[1:]]
    assert error[0] < 0.01
    assert error[0] < error[1] < 0.05


@pytest.mark.parametrize("specimen", SPECIMENS)
@pytest.mark.parametrize(
    ("engine", "thermal", "grid", "slice_nm", "correlation", "difference"),
    [
        ("torch", "potential", 256, 1e-4, 1 - 1e-6, 5e-4),
        # Two routes to the mean transmission: radial transforms of one atom in the package, a
        # fine grid of the whole plane here.
        ("torch", "transmission", 256, 1e-4, 0.9995, 0.01),
        # abTEM spreads an atom over four points of the grid, so it needs a finer one.
        ("abtem", "potential", 384, 0.05, 0.999, 0.01),
    ],
)
def test_images_agree(
    simulation, optics, specimen, engine, thermal, grid, slice_nm, correlation, difference
):
    atoms = SPECIMENS[specimen]()
    cell = atoms.cell.lengths()
    lens = WaveOptics((cell[1] / 10, cell[0] / 10), optics, 300.0)
    settings = {**simulation, "engine": engine, "grid": grid, "slice_thickness_nm": slice_nm,
                "thermal": thermal}  # fmt: skip
    for wave, tilt in zip(exit_waves(atoms, TILTS_DEG, settings), TILTS_DEG, strict=True):
        other = second.exit_wave(
            atoms.numbers, atoms.positions, cell, grid=grid, energy_kev=300.0, sigmas=SIGMAS,
            slice_thickness=0 if engine == "torch" else 10 * slice_nm, tilt_deg=tilt,
            thermal=thermal,
        )  # fmt: skip
        for c1 in C1_NM:
            ours, theirs = (
                lens.intensity(lens.spectrum(w), c1).double().numpy() for w in (wave, other)
            )
            found = np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]
            mean = np.abs(ours - theirs).mean() / theirs.std()
            message = (
                f"{engine}, {thermal}, {specimen}, tilt {tilt}, C1 {c1:g} nm: correlation "
                f"{found:.7f}, mean difference {100 * mean:.3f} % of the contrast"
            )
            assert found > correlation, message
            assert mean < difference, message


def test_the_comparison_sees_a_wrong_tilt_and_a_wrong_element(optics):
    # The thresholds above mean something: what must not pass does not.
    atoms = column()
    cell = atoms.cell.lengths()
    lens = WaveOptics((cell[1] / 10, cell[0] / 10), optics, 300.0)
    images = []
    for numbers, tilt in ((atoms.numbers, 3.0), (atoms.numbers, -3.0), (atoms.numbers + 1, 3.0)):
        wave = second.exit_wave(numbers, atoms.positions, cell, grid=128, slice_thickness=0,
                                energy_kev=300.0, sigmas=SIGMAS, tilt_deg=(tilt, 0.0))  # fmt: skip
        images.append(lens.intensity(lens.spectrum(wave), 6.0).double().numpy())
    assert np.corrcoef(images[0].ravel(), images[1].ravel())[0, 1] < 0.9
    assert np.abs(images[2] - images[0]).mean() / images[0].std() > 5e-3
