"""Intervals and tests against closed forms and simulated coverage."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lowdose.evaluation.statistics import (
    bootstrap_interval,
    holm,
    paired_difference,
    summarise,
)
from lowdose.runtime import UserError


def clustered(rng, n_units, effect=0.0, sd_unit=1.0, sd_frame=0.7):
    """Return frames of n base shapes of unequal size with scatter between and within them."""
    unit = np.repeat(np.arange(n_units), rng.integers(3, 8, n_units))
    value = effect + sd_unit * rng.standard_normal(n_units)[unit]
    value = value + sd_frame * rng.standard_normal(len(unit))
    return pd.DataFrame({"base_shape": unit, "value": value, "frame": np.arange(len(unit))})


@pytest.mark.parametrize("n_units", [3, 4, 9, 16])
def test_coverage_on_clustered_data(n_units):
    rng = np.random.default_rng(n_units)
    hits, runs = 0, 300
    for _ in range(runs):
        _, low, high = bootstrap_interval(clustered(rng, n_units), "value", draws=500, rng=rng)
        hits += low <= 0 <= high
    # A frame-wise bootstrap covers about 0.6 here, the percentile one 0.74 with three units.
    assert 0.90 <= hits / runs <= 0.99


def test_few_balanced_units_give_student_s_interval_of_their_means():
    table = pd.DataFrame(
        {"base_shape": ["a", "a", "b", "b", "c", "c"], "value": [1.0, 3.0, 2.0, 4.0, 6.0, 8.0]}
    )
    got = bootstrap_interval(table, "value", rng=np.random.default_rng(0))
    means = np.array([2.0, 3.0, 7.0])
    half = stats.t.ppf(0.975, 2) * means.std(ddof=1) / np.sqrt(3)
    assert got == pytest.approx((4.0, 4.0 - half, 4.0 + half))
    clipped = bootstrap_interval(table, "value", bounds=(0, 9), rng=np.random.default_rng(0))
    assert clipped == pytest.approx((4.0, 0.0, 9.0))


def test_many_units_have_the_bootstrap_s_normal_limit():
    rng = np.random.default_rng(1)
    values = rng.standard_normal(400)
    table = pd.DataFrame({"base_shape": np.arange(400), "value": values})
    got = bootstrap_interval(table, "value", draws=20000, rng=rng)
    half = stats.t.ppf(0.975, 399) * values.std(ddof=1) / np.sqrt(400)
    assert got.low == pytest.approx(values.mean() - half, abs=0.004)
    assert got.high == pytest.approx(values.mean() + half, abs=0.004)


def test_ratio_pools_counts_and_weights_weigh():
    table = pd.DataFrame(
        {
            "base_shape": ["a", "b", "b"],
            "matched2": [28.0, 30.0, 10.0],
            "columns": [29.0, 31.0, 12.0],
            "value": [1.0, 2.0, 4.0],
            "w": [1.0, 1.0, 2.0],
        }
    )
    rng = np.random.default_rng(0)
    ratio = bootstrap_interval(table, "matched2", weights="columns", statistic="ratio", rng=rng)
    assert ratio.estimate == pytest.approx(68 / 72)
    assert bootstrap_interval(table, "value", weights="w", rng=rng).estimate == pytest.approx(
        11 / 4
    )


def test_deterministic_and_indifferent_to_row_order_and_to_other_groups():
    rng = np.random.default_rng(2)
    table = pd.concat([clustered(rng, 10).assign(denoiser=d) for d in ("unet", "dncnn")])
    table = table.assign(dose=0.45)

    def run(rows):
        return summarise(rows, "value", ["denoiser", "dose"], rng=np.random.default_rng(5))

    first = run(table)
    pd.testing.assert_frame_equal(first, run(table))
    shuffled = run(table.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(first, shuffled)
    alone = run(table[table["denoiser"] == "unet"])
    pd.testing.assert_frame_equal(first[first["denoiser"] == "unet"].reset_index(drop=True), alone)


def test_summary_says_how_many_units_and_which_method():
    rng = np.random.default_rng(3)
    parts = [clustered(rng, n).assign(denoiser=str(n)) for n in (1, 3, 8)]
    parts[1].loc[0, "value"] = np.nan
    got = summarise(pd.concat(parts), "value", ["denoiser"], rng=rng).set_index("denoiser")
    assert got["n_units"].tolist() == [1, 3, 8]
    assert got["method"].tolist() == ["none", "jackknife t", "bootstrap"]
    assert got.loc["3", "n_rows"] == len(parts[1]) - 1
    assert got.loc["1", ["low", "high"]].isna().all()
    assert got.loc["1", "estimate"] == pytest.approx(parts[0]["value"].mean())


def arms(rng, n_units, effect, noise=0.3):
    base = clustered(rng, n_units, sd_unit=5.0)
    better = base.assign(value=base["value"] + effect + noise * rng.standard_normal(len(base)))
    return pd.concat([better.assign(denoiser="a"), base.assign(denoiser="b")])


def test_pairing_removes_the_scatter_between_shapes():
    rng = np.random.default_rng(4)
    table = arms(rng, 10, effect=0.5)
    got = paired_difference(table, "value", "a", "b", rng=rng)
    assert got.low < 0.5 < got.high
    assert got.high - got.low < 0.5  # against about 4 for two independent groups
    assert got.difference == pytest.approx(
        table.query("denoiser == 'a'")["value"].mean()
        - table.query("denoiser == 'b'")["value"].mean()
    )
    assert got.p_value == pytest.approx(2 / 2**10)
    assert got.n_units == 10
    assert got.method == "bootstrap"
    reverse = paired_difference(table, "value", "b", "a", rng=rng)
    assert reverse.difference == pytest.approx(-got.difference)


def test_p_value_is_the_exact_sign_flip_test():
    d = np.array([1.0, 2.0, -0.5, 4.0])
    a = pd.DataFrame({"base_shape": range(4), "frame": range(4), "value": d, "denoiser": "a"})
    b = a.assign(value=0.0, denoiser="b")
    got = paired_difference(pd.concat([a, b]), "value", "a", "b", rng=np.random.default_rng(0))
    # |sum| = 6.5; of the 16 sign patterns 7.5 (twice) and 6.5 (twice) reach it.
    assert got.p_value == pytest.approx(4 / 16)
    half = stats.t.ppf(0.975, 3) * d.std(ddof=1) / 2
    assert (got.low, got.high) == pytest.approx((d.mean() - half, d.mean() + half))
    three = pd.concat([a[:3].assign(value=9.0), b[:3]])
    assert paired_difference(
        three, "value", "a", "b", rng=np.random.default_rng(0)
    ).p_value == pytest.approx(0.25)


@pytest.mark.parametrize("n_units", [6, 14])
def test_p_values_keep_their_level_without_a_difference(n_units):
    rng = np.random.default_rng(n_units)
    p = [
        paired_difference(arms(rng, n_units, 0.0), "value", "a", "b", draws=200, rng=rng).p_value
        for _ in range(300)
    ]
    assert np.mean(np.array(p) <= 0.10) <= 0.10 + 3 * np.sqrt(0.09 / 300)
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)


def test_difference_of_ratios():
    rows = [("a", 1, 9.0, 10.0), ("a", 2, 30.0, 40.0), ("b", 1, 5.0, 10.0), ("b", 2, 20.0, 50.0)]
    table = pd.DataFrame(rows, columns=["denoiser", "frame", "hits", "n"])
    table["base_shape"] = table["frame"]
    got = paired_difference(
        table, "hits", "a", "b", weights="n", statistic="ratio", rng=np.random.default_rng(0)
    )
    assert got.difference == pytest.approx(39 / 50 - 25 / 60)


def test_holm_known_answer():
    # The four p-values of a textbook case: 0.005 x 4, 0.01 x 3, 0.03 x 2, then the running maximum.
    got = holm([0.01, 0.04, 0.03, 0.005])
    assert got == pytest.approx([0.03, 0.06, 0.06, 0.02])
    with_nan = holm([0.02, np.nan, 0.9])
    assert with_nan[[0, 2]] == pytest.approx([0.04, 0.9])
    assert np.isnan(with_nan[1])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).shape == (0,)


def test_impossible_input_is_told():
    rng = np.random.default_rng(0)
    table = arms(rng, 3, 0.0)
    with pytest.raises(UserError, match="no column 'psnr'"):
        bootstrap_interval(table, "psnr", rng=rng)
    with pytest.raises(UserError, match="denominator"):
        bootstrap_interval(table, "value", statistic="ratio", rng=rng)
    with pytest.raises(UserError, match="no value"):
        bootstrap_interval(table.assign(value=np.nan), "value", rng=rng)
    with pytest.raises(UserError, match="'unet'"):
        paired_difference(table, "value", "unet", "b", rng=rng)
    with pytest.raises(UserError, match="same frames"):
        paired_difference(table.iloc[1:], "value", "a", "b", rng=rng)
    with pytest.raises(UserError, match="two rows"):
        paired_difference(pd.concat([table, table]), "value", "a", "b", rng=rng)
