"""Losses against closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from scipy.stats import poisson as law

from lowdose.training.losses import FLOOR, LOSSES, counts_likelihood, poisson


def image(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_values_by_hand():
    # r - c + c ln(c / r)
    assert poisson(image(2.0), image(1.0)).item() == pytest.approx(1 - math.log(2))
    assert poisson(image(1.0), image(2.0)).item() == pytest.approx(-1 + 2 * math.log(2))
    both = poisson(image(2.0, 1.0), image(1.0, 2.0)).item()
    assert both == pytest.approx(math.log(2) / 2)


def test_it_is_the_divergence_of_two_poisson_laws():
    n = np.arange(100)
    divergence = entropy(law.pmf(n, 3.0), law.pmf(n, 4.5))
    assert poisson(image(4.5), image(3.0)).item() == pytest.approx(divergence, rel=1e-9)


def test_the_expected_likelihood_of_counts_has_the_same_minimum():
    # Up to a constant: the mean of r - n ln r over counts n of expectation c.
    c, estimates = 0.8, image(0.5, 0.8, 1.3)
    n = np.arange(60)
    likelihood = [float(law.pmf(n, c) @ (r - n * math.log(r))) for r in estimates.tolist()]
    deviance = [poisson(r[None], image(c)).item() for r in estimates]
    assert np.diff(likelihood) == pytest.approx(np.diff(deviance), rel=1e-9)


def test_the_truth_is_the_minimum():
    truth = image(0.3, 0.7, 1.0, 1.6)
    output = truth.clone().requires_grad_()
    loss = poisson(output, truth)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-15)
    assert output.grad.abs().max().item() < 1e-15
    rng = torch.Generator().manual_seed(3)
    for _ in range(50):
        other = truth + 0.5 * torch.randn(truth.shape, generator=rng, dtype=torch.float64)
        assert poisson(other, truth).item() > 0


def test_near_the_truth_it_is_the_squared_error_over_twice_the_expectation():
    truth, step = image(0.4, 1.0, 1.5), image(1e-3, -1e-3, 2e-3)
    expected = torch.mean(step**2 / (2 * truth)).item()
    assert poisson(truth + step, truth).item() == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("value", [-5.0, -0.1, 0.0, 0.5 * FLOOR])
def test_an_output_below_zero_is_pushed_upwards(value):
    output = image(value).requires_grad_()
    loss = poisson(output, image(1.0))
    loss.backward()
    # The tangent at the floor: slope 1 - c / floor, and the value on it.
    slope = 1 - 1 / FLOOR
    assert output.grad.item() == pytest.approx(slope)
    at_floor = FLOOR - 1 + math.log(1 / FLOOR)
    assert loss.item() == pytest.approx(at_floor + slope * (value - FLOOR))


def test_it_is_convex_and_smooth_through_the_floor():
    outputs = torch.linspace(-0.01, 0.05, 601, dtype=torch.float64).requires_grad_()
    torch.stack(
        [poisson(r, torch.tensor(0.7, dtype=torch.float64)) for r in outputs]
    ).sum().backward()
    slopes = outputs.grad
    assert torch.all(torch.diff(slopes) >= -1e-9)


def test_an_expectation_of_zero_is_no_trap():
    output = image(-1.0, 0.0, FLOOR, 0.5).requires_grad_()
    loss = poisson(output, torch.zeros(4, dtype=torch.float64))
    loss.backward()
    assert torch.isfinite(loss)
    # Flat where the estimate is as dark as can be told, else downhill to the dark.
    assert output.grad[:3].abs().max().item() == 0
    assert output.grad[3] > 0


def test_the_squared_error_is_a_mean():
    assert LOSSES["mse"](image(1.0, 4.0), image(0.0, 2.0)).item() == pytest.approx(2.5)


def test_the_likelihood_of_counts_is_least_at_their_mean():
    rng = np.random.default_rng(1)
    counts = torch.from_numpy(rng.poisson(0.7, 40_000).astype(float))
    at = [counts_likelihood(torch.full_like(counts, r), counts).item() for r in (0.65, 0.7, 0.75)]
    assert at[1] < min(at[0], at[2])
    # As the law says, up to the terms that do not depend on the estimate.
    difference = law.logpmf(counts.numpy(), 0.7).mean() - law.logpmf(counts.numpy(), 0.65).mean()
    assert at[0] - at[1] == pytest.approx(difference, rel=1e-9)


def test_the_likelihood_of_counts_has_a_finite_gradient_at_no_counts():
    output = image(0.0, 0.5, 2.0).requires_grad_()
    counts_likelihood(output, image(0.0, 0.0, 0.0)).backward()
    assert torch.isfinite(output.grad).all()
