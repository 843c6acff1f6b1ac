"""The camera: transfer, exact sampling between grid points, and shot noise."""

import numpy as np
import pytest
import torch

from lowdose import seeds
from lowdose.imaging.camera import (
    PixelGrid,
    blur,
    calibrated,
    detected,
    draw_counts,
    readout,
)
from lowdose.imaging.optics import WaveOptics
from lowdose.metrics import psnr

CELL_NM = (1.7, 2.3)


def band_limited(grid, band, seed) -> tuple[torch.Tensor, dict]:
    """A random image and its Fourier coefficients by (ky, kx)."""
    rng = np.random.default_rng(seed)
    series = {
        (ky, kx): complex(*rng.normal(size=2)) / 20
        for ky in range(-band[0], band[0] + 1)
        for kx in range(0, band[1] + 1)
        if kx > 0 or ky > 0
    }
    y, x = np.meshgrid(*(np.arange(n) / n for n in grid), indexing="ij")
    return torch.from_numpy(evaluate(series, y, x)).float(), series


def evaluate(series, y, x) -> np.ndarray:
    """Sum the series 1 + 2 Re(c exp(2 pi i (ky y + kx x))) term by term."""
    total = np.ones_like(y)
    for (ky, kx), c in series.items():
        total += 2 * (c * np.exp(2j * np.pi * (ky * y + kx * x))).real
    return total


@pytest.mark.parametrize(("pixel_nm", "origin_nm"), [(0.0061, (0.15, 0.0)), (0.0137, (-0.4, 1.9))])
def test_sampling_equals_direct_summation(pixel_nm, origin_nm):
    grid, band, shape = (27, 40), (6, 9), (31, 23)
    image, series = band_limited(grid, band, seed=1)
    y = (origin_nm[0] + pixel_nm * np.arange(shape[0])) / CELL_NM[0]
    x = (origin_nm[1] + pixel_nm * np.arange(shape[1])) / CELL_NM[1]
    expected = evaluate(series, *np.meshgrid(y, x, indexing="ij"))
    sampled = PixelGrid(grid, CELL_NM, pixel_nm, origin_nm, shape, band).sample(image)
    assert np.abs(sampled.numpy() - expected).max() < 2e-5


def test_sampling_reproduces_grid_points():
    grid = (20, 30)
    image, _ = band_limited(grid, (5, 8), seed=2)
    cell = (20 * 0.07, 30 * 0.07)
    sampled = PixelGrid(grid, cell, 0.07, (0.0, 0.0), grid, (9, 14)).sample(image)
    assert torch.allclose(sampled, image, atol=2e-5)
    # A wider band than the grid can hold is cut to what there is.
    same = PixelGrid(grid, cell, 0.07, (0.0, 0.0), grid, (99, 99)).sample(image)
    assert torch.allclose(same, image, atol=2e-5)


@pytest.fixture(scope="module")
def columns_image(optics) -> tuple[torch.Tensor, tuple[int, int]]:
    """Image of 30 sharp columns through the lens, before the camera, and its band."""
    rng = np.random.default_rng(5)
    y, x = np.meshgrid(*(np.arange(120) / 120 * length for length in CELL_NM), indexing="ij")
    phase = np.zeros((120, 120))
    for cy, cx in rng.uniform((0, 0), CELL_NM, (30, 2)):
        dy, dx = (((p - c + n / 2) % n) - n / 2
                  for p, c, n in zip((y, x), (cy, cx), CELL_NM, strict=True))  # fmt: skip
        phase += 1.2 * np.exp(-(dy**2 + dx**2) / (2 * 0.03**2))
    lens = WaveOptics(CELL_NM, optics, 300.0)
    return lens.intensity(lens.spectrum(np.exp(1j * phase)), 8.0), tuple(2 * m for m in lens.cut)


@pytest.mark.parametrize("rotation_deg", [-163.0, -30.0, 0.01, 45.0, 90.0])
def test_rotated_sampling_equals_direct_summation(columns_image, rotation_deg):
    image, band = columns_image
    shape, grid = (140, 201), tuple(image.shape)
    assert image.max() - image.min() > 1  # much more contrast than the camera leaves
    pixels = PixelGrid(grid, CELL_NM, 0.011, (0.3, -0.2), shape, band, rotation_deg)
    sampled = pixels.sample(image.float()).numpy()
    assert sampled.shape == shape
    rng = np.random.default_rng(5)
    rows, columns = rng.integers(shape[0], size=200), rng.integers(shape[1], size=200)
    # The offset from the middle, turned clockwise into the cell: what is shown turns against it.
    up, right = (69.5 - rows) * 0.011, (columns - 100.0) * 0.011
    place = (right + 1j * up) * np.exp(-1j * np.deg2rad(rotation_deg))
    y, x = 0.3 + 69.5 * 0.011 - place.imag, -0.2 + 100.0 * 0.011 + place.real
    series = np.fft.fft2(image.numpy(), norm="forward")
    ky, kx = (np.fft.fftfreq(n, length / n) for n, length in zip(grid, CELL_NM, strict=True))
    expected = np.einsum(
        "pj,jk,pk->p", np.exp(2j * np.pi * np.outer(y, ky)), series,
        np.exp(2j * np.pi * np.outer(x, kx)), optimize=True,
    ).real  # fmt: skip
    assert np.abs(sampled[rows, columns] - expected).max() < 1e-4
    # Some positions lie outside the cell: the image is periodic both ways.
    assert np.any((x < 0) | (x > CELL_NM[1]) | (y < 0) | (y > CELL_NM[0]))


