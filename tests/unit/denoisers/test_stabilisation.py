"""Exact moments of the Anscombe transform, and the inverse that they define."""

import numpy as np
import pytest

from lowdose.denoisers.classical import stabilisation


@pytest.mark.parametrize(
    ("expected_counts", "variance"), [(0.1, 0.12), (0.45, 0.43), (2.0, 0.92), (4.0, 1.00)]
)
def test_known_variances(expected_counts, variance):
    found = stabilisation.mean_and_variance(np.array([expected_counts]))[1][0]
    assert found == pytest.approx(variance, abs=0.005)
    assert stabilisation.variance_at(expected_counts) == pytest.approx(found, abs=1e-5)


@pytest.mark.parametrize("expected_counts", [0.1, 0.45, 1.0, 4.0, 30.0])
def test_moments_are_those_of_a_simulation(expected_counts):
    draws = stabilisation.anscombe(np.random.default_rng(0).poisson(expected_counts, 400_000))
    mean, variance = stabilisation.mean_and_variance(np.array(expected_counts))
    assert draws.mean() == pytest.approx(float(mean), abs=4 * np.sqrt(variance / draws.size))
    assert draws.var() == pytest.approx(float(variance), rel=0.02)


def test_inverse_undoes_the_expectation():
    expected = np.concatenate([np.geomspace(1e-3, 99.0, 60), [0.0, 0.45, 150.0, 300.0]])
    mean, _ = stabilisation.mean_and_variance(expected)
    assert stabilisation.exact_inverse(mean) == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_at_half_a_count_the_textbook_inverse_is_wrong():
    mean, _ = stabilisation.mean_and_variance(np.array(0.45))
    assert (mean / 2) ** 2 - 3 / 8 == pytest.approx(0.342, abs=5e-4)
    assert (mean / 2) ** 2 - 1 / 8 == pytest.approx(0.592, abs=5e-4)
    assert stabilisation.exact_inverse(mean) == pytest.approx(0.45, abs=1e-6)


def test_inverse_is_monotone_and_joins_its_two_branches():
    d = np.linspace(0.0, 30.0, 20_001)
    inverse = stabilisation.exact_inverse(d)
    assert (np.diff(inverse) >= -1e-6).all()
    assert not inverse[d < stabilisation.anscombe(0)].any()
    end = stabilisation.mean_and_variance(np.array(stabilisation.TABLE_END))[0]
    low, high = stabilisation.exact_inverse(np.array([end - 1e-9, end + 1e-9]))
    assert high == pytest.approx(low, rel=1e-5)


def test_variance_joins_its_two_branches():
    low, high = stabilisation.variance_at(np.array([99.999, 100.001]))
    assert high == pytest.approx(low, abs=2e-4)
    assert stabilisation.noise_sigma(0.0) > 0
