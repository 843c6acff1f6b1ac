"""The lens: constants, envelopes, agreement with abTEM's CTF, and the sign of the defocus."""

import numpy as np
import pytest
import torch
from ase import Atoms

from lowdose.data.classes import ContrastMeter, contrast_class
from lowdose.imaging.abtem_engine import fixed_abtem
from lowdose.imaging.camera import PixelGrid, blur, detected
from lowdose.imaging.optics import WaveOptics, band_limit, foci, transfer
from lowdose.imaging.waves import exit_waves, to_image
from lowdose.runtime import UserError

SKEW = {
    "c12_nm": 3.0, "phi12_deg": 25.0, "c21_nm": 150.0, "phi21_deg": -70.0, "c23_nm": 80.0,
    "phi23_deg": 40.0,
}  # fmt: skip


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


@pytest.mark.parametrize(
    ("c1_nm", "changes"),
    [
        (0.0, {}),
        (6.0, {}),
        (20.0, {}),
        (6.0, {"c12_nm": 3.0, "phi12_deg": 25.0}),
        (6.0, {"c21_nm": 150.0, "phi21_deg": -70.0}),
        (6.0, {"c23_nm": 80.0, "phi23_deg": 40.0}),
        (9.0, SKEW),
        # A convergence that damps: its envelope follows the slope of the skew phase too.
        (9.0, {**SKEW, "convergence_mrad": 1.0}),
    ],
)
def test_same_image_as_abtem(tilted_waves, particle_model, optics, c1_nm, changes):
    import abtem

    lens = {**optics, **changes}
    wave = tilted_waves[4.0, 0.0]
    cell = particle_model.cell.lengths()[[1, 0]]
    # abTEM's y runs up; the conversion between the two is its own inverse.
    upward = np.roll(np.swapaxes(wave, 0, 1)[:, ::-1], 1, axis=1)
    assert np.array_equal(to_image(upward), wave)
    with fixed_abtem():
        theirs = abtem.Waves(
            np.ascontiguousarray(upward), energy=300e3, extent=(cell[1], cell[0])
        ).apply_ctf(
            abtem.CTF(
                energy=300e3,
                defocus=-10 * c1_nm,
                Cs=lens["c3_um"] * 1e4,
                C50=lens["c5_mm"] * 1e7,
                focal_spread=10 * lens["focal_spread_nm"],
                angular_spread=lens["convergence_mrad"],
                **{f"C{key}": 10 * lens[f"c{key}_nm"] for key in ("12", "21", "23")},
                **{f"phi{key}": np.deg2rad(lens[f"phi{key}_deg"]) for key in ("12", "21", "23")},
            )
        )
        expected = to_image(np.abs(theirs.array) ** 2)
    ours = WaveOptics(tuple(cell / 10), lens, 300.0)
    image = ours.intensity(ours.spectrum(wave), c1_nm)
    # The same points: abTEM's grid is sampled from our Fourier series.
    step = [cell[i] / 10 / wave.shape[i] for i in (0, 1)]
    for row in (70, 130, 200):
        grid = PixelGrid(
            ours.grid, ours.cell_nm, step[1], (row * step[0], 0.0), (1, wave.shape[1]),
            tuple(2 * m for m in ours.cut),
        )  # fmt: skip
        assert np.abs(grid.sample(image).numpy()[0] - expected[row]).max() < 1e-4
    if changes:
        # The angles' sense matters: mirrored aberrations give another image.
        mirrored = {k: -v if k.startswith("phi") else v for k, v in lens.items()}
        other = WaveOptics(ours.cell_nm, mirrored, 300.0)
        assert (other.intensity(other.spectrum(wave), c1_nm) - image).abs().max() > 1e-3


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
    wave = exit_waves(atoms, [(0, 0)], {**simulation, "grid": 240})[0]
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


def test_wave_that_cannot_hold_the_lens_is_refused(optics):
    lens = WaveOptics((5.0, 5.0), optics, 300.0)
    with pytest.raises(UserError, match=r"96 points.*157 frequencies.*simulation\.grid to 240"):
        lens.spectrum(np.ones((96, 96)))