def test_positive_rotation_turns_a_marker_counter_clockwise():
    n, step = 64, 0.02
    y, x = np.mgrid[:n, :n] * step

    def marker(at_y, at_x):
        return 1 + np.exp(-((y - at_y) ** 2 + (x - at_x) ** 2) / (2 * 0.05**2))

    middle = step * (n - 1) / 2
    right = torch.from_numpy(marker(middle, middle + 0.3)).float()
    for angle, (down, across) in {90.0: (-0.3, 0.0), 30.0: (-0.15, 0.15 * 3**0.5)}.items():
        turned = PixelGrid(
            (n, n), (n * step, n * step), step, (0.0, 0.0), (n, n), (n, n), angle
        ).sample(right)
        assert np.abs(turned.numpy() - marker(middle + down, middle + across)).max() < 1e-3


def test_a_whole_turn_changes_nothing_but_the_method(columns_image):
    image, band = columns_image
    image, grid, shape = image.float(), tuple(image.shape), (31, 23)
    upright, turned = (
        PixelGrid(grid, CELL_NM, 0.03, (0.15, 0.4), shape, band, angle).sample(image)
        for angle in (0.0, 360.0)
    )
    assert not torch.equal(upright, turned)
    assert torch.allclose(upright, turned, atol=1e-4)


@pytest.mark.parametrize("rotation_deg", [0.0, 20.0])
def test_batches_are_sampled_like_single_images(rotation_deg):
    grid, band, shape = (27, 40), (6, 9), (31, 23)
    images = torch.stack([band_limited(grid, band, seed=seed)[0] for seed in (7, 8, 9)])
    through = blur(grid, CELL_NM, {"mtf_nyquist": 0.5, "vibration_nm": 0.02}, 0.0061)
    pixels = PixelGrid(grid, CELL_NM, 0.03, (0.15, 0.4), shape, band, rotation_deg)
    together = pixels.sample(detected(images, through, 0.5))
    assert together.shape == (3, *shape)
    for image, value in zip(images, together, strict=True):
        alone = pixels.sample(detected(image, through, 0.5))
        assert torch.allclose(value, alone, atol=1e-5)


def test_drift_is_the_mean_over_the_exposure():
    grid = (60, 72)
    image, _ = band_limited(grid, (9, 11), seed=10)
    still = {"mtf_nyquist": 1.0, "vibration_nm": 0.0}
    drift = (0.08, -0.05)
    series = torch.fft.rfft2(image.double())
    ky = torch.fft.fftfreq(grid[0], CELL_NM[0] / grid[0], dtype=torch.float64)[:, None]
    kx = torch.fft.rfftfreq(grid[1], CELL_NM[1] / grid[1], dtype=torch.float64)[None, :]
    times = (np.arange(400) + 0.5) / 400 - 0.5
    moved = sum(
        torch.fft.irfft2(
            series * torch.exp(-2j * np.pi * t * (ky * drift[0] + kx * drift[1])), s=grid
        )
        for t in times
    )
    through = blur(grid, CELL_NM, still, 0.0061, drift_nm=drift)
    blurred = detected(image, through, 1.0)
    assert torch.allclose(blurred.double(), moved / 400, atol=1e-4)
    assert (blurred - image).abs().max() > 0.05
    plain = blur(grid, CELL_NM, still, 0.0061)
    assert torch.equal(blur(grid, CELL_NM, still, 0.0061, drift_nm=(0.0, 0.0)), plain)


def test_drift_by_a_period_removes_it():
    # 0.25 nm of drift along x over 2 nm: the eighth frequency has that period.
    through = blur((40, 40), (2.0, 2.0), {"mtf_nyquist": 1.0, "vibration_nm": 0.0}, 0.1,
                   drift_nm=(0.0, 0.25))  # fmt: skip
    assert through[0, 8].item() == pytest.approx(0, abs=1e-7)
    assert through[0, 4].item() == pytest.approx(2 / np.pi, rel=1e-6)
    assert torch.all(through[:, 0] == 1)


def test_transfer_at_nyquist_and_of_vibration():
    # 0.1 nm pixels over 4 nm: Nyquist, 5 1/nm, is the 20th frequency of the cell.
    still = {"mtf_nyquist": 0.37, "vibration_nm": 0.0}
    value = blur((80, 80), (4.0, 4.0), still, 0.1)
    assert value[0, 0] == 1
    assert value[20, 0].item() == value[0, 20].item() == pytest.approx(0.37)
    assert value[-20, 0].item() == pytest.approx(0.37)
    assert value[0, 10].item() == pytest.approx(0.37**0.25)
    shaken = blur((80, 80), (4.0, 4.0), {"mtf_nyquist": 1.0, "vibration_nm": 0.02}, 0.1)
    assert shaken[0, 20].item() == pytest.approx(np.exp(-2 * np.pi**2 * 0.02**2 * 25), rel=1e-5)


