"""The ideal observer and the Cramér-Rao bound, against sums, closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, poisson

from lowdose.columns.observer import IdealObserver, d_prime_of, log_ratio, position_bound
from lowdose.runtime import UserError


def blob(side=41, height=0.3, width=6.0, x=0.0, y=0.0):
    rows, cols = np.mgrid[:side, :side] - side // 2
    return height * np.exp(-((cols - x) ** 2 + (rows - y) ** 2) / (2 * width**2))


@pytest.mark.parametrize(("absent", "present"), [(0.7, 1.9), (4.0, 2.5), (12.0, 13.0)])
def test_one_pixel_by_summing_over_all_counts(absent, present):
    found = IdealObserver([[present]], [[absent]]).at(1.0)
    n = np.arange(200)
    p, a = poisson.pmf(n, present), poisson.pmf(n, absent)
    below = np.cumsum(a) - a
    auc = np.sum(p * (below + a / 2))
    assert found.auc == pytest.approx(auc if present > absent else 1 - auc, abs=5e-4)
    ratio = n * np.log(present / absent) - (present - absent)
    error = (np.sum(p[ratio < 0]) + np.sum(a[ratio > 0])) / 2
    assert found.error == pytest.approx(error, abs=5e-4)


def test_a_bright_frame_is_gaussian():
    """At high counts the ROC is that of two normals d' apart."""
    absent = np.full((9, 9), 1.0)
    found = IdealObserver(absent + 0.01, absent).at(3000.0)
    assert found.d_prime == pytest.approx(0.01 * np.sqrt(81 * 3000), rel=0.01)
    assert found.auc == pytest.approx(norm.cdf(found.d_prime / np.sqrt(2)), abs=1e-4)
    assert d_prime_of(found.auc) == pytest.approx(found.d_prime, rel=1e-3)
    assert found.error == pytest.approx(norm.sf(found.d_prime / 2), abs=1e-4)


def test_a_column_at_half_an_electron_by_simulation():
    rng = np.random.default_rng(1)
    absent = np.ones((41, 41)) + blob(height=0.4, x=18)
    present = absent + blob()
    found = IdealObserver(present, absent).at(0.45)
    draws = 5_000
    scores = [
        log_ratio(rng.poisson(0.45 * image, (draws, *image.shape)), 0.45 * present, 0.45 * absent)
        for image in (present, absent)
    ]
    won = np.mean(scores[0] > scores[1])
    assert found.auc == pytest.approx(won, abs=4 * np.sqrt(won * (1 - won) / draws))
    wrong = (np.mean(scores[0] < 0) + np.mean(scores[1] > 0)) / 2
    assert found.error == pytest.approx(wrong, abs=4 * np.sqrt(wrong / draws / 2))
    # And so is the log-likelihood ratio itself, pixel by pixel.
    counts = rng.poisson(0.45 * present)
    direct = np.sum(poisson.logpmf(counts, 0.45 * present) - poisson.logpmf(counts, 0.45 * absent))
    assert log_ratio(counts, 0.45 * present, 0.45 * absent) == pytest.approx(direct)


def test_the_dose_of_an_error():
    absent = np.ones((41, 41))
    observer = IdealObserver(absent + blob(), absent)
    dose = observer.dose_for(0.05)
    assert observer.at(dose).error == pytest.approx(0.05, abs=1e-4)
    # Twice the contrast needs about a quarter of the dose.
    twice = IdealObserver(absent + blob(height=0.6), absent).dose_for(0.05)
    assert dose / twice == pytest.approx(4, rel=0.2)
    assert observer.at(2 * dose).error < 0.05 < observer.at(dose / 2).error


def test_no_other_observer_is_better():
    """Any weights but the likelihood ratio's give a smaller area."""
    rng = np.random.default_rng(2)
    absent = np.ones((31, 31))
    present = absent + blob(31)
    ideal = IdealObserver(present, absent).at(0.45).auc
    frames = [rng.poisson(0.45 * image, (5_000, 31, 31)) for image in (present, absent)]
    disc = blob(31, 1.0) > 0.5
    scores = [np.sum(f[:, disc], axis=1) + rng.random(5_000) / 2 for f in frames]
    assert np.mean(scores[0] > scores[1]) < ideal - 0.01


def test_position_bound_of_a_gaussian():
    """pi A^2 / (2 b) on a level far above the column, per electron and pixel area."""
    height, level, pixel, dose = 0.002, 1.0, 0.01, 5.0
    column = blob(101, height, 8.0)
    x, y = position_bound(column, level + column, pixel, dose)
    information = dose * np.pi * height**2 / (2 * level) / pixel**2
    assert x == pytest.approx(information**-0.5, rel=0.01)
    assert y == pytest.approx(x, rel=1e-6)


def test_position_bound_is_what_the_likelihood_reaches():
    """A grid search for the most likely position scatters as the bound says, at enough dose."""
    rng = np.random.default_rng(3)
    column, dose = blob(41, 0.5, 5.0), 20.0
    expected = 1 + column
    bound, _ = position_bound(column, expected, 1.0, dose)
    shifts = np.linspace(-5, 5, 201) * bound
    images = np.stack([1 + blob(41, 0.5, 5.0, x=s) for s in shifts]) * dose
    counts = rng.poisson(expected * dose, (3000, 41, 41)).reshape(3000, -1)
    fit = counts @ np.log(images).reshape(len(shifts), -1).T - images.sum((1, 2))
    best = shifts[np.argmax(fit, axis=1)]
    assert np.std(best) == pytest.approx(bound, rel=0.06)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: IdealObserver(np.ones((3, 3)), np.ones((3, 3))), "the same"),
        (lambda: IdealObserver(np.ones((3, 3)), np.ones((3, 4))), "shape"),
        (lambda: IdealObserver(np.ones((3, 3)), np.zeros((3, 3))), "above 0"),
        (lambda: IdealObserver([[2.0]], [[1.0]]).at(0), "positive dose"),
        (lambda: IdealObserver([[2.0]], [[1.0]]).dose_for(0.5), "between 0 and 0.5"),
        (lambda: position_bound(np.ones((3, 3)), np.ones((4, 4)), 1, 1), "shape"),
        (lambda: position_bound(np.ones((3, 3)), np.zeros((3, 3)), 1, 1), "above 0"),
        (lambda: position_bound(np.ones((3, 3)), np.ones((3, 3)), 0, 1), "positive size"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(UserError, match=says):
        call()
