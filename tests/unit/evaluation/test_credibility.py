"""Columns at stake: pairs, scores, the ideal observer, and the tables made from them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from lowdose.config_world import MARGIN_TOP_NM
from lowdose.evaluation.credibility import credibility_table, decisions, localisation, roc
from lowdose.evaluation.equal_doses import doses_needed
from lowdose.evaluation.evaluate import Evaluation
from lowdose.evaluation.limits import ideal_sites, limits_table
from lowdose.evaluation.stakes import outcomes, site_scores, stakes

SPEC = {"denoisers": ["sharp", "blind", "clean"], "draws": 400, "seed": 5}


@pytest.fixture(scope="module")
def frames(particle):
    return particle.frame_set("PtNp1a", "PtNp1b")


@pytest.fixture(scope="module")
def pairs(frames):
    """As ``pairs.csv`` has them, in the coordinates of the cell."""
    rows = []
    for shape, width in (("PtNp1a", 5), ("PtNp1b", 6)):
        gone = frames.columns[frames.columns["site"] == "vacancy"].iloc[width - 5]
        rows.append({
            "pair": f"{shape}-D0-D1", "kind": "vacancy", "model_present": f"{shape}-D0",
            "model_absent": f"{shape}-D1", "element": "Pt", "column": 0, "x_nm": gone["x_nm"],
            "y_nm": gone["y_nm"] + MARGIN_TOP_NM, "n_atoms": 6, "site": "corner",
            "base_shape": shape, "layers": 16, "tilt_x_deg": 0.0, "tilt_y_deg": 0.0,
        })  # fmt: skip
    absent = {**rows[0], "pair": "of another study", "model_absent": "PtNp1a-Dh"}
    return pd.DataFrame([*rows, absent])


@pytest.fixture(scope="module")
def at_stake(pairs, frames):
    return stakes(pairs, frames)


def test_a_pair_has_two_frames_and_one_place(at_stake, frames):
    assert len(at_stake) == 4
    assert at_stake["pair"].unique().tolist() == ["PtNp1a-D0-D1 8 nm", "PtNp1b-D0-D1 8 nm"]
    assert at_stake["present"].tolist() == [True, False] * 2
    assert at_stake["frame"].tolist() == [0, 1, 2, 3]
    # Where the frames differ most is where the column is.
    for present, absent in ((0, 1), (2, 3)):
        difference = frames.clean[present] - frames.clean[absent]
        y, x = np.unravel_index(np.argmax(np.abs(difference)), difference.shape)
        place = at_stake.iloc[present][["x_nm", "y_nm"]].to_numpy(dtype=float)
        np.testing.assert_allclose(np.array([x, y]) * frames.pixel_size_nm, place, atol=0.01)


def test_a_site_has_the_strongest_column_within_the_gate():
    found = pd.DataFrame({"x_nm": [1.0, 1.05, 3.0], "y_nm": [1.0, 1.0, 1.0],
                          "response": [0.2, 0.3, 0.9]})  # fmt: skip
    places = pd.DataFrame({"x_nm": [1.0, 2.0], "y_nm": [1.03, 1.0]})
    shown = site_scores(found, places, 0.07)
    np.testing.assert_array_equal(shown["score"], [0.3, 0.0])
    np.testing.assert_array_equal(shown["found_x_nm"], [1.05, np.nan])
    np.testing.assert_array_equal(site_scores(found.iloc[:0], places, 0.07)["score"], [0.0, 0.0])


def test_the_evaluation_scores_them(frames, spec, at_stake):
    evaluation = Evaluation(frames, frames, spec, at_stake)
    sites = evaluation.run(lambda counts, dose, clean: clean).sites
    assert len(sites) == 4 * 3  # two realisations at 0.45, one at 1.5 electrons
    assert (sites["reported"] == sites["present"]).all()
    table = outcomes(sites)
    assert (table["won"] == table["compared"]).all()
    assert table[["n_erased", "n_filled"]].sum().sum() == 0
    assert (table["n_right"] == table["n_decided"]).all()


def made_up(d_prime, many=200, fill=None):
    """Sites of six shapes whose scores are two normals d' apart."""
    rng = np.random.default_rng(11)
    tables = []
    for shape in "abcdef":
        for dose, d in d_prime.items():
            for present in (True, False):
                score = rng.normal(d * present, 1.0, many)
                tables.append(pd.DataFrame({
                    "pair": shape, "kind": "vacancy", "site": "facet", "n_atoms": 5,
                    "base_shape": shape, "family": "P", "layers": 16, "tilt_x_deg": 0.0,
                    "tilt_y_deg": 0.0, "c1_nm": 8.0, "present": present, "dose_e_per_px": dose,
                    "realisation": range(many), "score": score, "reported": score > d / 2,
                }))  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def test_areas_and_rates_of_two_normals():
    table = outcomes(made_up({0.45: 1.7}))
    area = table["won"].sum() / table["compared"].sum()
    assert area == pytest.approx(norm.cdf(1.7 / np.sqrt(2)), abs=0.02)
    right = table["n_right"].sum() / table["n_decided"].sum()
    assert right == pytest.approx(norm.cdf(0.85), abs=0.02)
    curve = roc(made_up({0.45: 1.7}))
    ends = curve[["fill_in_rate", "shown_rate"]].iloc[[0, -1]].to_numpy()
    assert ends.tolist() == [[0, 0], [1, 1]]
    under = np.trapezoid(curve["shown_rate"], curve["fill_in_rate"])
    assert under == pytest.approx(area, abs=0.01)