def test_vibration_is_a_gaussian_of_its_rms_width():
    n, step = 200, 0.01
    point = torch.zeros(n, n)
    point[100, 100] = 1.0
    through = blur((n, n), (n * step, n * step), {"mtf_nyquist": 1.0, "vibration_nm": 0.05}, 0.1)
    image = (detected(1 + point, through, 1.0) - 1).numpy()
    y, x = (np.mgrid[:n, :n] - 100) * step
    expected = step**2 / (2 * np.pi * 0.05**2) * np.exp(-(x**2 + y**2) / (2 * 0.05**2))
    assert np.abs(image - expected).max() < 1e-6


def test_contrast_factor_scales_about_the_vacuum():
    image, _ = band_limited((20, 30), (4, 4), seed=3)
    through = torch.ones(20, 16)
    half = detected(image, through, 0.5)
    assert torch.allclose(half - 1, 0.5 * (image - 1), atol=1e-6)


def test_counts_have_mean_and_variance_of_the_expectation():
    for expectation in (0.05, 0.45, 3.0):
        n = 400_000
        counts = draw_counts(np.full((400, 1000), expectation), seeds.rng(1, "poisson"))
        assert counts.dtype == np.float32
        assert np.array_equal(counts, np.rint(counts))
        values = counts.astype(np.float64)
        # Standard errors of mean and variance: sqrt(l / n), sqrt((l + 2 l^2) / n).
        assert abs(values.mean() - expectation) < 4 * np.sqrt(expectation / n)
        error = np.sqrt((expectation + 2 * expectation**2) / n)
        assert abs(values.var() - expectation) < 4 * error


def test_counts_follow_the_expectation_pixel_by_pixel():
    expected = np.linspace(0.1, 2.0, 24).reshape(4, 6)
    rng = seeds.rng(2, "pixels")
    drawn = np.stack([draw_counts(expected, rng) for _ in range(4000)]).astype(np.float64)
    assert np.all(np.abs(drawn.mean(axis=0) - expected) < 4.5 * np.sqrt(expected / 4000))
    correlation = np.corrcoef(drawn[:, 0, 0], drawn[:, 0, 1])[0, 1]
    assert abs(correlation) < 4.5 / np.sqrt(4000)


def test_negative_ripples_of_an_expectation_give_no_counts():
    assert draw_counts(np.array([-1e-6, -0.2]), seeds.rng(1)).tolist() == [0, 0]


def test_dark_counts_leave_the_mean_and_add_their_variance():
    n, expectation, dark = 400_000, 0.45, 0.2
    drawn = draw_counts(np.full(n, expectation), seeds.rng(4, "dark"), dark_e_per_px=dark)
    values = drawn.astype(np.float64)
    total = expectation + dark
    assert abs(values.mean() - expectation) < 4 * np.sqrt(total / n)
    assert abs(values.var() - total) < 4 * np.sqrt((total + 2 * total**2) / n)
    assert values.min() == pytest.approx(-dark)
    # Vacuum without beam is dark noise alone.
    empty = draw_counts(np.full(n, -0.3), seeds.rng(5), dark_e_per_px=dark).astype(np.float64)
    assert abs(empty.mean()) < 4 * np.sqrt(dark / n)


def test_no_dark_counts_draw_the_same_numbers_as_ever():
    expected = np.linspace(0.1, 2.0, 1000)
    plain = draw_counts(expected, seeds.rng(6))
    assert np.array_equal(plain, seeds.rng(6).poisson(expected))
    assert np.array_equal(plain, draw_counts(expected, seeds.rng(6), dark_e_per_px=0.0))


@pytest.mark.parametrize(("gain", "dark"), [(1.0, 0.0), (7.5, 0.0), (12.0, 0.3)])
def test_readout_is_whole_electrons_times_gain_and_can_be_undone(gain, dark):
    counts = draw_counts(np.full((50, 60), 0.45), seeds.rng(7), dark_e_per_px=dark)
    units = readout(counts, gain, dark)
    assert units.dtype == np.float32
    electrons = units.astype(np.float64) / gain
    assert np.abs(electrons - np.rint(electrons)).max() < 1e-5
    assert electrons.min() >= -1e-5
    assert abs(electrons.mean() - 0.45 - dark) < 4 * np.sqrt((0.45 + dark) / counts.size)
    back = calibrated(units, gain, dark)
    assert back.dtype == np.float32
    assert np.abs(back - counts).max() < 1e-5


def test_raw_frame_of_the_reference_dose_scores_3_47_db():
    # The mean squared error of Poisson counts is their mean, 0.45: -10 log10(0.45) = 3.468 dB.
    clean = np.full((800, 800), 0.45)
    counts = draw_counts(clean, seeds.rng(3, "raw"))
    assert psnr(clean, counts, dose_e_per_px=0.45) == pytest.approx(3.468, abs=0.05)
