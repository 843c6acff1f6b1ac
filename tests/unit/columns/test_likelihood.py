"""Likelihood ratios, thinning and e-values against closed forms and simulation."""

import numpy as np
import pytest
from scipy import stats

from lowdose.columns.discs import disc_means, disc_sums
from lowdose.columns.likelihood import (
    benjamini_hochberg,
    cross_fitted_e_values,
    e_bh,
    likelihood_ratio,
    poisson_p_value,
    thin,
)
from lowdose.runtime import UserError

PIXEL_NM = 0.0061
VACUUM = 0.45


def grid_nm(n, step_px=24):
    """Return n x n centres (x, y) [nm] far enough apart that their discs are disjoint."""
    i, j = np.mgrid[:n, :n]
    return (np.stack([j.ravel(), i.ravel()], axis=1) * step_px + step_px) * PIXEL_NM


def test_disc_holds_the_pixels_within_its_radius():
    image = np.arange(400.0).reshape(20, 20)
    # Radius 1.5 px about (x, y) = (7, 4): the 3 x 3 block, whose mean is its centre.
    sums, n = disc_sums(image, [[0.7, 0.4]], 0.1, 0.15)
    assert (sums[0], n[0]) == (9 * image[4, 7], 9)
    assert disc_means(np.stack([image, 2 * image]), [[0.7, 0.4]], 0.1, 0.15).ravel() == (
        pytest.approx([image[4, 7], 2 * image[4, 7]])
    )
    # In the corner a quarter is left; outside nothing, which has no mean.
    assert disc_sums(image, [[0.0, 0.0]], 0.1, 0.15)[1] == [4]
    assert np.isnan(disc_means(image, [[9.0, 0.4]], 0.1, 0.15)[0])
    _, many = disc_sums(np.ones((400, 400)), [[0.2, 0.2]], 0.001, 0.05)
    assert many[0] == pytest.approx(np.pi * 50**2, rel=0.01)


@pytest.mark.parametrize(("column", "kl"), [(0.55, 0.0104), (0.50, 0.0027)])
def test_mean_ratio_of_a_true_column_is_the_kl_divergence(column, kl):
    closed = column * np.log(column / VACUUM) - (column - VACUUM)
    assert closed == pytest.approx(kl, abs=6e-5)
    # At the expectation itself the formula is exact; on counts it is so in the mean.
    image = np.full((600, 600), column)
    exact = likelihood_ratio(image, [[1.0, 1.0]], PIXEL_NM, column, VACUUM)
    assert exact.loc[0, "llr_per_pixel"] == pytest.approx(closed)
    assert exact.loc[0, "llr_total"] == pytest.approx(closed * exact.loc[0, "n_pixels"])
    counts = np.random.default_rng(0).poisson(image)
    table = likelihood_ratio(counts, grid_nm(23), PIXEL_NM, column, VACUUM)
    spread = table["llr_per_pixel"].std() / np.sqrt(len(table))
    assert table["llr_per_pixel"].mean() == pytest.approx(closed, abs=4 * spread)


def test_ratio_is_the_difference_of_poisson_log_likelihoods():
    rng = np.random.default_rng(2)
    counts = rng.poisson(0.6, (120, 120))
    positions = grid_nm(4)
    column, vacuum = rng.uniform(0.4, 0.9, 16), rng.uniform(0.4, 0.5, 16)
    table = likelihood_ratio(counts, positions, PIXEL_NM, column, vacuum, radius_nm=0.04)
    for k, (x, y) in enumerate(positions / PIXEL_NM):
        yy, xx = np.mgrid[:120, :120]
        n = counts[np.hypot(xx - x, yy - y) <= 0.04 / PIXEL_NM]
        expected = (
            stats.poisson.logpmf(n, column[k]).sum() - stats.poisson.logpmf(n, vacuum[k]).sum()
        )
        assert table.loc[k, "llr_total"] == pytest.approx(expected)
        assert table.loc[k, "n_pixels"] == len(n)
        assert table.loc[k, "n_mean"] == pytest.approx(n.mean())


