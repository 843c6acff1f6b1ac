"""PURE-LET: its risk against exact sums and against the error it estimates, and known images."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import poisson
from skimage import data

from lowdose.denoisers.classical.purelet import (
    ORIENTATIONS,
    Expansion,
    compose,
    decompose,
    least_risk,
    purelet,
    risk,
)
from lowdose.denoisers.classical.stabilisation import anscombe, exact_inverse, noise_sigma


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def test_what_was_taken_apart_comes_together(rng):
    scale = rng.poisson(3.0, (32, 48)).astype(float)
    for half in (1, 2, 4):
        parent, details = decompose(scale, half)
        np.testing.assert_allclose(compose(parent, list(details.values()), half), scale)


def test_coefficients_are_block_differences(rng):
    pixels = rng.poisson(2.0, (16, 16)).astype(float)
    sums, _ = decompose(pixels, 1)
    parent, details = decompose(sums, 2)
    block = pixels[4:8, 6:10]
    assert parent[4, 6] == block.sum()
    assert details["horizontal"][4, 6] == block[:, :2].sum() - block[:, 2:].sum()
    assert details["vertical"][4, 6] == block[:2].sum() - block[2:].sum()
    anti = block[:2, 2:].sum() + block[2:, :2].sum()
    assert details["diagonal"][4, 6] == block.sum() - 2 * anti


@pytest.mark.parametrize(("first", "second"), [(0.1, 0.4), (2.0, 0.3), (7.0, 5.0)])
def test_the_risk_is_unbiased_at_any_count(first, second):
    """Summed over all pairs of counts: no simulation, no tolerance but that of the sum."""

    def theta(d, s):
        return 0.7 * d * np.exp(-(d**2) / (12 * np.maximum(s, 0.5))) + 0.1 * s

    expected_risk = expected_error = 0.0
    for a, b in itertools.product(range(40), repeat=2):
        chance = poisson.pmf(a, first) * poisson.pmf(b, second)
        d, s = np.array([a - b]), np.array([a + b])
        expected_error += chance * (theta(d, s)[0] - (first - second)) ** 2
        expected_risk += chance * risk(theta(d, s), theta(d - 1, s - 1), theta(d + 1, s - 1), d, s)
    assert expected_risk == pytest.approx(expected_error, abs=1e-9)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_risk_is_the_error_within_its_standard_error(rng, orientation):
    """Over realisations of an image with structure, the neighbours' functions included."""
    y, x = np.mgrid[:64, :64]
    expected = 0.6 + 0.4 * np.sin(x / 3) * np.cos(y / 5) + (x > 40)
    truth = decompose(decompose(expected, 1)[0], 2)[1][orientation]
    weights = rng.normal(0.3, 0.2, 10)
    differences = []
    for _ in range(400):
        parent, details = decompose(decompose(rng.poisson(expected).astype(float), 1)[0], 2)
        d = details[orientation]
        expansion = Expansion(d, parent, 4, orientation)
        # Wrapping is no mirror: every block counts.
        theta, lower, upper = (
            sum(w * f for w, f in zip(weights, expansion.at(e, t), strict=True))
            for e, t in ((d, parent), (d - 1, parent - 1), (d + 1, parent - 1))
        )
        differences.append(risk(theta, lower, upper, d, parent) - np.mean((theta - truth) ** 2))
    error = np.std(differences) / np.sqrt(len(differences))
    assert abs(np.mean(differences)) < 4 * error


def test_the_weights_have_the_least_risk(rng):
    counts = rng.poisson(2 + np.sin(np.arange(48) / 4) + np.zeros((48, 1))).astype(float)
    parent, details = decompose(counts, 1)
    d = details["horizontal"]
    expansion, everywhere = Expansion(d, parent, 2, "horizontal"), np.ones(d.shape, dtype=bool)
    best = least_risk(expansion, d, parent, everywhere)

    def of(weights):
        parts = [
            sum(w * f for w, f in zip(weights, expansion.at(e, t), strict=True))
            for e, t in ((d, parent), (d - 1, parent - 1), (d + 1, parent - 1))
        ]
        return risk(*parts, d, parent)

    least = of(best)
    assert all(of(best + rng.normal(0, 0.01, best.size)) > least for _ in range(20))


@pytest.mark.parametrize("name", ["camera", "coins", "brick"])
@pytest.mark.parametrize("peak", [1, 5, 20])
def test_it_beats_stabilised_wavelets(rng, name, peak):
    """scikit-image's own images, its BayesShrink with cycle spinning, the exact inverse."""
    pytest.importorskip("pywt", reason="PyWavelets is not installed")
    from skimage.restoration import cycle_spin, denoise_wavelet

    image = getattr(data, name)()[100:292, 100:292] / 255
    expected = image / image.max() * peak
    counts = rng.poisson(expected).astype(float)
    how = {"wavelet": "haar", "sigma": noise_sigma(counts.mean()), "rescale_sigma": False}
    stabilised = cycle_spin(anscombe(counts), denoise_wavelet, 4, func_kw=how)
    error = [np.mean((e - expected) ** 2) for e in (purelet(counts), exact_inverse(stabilised))]
    assert 10 * np.log10(error[1] / error[0]) > 0.3


def test_a_flat_image_becomes_flat(rng):
    counts = rng.poisson(0.45, (300, 280)).astype(float)
    estimate = purelet(counts)
    assert estimate.shape == counts.shape
    assert estimate.mean() == pytest.approx(counts.mean(), rel=1e-3)
    # 32 x 32 blocks are what is left of it: 0.67 / 32, and its own weights' noise.
    assert estimate.std() < 2 * np.sqrt(0.45) / 32


def test_small_and_empty_images():
    assert purelet(np.zeros((20, 30))).max() == 0
    assert purelet(np.full((1, 1), 3.0)) == pytest.approx(3.0)
    with pytest.raises(ValueError, match="give an image"):
        purelet(np.zeros(5))


@pytest.mark.parametrize("name", ["camera", "moon"])
def test_knowing_the_truth_would_gain_little(rng, name):
    """The estimated risk chooses weights nearly as good as the true error would."""
    truth = 6.0 * (0.05 + getattr(data, name)()[:256, :256] / 255)
    counts = rng.poisson(truth).astype(float)
    blind, told = (
        10 * np.log10(np.mean((purelet(counts, 4, truth=t) - truth) ** 2)) for t in (None, truth)
    )
    assert told <= blind < told + 0.4


def test_a_bright_image_without_quiet_blocks_stays_finite(rng):
    """At the coarsest level all neighbours differ: what is meant for noise is nearly 0 there."""
    y, x = np.mgrid[:119, :145]
    truth = 180 * (1 + 0.6 * np.sin(y / 9.0) + 0.3 * np.sin(x / 17.0) * (y > 60))
    counts = rng.poisson(truth).astype(float)
    for levels in (4, 5, 6):
        error = np.mean((purelet(counts, levels) - truth) ** 2)
        assert error < 0.35 * np.mean((counts - truth) ** 2), levels