def test_who_draws_the_column_whatever_the_counts_say_is_at_chance():
    sites = made_up({0.45: 1.0}).assign(score=0.3, reported=True)
    table = outcomes(sites)
    assert table["won"].sum() / table["compared"].sum() == 0.5
    assert (table["n_filled"] == table["n_absent"]).all()
    assert (table["n_erased"] == 0).all()
    assert table["n_right"].sum() / table["n_decided"].sum() == 0.5


def exact(dose):
    """An ideal observer with d' = 2 at one electron."""
    return norm.cdf(2 * np.sqrt(dose) / np.sqrt(2))


def test_efficiency_is_a_ratio_of_doses():
    """Half of the electrons thrown away: d' smaller by sqrt(2), and an efficiency of a half."""
    doses = np.geomspace(0.01, 50, 40)
    limits = pd.DataFrame([
        {"pair": s, "kind": "vacancy", "base_shape": s, "dose_e_per_px": d, "auc": exact(d)}
        for s in "abcdef" for d in doses
    ])  # fmt: skip
    wasteful = {dose: 2 * np.sqrt(dose / 2) for dose in (0.45, 1.0)}
    sites = pd.concat([
        made_up(wasteful).assign(denoiser="sharp"),
        made_up(dict.fromkeys(wasteful, 0.0)).assign(denoiser="blind", score=0.0),
    ])  # fmt: skip
    rows = decisions(sites, SPEC["denoisers"])
    table = credibility_table(rows, limits, SPEC).set_index(["denoiser", "dose_e_per_px"])
    for dose in wasteful:
        own = table.loc["sharp", dose]
        assert own["auc"] == pytest.approx(exact(dose / 2), abs=0.02)
        assert own["efficiency"] == pytest.approx(0.5, abs=0.06)
        assert own["efficiency_low"] < 0.5 < own["efficiency_high"]
    assert (table.loc["blind", "efficiency"] == 0).all()
    # Always right: how much dose that needs cannot be said.
    sure = made_up({0.45: 40.0}).assign(denoiser="sharp")
    sure = decisions(sure, SPEC["denoisers"])
    assert credibility_table(sure, limits, SPEC)["efficiency"].isna().all()
    by_kind = credibility_table(rows, limits, SPEC, ("kind",))
    assert by_kind["kind"].eq("vacancy").all()
    np.testing.assert_array_equal(by_kind["auc"], table["auc"])


def test_trainings_of_one_network_are_also_taken_together():
    """Two seeds of different quality: their mean, and an interval that knows of both."""
    # Each seed counts alike, though one has a fifth of the realisations.
    good, bad = made_up({0.45: 3.0}), made_up({0.45: 1.0}, 40)
    sites = pd.concat([good.assign(denoiser="n.t.seed0"), bad.assign(denoiser="n.t.seed1")])
    names = ["n.t.seed0", "n.t.seed1"]
    rows = decisions(sites, names, {"n.t": names})
    assert rows["denoiser"].unique().tolist() == [*names, "n.t"]
    limits = pd.DataFrame([
        {"pair": s, "kind": "vacancy", "base_shape": s, "dose_e_per_px": d, "auc": exact(d)}
        for s in "abcdef" for d in (0.01, 0.45, 50)
    ])  # fmt: skip
    table = credibility_table(rows, limits, SPEC).set_index("denoiser")
    each, both = table.loc[names], table.loc["n.t"]
    for measure in ("auc", "fill_in_rate", "erasure_rate", "right_rate"):
        assert both[measure] == pytest.approx(each[measure].mean())
    assert [*each["n_realisations"], both["n_realisations"]] == [200, 40, 240]
    assert both[["n_seeds", "n_units", "n_rows", "method"]].tolist() == [2, 6, 12, "crossed"]
    assert each["n_seeds"].tolist() == [1, 1]
    # One more seed could lie far from both: with two, hardly anything is known.
    assert both["auc_low"] < each["auc_low"].min() and both["auc_high"] == 1


