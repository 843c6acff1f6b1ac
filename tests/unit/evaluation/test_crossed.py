"""Two crossed sources of scatter, against closed forms and simulated coverage."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lowdose.evaluation.crossed import components, crossed_interval
from lowdose.evaluation.statistics import bootstrap_interval
from lowdose.runtime import UserError


def crossed(rng, shapes, seeds, sd, frames=3):
    """Return frames of every shape with every seed; sd of shape, seed, combination and frame."""
    a, b = (s * rng.standard_normal(n) for s, n in zip(sd, (shapes, seeds), strict=False))
    e = sd[2] * rng.standard_normal((shapes, seeds))
    index = [(s, k) for s in range(shapes) for k in range(seeds) for _ in range(frames)]
    table = pd.DataFrame(index, columns=["base_shape", "seed"])
    mean = (a[:, None] + b + e)[table["base_shape"], table["seed"]]
    return table.assign(value=mean + sd[3] * rng.standard_normal(len(table)))


def test_mean_squares_of_a_table_by_hand():
    # Rows differ by 4, columns by 2; the rest is +-1.
    found = components(np.array([[1.0, 1.0], [3.0, 7.0]]))
    assert found[:3] == pytest.approx((16.0, 4.0, 4.0))
    assert found.variance == pytest.approx(16 / 4)
    assert found.freedom == 1.0  # 16^2 / (16^2 + 4^2 + 4^2), but none has less than one


def test_components_of_a_large_table_are_those_that_made_it():
    rng = np.random.default_rng(1)
    s, k = 300, 200
    values = (
        0.5 * rng.standard_normal((s, 1)) + 0.3 * rng.standard_normal(k)
        + 0.2 * rng.standard_normal((s, k))
    )  # fmt: skip
    shape, seed, rest, variance, _ = components(values)
    assert rest == pytest.approx(0.04, rel=0.03)
    assert (shape - rest) / k == pytest.approx(0.25, rel=0.25)
    assert (seed - rest) / s == pytest.approx(0.09, rel=0.3)
    assert variance == pytest.approx(0.25 / s + 0.09 / k + 0.04 / (s * k), rel=0.3)


@pytest.mark.parametrize(
    ("shapes", "seeds", "sd"),
    [(8, 3, (1, 0.3, 0.3, 0.3)), (8, 3, (0.3, 1, 0.3, 0.3)), (12, 3, (1, 1, 1, 0.5)),
     (8, 5, (0.5, 0.5, 1.0, 0.5))],
    ids=str,
)  # fmt: skip
def test_coverage(shapes, seeds, sd):
    rng = np.random.default_rng(shapes + 10 * seeds)
    hits, runs = 0, 150
    for _ in range(runs):
        table = crossed(rng, shapes, seeds, sd)
        _, low, high = crossed_interval(table, "value", draws=400, rng=rng)
        hits += low <= 0 <= high
    # Over shapes alone, the second case would be covered in about a fifth of the runs.
    assert 0.91 <= hits / runs <= 1.0


def test_seeds_alone_give_students_interval_of_their_means():
    """No scatter between shapes: what is left is that of the three seeds."""
    seeds = np.array([1.0, 2.0, 4.0])
    table = pd.DataFrame(
        [(s, k, v) for s in range(6) for k, v in enumerate(seeds)],
        columns=["base_shape", "seed", "value"],
    )
    found = components(table["value"].to_numpy().reshape(6, 3))
    assert found.variance == pytest.approx(seeds.var(ddof=1) / 3)
    assert found.freedom == pytest.approx(2)
    estimate, low, high = crossed_interval(table, "value", rng=np.random.default_rng(0))
    assert estimate == pytest.approx(seeds.mean())
    half = stats.t.ppf(0.975, 2) * seeds.std(ddof=1) / np.sqrt(3)
    assert (low, high) == pytest.approx((estimate - half, estimate + half))


def test_many_shapes_and_seeds_have_the_bootstraps_normal_limit():
    table = crossed(np.random.default_rng(6), 60, 40, (1, 0.8, 0.5, 0), frames=1)
    estimate, low, high = crossed_interval(table, "value", draws=6000, rng=np.random.default_rng(7))
    found = components(table["value"].to_numpy().reshape(60, 40))
    half = stats.t.ppf(0.975, found.freedom) * np.sqrt(found.variance)
    assert (low, high) == pytest.approx((estimate - half, estimate + half), abs=0.06 * half)


def test_one_seed_has_the_interval_over_shapes():
    table = crossed(np.random.default_rng(2), 9, 1, (1, 1, 1, 1))
    one = crossed_interval(table, "value", rng=np.random.default_rng(3))
    other = bootstrap_interval(table, "value", rng=np.random.default_rng(3))
    assert one == other


def test_a_ratio_pools_and_stays_in_its_bounds():
    rng = np.random.default_rng(4)
    table = crossed(rng, 8, 3, (0, 0, 0, 0))
    table = table.assign(n=rng.integers(1, 4, len(table)))
    table = table.assign(k=rng.binomial(table["n"], 0.9))
    estimate, low, high = crossed_interval(table, "k", weights="n", bounds=(0, 1), rng=rng)
    assert estimate == pytest.approx(table["k"].sum() / table["n"].sum())
    assert 0 <= low < 0.9 < high <= 1
    certain = table.assign(k=table["n"])
    assert crossed_interval(certain, "k", weights="n", rng=rng) == (1.0, 1.0, 1.0)


def test_a_missing_combination_is_named():
    table = crossed(np.random.default_rng(5), 4, 3, (1, 1, 1, 1))
    table = table[(table["base_shape"] != 2) | (table["seed"] != 1)]
    with pytest.raises(UserError, match="base_shape 2 has no row with seed 1; evaluate every seed"):
        crossed_interval(table, "value", rng=np.random.default_rng(0))
