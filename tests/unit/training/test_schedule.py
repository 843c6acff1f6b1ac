"""Budget and learning rate."""

import math

import pytest

from lowdose.training.schedule import Budget, learning_rate

SETTINGS = {"learning_rate": 2e-3, "warmup": 0.1}


def test_the_rate_rises_linearly_and_falls_as_a_cosine():
    assert learning_rate(0, SETTINGS) == pytest.approx(2e-5)
    assert learning_rate(0.05, SETTINGS) == pytest.approx(2e-3 * 0.505)
    assert learning_rate(0.1, SETTINGS) == pytest.approx(2e-3)
    # Half way through the cosine: the mean of the peak and of one hundredth of it.
    assert learning_rate(0.55, SETTINGS) == pytest.approx(2e-3 * 0.505)
    assert learning_rate(1, SETTINGS) == pytest.approx(2e-5)
    quarter = 0.01 + 0.99 * (2 + math.sqrt(2)) / 4
    assert learning_rate(0.325, SETTINGS) == pytest.approx(2e-3 * quarter)


def test_without_a_warm_up_it_begins_at_the_peak():
    assert learning_rate(0, {"learning_rate": 1.0, "warmup": 0}) == 1.0


def test_the_mean_rate_is_half_of_the_peak_whatever_the_warm_up():
    # Of a line as of half a cosine the mean is that of its ends.
    for warmup in (0, 0.05, 0.5):
        settings = {"learning_rate": 1.0, "warmup": warmup}
        rates = [learning_rate((i + 0.5) / 1000, settings) for i in range(1000)]
        assert sum(rates) / 1000 == pytest.approx(0.505, abs=1e-4)


def test_a_budget_in_steps():
    budget = Budget(200)
    assert budget.progress(50, 1e6) == 0.25
    assert budget.progress(200.5, 0) == 1
    assert budget.seconds_left(50, 1e6, steps_a_second=3) == pytest.approx(50)


def test_a_budget_in_minutes_forgets_the_steps():
    budget = Budget(200, minutes=2)
    assert budget.progress(10**6, 30) == 0.25
    assert budget.progress(0, 121) == 1
    assert budget.seconds_left(7, 30, steps_a_second=3) == 90
    assert budget.seconds_left(7, 121, steps_a_second=3) == 0
