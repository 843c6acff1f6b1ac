"""Blobs of noisy counts: closed forms, false alarms of noise, errors against the bound."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import maximum_filter
from scipy.optimize import minimize_scalar

from lowdose.columns.blobs import (
    best_sigma_nm,
    centroids,
    find_blobs,
    maxima_per_nm2,
    neighbour_shift_nm,
    noise_of_response,
    position_efficiency,
    threshold_for,
)
from lowdose.columns.detection import detect_columns, log_response
from lowdose.columns.matching import match
from lowdose.columns.observer import position_bound
from lowdose.runtime import UserError

PIXEL, WIDTH, HEIGHT = 0.0122, 0.049, 0.3


def places(rows=5, cols=5, margin=0.45):
    """Columns with six neighbours 0.24 nm apart."""
    i, j = np.mgrid[:rows, :cols]
    x, y = j * 0.24 + (i % 2) * 0.12, i * 0.24 * np.sqrt(0.75)
    return np.stack([x.ravel(), y.ravel()], axis=1) + margin + 0.003


def image(columns, shape=(146, 160), height=HEIGHT, width=WIDTH):
    y, x = (np.arange(n) * PIXEL for n in shape)
    bells = [
        np.exp(-((axis[None] - columns[:, [k]]) ** 2) / (2 * width**2))
        for k, axis in ((1, y), (0, x))
    ]
    return 1 + np.einsum("cy,cx,c->yx", *bells, np.broadcast_to(height, len(columns)))


def frames(dose, number, seed, columns, polarity=1):
    """Return blob minus truth, standard errors and intensity of each column and frame."""
    rng = np.random.default_rng(seed)
    clean = dose * image(columns, height=polarity * HEIGHT)
    rows, false = np.full((number, len(columns), 6), np.nan), 0
    for row in rows:
        found = find_blobs(rng.poisson(clean), PIXEL, dose, width_nm=WIDTH, polarity=polarity)
        i, j, _ = match(columns, found[["x_nm", "y_nm"]])
        row[i, :2] = found[["x_nm", "y_nm"]].to_numpy()[j] - columns[i]
        row[i, 2:] = found[["x_se_nm", "y_se_nm", "intensity", "intensity_se"]].to_numpy()[j]
        false += len(found) - len(j)
    return rows, false


def bound(columns, number, dose):
    one = image(columns[[number]]) - 1
    return np.mean(position_bound(one, image(columns), PIXEL, dose))


def test_the_best_scale_is_root_two_widths():
    best = minimize_scalar(lambda s: -position_efficiency(WIDTH, s), bounds=(0.02, 0.2))
    assert best_sigma_nm(WIDTH) == pytest.approx(best.x, rel=1e-3)
    assert position_efficiency(WIDTH, best_sigma_nm(WIDTH)) == pytest.approx(0.9364, abs=1e-4)
    # Farther apart, by the filter itself: its curvature, the noise of its gradient, the bound.
    for sigma in (4.0, 6.0, 9.0):
        shape, width = (121, 121), 5.0
        y, x = np.mgrid[-60:61, -60:61]
        column = np.exp(-(x**2 + y**2) / (2 * width**2))
        response = log_response(column, sigma)
        curvature = 2 * response[60, 60] - response[60, 61] - response[60, 59]
        gradient = noise_of_response(1.0, sigma)[1]
        faint = 1e-6  # so that the noise is that of the level
        limit, _ = position_bound(faint * column, np.ones(shape), 1.0, 1.0)
        found = (limit * faint * curvature / gradient) ** 2
        assert found == pytest.approx(position_efficiency(width, sigma), rel=0.02)


def test_the_noise_of_the_response():
    rng = np.random.default_rng(1)
    for level, sigma in ((0.45, 1.5), (5.0, 5.7)):
        response = np.stack([log_response(rng.poisson(level, (200, 200)), sigma) for _ in range(8)])
        inner = response[:, 40:-40, 40:-40]
        said, of_gradient = noise_of_response(level, sigma)
        assert np.std(inner) == pytest.approx(said, rel=0.03)
        # Differences over two pixels damp a wave of k by sin(k) / k.
        gradient = (inner[:, :, 2:] - inner[:, :, :-2]) / 2
        assert np.std(gradient) == pytest.approx(of_gradient, rel=0.03 + 0.5 / sigma**2)


def test_the_density_of_maxima():
    sigma = 4.0
    # All of them: a closed form of Longuet-Higgins.
    assert maxima_per_nm2(-9.0, sigma) == pytest.approx(1 / (2 * np.sqrt(3) * np.pi * sigma**2))
    rng, heights, side = np.random.default_rng(2), [], 400
    for _ in range(8):
        field = log_response(rng.normal(size=(side, side)), sigma)
        peak = field == maximum_filter(field, 3)
        peak[:20], peak[-20:], peak[:, :20], peak[:, -20:] = False, False, False, False
        heights.append(field[peak] / noise_of_response(1.0, sigma)[0])
    heights, area = np.concatenate(heights), 8 * (side - 40) ** 2
    for level in (-9.0, 0.0, 1.5, 2.5, 3.0):
        number = np.sum(heights > level)
        expected = area * maxima_per_nm2(level, sigma)
        # At a given place maxima repel each other, so that their number scatters less.
        assert number == pytest.approx(expected, abs=3.5 * np.sqrt(expected) + 0.01 * expected)


@pytest.mark.parametrize(("level", "polarity"), [(0.45, 1), (0.45, -1), (5.0, 1)])
def test_false_alarms_of_noise_are_as_many_as_wanted(level, polarity):
    wanted, number, shape, area = 0.1, 24, (500, 520), 0.0
    rng, sigma = np.random.default_rng(3), best_sigma_nm(WIDTH)
    threshold = threshold_for(wanted, level, PIXEL, sigma, polarity)
    found = 0
    for _ in range(number):
        blobs = detect_columns(
            rng.poisson(level, shape), PIXEL, threshold=threshold, sigma_nm=sigma, polarity=polarity
        )
        edge = 0.4  # mirrored noise is higher
        size = np.array(shape[::-1]) * PIXEL
        place = blobs[["x_nm", "y_nm"]].to_numpy()
        found += np.sum(((place > edge) & (place < size - edge)).all(axis=1))
        area += np.prod(size - 2 * edge)
    assert area > 600
    assert found == pytest.approx(wanted * area, abs=3 * np.sqrt(wanted * area))
    if level < 1:
        # Without the skewness it would be another number: the field is not Gaussian.
        assert threshold / threshold_for(wanted, level, PIXEL, sigma, -polarity) != pytest.approx(
            1, abs=0.05
        )


@pytest.mark.parametrize("dose", [5.0, 20.0, 80.0])
def test_positions_are_near_the_bound_in_the_bulk_and_at_a_corner(dose):
    columns = places()
    dose_here = 4 * dose  # in a pixel of four: the doses are those of 6.1 pm
    rows, false = frames(dose_here, 40, 4, columns)
    for numbers, most in (((6, 7, 8, 11, 12, 13, 16, 17, 18), 1.15), ((0, 4, 20, 24), 1.25)):
        error = rows[:, numbers, :2]
        ratio = np.sqrt(np.nanmean(error**2)) / bound(columns, numbers[0], dose_here)
        assert ratio < most
    assert np.mean(np.isnan(rows[..., 0])) < (0.06 if dose == 5 else 0.001)
    assert false <= 2


@pytest.mark.parametrize("polarity", [1, -1])
def test_errors_and_intensities_are_as_they_say(polarity):
    columns, dose = places(3, 3), 60.0
    rows, _ = frames(dose, 90, 5, columns, polarity)
    assert not np.isnan(rows).any()
    error, said = rows[..., :2], rows[..., 2:4]
    # 1620 errors: their scatter is known to 1.8 %.
    assert np.std(error / said) == pytest.approx(1, abs=0.05)
    assert np.abs(error.mean(axis=0)).max() < 4 * said.mean() / np.sqrt(90) + 5e-5
    intensity, its_error = rows[..., 4], rows[..., 5]
    true = polarity * 2 * np.pi * (WIDTH / PIXEL) ** 2 * HEIGHT * dose
    assert intensity.mean() == pytest.approx(true, rel=0.01)
    assert np.std((intensity - true) / its_error) == pytest.approx(1, abs=0.06)


def test_neighbours_are_taken_out():
    columns = places(1, 2)
    clean = 1e4 * image(columns)
    apart = [
        np.diff(find_blobs(clean, PIXEL, 1e4, separate=way).sort_values("x_nm")["x_nm"])[0]
        for way in (True, False)
    ]
    assert apart[0] == pytest.approx(0.24, abs=2e-4)
    shift = neighbour_shift_nm(WIDTH, best_sigma_nm(WIDTH), 0.24)
    assert apart[1] == pytest.approx(0.24 + 2 * shift, abs=1e-3)
    assert shift > 0.004
    # Columns of unequal height, in the closed lattice, to less than a picometre.
    columns = places()
    heights = np.random.default_rng(6).uniform(0.15, 0.4, len(columns))
    found = find_blobs(1e6 * image(columns, height=heights), PIXEL, 1e6)
    i, j, distance = match(columns, found[["x_nm", "y_nm"]])
    assert len(i) == len(columns) and distance.max() < 3e-4
    true = 2 * np.pi * (WIDTH / PIXEL) ** 2 * heights[i] * 1e6
    assert found["intensity"].to_numpy()[j] == pytest.approx(true, rel=2e-3)


def test_centroids_and_why_blobs_are_better():
    column = np.array([[0.9, 0.85]])
    start = column + np.array([0.03, -0.02])
    clean = image(column)
    exact = centroids(1e4 * clean, start, PIXEL, 1e4, 0.12).iloc[0]
    assert exact["found"]
    assert (exact["x_nm"], exact["y_nm"]) == pytest.approx(tuple(column[0]), abs=2e-3)
    # Of a Gaussian the share 1 - exp(-R^2 / 2 w^2) lies within R.
    total = 2 * np.pi * (WIDTH / PIXEL) ** 2 * HEIGHT * 1e4
    share = 1 - np.exp(-(0.12**2) / (2 * WIDTH**2))
    assert exact["intensity"] == pytest.approx(total * share, rel=0.02)
    rng, dose, errors = np.random.default_rng(7), 40.0, []
    for _ in range(60):
        counts = rng.poisson(dose * clean)
        mass = centroids(counts, column, PIXEL, dose, 0.12)
        blob = find_blobs(counts, PIXEL, dose)
        blob = blob.iloc[[np.argmin(np.hypot(*(blob[["x_nm", "y_nm"]] - column[0]).to_numpy().T))]]
        errors.append([t[["x_nm", "y_nm"]].to_numpy()[0] - column[0] for t in (mass, blob)])
    scatter = np.sqrt(np.nanmean(np.square(errors), axis=(0, 2)))
    assert scatter[0] > 1.2 * scatter[1]
    nothing = centroids(np.zeros((60, 60)), [[0.3, 0.3]], PIXEL, 1.0, 0.12).iloc[0]
    assert not nothing["found"] and np.isnan(nothing["x_nm"])


def test_nothing_found_and_bad_input():
    assert find_blobs(np.full((60, 60), 4.0), PIXEL, 4.0).empty
    assert centroids(np.ones((60, 60)), np.empty((0, 2)), PIXEL, 1.0, 0.12).empty
    for call, says in (
        (lambda: noise_of_response(0, 3), "level is 0"),
        (lambda: threshold_for(0, 1, PIXEL, 0.07), "false alarms is 0"),
        (lambda: threshold_for(1e4, 1, PIXEL, 0.07), "more than the maxima"),
        (lambda: threshold_for(0.1, 1, PIXEL, 0.07, 0), "polarity"),
        (lambda: best_sigma_nm(-1), "width is -1"),
        (lambda: find_blobs(np.ones((2, 9, 9)), PIXEL, 1.0), "one frame"),
    ):
        with pytest.raises(UserError, match=says):
            call()
