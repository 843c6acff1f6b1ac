"""The tail of weighted Poisson sums: against drawn sums, a convolution, and the Poisson itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lowdose.columns.weighted_counts import profile_weights, weighted_p_value

Y, X = np.mgrid[-10:11, -10:11] * 0.0061
BELL = np.exp(-(X**2 + Y**2) / (2 * 0.05**2))


def weights_of(height: float, polarity: int = 1) -> np.ndarray:
    """Return the weights of a column with a ring of the other sign around it."""
    profile = 1 + polarity * (height * BELL - 0.12)
    return profile_weights(profile, 1.0, polarity).ravel()


@pytest.mark.parametrize("polarity", [1, -1])
@pytest.mark.parametrize("dose", [0.1, 0.45, 4.0])
def test_p_values_are_uniform_under_the_null(dose, polarity):
    weights = weights_of(0.4, polarity)
    counts = np.random.default_rng(0).poisson(dose, (10_000, weights.size))
    p = weighted_p_value(
        counts @ weights, np.broadcast_to(weights, counts.shape), dose, polarity=polarity
    )
    for level in (0.5, 0.1, 0.01, 0.001):
        n = int((p <= level).sum())
        assert stats.binomtest(n, len(p), level).pvalue > 1e-4, (level, n)
    assert stats.kstest(p, "uniform").statistic < 0.016


def test_two_weights_against_the_convolution():
    """A known answer far out in the tail: 3 N + sqrt(2) M by the double sum."""
    n, m = np.arange(80), np.arange(80)
    joint = stats.poisson.pmf(n, 6.0)[:, None] * stats.poisson.pmf(m, 9.0)[None]
    value = 3.0 * n[:, None] + np.sqrt(2) * m[None]
    weights = np.array([[3.0, np.sqrt(2)]])
    expected = np.array([[6.0, 9.0]])
    for total in (20.0, 40.0, 60.0, 75.0):
        upper = joint[value >= total - 1e-9].sum()
        p = weighted_p_value(np.array([total]), weights, expected)[0]
        assert p == pytest.approx(upper, rel=0.12)
        lower = joint[value <= total + 1e-9].sum()
        p = weighted_p_value(np.array([total]), weights, expected, polarity=-1)[0]
        assert p == pytest.approx(lower, rel=0.15)


def test_equal_weights_lie_between_the_poisson_tails():
    weights = np.full((1, 50), 0.3)
    for count in (5, 20, 35, 50):
        p = weighted_p_value(np.array([0.3 * count]), weights, 0.4)[0]
        assert stats.poisson.sf(count, 20) <= p <= stats.poisson.sf(count - 1, 20)


def test_nothing_counted_and_nothing_to_count():
    weights = np.array([[0.5, 0.2, 0.0]])
    zero = np.array([0.0])
    assert weighted_p_value(zero, weights, 0.4)[0] == 1
    # Of a dark column: the chance that both pixels that speak count nothing.
    assert weighted_p_value(zero, weights, 0.4, polarity=-1)[0] == pytest.approx(np.exp(-0.8))
    for polarity in (1, -1):
        assert weighted_p_value(zero, 0 * weights, 0.4, polarity=polarity)[0] == 1
    mean = np.array([0.4 * 0.7])
    assert 0.3 < weighted_p_value(mean, weights, 0.4)[0] < 0.5


def test_a_level_on_the_other_side_makes_the_test_conservative():
    weights = weights_of(0.4)
    counts = np.random.default_rng(1).poisson(0.9 * 0.45, (5000, weights.size))
    p = weighted_p_value(counts @ weights, np.broadcast_to(weights, counts.shape), 0.45)
    assert (p <= 0.05).mean() < 0.03
