"""A network that learns one frame from itself: when to stop, and what a pixel's own counts add."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowdose.denoisers import registry
from lowdose.denoisers.classical.binning import bin_padded
from lowdose.denoisers.unsupervised.one_frame import Recipe, learn, with_own_counts

PIXEL_NM = 0.0061


@pytest.fixture(scope="module")
def pair(particle):
    """Expected and drawn sums of 6 x 6 pixels of a particle."""
    clean = particle(400)
    counts = np.random.default_rng(3).poisson(clean)
    return bin_padded(clean, 6), bin_padded(counts, 6).astype(float)


def above_constant_db(clean, estimate):
    return 10 * np.log10(clean.var() / np.mean((estimate - clean) ** 2))


@pytest.fixture(scope="module")
def stopped(pair):
    return learn(pair[1], Recipe(steps=200, held_out=0.1))


def test_it_finds_columns_without_a_clean_frame(pair, stopped):
    clean, counts = pair
    assert above_constant_db(clean, stopped.blind) > 5
    assert above_constant_db(clean, counts) < -3
    assert 0.07 < stopped.held_out.mean() < 0.13


def test_it_stops_before_it_learns_the_noise(pair, stopped):
    """A network that is shown all counts and goes on fits them better and the truth worse."""
    clean, counts = pair
    long = learn(counts, Recipe(steps=150, least_kept=1.0, weight_decay=0.1))
    assert stopped.steps < 150
    assert above_constant_db(clean, long.blind) < above_constant_db(clean, stopped.blind) - 2

    def likelihood(estimate):
        return np.mean(estimate - counts * np.log(estimate))

    assert likelihood(long.blind) < likelihood(stopped.blind)


def test_parts_of_the_counts_keep_it_from_learning_them_by_heart(pair):
    clean, counts = pair
    whole, parts = (learn(counts, Recipe(60, least_kept=k)).blind for k in (1.0, 0.3))
    assert above_constant_db(clean, parts) > above_constant_db(clean, whole) + 0.5


def test_the_same_frame_gives_the_same_whatever_came_before(pair, stopped):
    torch.manual_seed(77)
    torch.rand(5)
    before = torch.random.get_rng_state()
    again = learn(pair[1], Recipe(steps=200, held_out=0.1))
    np.testing.assert_array_equal(again.blind, stopped.blind)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_own_counts_are_weighed_as_bayes_says():
    """Rates that scatter by a tenth about what the neighbours say: the mean of the posterior."""
    rng = np.random.default_rng(5)
    blind = np.full((400, 400), 100.0)
    rate = rng.gamma(100.0, 1.0, blind.shape)  # relative variance 1 / 100
    counts = rng.poisson(rate).astype(float)
    found = with_own_counts(counts, blind, np.ones(blind.shape, bool))
    # Gamma (100, 1) before, (100 + n, 2) after.
    np.testing.assert_allclose(found, (100 + counts) / 2, rtol=0.01)
    assert np.mean((found - rate) ** 2) == pytest.approx(50, rel=0.03)  # of 100 without them


def test_own_counts_add_nothing_where_the_neighbours_know_the_rate():
    counts = np.random.default_rng(6).poisson(20.0, (300, 300)).astype(float)
    found = with_own_counts(counts, np.full(counts.shape, 20.0), np.ones(counts.shape, bool))
    assert np.abs(found - 20).max() < 0.5


def test_as_denoisers_they_beat_a_low_pass(particle):
    clean = particle(400)
    counts = np.random.default_rng(3).poisson(clean).astype(np.float32)

    def score(name, **parameters):
        found = registry.create(name, **parameters).denoise(counts[None], PIXEL_NM)[0]
        return above_constant_db(clean, found)

    low_pass = max(score("gaussian", sigma_nm=s) for s in (0.04, 0.05, 0.06))
    assert score("blind-spot") > low_pass + 0.5
    assert score("blind-spot-stopped") > low_pass + 0.5
