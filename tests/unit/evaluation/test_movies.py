"""Movies: what is summed and chosen, which events are seen, and what counts alone say of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from lowdose.data.movies import Movie
from lowdose.evaluation import movie_events, movies
from lowdose.evaluation.measure import pooled_f1
from lowdose.evaluation.movie_methods import Chosen, choices, choose, run, summed
from lowdose.evaluation.movie_scores import frame_scores

PIXEL, SIDE, FRAMES, FIRST = 0.0061, 210, 60, 12
GAP = 0.24
PLACES = np.array(
    [[0.4 + GAP * (i + j % 2 / 2), 0.95 - 0.208 * j] for j in range(4) for i in range(3)]
)
SPELLS = {9: [(16, 16), (20, 23), (30, 37), (48, 49)], 5: [(14, 15), (25, 25), (40, 43)]}
SPEC = {"first_frames": FIRST, "false_alarms": 0.02, "seed": 1,
        "evaluation": {"sigma_nm": 0.049, "gate_nm": 0.072}}  # fmt: skip


def blob(x, y, height=0.4, width=0.045):
    rows, cols = PIXEL * np.mgrid[:SIDE, :SIDE]
    return height * np.exp(-((cols - x) ** 2 + (rows - y) ** 2) / (2 * width**2))


@pytest.fixture(scope="module")
def film() -> Movie:
    """A lattice of columns two of which go, and come back."""
    lattice = [blob(x, y) for x, y in PLACES]
    clean, rows = [], []
    for frame in range(FRAMES):
        gone = {c for c, spells in SPELLS.items() if any(a <= frame <= b for a, b in spells)}
        clean.append(1 + sum(b for c, b in enumerate(lattice) if c not in gone))
        there = np.array([c for c in range(len(PLACES)) if c not in gone])
        near = cKDTree(PLACES[there]).query_ball_point(PLACES, 1.2 * GAP, return_length=True)
        for c, (x, y) in enumerate(PLACES):
            rows.append((frame, c, x, y, 0 if c in gone else 6, 6, near[c] < 7,
                         "facet", "absent" if c in gone else "present",
                         f"vacancy{c}" if c in SPELLS else ""))  # fmt: skip
    names = ["frame", "column", "x_nm", "y_nm", "n_atoms", "n_full", "is_surface", "site", "state",
             "process"]  # fmt: skip
    truth = pd.DataFrame(rows, columns=names)
    zero = np.zeros(FRAMES)
    return Movie(
        np.array(clean, np.float32), np.full(FRAMES, 0.45), zero, zero, np.zeros((FRAMES, 2)),
        truth, PIXEL, 0.025, (0.0, 0.0), {"name": "made by hand"}, 0, "",
    )  # fmt: skip


def test_events_are_the_spells_of_the_truth(film):
    events = movie_events.events_of(film.truth, FIRST)
    found = {
        c: list(zip(own["first"], own["last"], strict=True)) for c, own in events.groupby("column")
    }
    assert found == SPELLS
    assert (events["length"] == events["last"] - events["first"] + 1).all()
    assert (events["sign"] == -1).all()
    assert set(movie_events.events_of(film.truth, 20)["first"]) == {20, 25, 30, 40, 48}


def test_the_clean_film_shows_every_event_and_its_surface(film):
    values = movie_events.values_at_sites(film.clean, film.truth, PIXEL, 0.049)
    events = movie_events.events_of(film.truth, FIRST)
    # Something must scatter where nothing happens.
    noise = np.random.default_rng(0).normal(0, 1e-3, len(values))
    seen = movie_events.seen_events(
        values.assign(value=values["value"] + noise), events, FIRST, 0.02
    )
    assert seen["seen"].all()
    counted, _ = frame_scores(film.clean, film.clean, film.truth, PIXEL, FIRST, 0.049, 0.072)
    assert counted["n_true"].sum() > 300 and pooled_f1(counted) > 0.98
    assert np.isinf(counted["psnr_db"]).all() and (counted["flicker"][1:] == 0).all()


def test_nothing_is_seen_more_often_than_false_alarms_allow(film):
    """A method that shows nothing but noise: events stand out at the rate of false alarms."""
    rng = np.random.default_rng(1)
    values = movie_events.values_at_sites(film.clean, film.truth, PIXEL, 0.049)
    events = movie_events.events_of(film.truth, FIRST)
    seen = [
        movie_events.seen_events(
            values.assign(value=rng.normal(size=len(values))), events, FIRST, 0.05
        )["seen"].mean()
        for _ in range(200)
    ]
    assert np.mean(seen) < 0.10


def test_the_ideal_observer_sees_more_with_more_electrons(film):
    rates = []
    for dose in (0.05, 0.45, 4.0):
        events = movies.ideal_events("film", film, dose, SPEC)
        rates.append(events["seen"].mean())
    assert rates[0] < rates[1] <= rates[2] == 1
    # By hand, for one frame: the ratio of two known images.
    counts, dose = movies.counts_at(film, 4.0, 1)
    values = movie_events.ideal_values(counts, film.clean, dose, film.truth, PIXEL, 0.2)
    own = values[(values["column"] == 9)].set_index("frame")
    present, absent = film.clean[0].astype(float), film.clean[16].astype(float)
    rows, cols = PIXEL * np.mgrid[:SIDE, :SIDE]
    x, y = np.rint(PLACES[9] / PIXEL) * PIXEL
    disc = np.hypot(cols - x, rows - y) <= 0.2 + 1e-9
    # The other column that goes is too far to matter.
    by_hand = (counts[0] * np.log(present / absent) - 4.0 * (present - absent))[disc].sum()
    assert own.loc[0, "value"] == pytest.approx(by_hand, rel=0.02)


def test_a_sum_over_frames_hides_what_is_shorter_than_it(film):
    """Seen are long events; one that lasts a frame is diluted among eleven."""
    dose = 4.0
    plain = movies.tried(method("gaussian", {"sigma_nm": 0.04}), "film", film, dose, SPEC)
    blurred = movies.tried(method("gaussian", {"sigma_nm": 0.04}, 11), "film", film, dose, SPEC)
    recall = [one[1].groupby("length")["seen"].mean().to_dict() for one in (plain, blurred)]
    assert recall[0][1] == 1 and recall[1][1] == 0
    assert recall[0][8] == recall[1][8] == 1
    # And is the better image nevertheless.
    assert blurred[0]["psnr_db"].mean() > plain[0]["psnr_db"].mean() + 1
    assert blurred[0]["flicker"].mean() < plain[0]["flicker"].mean()


def method(denoiser, parameters=None, summed=1):
    return {"denoiser": denoiser, "parameters": parameters or {}, "sum": summed}


def test_frames_are_summed_with_their_neighbours():
    values = np.random.default_rng(0).integers(0, 9, (7, 3, 2)).astype(float)
    by_hand = np.stack([values[max(k - 2, 0) : k + 3].sum(axis=0) for k in range(7)])
    assert summed(values, 5) == pytest.approx(by_hand)
    assert summed(np.ones(7), 5).tolist() == [3, 4, 5, 5, 5, 4, 3]
    assert summed(values, 1) is values


def test_parameters_are_those_of_the_best_image(film):
    lists = method("gaussian", {"sigma_nm": [0.01, 0.05, 0.2]}, [1, 3])
    known = list(choices(lists))
    assert len(known) == 6 and known[0] == Chosen("gaussian", {"sigma_nm": 0.01}, 1)
    counts, dose = movies.counts_at(film, 2.0, 1)
    part = slice(0, 6)
    found = choose(lists, counts[part], film.clean[part], dose[part], PIXEL)
    errors = {
        (one.summed, one.parameters["sigma_nm"]): np.mean(
            (run(one, counts[part], dose[part], PIXEL).images - film.clean[part]) ** 2
        )
        for one in known
    }
    assert (found.summed, found.parameters["sigma_nm"]) == min(errors, key=errors.get)


def test_counts_alone_say_the_psnr_of_a_movie(film):
    inside = 0
    # A tenth of two electrons a pixel tests little: the interval is wide, and must hold.
    for seed in range(12):
        found = movies.without_truth(Chosen("gaussian", {"sigma_nm": 0.03}), film, 2.0, seed)
        inside += found["upsnr_low"] <= found["psnr_db"] <= found["upsnr_high"]
        assert found["upsnr_low"] > 24
    assert inside >= 10  # of 12 at 95 %


def test_the_table_pools_films_and_events(film):
    frames, events = [], []
    for name in ("one", "two"):
        for dose in (0.45, 4.0):
            made = movies.tried(method("gaussian", {"sigma_nm": 0.04}), name, film, dose, SPEC)
            frames.append(made[0].assign(method="gaussian"))
            events.append(made[1].assign(method="gaussian"))
    events.append(movies.ideal_events("one", film, 4.0, SPEC).assign(method=movies.IDEAL))
    table = movies.table_of(pd.concat(frames), pd.concat(events), [1, 2, 4, 8])
    row = table[(table["method"] == "gaussian") & (table["dose_e_per_px"] == 4.0)].iloc[0]
    assert row["events_1"] == 4 and row["recall_8"] == 1
    assert row["low_8"] < 1 == row["high_8"]
    own = pd.concat(frames)
    own = own[own["dose_e_per_px"] == 4.0]
    by_hand = 2 * own["n_matched"].sum() / (own["n_true"].sum() + own["n_found"].sum())
    assert row["f1"] == pytest.approx(by_hand)
    assert row["psnr_db"] == pytest.approx(own.groupby("film")["psnr_db"].mean().mean())
    ideal = table[table["method"] == movies.IDEAL].iloc[0]
    assert np.isnan(ideal["psnr_db"]) and ideal["shortest"] == 1


def test_the_shortest_event_has_no_longer_one_that_is_missed():
    shortest = movie_events.shortest_seen
    assert shortest({1: 1.0, 2: 0.5, 4: 0.95, 8: 1.0}) == 4
    assert shortest({1: 0.9, 2: 0.9}) == 1
    assert np.isnan(shortest({1: 1.0, 2: 0.2}))
