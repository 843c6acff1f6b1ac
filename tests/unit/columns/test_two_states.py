"""The hidden chain against every path there is, and on telegraph signals of known rates."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.special import logsumexp
from scipy.stats import norm

from lowdose.columns.two_states import (
    chain_log_likelihood,
    fit_chain,
    gaussian_log_ratio,
    most_likely_path,
    smooth,
    steps_of,
)
from lowdose.runtime import UserError

UP, DOWN, START = 0.2, 0.35, 0.3


def every_path(ratio):
    """Return all paths of one site and their log-weights."""
    paths = np.array(list(product((0, 1), repeat=len(ratio))))
    steps = np.log([[1 - UP, UP], [DOWN, 1 - DOWN]])
    weights = np.log([1 - START, START])[paths[:, 0]] + paths @ ratio
    weights += steps[paths[:, :-1], paths[:, 1:]].sum(axis=1)
    return paths, weights


def telegraph(rng, frames, sites, up, down):
    """Return states of processes in equilibrium, for rates per frame."""
    rise, fall = steps_of(up, down)
    state = np.empty((frames, sites), dtype=bool)
    state[0] = rng.random(sites) < up / (up + down)
    for frame in range(1, frames):
        chance = rng.random(sites)
        state[frame] = np.where(state[frame - 1], chance >= fall, chance < rise)
    return state


def test_against_every_path():
    ratio = np.random.default_rng(1).normal(0, 2, (9, 3))
    likelihood = chain_log_likelihood(ratio, UP, DOWN, START)
    posterior, ups, downs = smooth(ratio, UP, DOWN, START)
    likeliest = most_likely_path(ratio, UP, DOWN, START)
    expected = np.zeros(2)
    for site in range(3):
        paths, weights = every_path(ratio[:, site])
        assert likelihood[site] == pytest.approx(logsumexp(weights), abs=1e-10)
        share = np.exp(weights - logsumexp(weights))
        np.testing.assert_allclose(posterior[:, site], share @ paths, atol=1e-10)
        np.testing.assert_array_equal(likeliest[:, site], paths[weights.argmax()])
        step = np.diff(paths, axis=1)
        expected += share @ (step == 1).sum(axis=1), share @ (step == -1).sum(axis=1)
    assert (ups, downs) == pytest.approx(tuple(expected), abs=1e-9)


def test_many_chains_at_once_and_frames_that_are_certain():
    ratio = np.random.default_rng(2).normal(0, 2, (50, 4))
    up, down = np.array([[0.1], [0.5]]), np.array([[0.2], [0.05]])
    both = chain_log_likelihood(ratio, up, down, START)
    for k in range(2):
        one = chain_log_likelihood(ratio, up[k, 0], down[k, 0], START)
        np.testing.assert_allclose(both[k], one, rtol=1e-12)
    state = np.random.default_rng(3).random((30, 2)) < 0.5
    sure = np.where(state, 5e4, -5e4)
    posterior, ups, downs = smooth(sure, UP, DOWN, START)
    np.testing.assert_allclose(posterior, state, atol=1e-12)
    step = np.diff(state.astype(int), axis=0)
    assert (ups, downs) == pytest.approx((np.sum(step == 1), np.sum(step == -1)))
    np.testing.assert_array_equal(most_likely_path(sure, UP, DOWN, START), state)


def test_steps_are_those_of_the_process_in_continuous_time():
    step = expm(np.array([[-0.3, 0.3], [0.7, -0.7]]))
    assert steps_of(0.3, 0.7) == pytest.approx((step[0, 1], step[1, 0]))


def test_the_maximum_is_found():
    """The fit climbs to where the likelihood is highest, seen on a grid around it."""
    rng = np.random.default_rng(4)
    state = telegraph(rng, 150, 8, 0.05, 0.1)
    ratio = gaussian_log_ratio(state + rng.normal(0, 0.6, state.shape), 0.6)
    chain = fit_chain(ratio, 1.0)
    best = chain_log_likelihood(ratio, chain.up, chain.down, chain.start).sum()
    assert best == pytest.approx(chain.log_likelihood.sum())
    for up, down in product((0.97, 1.0, 1.03), repeat=2):
        other = chain_log_likelihood(ratio, up * chain.up, down * chain.down, chain.start).sum()
        assert other <= best + 1e-6
    rates = chain.rate_up.value, chain.rate_down.value
    assert steps_of(*rates) == pytest.approx((chain.up, chain.down), rel=0.005)
    # And the interval's ends are where the profile has fallen by 1.92.
    other = np.exp(np.linspace(-5, 0, 401))
    for end in (chain.rate_up.low, chain.rate_up.high):
        up, down = (p[:, None] for p in steps_of(np.full(401, end), other))
        profile = chain_log_likelihood(ratio, up, down, chain.start).sum(axis=1).max()
        assert best - profile == pytest.approx(1.92, abs=0.06)


def test_rates_are_recovered_as_often_as_their_intervals_say():
    rng, frame_time, true = np.random.default_rng(5), 0.025, (0.04, 0.08)
    found, inside = [], []
    for _ in range(40):
        state = telegraph(rng, 120, 5, *true)
        ratio = gaussian_log_ratio(state + rng.normal(0, 0.7, state.shape), 0.7)
        chain = fit_chain(ratio, frame_time)
        for rate, value in zip((chain.rate_up, chain.rate_down), true, strict=True):
            found.append((rate.value * frame_time / value, rate.se / rate.value))
            inside.append(rate.low < value / frame_time < rate.high)
    ratio, error = np.array(found).T
    assert np.exp(np.mean(np.log(ratio))) == pytest.approx(1, abs=0.1)
    assert np.std(np.log(ratio)) == pytest.approx(np.mean(error), rel=0.2)
    assert 0.88 <= np.mean(inside) <= 0.99  # 80 of them, at 95 %


def test_the_posterior_is_calibrated_and_the_path_is_better_than_frames_alone():
    rng = np.random.default_rng(6)
    state = telegraph(rng, 400, 20, 0.03, 0.05)
    values = state + rng.normal(0, 0.8, state.shape)
    chain = fit_chain(gaussian_log_ratio(values, 0.8), 1.0)
    bins = np.minimum((chain.posterior * 5).astype(int), 4)
    for k in range(5):
        here = bins == k
        assert np.mean(state[here]) == pytest.approx(np.mean(chain.posterior[here]), abs=0.05)
    wrong = np.mean(chain.path != state)
    alone = np.mean((values > 0.5) != state)
    assert alone == pytest.approx(norm.sf(0.5 / 0.8), abs=0.02)
    assert wrong < 0.4 * alone


def test_a_site_that_never_switched_has_an_upper_limit():
    """Of n frames without a step of probability p the likelihood is (1 - p)^n."""
    chain = fit_chain(np.full(100, -20.0), 0.5)
    assert chain.rate_up.value == 0 and chain.rate_up.low == 0 and np.isnan(chain.rate_up.se)
    # The rate is highest where it would leave state 1 at once, unseen: at four steps a frame.
    assert steps_of(0.5 * chain.rate_up.high, 4.0)[0] == pytest.approx(1.92 / 99, rel=0.03)
    # It was never in state 1, and nothing is known of how it would leave it.
    assert chain.rate_down.low == 0 and chain.rate_down.high == np.inf
    assert not chain.path.any() and chain.posterior.max() < 1e-6


def test_frames_that_are_independent_have_no_upper_limit():
    ratio = np.where(np.random.default_rng(7).random((300, 2)) < 0.5, 30.0, -30.0)
    chain = fit_chain(ratio, 1.0)
    assert chain.rate_up.high == np.inf and chain.rate_up.low > 0.5


def test_missing_frames_say_nothing():
    ratio = np.random.default_rng(8).normal(0, 3, (40, 1))
    ratio[10:20] = 0
    values = gaussian_log_ratio(np.array([0.5, np.nan, 2.0]), np.array([1.0, 1.0, 0.5]))
    assert values.tolist() == [0.0, 0.0, 6.0]
    two = np.linalg.matrix_power(np.array([[1 - UP, UP], [DOWN, 1 - DOWN]]), 11)
    posterior, *_ = smooth(ratio, UP, DOWN, START)
    # Over the gap of ten frames the chain alone leads on.
    before = smooth(ratio[:10], UP, DOWN, START)[0][-1, 0]
    forecast = np.array([1 - before, before]) @ two
    rest = smooth(ratio[20:], UP, DOWN, forecast[1])[0]
    np.testing.assert_allclose(posterior[20:], rest, atol=1e-12)


def test_bad_input():
    for call, says in (
        (lambda: fit_chain(np.zeros((1, 3)), 1.0), "two frames"),
        (lambda: fit_chain(np.full((5, 2), np.nan), 1.0), "not finite"),
        (lambda: fit_chain(np.zeros((5, 2)), 0.0), "frame time"),
        (lambda: fit_chain(np.zeros((5, 2)), 1.0, confidence=1), "confidence"),
    ):
        with pytest.raises(UserError, match=says):
            call()
