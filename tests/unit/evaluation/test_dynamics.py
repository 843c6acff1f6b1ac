"""A surface that switches, in films of Gaussian columns whose states and rates are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import expm

from lowdose.columns.order import order_from_templates
from lowdose.data.movies import Movie
from lowdose.evaluation.dynamics import MEAN, rates, strain, trace, true_order, true_rates
from lowdose.evaluation.surface_layer import _Films, binned, bins_of, find_layer, outward, recover
from lowdose.runtime import UserError
from lowdose.structures.switching import switching

PIXEL, SIDE, WIDTH, HEIGHT = 0.02, 72, 0.045, 0.8
A, B = np.array([0.24, 0.0]), np.array([0.12, 0.21])
ON, OFF, FRAME_TIME = 12, 18, 0.01
DOSE = 3.0  # of as many electrons per nm² as 0.28 e/px of 6.1 pm
SPEC = {"doses_e_per_px": [DOSE], "summed": [1], "realisations": 1, "seed": 3,
        "reference_dose_e_per_px": DOSE}  # fmt: skip


def columns(move_nm):
    """Return the columns of a particle below a flat surface, and which are its surface."""
    i, j = (n.ravel() for n in np.mgrid[:6, -3:9])
    places = np.array([0.03, 0.31]) + j[:, None] * A + i[:, None] * B
    shown = ((places > -0.2) & (places < SIDE * PIXEL + 0.2)).all(axis=1)
    places, top = places[shown], (i == 0)[shown]
    # The two neighbours below lie to the left and the right alike: outwards is up.
    return places - np.outer(top, [0, move_nm]), top


def image(places, heights):
    y, x = np.mgrid[:SIDE, :SIDE] * PIXEL
    bells = np.exp(-((x - places[:, 0, None, None]) ** 2 + (y - places[:, 1, None, None]) ** 2)
                   / (2 * WIDTH**2))  # fmt: skip
    return 1 + np.einsum("c,cyx->yx", heights, bells)


def film(seed, frames=240, move_nm=0.008, polarity=1):
    """Return a film whose surface columns' atoms are off their sites in some frames."""
    rng = np.random.default_rng(seed)
    places, top = columns(move_nm)
    looks = [image(places, np.full(len(places), polarity * HEIGHT))]
    for _ in range(3):
        atoms = np.repeat(places[top], 10, axis=0)
        atoms = atoms + rng.normal(0, 0.05, atoms.shape)
        parts = np.r_[np.full((~top).sum(), HEIGHT), np.full(len(atoms), HEIGHT / 10)]
        looks.append(image(np.vstack([places[~top], atoms]), polarity * parts))
    states = switching(frames, ON, OFF, rng)
    clean = np.array(looks, dtype=np.float32)[np.where(states, rng.integers(1, 4, frames), 0)]
    inside = ((places > 0.05) & (places < SIDE * PIXEL - 0.05)).all(axis=1)
    own = pd.DataFrame(
        {"column": np.flatnonzero(inside), "x_nm": places[inside, 0], "y_nm": places[inside, 1],
         "n_atoms": 10, "is_surface": top[inside]}
    )  # fmt: skip
    own["process"] = np.where(own["is_surface"], "disorder", "")
    truth = pd.concat(
        [
            own.assign(
                frame=f, state=np.where(own["is_surface"] & bool(s), "disordered", "present")
            )
            for f, s in enumerate(states)
        ],
        ignore_index=True,
    )
    process = {"kind": "disorder", "on_frames": ON, "off_frames": OFF, "schedule": None}
    return Movie(
        clean, np.full(frames, DOSE), np.zeros(frames), np.zeros(frames), np.zeros((frames, 2)),
        truth, PIXEL, FRAME_TIME, (0.0, 0.0), {"processes": [process]}, seed, "",
    )  # fmt: skip


@pytest.fixture(scope="module")
def movie():
    return film(1)


def test_the_layer_is_found_on_the_sum_of_the_film(movie):
    layer = find_layer(movie.counts(0, 3), PIXEL)
    places, top = columns(0.008)
    wanted = places[top & (places[:, 0] > 0.1) & (places[:, 0] < SIDE * PIXEL - 0.1)]
    found = layer.sites_nm[np.argsort(layer.sites_nm[:, 0])]
    # Columns at the sides lack a neighbour that the frame does not show: they are no surface.
    for place in wanted:
        assert np.hypot(*(found - place).T).min() < 0.02
    assert np.abs(found[:, 1] - 0.302).max() < 0.02 and len(found) <= top.sum()