def test_named_grid_is_enough_for_the_lens(optics, simulation):
    atoms = Atoms("Pt", positions=[[4.0, 4.0, 1.0]], cell=[14.0, 16.0, 2.0], pbc=True)
    lens = WaveOptics((1.6, 1.4), {**optics, "focal_points": 15, "c5_mm": 0.0}, 300.0)
    with pytest.raises(UserError, match="too coarse") as told:
        lens.spectrum(exit_waves(atoms, [(0, 0)], {**simulation, "grid": 96})[0])
    grid = int(str(told.value).split("simulation.grid to ")[1].split()[0])
    lens.spectrum(exit_waves(atoms, [(0, 0)], {**simulation, "grid": grid})[0])


def random_wave(seed, shape=(96, 90), dtype=np.complex64) -> np.ndarray:
    """1 plus a random wave of 20 %, below 3 1/Å in a cell of 1.4 x 1.3 nm."""
    rng = np.random.default_rng(seed)
    series = rng.normal(size=(*shape, 2)) @ [1, 1j]
    k = [np.fft.fftfreq(n, length / n) for n, length in zip(shape, (14.0, 13.0), strict=True)]
    series *= np.exp(-2 * (k[0][:, None] ** 2 + k[1][None, :] ** 2))
    wave = np.fft.ifft2(series)
    return (1 + 0.2 * wave / wave.std()).astype(dtype)


SMALL = (1.4, 1.3)
WEAK = {"c3_um": -2.0, "c5_mm": 0.0}  # what so small a cell can follow up to 3 1/Å


def test_batches_equal_single_images(optics):
    lens = WaveOptics(SMALL, {**optics, **SKEW}, 300.0)
    spectra = [lens.spectrum(random_wave(seed)) for seed in (1, 2)]
    series = lens.intensity(spectra[0], [0.0, 6.0, 9.0])
    for image, c1 in zip(series, (0.0, 6.0, 9.0), strict=True):
        assert torch.allclose(image, lens.intensity(spectra[0], c1), atol=1e-6)
    pairs = lens.intensity(torch.stack(spectra), torch.tensor([6.0, 9.0]))
    for image, spectrum, c1 in zip(pairs, spectra, (6.0, 9.0), strict=True):
        assert torch.allclose(image, lens.intensity(spectrum, c1), atol=1e-6)
    coma = {**optics, **SKEW, "c21_nm": torch.tensor([0.0, 150.0])}
    both = WaveOptics(SMALL, coma, 300.0).intensity(spectra[0], 6.0)
    assert torch.allclose(both[1], series[1], atol=1e-6)
    assert (both[0] - both[1]).abs().max() > 1e-3


def test_configurations_are_averaged_incoherently(optics):
    lens = WaveOptics(SMALL, optics, 300.0)
    waves = np.stack([random_wave(seed) for seed in (3, 4, 5)])
    together = lens.spectrum(waves)
    expected = sum(lens.intensity(lens.spectrum(wave), 6.0) for wave in waves) / 3
    assert torch.allclose(lens.intensity(together, 6.0), expected, atol=1e-6)
    coherent = lens.intensity(lens.spectrum(waves.mean(axis=0)), 6.0)
    assert (coherent - expected).abs().max() > 0.01
    batch = lens.intensity(torch.stack([together, together.flip(0)]), [6.0, 9.0])
    assert torch.allclose(batch[0], expected, atol=1e-6)
    assert torch.allclose(batch[1], lens.intensity(together, 9.0), atol=1e-6)


