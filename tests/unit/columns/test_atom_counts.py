"""Atoms in columns: recovered, and with probabilities that mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from lowdose.columns.atom_counts import Calibration, calibrate, count_atoms
from lowdose.columns.blobs import find_blobs
from lowdose.runtime import UserError


def curve(n):
    """Rises up to about fourteen atoms, then turns back."""
    return np.sin(n / 9.0)


def scatter_of(n):
    return 0.01 + 0.002 * n


def columns(rng, number, most=11):
    n = rng.integers(1, most + 1, number)
    return n, curve(n) + scatter_of(n) * rng.normal(size=number)


@pytest.fixture(scope="module")
def calibration():
    n, intensity = columns(np.random.default_rng(1), 1500)
    return calibrate(intensity, n)


def test_the_curve_and_its_scatter_are_learned(calibration):
    n = calibration.numbers
    assert n.tolist() == list(range(1, 12))
    assert calibration.intensity == pytest.approx(curve(n), abs=0.006)
    assert calibration.scatter == pytest.approx(scatter_of(n), rel=0.25)
    assert (calibration.se < 0.15 * calibration.scatter).all()


def test_only_where_it_rises():
    rng = np.random.default_rng(2)
    n, intensity = columns(rng, 2000, most=24)
    found = calibrate(intensity, n, degree=5)
    assert found.numbers[0] == 1 and 13 <= found.numbers[-1] <= 15
    assert (np.diff(found.intensity) > 0).all()


def test_probabilities_are_calibrated(calibration):
    rng = np.random.default_rng(3)
    n, true = columns(rng, 6000)
    se = rng.uniform(0.005, 0.08, len(n))
    found = count_atoms(calibration, true + se * rng.normal(size=len(n)), se)
    assert found.probability.sum(axis=1) == pytest.approx(np.ones(len(n)))
    flat, hit = found.probability.ravel(), (n[:, None] == found.numbers).ravel()
    for low in np.arange(0, 1, 0.2):
        here = (flat >= low) & (flat < low + 0.2 + 1e-9)
        assert np.mean(hit[here]) == pytest.approx(np.mean(flat[here]), abs=0.035)
    # The most probable number is right as often as it says.
    best = found.probability.max(axis=1)
    right = found.n_atoms == n
    assert np.mean(right) == pytest.approx(np.mean(best), abs=0.02)
    precise = se < 0.02
    assert np.mean(right[precise & (n < 6)]) > 0.95 > np.mean(right[~precise])
    assert np.mean(found.outside) < 0.01


def test_two_numbers_by_hand():
    known = Calibration(np.array([3, 4]), np.array([1.0, 2.0]), np.full(2, 0.3), np.full(2, 0.0))
    found = count_atoms(known, [1.4, 9.0, np.nan], 0.4)
    densities = norm.pdf(1.4, [1.0, 2.0], 0.5)
    assert found.probability[0] == pytest.approx(densities / densities.sum())
    assert found.n_atoms.tolist() == [3, 4, 0]
    assert found.outside.tolist() == [False, True, False]
    assert np.isnan(found.probability[2]).all()
    prior = count_atoms(known, [1.4], 0.4, prior=[0.1, 0.9])
    weighed = densities * [0.1, 0.9]
    assert prior.probability[0] == pytest.approx(weighed / weighed.sum())
    assert prior.n_atoms[0] == 4
    # Without any error the nearest number is sure.
    exact = calibrate([1.0, 2.0, 3.0, 4.0], [1, 2, 3, 4], degree=1)
    assert count_atoms(exact, [2.9], 0.0).n_atoms.tolist() == [3]


def test_from_the_counts_of_blobs():
    """Columns of 2 to 7 atoms, drawn and counted in electrons at 30 e/px."""
    rng, pixel, width, dose = np.random.default_rng(4), 0.0122, 0.049, 30.0
    x, y = (0.45 + 0.3 * k.ravel() for k in np.mgrid[:6, :6])
    n = rng.integers(2, 8, 36)
    per_atom = 0.12  # height
    axis = np.arange(200) * pixel
    bells = [np.exp(-((axis - p[:, None]) ** 2) / (2 * width**2)) for p in (y, x)]
    clean = 1 + np.einsum("c,cy,cx->yx", per_atom * n, *bells)
    area = 2 * np.pi * (width / pixel) ** 2
    many = np.repeat(np.arange(1, 9), 20)
    known = calibrate(per_atom * many * area * (1 + 0.01 * rng.normal(size=160)), many, degree=1)
    blobs = find_blobs(rng.poisson(dose * clean), pixel, dose, width_nm=width)
    found = count_atoms(known, blobs["intensity"] / dose, blobs["intensity_se"] / dose)
    nearest = np.hypot(blobs["x_nm"].to_numpy()[:, None] - x, blobs["y_nm"].to_numpy()[:, None] - y)
    true = n[nearest.argmin(axis=1)]
    assert len(blobs) == 36
    assert np.mean(found.n_atoms == true) > 0.85
    assert np.abs(found.n_atoms - true).max() <= 1
    expected = found.probability @ found.numbers
    assert np.mean(expected - true) == pytest.approx(0, abs=0.15)


def test_a_calibration_that_says_nothing_is_refused():
    rng = np.random.default_rng(5)
    n = rng.integers(1, 9, 400)
    with pytest.raises(UserError, match="says nothing of the number"):
        calibrate(1 + 0.001 * n + rng.normal(0, 0.1, 400), n)
    with pytest.raises(UserError, match="says nothing of the number"):
        calibrate(-1.0 * n, n)
    for call, says in (
        (lambda: calibrate([1.0], [1, 2]), "one finite intensity"),
        (lambda: calibrate([1.0, 2.0, 3.0], [1, 2, 2.5]), "not whole"),
        (lambda: calibrate([1.0, 2.0, 3.0], [4, 4, 4]), "calibrate nothing"),
    ):
        with pytest.raises(UserError, match=says):
            call()


def test_bad_input(calibration):
    for call, says in (
        (lambda: count_atoms(calibration, [1.0], -1.0), "negative"),
        (lambda: count_atoms(calibration, [1.0], 1.0, prior=[1.0]), "prior"),
    ):
        with pytest.raises(UserError, match=says):
            call()
