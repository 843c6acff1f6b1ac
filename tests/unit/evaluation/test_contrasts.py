"""Paired comparisons at the columns at stake: known differences, exact p-values, Holm."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lowdose.evaluation.contrasts import COMPARED, contrasts
from lowdose.runtime import UserError

SHAPES = "abcdefgh"
SPEC = {
    "contrasts": [
        {"question": "networks", "reference": "wide", "others": ["narrow", "same"]},
        {"question": "filters", "reference": "wide", "others": ["gaussian"]},
    ],
    "reference_dose_e_per_px": 0.45,
    "draws": 500,
    "seed": 3,
}
EFFECT = {"wide": 0.0, "narrow": -0.05, "same": 0.0, "gaussian": 0.02}


def rows(effect=EFFECT, seeds=None, noise=0.0, rng=None):
    """Two pairs a shape; each denoiser's rates are the pair's own plus its effect."""
    rng = rng or np.random.default_rng(8)
    level = {pair: 0.5 + 0.3 * rng.random() for pair in range(2 * len(SHAPES))}
    found = []
    for name, gain in effect.items():
        for seed in range((seeds or {}).get(name, 1)):
            own_seed = noise * rng.standard_normal()
            for pair, base in level.items():
                rate = base + gain + own_seed + noise * rng.standard_normal() / 3
                found.append({
                    "denoiser": name, "seed": seed, "pair": pair, "base_shape": SHAPES[pair // 2],
                    "kind": "half" if pair == 0 else "vacancy", "dose_e_per_px": 0.45,
                    "won": 625 * rate, "compared": 625.0, "n_filled": 25 * rate, "n_absent": 25.0,
                    "n_erased": 25 * (1 - rate), "n_present": 25.0, "n_right": 2 * rate,
                    "n_decided": 2.0,
                })  # fmt: skip
    table = pd.DataFrame(found)
    rates = ["n_filled", "n_absent", "n_erased", "n_present", "n_right", "n_decided"]
    table.loc[table["kind"] == "half", rates] = np.nan
    return table


def test_a_difference_that_all_shapes_share_is_found_exactly():
    table = contrasts(rows(), SPEC).set_index(["question", "measure", "denoiser"])
    assert len(table) == 3 * len(COMPARED)
    for measure, sign in zip(COMPARED, (1, 1, -1, 1), strict=True):
        narrow, same = (table.loc["networks", measure, name] for name in ("narrow", "same"))
        assert narrow["difference"] == pytest.approx(0.05 * sign)
        assert narrow["low"] == pytest.approx(narrow["high"])
        # Of 2^8 exchanges two are as extreme: all of them, and none.
        assert narrow["p_value"] == pytest.approx(2 / 2**8)
        assert same["difference"] == pytest.approx(0) and same["p_value"] == 1
        # Two comparisons are the family; the filter is another question.
        assert narrow["p_holm"] == pytest.approx(2 * narrow["p_value"])
        filters = table.loc["filters", measure, "gaussian"]
        assert filters["p_holm"] == filters["p_value"] == pytest.approx(2 / 2**8)
        assert filters["difference"] == pytest.approx(-0.02 * sign)


def test_other_doses_take_no_part():
    table = pd.concat([rows(), rows({k: 9 * v for k, v in EFFECT.items()}).assign(
        dose_e_per_px=1.0)])  # fmt: skip
    pd.testing.assert_frame_equal(contrasts(table, SPEC), contrasts(rows(), SPEC))


def test_intervals_know_of_seeds():
    """Trainings that scatter: intervals over shapes and seeds cover, over shapes alone do not."""
    rng = np.random.default_rng(1)
    spec = {**SPEC, "contrasts": SPEC["contrasts"][:1]}
    covered = {3: 0, 1: 0}
    many = 60
    for _ in range(many):
        for n in covered:
            own = rows(EFFECT, {"wide": n, "narrow": n, "same": n}, noise=0.03, rng=rng)
            found = contrasts(own, spec).set_index(["measure", "denoiser"])
            low, high = found.loc[("auc", "narrow"), ["low", "high"]]
            covered[n] += low <= 0.05 <= high
            assert found.loc[("auc", "narrow"), "n_seeds"] == n
    assert covered[3] / many > 0.88
    assert covered[1] / many < 0.7


def test_a_network_of_several_seeds_against_a_filter_that_has_none():
    own = rows(EFFECT, {"wide": 3}, noise=0.02)
    found = contrasts(own, SPEC).set_index(["question", "measure", "denoiser"])
    one = found.loc["filters", "auc", "gaussian"]
    wide, gaussian = (own[own["denoiser"] == n]["won"].mean() / 625 for n in ("wide", "gaussian"))
    assert one["difference"] == pytest.approx(wide - gaussian)
    assert one["n_seeds"] == 3
    # The other way round, the difference has the other sign.
    back = {**SPEC, "contrasts": [
        {"question": "q", "reference": "gaussian", "others": ["wide"]}]}  # fmt: skip
    turned = contrasts(own, back).set_index(["measure"]).loc["auc"]
    assert turned["difference"] == pytest.approx(-one["difference"])
    assert [turned["low"], turned["high"]] == pytest.approx([-one["high"], -one["low"]])
    assert turned["p_value"] == one["p_value"]


def test_seeds_that_one_of_the_two_lacks_take_no_part():
    own = rows(EFFECT, {"wide": 3, "narrow": 2, "same": 3}, noise=0.02)
    found = contrasts(own, SPEC).set_index(["question", "measure", "denoiser"])
    one = found.loc["networks", "auc", "narrow"]
    kept = own[own["seed"] < 2].groupby("denoiser")["won"].mean() / 625
    assert one["difference"] == pytest.approx(kept["wide"] - kept["narrow"])
    assert one["n_seeds"] == 2 and found.loc["networks", "auc", "same"]["n_seeds"] == 3


def test_who_was_not_evaluated_is_named():
    spec = {**SPEC, "contrasts": [{"question": "q", "reference": "wide", "others": ["tv"]}]}
    with pytest.raises(UserError, match="no columns at stake of tv; evaluate it first"):
        contrasts(rows(), spec)
    with pytest.raises(UserError, match="give the sweep two networks"):
        contrasts(rows(), {**SPEC, "contrasts": []})