def test_number_of_points_of_a_wave_does_not_matter(optics):
    # The same wave on 96 x 90 points and, Fourier-padded, on 135 x 128.
    coarse = random_wave(6, dtype=np.complex128)
    series = np.zeros((135, 128), complex)
    rows, columns = (np.fft.fftfreq(n, 1 / n).astype(int) for n in coarse.shape)
    series[np.ix_(rows, columns)] = np.fft.fft2(coarse, norm="forward")
    fine = np.fft.ifft2(series, norm="forward")
    lens = WaveOptics(SMALL, optics, 300.0)
    images = [lens.intensity(lens.spectrum(wave), 6.0) for wave in (coarse, fine)]
    assert images[0].dtype == torch.float64
    assert torch.allclose(*images, atol=1e-12)
    single = lens.intensity(lens.spectrum(coarse.astype(np.complex64)), 6.0)
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), images[0], atol=1e-5)


@pytest.mark.parametrize("points", [1, 5])
def test_derivatives_of_the_image_are_exact(optics, points):
    wave = random_wave(7, dtype=np.complex128)
    keys = ["c3_um", "c12_nm", "phi12_deg", "c21_nm", "phi23_deg"]
    start = {**optics, **SKEW, **WEAK, "c21_nm": 20.0, "c23_nm": 10.0, "focal_points": points}
    place = torch.from_numpy(np.random.default_rng(8).normal(size=(2, 48)))

    def value(c1, *coefficients):
        changed = {**start, **dict(zip(keys, coefficients, strict=True))}
        lens = WaveOptics(SMALL, changed, 300.0)
        image = lens.intensity(lens.spectrum(wave), c1)
        return (image[..., ::7, ::5][..., :6, :8].flatten(-2) * place).sum(-1)

    inputs = [torch.tensor([1.0, 3.0], dtype=torch.float64, requires_grad=True)]
    inputs += [torch.tensor(start[k], dtype=torch.float64, requires_grad=True) for k in keys]
    assert torch.autograd.gradcheck(value, inputs, eps=1e-5, atol=1e-5)


@pytest.mark.parametrize("points", [7, 15, 31])
def test_foci_have_the_moments_of_the_focal_spread(optics, points):
    offsets, weights = np.array(foci({**optics, "focal_points": points})).T
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert weights @ offsets == pytest.approx(0, abs=1e-12)
    # The variance of exp(-(d / spread)^2) is spread^2 / 2, less the tails that 7 foci leave out.
    loss = {7: 0.1, 15: 5e-3, 31: 1e-5}[points]
    assert weights @ offsets**2 == pytest.approx(8.0, rel=loss)
    assert foci(optics) == [(0.0, 1.0)]
    assert foci({**optics, "focal_points": points, "focal_spread_nm": 0.0}) == [(0.0, 1.0)]


def two_beams(h, k, a=0.2, b=0.15j, n=100) -> np.ndarray:
    """1 + a exp(2 pi i h x) + b exp(2 pi i k x), h and k in cycles over the cell."""
    x = np.arange(n) / n
    line = 1 + a * np.exp(2j * np.pi * h * x) + b * np.exp(2j * np.pi * k * x)
    return np.tile(line, (n, 1)).astype(np.complex128)


@pytest.mark.parametrize(("h", "k"), [(9, 5), (9, -9), (9, -8), (14, 3)])
def test_sum_over_foci_damps_what_two_beams_make_together(optics, h, k):
    # The mutual coherence of beams of k1 and k2 is exp(-(pi lambda spread (k1^2 - k2^2) / 2)^2):
    # beams of equal |k| interfere undamped, where the envelope would damp either.
    lens_of = {**optics, **WEAK, "convergence_mrad": 0.0, "focal_points": 31}
    lens = WaveOptics((1.4, 1.4), lens_of, 300.0)
    image = lens.intensity(lens.spectrum(two_beams(h, k)), 4.0)
    found = torch.fft.fft(image[0], norm="forward")
    per_cycle, lam = 1 / 14.0, 0.019687489

    def beam(cycles, amplitude):
        angle2 = (lam * cycles * per_cycle) ** 2
        chi = 2 * np.pi / lam * (40 * angle2 / 2 - 2e4 * angle2**2 / 4)
        return amplitude * np.exp(-1j * chi)

    def coherence(first, second):
        difference = (first**2 - second**2) * per_cycle**2
        return np.exp(-((np.pi * lam * 40 * difference / 2) ** 2))

    beams = {0: beam(0, 1), h: beam(h, 0.2), k: beam(k, 0.15j)}
    expected = np.zeros(lens.grid[1], complex)
    for p, one in beams.items():
        for q, other in beams.items():
            expected[p - q] += one * np.conj(other) * coherence(p, q)
    assert np.abs(found.numpy() - expected).max() < 1e-5


