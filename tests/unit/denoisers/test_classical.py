"""What each classical method does to a known image, and how well."""

import time

import numpy as np
import pytest
from scipy import ndimage, signal

from lowdose.denoisers import registry

PIXEL_NM = 0.0061
DOSE_E_PER_PX = 0.45
DOSE_E_PER_A2 = DOSE_E_PER_PX / (10 * PIXEL_NM) ** 2


@pytest.fixture(scope="module")
def pair(particle):
    clean = particle(400)
    return clean, np.random.default_rng(7).poisson(clean).astype(np.float32)


def denoised(name, counts, **parameters):
    return registry.create(name, **parameters).denoise(counts[None], PIXEL_NM, dose=DOSE_E_PER_A2)[
        0
    ]


def psnr(clean, estimate):
    """PSNR with MAX = 1 at the reference dose, written out: independent of lowdose.metrics."""
    return -10 * np.log10(np.mean((estimate - clean) ** 2))


def test_raw_is_the_counts_and_scores_the_papers_3_5_db(pair):
    clean, counts = pair
    assert np.array_equal(denoised("raw", counts), counts)
    assert psnr(clean, counts) == pytest.approx(-10 * np.log10(clean.mean()), abs=0.1)


def test_constant_is_the_mean(pair):
    _, counts = pair
    assert np.allclose(denoised("constant", counts), counts.mean(dtype=float), rtol=1e-6)


def test_gaussian_leaves_the_noise_of_its_kernel():
    """Var = lambda / (4 pi sigma²), the integral of the squared kernel."""
    counts = np.random.default_rng(0).poisson(0.45, (600, 600)).astype(np.float32)
    estimate = denoised("gaussian", counts, sigma_nm=4 * PIXEL_NM)
    assert estimate.var() == pytest.approx(0.45 / (4 * np.pi * 16), rel=0.06)


def test_gaussian_width_is_in_nm():
    point = np.zeros((1, 101, 101), np.float32)
    point[0, 50, 50] = 1.0
    estimate = registry.create("gaussian", sigma_nm=0.05).denoise(point, 0.01)[0]
    offset = np.arange(101) - 50
    assert (estimate.sum(axis=0) * offset**2).sum() == pytest.approx(25.0, rel=0.01)


def test_wiener_is_scipys_where_scipys_assumptions_hold():
    """Inside a frame whose local mean is the same everywhere, both use one noise variance."""
    rng = np.random.default_rng(1)
    counts = rng.permuted(np.tile(np.arange(9.0), (81 * 9, 1)), axis=1).reshape(81, 81)
    image = np.tile(counts[:9, :9], (9, 9)).astype(np.float32)
    mean = image[:9, :9].mean(dtype=float)
    ours = denoised("wiener", image, window_nm=9 * PIXEL_NM)
    theirs = signal.wiener(image.astype(float), 9, noise=mean)
    assert np.allclose(ours[9:-9, 9:-9], theirs[9:-9, 9:-9], rtol=1e-5)
    assert ours.std() > 0.1


def test_wiener_keeps_steps_that_a_mean_blurs():
    clean = np.full((120, 120), 5.0)
    clean[:, 60:] = 60.0
    counts = np.random.default_rng(2).poisson(clean).astype(np.float32)
    estimate = denoised("wiener", counts, window_nm=15 * PIXEL_NM)
    blurred = ndimage.uniform_filter(counts, 15)
    edge = np.s_[:, 55:65]
    assert psnr(clean[edge], estimate[edge]) > psnr(clean[edge], blurred[edge]) + 6


@pytest.mark.parametrize("name", ["tv", "nlm"])
@pytest.mark.parametrize("counts_per_px", [0.05, 0.45, 5.0])
def test_stabilised_methods_are_unbiased_before_the_total_is_kept(name, counts_per_px):
    """An algebraic inverse would lose a quarter count a bin: 3.5 % at 7.2 counts."""
    counts = np.random.default_rng(3).poisson(counts_per_px, (1, 256, 256)).astype(np.float32)
    denoiser = registry.create(name)
    estimate = denoiser._denoise_stack(counts, PIXEL_NM, np.array([counts_per_px]))
    assert estimate.mean() / counts.mean(dtype=float) == pytest.approx(1.0, abs=0.015)


def test_order_of_the_methods_on_a_particle(pair):
    """Floors in dB above a constant image, which itself is 10 log10 of the clean variance."""
    clean, counts = pair
    constant = psnr(clean, denoised("constant", counts))
    assert constant == pytest.approx(-10 * np.log10(clean.var()), abs=0.02)
    wiener = psnr(clean, denoised("wiener", counts, window_nm=0.17))
    assert wiener > constant + 1
    for name in ("gaussian", "tv", "nlm"):
        assert psnr(clean, denoised(name, counts)) > max(wiener, constant + 1.5), name


@pytest.mark.parametrize("name", ["tv", "nlm", "gaussian", "wiener"])
def test_a_frame_of_800_pixels_takes_less_than_two_seconds(name):
    counts = np.random.default_rng(4).poisson(DOSE_E_PER_PX, (800, 800)).astype(np.float32)
    denoised(name, counts[:64, :64])
    start = time.perf_counter()
    denoised(name, counts)
    assert time.perf_counter() - start < 2.0
