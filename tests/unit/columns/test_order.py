"""The order of a surface layer, in counts and movies whose state and rates are known."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.columns.order import order_from_templates, order_parameter, switching
from lowdose.columns.two_states import steps_of
from lowdose.runtime import UserError

PIXEL, WIDTH, SHAPE = 0.0244, 0.05, (20, 44)
SITES = np.array([[0.13 + 0.24 * k, 0.23] for k in range(4)])
LEVEL, HEIGHTS = 1.0, np.array([0.3, 0.35, 0.25, 0.3])
UP, DOWN = 2.0, 3.0  # per second


def layer(places=SITES, heights=HEIGHTS):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] * PIXEL
    square = (x - places[:, 0, None, None]) ** 2 + (y - places[:, 1, None, None]) ** 2
    return np.einsum("s,syx->yx", heights, np.exp(-square / (2 * WIDTH**2)))


def order_of(counts, dose, places=SITES, level=LEVEL):
    return order_parameter(
        counts, places, PIXEL, width_nm=WIDTH, amplitude=dose * HEIGHTS, level=dose * level,
        radius_nm=0.15,
    )  # fmt: skip


def movie(dose, seconds, frame_time, rng, parts=10):
    """Return counts and the ordered share of each frame's time."""
    number = round(seconds / frame_time)
    rise, fall = steps_of(UP * frame_time / parts, DOWN * frame_time / parts)
    chance, state = rng.random(number * parts), np.empty(number * parts, dtype=bool)
    now = chance[0] < UP / (UP + DOWN)
    for k, number_here in enumerate(chance):
        now = bool(number_here >= fall) if now else bool(number_here < rise)
        state[k] = now
    share = state.reshape(number, parts).mean(axis=1)
    return rng.poisson(dose * (LEVEL + share[:, None, None] * layer())), share


@pytest.mark.parametrize("dose", [0.2, 5.0])
@pytest.mark.parametrize("true", [0.0, 0.4, 1.0])
def test_it_is_unbiased_and_its_error_is_right(dose, true):
    rng, frames = np.random.default_rng(1), 3000
    counts = rng.poisson(dose * (LEVEL + true * layer()), (frames, *SHAPE))
    found = order_of(counts, dose)
    scatter = found["order"].std()
    # Beyond the discs a Gaussian has 1 % of its height left, in its neighbour's disc.
    assert found["order"].mean() == pytest.approx(true, abs=4 * scatter / np.sqrt(frames) + 0.01)
    assert np.sqrt(np.mean(found["order_se"] ** 2)) == pytest.approx(scatter, rel=0.05)


def test_templates_are_exact_and_no_linear_estimate_is_better():
    rng, dose = np.random.default_rng(2), 0.5
    low = dose * (1 + 0.3 * layer(SITES + np.array([0.12, 0.1])))
    high = low + dose * layer()
    exact = order_from_templates(np.stack([low, high, (low + high) / 2]), high, low)
    assert exact["order"].to_numpy() == pytest.approx([0, 1, 0.5], abs=1e-12)
    counts = rng.poisson((low + high) / 2, (4000, *SHAPE))
    found = order_from_templates(counts, high, low)
    assert found["order"].mean() == pytest.approx(0.5, abs=4 * found["order"].std() / 63)
    # The Fisher information of the share of order is sum(c^2 / m): its bound is reached.
    contrast, middle = high - low, (low + high) / 2
    assert found["order"].std() == pytest.approx(np.sum(contrast**2 / middle) ** -0.5, rel=0.04)
    assert found["order_se"].mean() == pytest.approx(found["order"].std(), rel=0.04)
    # A part of the layer says the same, less precisely.
    half = np.zeros(SHAPE, bool)
    half[:, :22] = True
    part = order_from_templates(counts, high, low, where=half)
    assert part["order"].mean() == pytest.approx(0.5, abs=0.03)
    assert part["order"].std() == pytest.approx(np.sqrt(2) * found["order"].std(), rel=0.15)