def test_weak_object_sees_the_envelope_in_the_sum_over_foci(optics):
    # To first order in the object both are one and the same, by the beams' product with 1.
    x = np.arange(80) / 80
    wave = np.tile(1 + 1e-4j * np.cos(2 * np.pi * 13 * x), (80, 1))
    still = {**optics, **WEAK, "convergence_mrad": 0.0}
    amplitudes = []
    for lens_of in (still, {**still, "focal_points": 31}):
        lens = WaveOptics((1.2, 1.2), lens_of, 300.0)
        image = lens.intensity(lens.spectrum(wave), 2.0)
        amplitudes.append(2 * torch.fft.rfft(image[0], norm="forward")[13].real.item())
    assert abs(amplitudes[0]) > 1e-5
    assert amplitudes[1] == pytest.approx(amplitudes[0], abs=2e-8)


def test_sum_over_foci_loses_no_electron(optics):
    lens_of = {**optics, **WEAK, "convergence_mrad": 0.0, "focal_points": 9}
    lens = WaveOptics(SMALL, lens_of, 300.0)
    assert lens.limit == 3.0
    spectrum = lens.spectrum(random_wave(9, dtype=np.complex128))
    power = (spectrum.abs() ** 2).sum().item()
    assert lens.intensity(spectrum, 2.0).mean().item() == pytest.approx(power, rel=1e-9)


def test_foci_converge_on_a_real_wave(thin_particle, optics, camera):
    wave, _ = thin_particle
    images = {}
    for points in (7, 15, 21, 31):
        lens = WaveOptics((2.4, 2.4), {**optics, "focal_points": points}, 300.0)
        through = blur(lens.grid, lens.cell_nm, camera, camera["pixel_size_nm"])
        images[points] = detected(lens.intensity(lens.spectrum(wave), 4.0), through, 1.0)
    contrast = images[31].std().item()
    error = {n: (images[n] - images[31]).std().item() / contrast for n in (7, 15, 21)}
    assert error[7] < 0.05
    assert error[15] < 2e-3
    assert error[21] < 5e-4


def test_limit_of_the_sum_over_foci_cuts_nothing_visible(thin_particle, optics, camera):
    # Against the plain sum over all frequencies of the wave, in NumPy.
    wave, _ = thin_particle
    lens = WaveOptics((2.4, 2.4), {**optics, "focal_points": 15}, 300.0)
    through = blur(lens.grid, lens.cell_nm, camera, camera["pixel_size_nm"])
    image = detected(lens.intensity(lens.spectrum(wave), 4.0), through, 1.0)
    n = wave.shape[0]
    k = torch.fft.fftfreq(n, 24.0 / n, dtype=torch.float64)
    full = np.zeros((512, 512))
    places = np.fft.fftfreq(n, 1 / n).astype(int)
    series = np.fft.fft2(wave.astype(complex), norm="forward")
    for offset, weight in lens._foci:
        passed = series * transfer(k[None], k[:, None], 4.0 + offset, lens.optics, 300.0).numpy()
        padded = np.zeros((512, 512), complex)
        padded[np.ix_(places, places)] = passed
        full += weight * np.abs(np.fft.ifft2(padded, norm="forward")) ** 2
    through = blur((512, 512), lens.cell_nm, camera, camera["pixel_size_nm"])
    expected = detected(torch.from_numpy(full), through, 1.0)
    step = 2.4 / 512
    pixels = PixelGrid(lens.grid, lens.cell_nm, step, (0.0, 0.0), (512, 512), (999, 999))
    error = (pixels.sample(image) - expected).std() / expected.std()
    assert error < 2e-3