@pytest.mark.parametrize("polarity", [1, -1])
def test_states_and_orders_are_recovered_without_the_truth(polarity):
    table = rates(film(1, polarity=polarity), {**SPEC, "doses_e_per_px": [1.0, DOSE]})
    own = table[table["templates"] == "film"].groupby("dose_e_per_px").first()
    known = table[table["templates"] == "known"].groupby("dose_e_per_px").first()
    assert (own["right"] > 0.97).all() and own["right"].loc[DOSE] > 0.99
    # Errors are as large as they are said to be, and little above those of who knows the images.
    assert own["order_rmse"].to_numpy() == pytest.approx(own["order_se"], rel=0.2)
    assert (own["order_rmse"] > known["order_rmse"]).all()
    assert (own["order_rmse"] < 1.35 * known["order_rmse"]).all()
    assert own["order_rmse"].loc[DOSE] == pytest.approx(
        own["order_rmse"].loc[1.0] * (1.0 / DOSE) ** 0.5, rel=0.25
    )


def test_rates_are_recovered_and_their_intervals_hold():
    tables = [rates(film(seed), SPEC).assign(film=seed) for seed in range(5)]
    table = pd.concat(tables, ignore_index=True)
    own = table[table["templates"] == "film"]
    assert len(own) == 10
    # Against what the film has, to the few percent that a frame counts; against the rate that it
    # was drawn with, as often as 95 % says: of 10, 8 or more have a probability of 99 %.
    assert np.abs(own["error_realised"]).max() < 0.2
    assert np.abs(own["error_realised"]).median() < 0.05
    assert own["inside"].sum() >= 8 and own["inside_realised"].all()
    assert np.exp(np.log(own["rate"] / own["true_rate"]).mean()) == pytest.approx(1, abs=0.2)
    assert (own["high"] < 8 * own["low"]).all()


def test_true_rates_are_those_of_the_process_in_continuous_time(movie):
    found = true_rates(movie)
    down, up = found["disordering"][0], found["ordering"][0]
    step = expm(np.array([[-up, up], [down, -down]]) * FRAME_TIME)
    assert (step[0, 1], step[1, 0]) == pytest.approx((1 / ON, 1 / OFF))
    ordered = true_order(movie)
    falls = np.sum(ordered[:-1] & ~ordered[1:]) / ordered[:-1].sum()
    rises = np.sum(~ordered[:-1] & ordered[1:]) / (~ordered[:-1]).sum()
    down, up = found["disordering"][1], found["ordering"][1]
    step = expm(np.array([[-up, up], [down, -down]]) * FRAME_TIME)
    assert (step[0, 1], step[1, 0]) == pytest.approx((rises, falls))


def test_frames_as_long_as_the_states_hide_steps():
    """Frames of 160 ms against dwell times of 120 and 180: no rate is too high for them."""
    table = rates(film(11, frames=480), {**SPEC, "summed": [1, 8, 16]})
    own = table[table["templates"] == "film"].groupby("summed")
    assert own["frame_time_s"].first().to_dict() == pytest.approx({1: 0.01, 8: 0.08, 16: 0.16})
    assert np.abs(own["error_realised"].mean()[1]) < 0.05
    assert own["error_realised"].max()[8] < -0.1  # half a dwell time: too low
    assert own["high"].max()[1] < 15 and own["high"].min()[16] == np.inf


def test_a_dose_at_which_no_surface_is_seen_is_said(movie):
    table = rates(movie, {**SPEC, "doses_e_per_px": [0.002]})
    own, known = (table[table["templates"] == name] for name in ("film", "known"))
    assert own[["rate", "right", "inside"]].isna().all(axis=None) and len(own) == 2
    # Who knows both images has his answer, which says that it is none.
    assert known["high"].eq(np.inf).any() or (known["high"] > 8 * known["low"]).all()
    with pytest.raises(UserError, match="No surface"):
        strain(movie, {**SPEC, "doses_e_per_px": [0.002]})


def test_noise_of_a_frame_is_not_in_its_own_template():
    """Without two states, templates of frames chosen at random find none: unlike their own."""
    rng = np.random.default_rng(5)
    places, _ = columns(0.0)
    counts = rng.poisson(3.0 * image(places, np.full(len(places), HEIGHT)), (80, SIDE, SIDE))
    counts = counts.astype(np.float32)
    share, where = np.repeat(rng.permutation(2), 40) * 1.0, np.ones((SIDE, SIDE), bool)
    share = rng.permutation(share)
    order, se = _Films(counts, where, PIXEL).orders(share)
    apart = order[share > 0].mean() - order[share == 0].mean()
    own = order_from_templates(counts, *(counts[share == s].mean(axis=0) + 1e-3 for s in (1, 0)))
    assert own["order"][share > 0].mean() - own["order"][share == 0].mean() == pytest.approx(1)
    # Leaving frames out, the rest of their group is a little too poor in their noise.
    assert -0.4 < apart < 4 * se.mean() / np.sqrt(20)


