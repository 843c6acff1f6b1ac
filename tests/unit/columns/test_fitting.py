"""Fits of columns: exact without noise, and as uncertain as they say with it."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.columns.fitting import FIT_RADIUS_NM, fit_columns, polarity_of
from lowdose.columns.observer import position_bound
from lowdose.runtime import UserError

PIXEL = 0.0122
SIDE = 60
PLACE = np.array([[0.361, 0.374]])


def column(amplitude=0.5, width=0.05, place=PLACE[0]):
    rows, cols = np.mgrid[:SIDE, :SIDE] * PIXEL
    return amplitude * np.exp(-((cols - place[0]) ** 2 + (rows - place[1]) ** 2) / (2 * width**2))


@pytest.mark.parametrize("amplitude", [0.5, -0.4])
def test_without_noise_it_is_exact(amplitude):
    image = 7 * (1 + column(amplitude, 0.055))
    found = fit_columns(image, PLACE + np.array([0.02, -0.015]), PIXEL).iloc[0]
    assert found["fitted"]
    assert (found["x_nm"], found["y_nm"]) == pytest.approx(tuple(PLACE[0]), abs=1e-6)
    assert found["amplitude"] == pytest.approx(7 * amplitude, rel=1e-4)
    assert found["level"] == pytest.approx(7, rel=1e-4)
    assert found["width_nm"] == pytest.approx(0.055, rel=1e-4)


def test_estimates_scatter_as_their_standard_errors_say():
    rng = np.random.default_rng(1)
    dose = 150.0
    clean = dose * (1 + column())
    fits = [fit_columns(rng.poisson(clean), PLACE, PIXEL).iloc[0] for _ in range(400)]
    fits = [one for one in fits if one["fitted"]]
    assert len(fits) >= 396
    for name, error, true in (
        ("x_nm", "x_se_nm", PLACE[0, 0]), ("y_nm", "y_se_nm", PLACE[0, 1]),
        ("amplitude", "amplitude_se", 0.5 * dose),
    ):  # fmt: skip
        values = np.array([one[name] for one in fits])
        said = np.mean([one[error] for one in fits])
        assert np.std(values) == pytest.approx(said, rel=0.12), name
        assert np.mean(values) == pytest.approx(true, abs=4 * said / np.sqrt(400) + 0.03 * said)


def test_the_standard_error_of_the_position_is_its_cramer_rao_bound():
    """Position and the other parameters of a symmetric column do not disturb each other."""
    dose = 5.0
    found = fit_columns(dose * (1 + column()), PLACE, PIXEL).iloc[0]
    rows, cols = np.mgrid[:SIDE, :SIDE] * PIXEL
    disc = np.hypot(cols - PLACE[0, 0], rows - PLACE[0, 1]) <= FIT_RADIUS_NM
    top, left = np.argwhere(disc).min(axis=0) - 1
    bottom, right = np.argwhere(disc).max(axis=0) + 2
    cut = np.s_[top:bottom, left:right]
    # Outside the disc nothing is known: as if there were light without end.
    level = np.where(disc, 1 + column(), 1e12)
    x, _ = position_bound(column()[cut], level[cut], PIXEL, dose)
    assert found["x_se_nm"] == pytest.approx(x, rel=0.03)


def test_neighbours_and_many_at_once():
    places = np.array([[0.25 + 0.24 * i, 0.36] for i in range(2)])
    image = 4 * (1 + column(place=places[0]) + column(0.3, place=places[1]))
    found = fit_columns(image, places + 0.01, PIXEL)
    np.testing.assert_allclose(found[["x_nm", "y_nm"]], places, atol=0.004)
    assert found["amplitude"].iloc[1] == pytest.approx(1.2, rel=0.1)


def test_where_there_is_no_column_it_says_so():
    found = fit_columns(np.full((SIDE, SIDE), 3.0), PLACE, PIXEL).iloc[0]
    assert not found["fitted"] and np.isnan(found["amplitude"])
    assert (found["x_nm"], found["y_nm"]) == tuple(PLACE[0])
    assert len(fit_columns(np.ones((SIDE, SIDE)), np.empty((0, 2)), PIXEL)) == 0


def test_bright_or_dark():
    places = [(0.15 + 0.24 * i, 0.15 + 0.2263 * k) for i in range(3) for k in range(3)]
    lattice = sum(column(0.3, place=p) for p in places)
    assert polarity_of(1 + lattice, PIXEL) == 1
    assert polarity_of(1 - lattice, PIXEL) == -1


def test_bad_input():
    with pytest.raises(UserError, match="one frame of counts"):
        fit_columns(np.full((9, 9), -1.0), PLACE, PIXEL)