@pytest.mark.parametrize("p", [0.5, 0.2])
def test_thinned_halves_are_independent_poisson(p):
    rng = np.random.default_rng(4)
    counts = rng.poisson(2.0, (1000, 1000)).astype(np.float32)
    a, b = thin(counts, p, rng)
    assert a.dtype == counts.dtype
    assert np.array_equal(a + b, counts)
    for part, mean in ((a, 2 * p), (b, 2 * (1 - p))):
        assert part.mean(dtype=float) == pytest.approx(mean, abs=0.007)
        assert part.var(dtype=float) == pytest.approx(mean, abs=0.015)
    assert np.cov(a.ravel(), b.ravel())[0, 1] == pytest.approx(0, abs=0.006)
    # Independence, not only zero covariance: P(a = 0, b = 0) factorises.
    assert np.mean((a == 0) & (b == 0)) == pytest.approx(
        np.mean(a == 0) * np.mean(b == 0), abs=2e-3
    )


@pytest.mark.parametrize("pixelwise", [False, True])
@pytest.mark.parametrize("p", [0.5, 0.7])
def test_e_values_have_mean_one_under_the_null(pixelwise, p):
    rng = np.random.default_rng(6)
    positions = grid_nm(24)
    shape = (620, 620)
    denoised = p * VACUUM * (1 + 0.05 * rng.standard_normal(shape))
    values = []
    for _ in range(12):
        _, b = thin(rng.poisson(VACUUM, shape), p, rng)
        table = cross_fitted_e_values(
            denoised, b, positions, PIXEL_NM, VACUUM, p=p, pixelwise=pixelwise
        )
        values.append(table["e_value"])
    values = np.concatenate(values)
    error = values.std() / np.sqrt(len(values))
    assert values.mean() == pytest.approx(1, abs=4 * error)
    assert error < 0.03
    assert np.mean(values >= 20) <= 0.05


def test_e_values_of_a_true_column_grow_with_its_information():
    rng = np.random.default_rng(8)
    column, shape, positions = 0.60, (620, 620), grid_nm(24)
    _, b = thin(rng.poisson(column, shape), 0.5, rng)
    table = cross_fitted_e_values(np.full(shape, column / 2), b, positions, PIXEL_NM, VACUUM)
    closed = (column * np.log(column / VACUUM) - (column - VACUUM)) / 2
    spread = table["llr_per_pixel"].std() / np.sqrt(len(table))
    assert table["llr_per_pixel"].mean() == pytest.approx(closed, abs=4 * spread)
    assert table["lambda_column"].to_numpy() == pytest.approx(column / 2)
    assert table["lambda_vacuum"].to_numpy() == pytest.approx(VACUUM / 2)
    image_null = cross_fitted_e_values(
        np.full(shape, column / 2), b, positions, PIXEL_NM, np.full(shape, VACUUM), pixelwise=True
    )
    assert image_null["llr_total"].to_numpy() == pytest.approx(table["llr_total"].to_numpy())


def test_polarity_keeps_a_dark_fringe_from_counting_as_a_column():
    rng = np.random.default_rng(9)
    shape, positions = (300, 300), grid_nm(11)
    _, b = thin(rng.poisson(0.35, shape), 0.5, rng)
    dark = np.full(shape, 0.35 / 2)
    bright = cross_fitted_e_values(dark, b, positions, PIXEL_NM, VACUUM, polarity=1)
    assert (bright["e_value"] == 1).all()
    assert cross_fitted_e_values(dark, b, positions, PIXEL_NM, VACUUM)["e_value"].mean() > 1
    proposed = np.full(shape, 0.55 / 2)
    wrong = cross_fitted_e_values(proposed, b, positions, PIXEL_NM, VACUUM, polarity=1)
    assert wrong["e_value"].mean() < 1