def test_the_trace_is_that_of_the_reference_dose(movie):
    table = trace(movie, SPEC)
    layer = find_layer(movie.counts(0, 3), PIXEL)
    found = recover(layer.binned(movie.counts(0, 3)), layer, FRAME_TIME)
    np.testing.assert_allclose(table["order"], found.order)
    np.testing.assert_array_equal(table["ordered"], true_order(movie))
    assert (table["recovered"] == table["ordered"]).mean() > 0.99
    pull = (table["order"] - table["noiseless"]) / table["order_se"]
    assert pull.std() == pytest.approx(1, abs=0.2)
    ordered = table.loc[table["ordered"] == 1, "noiseless"]
    assert ordered.to_numpy() == pytest.approx(1, abs=1e-6)
    assert table.loc[table["ordered"] == 0, "noiseless"].mean() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("move_nm", [0.008, 0.0])
def test_the_displacement_of_the_surface_is_recovered(move_nm):
    table = strain(film(2, move_nm=move_nm), {**SPEC, "doses_e_per_px": [DOSE, 4 * DOSE],
                                              "realisations": 2})  # fmt: skip
    assert table["true_nm"].to_numpy() == pytest.approx(move_nm, abs=1e-6)
    single, mean = table[table["column"] != MEAN], table[table["column"] == MEAN]
    for method, own in single.groupby("method"):
        assert own["inside_noiseless"].mean() > 0.85, method
    # The mean over both: as near to the truth as its error says.
    fitted = mean[mean["method"] == "fit"]
    pull = (fitted["outward_nm"] - move_nm) / fitted["se_nm"]
    assert np.abs(pull).max() < 3
    high = fitted[fitted["dose_e_per_px"] == 4 * DOSE]
    assert high["outward_nm"].mean() == pytest.approx(move_nm, abs=0.001)
    assert (high["se_nm"] < 0.001).all()
    assert high["se_nm"].mean() == pytest.approx(
        fitted.loc[fitted["dose_e_per_px"] == DOSE, "se_nm"].mean() / 2, rel=0.1
    )


def test_errors_of_displacements_and_of_their_mean_are_right():
    rng = np.random.default_rng(6)
    places, _ = columns(0.008)
    expected = 300 * image(places, np.full(len(places), HEIGHT))
    values, single, together = [], [], []
    for _ in range(40):
        table, covariance = outward(rng.poisson(expected), PIXEL, "fit")
        table = table.sort_values("x_nm")
        values.append(table["outward_nm"].to_numpy())
        single.append(table["se_nm"].to_numpy())
        together.append(np.sqrt(covariance.mean()))
    values = np.array(values)
    assert np.sqrt(np.mean(values.std(axis=0) ** 2)) == pytest.approx(np.mean(single), rel=0.1)
    # The columns share the lattice's error, so that the mean gains less than their number.
    assert values.mean(axis=1).std() == pytest.approx(np.mean(together), rel=0.2)
    assert np.mean(together) > 1.2 * np.mean(single) / np.sqrt(values.shape[1])
    assert np.mean(values) == pytest.approx(0.008, abs=0.0005)


def test_summed_pixels_keep_all_counts():
    frames = np.random.default_rng(7).poisson(1.0, (3, 9, 11))
    assert [bins_of(p) for p in (0.0061, 0.0122, 0.03)] == [2, 1, 1]
    found = binned(frames, 2)
    assert found.shape == (3, 4, 5) and found[1, 2, 3] == frames[1, 4:6, 6:8].sum()
    assert found.sum() == frames[:, :8, :10].sum()


def test_bad_input(movie):
    frames = len(movie.clean)
    still = movie.truth.assign(state="present")
    drift = np.linspace(0, 0.1, frames)[:, None] * [1, 0]
    cases = {
        "moves": dataclasses.replace(movie, drift_nm=drift),
        "dose of the film": dataclasses.replace(movie, dose_e_per_px=np.linspace(3, 6, frames)),
        "one state": dataclasses.replace(movie, truth=still),
    }
    for says, wrong in cases.items():
        for call in (rates, trace, strain):
            with pytest.raises(UserError, match=says):
                call(wrong, SPEC)
    with pytest.raises(UserError, match="reference"):
        outward(1e3 * movie.clean[0][:45], PIXEL, "fit")
