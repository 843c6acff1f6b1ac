"""Error and residuals estimated from counts alone, against simulations with a known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats

from lowdose.columns.likelihood import thin
from lowdose.denoisers.without_truth import (
    Risk,
    psnr_of,
    residuals,
    thinned_risk,
    unsupervised_mse,
)
from lowdose.metrics import psnr
from lowdose.runtime import UserError

SIDE = 160


@pytest.fixture(scope="module")
def clean():
    """A lattice in a vacuum of one electron a pixel."""
    y, x = np.mgrid[:SIDE, :SIDE] / 13.0
    lattice = 0.3 * (np.cos(2 * np.pi * x) + np.cos(2 * np.pi * y))
    return 1.0 + lattice * ((x > 3) & (x < 9) & (y > 4))


def smooth(sigma):
    return lambda counts: ndimage.gaussian_filter(counts.astype(float), sigma)


@pytest.mark.parametrize(
    ("denoise", "known"),
    [
        (lambda seen: seen, lambda clean, p: clean.mean() / p),  # the counts themselves
        (lambda seen: np.full(seen.shape, 0.9), lambda clean, p: np.mean((clean - 0.9 / p) ** 2)),
    ],
)
def test_known_errors(clean, denoise, known):
    rng = np.random.default_rng(1)
    for share in (0.5, 0.9):
        found = [
            thinned_risk(denoise, rng.poisson(clean), rng, share=share).mse for _ in range(150)
        ]
        expected = known(clean, share)
        assert np.mean(found) == pytest.approx(expected, abs=4 * stats.sem(found))


def test_a_filter_and_how_often_the_interval_holds(clean):
    rng = np.random.default_rng(2)
    denoise, inside, pulls, widths = smooth(2.0), [], [], []
    for _ in range(300):
        counts = rng.poisson(clean)
        state = rng.bit_generator.state
        risk = thinned_risk(denoise, counts, rng, share=0.8)
        copy = np.random.default_rng()
        copy.bit_generator.state = state  # the same split again, to know the true error
        seen, _ = thin(counts, 0.8, copy)
        true = np.mean((denoise(seen) / 0.8 - clean) ** 2)
        flat = np.mean((seen.mean() / 0.8 - clean) ** 2)
        inside.append((risk.mse_low <= true <= risk.mse_high,
                       risk.gain_low <= flat - true <= risk.gain_high))  # fmt: skip
        pulls.append((risk.mse - true, risk.gain - (flat - true)))
        widths.append((risk.mse_high - risk.mse_low, risk.gain_high - risk.gain_low))
    # Unbiased, and 95 % of the intervals hold: 300 of them say so to 2.5 %.
    assert (np.abs(np.mean(pulls, axis=0)) < 4 * stats.sem(pulls)).all()
    assert (np.abs(np.mean(inside, axis=0) - 0.95) < 0.035).all()
    # What does not depend on the filter is the greater part of the noise.
    width = np.mean(widths, axis=0)
    assert width[1] < 0.4 * width[0]


def test_it_ranks_filters_as_the_truth_does(clean):
    rng = np.random.default_rng(3)
    counts = rng.poisson(clean)
    widths = (0.8, 1.5, 2.5, 4.0, 8.0)
    estimated = [-thinned_risk(smooth(s), counts, rng).gain for s in widths]
    true = [np.mean((smooth(s)(counts) - clean) ** 2) for s in widths]
    assert np.argmin(estimated) == np.argmin(true)
    assert stats.spearmanr(estimated, true).statistic > 0.85


def test_as_a_psnr(clean):
    estimate = clean + 0.1
    mse = 0.01
    value, low, high = psnr_of(Risk(mse, 0.5 * mse, 2 * mse, 0, 0, 0, 0.9), 1.0)
    assert value == pytest.approx(psnr(clean, estimate, dose_e_per_px=1.0))
    assert (low, high) == pytest.approx((value - 3.0103, value + 3.0103), abs=1e-3)
    assert psnr_of(Risk(-1.0, -2.0, 1.0, 0, 0, 0, 0.9), 1.0)[0] == np.inf


def test_residuals_of_the_truth_are_white(clean):
    rng = np.random.default_rng(4)
    p_values, excess = [], []
    for _ in range(200):
        found = residuals(rng.poisson(0.2 * clean), 0.2 * clean, reach_px=20)
        p_values.append(found.whiteness_p)
        excess.append(found.excess)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert stats.kstest(excess, "norm").pvalue > 0.01
    assert found.variance == pytest.approx(1, abs=0.06)
    middle = found.correlation.shape[0] // 2
    assert found.correlation[middle, middle] == pytest.approx(1)


def test_a_lattice_that_was_left_out_shows_as_peaks(clean):
    rng = np.random.default_rng(5)
    found = residuals(rng.poisson(3 * clean), 3 * ndimage.gaussian_filter(clean, 12), reach_px=30)
    assert found.whiteness_p < 1e-6
    assert found.excess > 3
    middle = 30
    along = found.correlation[middle, middle + 1 :]
    assert abs(int(np.argmax(along[6:])) + 7 - 13) <= 1  # at the lattice's period


def test_an_expectation_made_from_the_same_counts_hides_what_it_left_out(clean):
    """Why the counts are dealt: a denoiser's own counts lie too near to it."""
    rng = np.random.default_rng(6)
    counts = rng.poisson(clean)
    own = residuals(counts, np.maximum(smooth(1.0)(counts), 0.05))
    seen, unseen = thin(counts, 0.5, rng)
    honest = residuals(unseen, np.maximum(smooth(1.0)(seen), 0.05))
    assert own.variance < 1 < honest.variance


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda c, r: thinned_risk(smooth(1), c, r, share=1.0), "share"),
        (lambda c, r: thinned_risk(smooth(1), c + 0.5, r), "whole electrons"),
        (lambda c, r: thinned_risk(smooth(1), c[0], r), "a frame or a movie of them"),
        (lambda c, r: residuals(c[None], c), "one frame"),
        (lambda c, r: thinned_risk(lambda s: s[:3], c, r), "counts' shape"),
        (lambda c, r: thinned_risk(smooth(1), c, r, splits=0), "1 split"),
        (lambda c, r: residuals(c, c, reach_px=200), "do not fit"),
    ],
)
def test_bad_input(clean, call, says):
    rng = np.random.default_rng(7)
    with pytest.raises(UserError, match=says):
        call(rng.poisson(clean), rng)