def test_moving_sites_are_followed():
    rng, dose = np.random.default_rng(3), 40.0
    drift = np.linspace(0, 0.05, 30)[:, None] * [1.0, -0.6] + rng.normal(0, 0.01, (30, 2))
    moving = SITES + drift[:, None]
    clean = dose * (LEVEL + np.stack([layer(places) for places in moving]))
    counts = rng.poisson(clean)
    followed, left = order_of(counts, dose, moving), order_of(counts, dose)
    pull = (followed["order"] - 1) / followed["order_se"]
    assert np.abs(pull).max() < 4
    assert left["order"].iloc[-5:].mean() < 0.9


@pytest.mark.parametrize("dose", [0.25, 1.0])
def test_rates_and_states_are_recovered_and_do_not_depend_on_the_frames(dose):
    rng, frame_time = np.random.default_rng(4), 0.01
    counts, share = movie(dose, 48.0, frame_time, rng, parts=4)
    values = []
    for together in (1, 2, 4):
        summed = counts.reshape(-1, together, *SHAPE).sum(axis=1)
        found = order_of(summed, together * dose)
        chain = switching(found["order"], found["order_se"], together * frame_time)
        for rate, true in ((chain.rate_up, UP), (chain.rate_down, DOWN)):
            assert rate.low < true < rate.high and rate.high < 2.5 * rate.low
        values.append([chain.rate_up.value, chain.rate_down.value])
        state = share.reshape(-1, together).mean(axis=1)
        clear = (state < 0.01) | (state > 0.99)
        wrong = (chain.posterior[:, 0] > 0.5) != (state > 0.5)
        assert np.mean(wrong[clear]) < (0.1 if dose < 1 else 0.04)
        assert chain.posterior.mean() == pytest.approx(state.mean(), abs=0.05)
    # The same light in fewer frames gives the same rates per second.
    assert np.array(values[1:]) == pytest.approx(np.array([values[0]] * 2), rel=0.2)


def test_frames_longer_than_the_states_hide_the_switching():
    """The limit: (up + down) x frame time of 4, and rates come out much too low."""
    rng, frame_time = np.random.default_rng(5), 0.8
    counts, _ = movie(4.0, 800.0, frame_time, rng, parts=100)
    found = order_of(counts, 4.0)
    chain = switching(found["order"], found["order_se"], frame_time)
    assert chain.rate_up.value < 0.75 * UP and chain.rate_down.value < 0.75 * DOWN


def test_means_can_be_estimated_and_layers_share_their_rates():
    rng, frames = np.random.default_rng(6), 500
    rise, fall = steps_of(0.05, 0.1)
    state = np.zeros((frames, 3), dtype=bool)
    for frame in range(1, frames):
        chance = rng.random(3)
        state[frame] = np.where(state[frame - 1], chance >= fall, chance < rise)
    order = 0.2 + 0.5 * state + rng.normal(0, 0.2, state.shape)
    order[7, 1] = np.nan
    known = switching(order, 0.2, 1.0, means=(0.2, 0.7))
    found = switching(order, 0.2, 1.0, means=None)
    for one, two in ((known.rate_up, found.rate_up), (known.rate_down, found.rate_down)):
        assert two.value == pytest.approx(one.value, rel=0.1)
    assert found.rate_up.low < 0.05 < found.rate_up.high
    assert found.rate_down.low < 0.1 < found.rate_down.high
    assert np.mean(found.path != state) < 0.05


def test_bad_input():
    counts = np.ones((3, *SHAPE))
    same = np.ones(SHAPE)
    for call, says in (
        (lambda: order_of(counts[0], 1.0), "do not fit"),
        (lambda: order_of(counts, 1.0, np.stack([SITES] * 2)), "2 frames"),
        (lambda: order_of(counts, 1.0, SITES + 9), "look the same"),
        (lambda: order_of(counts, 1.0, level=0.0), "not positive"),
        (lambda: order_from_templates(counts, same, same), "look the same"),
        (lambda: order_from_templates(counts, same, same[:4]), "do not fit"),
        (lambda: order_from_templates(counts, 2 * same, same, where=same[:4]), "shape"),
        (lambda: switching(np.zeros(9), 0.0, 1.0), "not positive"),
    ):
        with pytest.raises(UserError, match=says):
            call()