def test_the_dose_at_which_95_percent_are_right():
    # Right: the normal integral of d' / 2; 95 % from d' = 3.29 on, that is sqrt(dose) = 1.645.
    doses = [0.5, 1.0, 2.0, 4.0, 8.0]
    sites = pd.concat([
        made_up({d: 2 * np.sqrt(d) for d in doses}, 2000).assign(denoiser="sharp"),
        made_up({d: 0.5 for d in doses}).assign(denoiser="blind"),
    ])  # fmt: skip
    rows = decisions(sites, SPEC["denoisers"])
    table = doses_needed(rows, SPEC).set_index("denoiser")
    assert table.loc["sharp", "dose_e_per_px"] == pytest.approx(2.706, rel=0.05)
    assert table.loc["sharp", "low"] <= table.loc["sharp", "dose_e_per_px"]
    assert np.isinf(table.loc["blind", ["dose_e_per_px", "low", "high"]].to_numpy(float)).all()


def test_positions_scatter_about_that_of_the_clean_image():
    """A known scatter, a known shift, and the bound beside them."""
    rng = np.random.default_rng(4)
    sites = made_up({0.45: 9.0}, 400)
    place = sites.assign(found_x_nm=1.0 + 0.02 * rng.standard_normal(len(sites)) + 0.005,
                         found_y_nm=2.0 + 0.03 * rng.standard_normal(len(sites)))  # fmt: skip
    clean = sites.assign(found_x_nm=1.0, found_y_nm=2.0, denoiser="clean")
    limits = pd.DataFrame([
        {"pair": s, "dose_e_per_px": 0.45, "bound_x_pm": 20.0, "bound_y_pm": 20.0} for s in "abcdef"
    ])  # fmt: skip
    both = pd.concat([place.assign(denoiser="sharp"), clean])
    found = localisation(both, limits, SPEC).set_index("denoiser")
    scatter = np.sqrt((0.02**2 + 0.03**2) / 2)
    assert found.loc["sharp", "scatter_pm"] == pytest.approx(1e3 * scatter, rel=0.03)
    assert found.loc["sharp", "bias_pm"] == pytest.approx(5.0 / np.sqrt(2), rel=0.2)
    assert found.loc["sharp", "bound_pm"] == pytest.approx(20.0)
    assert found.loc["clean", "scatter_pm"] == 0
    # 400 positions of each of six columns: the interval is that of a variance of 4,800 values.
    low, high = found.loc["sharp", ["scatter_pm_low", "scatter_pm_high"]]
    assert low < 1e3 * scatter < high < 1.1 * low
    assert found.loc["sharp", ["n_units", "n_columns", "n_positions"]].tolist() == [6, 6, 2400]


def test_half_a_column_is_compared_but_not_decided(at_stake):
    sites = made_up({0.45: 1.0}).assign(kind="half")
    table = outcomes(sites)
    assert table["compared"].sum() == 6 * 200**2
    assert "n_filled" not in table


def test_the_ideal_observer_is_told_the_same_counts(frames, at_stake, spec):
    many = {**spec, "realisations": 300, "doses_e_per_px": [0.45]}
    sites = ideal_sites(frames, at_stake, many).assign(denoiser="ideal")
    limits = limits_table(frames, at_stake, many)
    here = limits[limits["dose_e_per_px"] == 0.45].set_index("pair")
    table = outcomes(sites).set_index("pair")
    for pair, row in table.iterrows():
        # Exact area and error against 300 drawn frames of either kind.
        assert row["won"] / row["compared"] == pytest.approx(here.loc[pair, "auc"], abs=0.03)
        wrong = 1 - row["n_right"] / row["n_decided"]
        assert wrong == pytest.approx(here.loc[pair, "error"], abs=0.05)
    # More light, fewer errors; the dose for five per cent lies between the doses that bracket it.
    for _, curve in limits.groupby("pair"):
        curve = curve.sort_values("dose_e_per_px")
        assert (np.diff(curve["error"]) <= 1e-6).all()
        needed = curve["dose_for_5_percent"].iloc[0]
        assert np.interp(np.log(needed), np.log(curve["dose_e_per_px"]), curve["error"]) == (
            pytest.approx(0.05, abs=0.01)
        )
        bound = curve["bound_x_pm"] * np.sqrt(curve["dose_e_per_px"])
        assert np.ptp(bound) < 1e-6 * bound.mean()  # the bound falls as the root of the dose