def test_three_copies_give_the_error_of_any_noise():
    """Noise of unknown kind and of another variance at each pixel: unbiased, limits that hold."""
    rng = np.random.default_rng(4)
    truth = 3 + np.sin(np.arange(64) / 5)[:, None] * np.cos(np.arange(80) / 7)
    spread = 0.2 + 0.5 * rng.random(truth.shape)
    estimate = truth + 0.1 * np.cos(np.arange(80) / 3)
    true = np.mean((estimate - truth) ** 2)
    found = np.array([
        unsupervised_mse(
            estimate, *(truth + spread * rng.laplace(size=(3, *truth.shape)) / np.sqrt(2))
        )
        for _ in range(400)
    ])  # fmt: skip
    assert found[:, 0].mean() == pytest.approx(true, abs=4 * found[:, 0].std() / 20)
    inside = np.mean((found[:, 1] <= true) & (true <= found[:, 2]))
    assert inside == pytest.approx(0.95, abs=0.04)
    with pytest.raises(UserError, match="three copies, finite and of one shape"):
        unsupervised_mse(estimate, truth, truth, truth[:5])


def test_a_movie_is_dealt_as_one():
    """Of a method along time: the estimate of a frame has seen no electron that tests it."""
    rng = np.random.default_rng(5)
    expected = 1 + 0.3 * np.cos(np.arange(40) / 4)[:, None] * np.ones((6, 40, 30))
    inside = 0
    for _ in range(60):
        counts = rng.poisson(expected)
        made = []

        def denoise(seen, made=made):
            made.append(np.broadcast_to(seen.mean(axis=0), seen.shape))
            return made[0]

        found = thinned_risk(denoise, counts, rng, share=0.6)
        true = np.mean((made[0] / 0.6 - expected) ** 2)
        inside += found.mse_low <= true <= found.mse_high
    assert inside >= 52
