"""The parametric null: harmonic filling, groups, and p-values that are uniform."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lowdose.columns.detection import detect_columns
from lowdose.columns.discs import disc_means
from lowdose.columns.likelihood import likelihood_ratio
from lowdose.columns.nulls import erased, groups, monte_carlo_p_values, null_statistics
from lowdose.runtime import UserError

PIXEL = 0.02
SHAPE = 60, 80
GATE = 0.07


def blob(x, y, height=0.5):
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]] * PIXEL
    return height * np.exp(-((cols - x) ** 2 + (rows - y) ** 2) / (2 * 0.05**2))


def test_a_harmonic_image_is_filled_in_exactly():
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    image = 100 + 0.3 * rows - 0.2 * cols + 0.01 * (rows**2 - cols**2)
    holes = np.array([[0.5, 0.6], [1.2, 0.3]])
    damaged = image + 50 * blob(*holes[0], 1) * (np.hypot(cols * PIXEL - 0.5, rows * PIXEL - 0.6)
                                                 <= 0.12)  # fmt: skip
    np.testing.assert_allclose(erased(damaged, holes, PIXEL), image, atol=1e-9)


def test_a_column_in_vacuum_leaves_vacuum_and_neighbours_stay():
    image = 1 + blob(0.5, 0.5) + blob(1.1, 0.5)
    found = erased(image, np.array([[0.5, 0.5]]), PIXEL)
    # Its tail beyond the disc, 0.12 nm from its middle, is 3 % of it.
    np.testing.assert_allclose(found[:, :45], 1, atol=0.04)
    np.testing.assert_array_equal(found[:, 45:], image[:, 45:])
    at_border = erased(image, np.array([[0.02, 0.02]]), PIXEL)
    assert at_border[0, 0] == pytest.approx(1, abs=1e-6)


def test_groups_lie_apart_and_hold_everybody():
    points = np.random.default_rng(1).uniform(0, 3, (40, 2))
    found = groups(points, 0.6)
    assert sorted(np.concatenate(found)) == list(range(40))
    for group in found:
        distance = np.linalg.norm(points[group][:, None] - points[group][None], axis=2)
        assert (distance[~np.eye(len(group), dtype=bool)] > 0.6).all()
    assert groups(np.empty((0, 2))) == []


def pipeline(counts):
    """Detect on the smoothed counts, weigh by the likelihood ratio: as optimistic as it gets."""
    from scipy.ndimage import gaussian_filter

    relative = gaussian_filter(counts, 2) / 3.0
    found = detect_columns(relative, PIXEL, threshold=0.02, min_distance_nm=0.12)
    places = found[["x_nm", "y_nm"]].to_numpy()
    level = 3.0 * disc_means(relative, places, PIXEL, 0.05)
    return places, likelihood_ratio(counts, places, PIXEL, level, 3.0)["llr_total"].to_numpy()


def test_p_values_of_the_whole_pipeline_are_uniform_where_there_is_no_column():
    """Selection, own counts and a neighbour's tail: the null that was drawn knows them all."""
    rng = np.random.default_rng(2)
    site = np.array([[0.74, 0.5]])
    empty = 3.0 * (1 + blob(0.5, 0.5))  # beside a neighbour
    null = null_statistics(pipeline, empty + 3 * blob(*site[0]), site, PIXEL, draws=400,
                           gate_nm=GATE, rng=rng)  # fmt: skip
    assert null.shape == (1, 400)
    observed = []
    for _ in range(400):
        places, statistic = pipeline(rng.poisson(empty).astype(np.float32))
        here = np.linalg.norm(places - site, axis=1) <= GATE
        observed.append(statistic[here].max() if here.any() else -np.inf)
    p = monte_carlo_p_values(np.array(observed), np.repeat(null, 400, axis=0))
    # Where nothing is reported p is 1: uniform below the share that is.
    reported = np.isfinite(observed).mean()
    assert 0.22 < reported < 1
    for level in (0.03, 0.05, 0.1, 0.2):
        error = np.sqrt(2 * level * (1 - level) / 400)  # of both samples
        assert abs(np.mean(p <= level) - level) < 3.5 * error, level
    # Compared with zero, the ratio itself would accept every one of them that is reported.
    assert np.mean(np.array(observed) > 0) > 0.2


def test_a_column_that_is_there_has_small_p_values():
    rng = np.random.default_rng(3)
    site = np.array([[0.74, 0.5], [1.3, 0.5]])
    full = 3.0 * (1 + blob(0.5, 0.5) + blob(*site[0], 1.5) + blob(*site[1], 1.5))
    null = null_statistics(pipeline, full, site, PIXEL, draws=100, gate_nm=GATE, rng=rng)
    places, statistic = pipeline(rng.poisson(full).astype(np.float32))
    observed = [statistic[np.linalg.norm(places - one, axis=1) <= GATE].max() for one in site]
    assert (monte_carlo_p_values(observed, null) <= 0.03).all()
    pooled = monte_carlo_p_values(observed, null, pooled=True)
    assert (pooled <= 0.02).all()


def test_p_values_by_counting():
    null = np.array([[0.0, 1.0, 2.0, 3.0], [-np.inf, -np.inf, 5.0, 6.0]])
    np.testing.assert_allclose(monte_carlo_p_values([2.0, 4.0], null), [3 / 5, 3 / 5])
    np.testing.assert_allclose(monte_carlo_p_values([2.0, 4.0], null, pooled=True), [5 / 9, 3 / 9])
    exact = np.random.default_rng(4).random((4000, 20))
    p = monte_carlo_p_values(exact[:, 0], exact[:, 1:])
    assert stats.chisquare(np.bincount(np.rint(20 * p).astype(int))[1:]).pvalue > 0.01


def test_bad_input():
    with pytest.raises(UserError, match="whole image"):
        erased(np.ones((5, 5)), [[0.04, 0.04]], PIXEL, 0.5)
    with pytest.raises(UserError, match="differ"):
        monte_carlo_p_values([1.0], np.zeros((2, 3)))