def test_e_bh_known_answer():
    # m = 4, level 0.1: thresholds 40, 20, 13.3, 10.
    assert e_bh([45, 21, 5, 1], 0.1).tolist() == [True, True, False, False]
    assert e_bh([11, 12, 13, 10.5], 0.1).all()
    assert not e_bh([30, 9, 9, np.nan], 0.1).any()
    assert e_bh([], 0.1).shape == (0,)


def test_benjamini_hochberg_known_answer():
    p = [0.01, 0.04, 0.03, 0.005, 0.5]
    assert benjamini_hochberg(p, 0.05).tolist() == [True, True, True, True, False]
    assert benjamini_hochberg([0.02, 0.04, np.nan], 0.05).tolist() == [False, False, False]


def test_false_discovery_rate_on_mixtures():
    rng = np.random.default_rng(12)
    n_pixels, level, n_runs = 200, 0.1, 400
    null, column = n_pixels * VACUUM / 2, n_pixels * 0.62 / 2
    is_column = np.arange(40) < 12
    rates = {"e": [], "p": []}
    found = 0
    for _ in range(n_runs):
        total = rng.poisson(np.where(is_column, column, null))
        e = np.exp(total * np.log(column / null) - (column - null))
        p = poisson_p_value(total, np.full(40, null))
        for name, chosen in (("e", e_bh(e, level)), ("p", benjamini_hochberg(p, level))):
            rates[name].append((chosen & ~is_column).sum() / max(chosen.sum(), 1))
        found += e_bh(e, level)[is_column].mean() / n_runs
    # Both control it for independent tests; e-BH also under dependence, at some power.
    for name in rates:
        assert np.mean(rates[name]) <= level + 3 * np.std(rates[name]) / np.sqrt(n_runs)
    assert found > 0.2
    # All nulls the same test: p-values may fail then, e-values must not.
    same = [
        e_bh(
            np.full(40, np.exp(rng.poisson(null) * np.log(column / null) - column + null)), level
        ).any()
        for _ in range(2000)
    ]
    assert np.mean(same) <= level


def test_poisson_p_values_are_exact_tails():
    total, expected = np.array([0, 3, 60, 120]), np.array([2.5, 2.5, 45.0, 45.0])
    upper = poisson_p_value(total, expected)
    assert upper == pytest.approx(stats.poisson.sf(total - 1, expected), rel=1e-10)
    lower = poisson_p_value(total, expected, polarity=-1)
    assert lower == pytest.approx(stats.poisson.cdf(total, expected), rel=1e-10)


@pytest.mark.parametrize("polarity", [1, -1])
def test_randomised_p_values_are_uniform_under_the_null(polarity):
    rng = np.random.default_rng(3)
    expected = rng.uniform(1, 60, 20000)
    p = poisson_p_value(rng.poisson(expected), expected, polarity=polarity, rng=rng)
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_impossible_input_is_told():
    counts, rng = np.ones((30, 30)), np.random.default_rng(0)
    with pytest.raises(UserError, match="whole electrons"):
        thin(counts * 0.5, 0.5, rng)
    with pytest.raises(UserError, match="whole electrons"):
        thin(-counts, 0.5, rng)
    with pytest.raises(UserError, match="from 0 to 1"):
        thin(counts, 1.5, rng)
    with pytest.raises(UserError, match="not positive"):
        likelihood_ratio(counts, [[0.05, 0.05]], PIXEL_NM, 0.5, 0.0)
    with pytest.raises(UserError, match="no pixel"):
        likelihood_ratio(counts, [[0.05, 0.05]], 0.1, 0.5, 0.45)
    with pytest.raises(UserError, match="two halves"):
        cross_fitted_e_values(counts, counts[1:], [[0.05, 0.05]], PIXEL_NM, VACUUM)
    with pytest.raises(UserError, match="false-discovery"):
        e_bh([1.0], 1.5)
