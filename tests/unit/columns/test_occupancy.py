"""Columns that come and go, in counts whose history is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

from lowdose.columns.observer import log_ratio
from lowdose.columns.occupancy import site_log_ratio, switching_evidence
from lowdose.columns.two_states import fit_chain, steps_of
from lowdose.runtime import UserError

PIXEL, WIDTH, SHAPE = 0.0183, 0.05, (40, 70)
SITES = np.array([[0.30, 0.33], [0.63, 0.371], [0.97, 0.35]])
RADIUS = 0.12


def column(place, shape=SHAPE):
    y, x = np.mgrid[: shape[0], : shape[1]] * PIXEL
    return np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * WIDTH**2))


def disc(place):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] * PIXEL
    return np.hypot(x - place[0], y - place[1]) <= RADIUS


def ratio_of(counts, places=SITES, amplitude=0.6, level=1.5):
    return site_log_ratio(
        counts, places, PIXEL, width_nm=WIDTH, amplitude=amplitude, level=level, radius_nm=RADIUS
    )


def test_it_is_the_likelihood_ratio_of_the_disc():
    rng = np.random.default_rng(1)
    counts = rng.poisson(1.5, (4, *SHAPE))
    amplitude = np.array([0.6, 0.4, -0.5])
    found = ratio_of(counts, amplitude=amplitude)
    for site, place in enumerate(SITES):
        present = 1.5 + np.where(disc(place), amplitude[site] * column(place), 0)
        for frame in range(4):
            direct = poisson.logpmf(counts[frame], present) - poisson.logpmf(counts[frame], 1.5)
            assert found[frame, site] == pytest.approx(direct.sum())
        absent = np.full(SHAPE, 1.5)
        np.testing.assert_allclose(found[:, site], log_ratio(counts, present, absent))


def test_moving_sites_and_a_level_with_neighbours():
    rng = np.random.default_rng(2)
    counts = rng.poisson(2.0, (3, *SHAPE))
    moving = SITES + rng.normal(0, 0.02, (3, 3, 2))
    found = ratio_of(counts, moving)
    for frame in range(3):
        np.testing.assert_allclose(
            found[frame], ratio_of(counts[[frame]], moving[frame])[0], atol=1e-12
        )
    # With the neighbours in the level the ratio is right on average: of a frame without the
    # column it is minus a relative entropy.
    level = 1.5 + 0.6 * (column(SITES[0]) + column(SITES[2]))
    counts = rng.poisson(level, (2000, *SHAPE))
    present = level + 0.6 * column(SITES[1])
    entropy = np.sum((level * np.log(present / level) - (present - level))[disc(SITES[1])])
    found = ratio_of(counts, SITES[1:2], level=level)
    assert np.mean(found) == pytest.approx(entropy, abs=4 * np.std(found) / np.sqrt(2000))
    # Outside the frame there is no evidence.
    assert (ratio_of(counts[:2], np.array([[9.0, 9.0]])) == 0).all()


def test_a_history_is_recovered_from_counts():
    rng, frame_time = np.random.default_rng(3), 0.1
    rise, fall = steps_of(0.05, 0.05)
    true = np.zeros((300, 3), dtype=bool)
    for frame in range(1, 300):
        chance = rng.random(3)
        true[frame] = np.where(true[frame - 1], chance >= fall, chance < rise)
    true[:, 2] = True  # one that stays
    shapes = np.stack([column(place) for place in SITES])
    expected = 0.5 + 0.25 * np.einsum("fs,syx->fyx", true.astype(float), shapes)
    ratio = ratio_of(rng.poisson(expected), amplitude=0.25, level=0.5)
    chain = fit_chain(ratio[:, :2], frame_time)
    assert np.mean(chain.path != true[:, :2]) < 0.05
    # A frame alone would err several times as often.
    assert np.mean((ratio[:, :2] > 0) != true[:, :2]) > 3 * np.mean(chain.path != true[:, :2])
    for rate in (chain.rate_up, chain.rate_down):
        assert rate.low < 0.5 < rate.high and rate.high < 5 * rate.low
    evidence = switching_evidence(ratio)
    assert (evidence[:2] > 20).all() and evidence[2] < np.log(20)


def test_evidence_of_switching_is_rare_without_it():
    """Above ln(1 / p) in a share of at most p of the sites that stay as they are."""
    rng = np.random.default_rng(4)
    shift = 1.2
    for state in (0, 1):
        values = rng.normal(state * shift, 1, (60, 4000))
        evidence = switching_evidence(shift * (values - shift / 2))
        for p in (0.3, 0.05, 0.01):
            assert np.mean(evidence > np.log(1 / p)) <= p + 2 * np.sqrt(p / 4000)


def test_bad_input():
    counts = np.ones((3, *SHAPE))
    for call, says in (
        (lambda: ratio_of(counts[0]), "do not fit"),
        (lambda: ratio_of(counts, SITES[:, :1]), "do not fit"),
        (lambda: ratio_of(counts, np.stack([SITES] * 2)), "2 frames"),
        (lambda: ratio_of(counts, level=0.0), "not positive"),
        (lambda: ratio_of(counts, amplitude=-2.0), "not positive"),
    ):
        with pytest.raises(UserError, match=says):
            call()
