"""The camera: transfer, exact sampling between grid points, and shot noise."""

import numpy as np
import pytest
import torch

from lowdose import seeds
from lowdose.imaging.camera import PixelGrid, blur, detected, draw_counts
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


def test_raw_frame_of_the_reference_dose_scores_3_47_db():
    # The mean squared error of Poisson counts is their mean, 0.45: -10 log10(0.45) = 3.468 dB.
    clean = np.full((800, 800), 0.45)
    counts = draw_counts(clean, seeds.rng(3, "raw"))
    assert psnr(clean, counts, dose_e_per_px=0.45) == pytest.approx(3.468, abs=0.05)
