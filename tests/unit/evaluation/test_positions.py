"""Columns of films whose truth is known: located, missed, invented, counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from lowdose.data.movies import Movie
from lowdose.evaluation import positions as module
from lowdose.evaluation.counted_atoms import counted
from lowdose.evaluation.film_columns import true_columns, used_frames, with_clean_fits
from lowdose.evaluation.known_sites import known_sites
from lowdose.evaluation.positions import positions
from lowdose.runtime import UserError

PIXEL, WIDTH, SIDE = 0.0125, 0.04, 112
SPEC = {
    "doses_e_per_px": [100.0], "frames": 12, "sigma_nm": 0.049, "gate_nm": 0.072,
    "denoiser": "white", "denoised_doses_e_per_px": [], "seed": 3,
}  # fmt: skip


def film(height=0.3, frames=12, atoms=None, blinking=None, seed=0, dark=0.0) -> Movie:
    """Gaussian columns 0.28 nm apart below a vacuum, each frame shifted by a part of a pixel."""
    rng = np.random.default_rng(seed)
    y, x = (np.arange(SIDE) * PIXEL for _ in "yx")
    clean, rows = np.ones((frames, SIDE, SIDE)), []
    for frame in range(frames):
        shift = rng.uniform(-0.5, 0.5, 2) * PIXEL
        for column in range(12):
            line, place = divmod(column, 4)
            x0, y0 = shift[0] + 0.28 * (1 + place), shift[1] + 0.6 + 0.28 * line
            n = 4 if atoms is None else atoms[column]
            there = blinking is None or column not in blinking or blinking[column][frame]
            if there:
                own = height(n) if callable(height) else height
                square = (x - x0) ** 2 + (y[:, None] - y0) ** 2
                clean[frame] += own * np.exp(-square / (2 * WIDTH**2))
            rows.append((frame, column, x0, y0, n if there else 0, n, line == 0,
                         "facet" if line == 0 else "bulk", "present" if there else "absent",
                         "vacancy1" if blinking and column in blinking else ""))  # fmt: skip
    names = ["frame", "column", "x_nm", "y_nm", "n_atoms", "n_full", "is_surface", "site",
             "state", "process"]  # fmt: skip
    return Movie(
        clean.astype(np.float32), np.ones(frames), np.full(frames, 8.0), np.zeros(frames),
        np.zeros((frames, 2)), pd.DataFrame(rows, columns=names), PIXEL, 0.025, (0.0, 0.0),
        {"made": "by hand"}, seed, "none", dark,
    )  # fmt: skip


def silent(_message):
    pass


def row(table, method, dose, columns="all"):
    mask = (table["method"] == method) & (table["dose_e_per_px"] == dose)
    (one,) = table[mask & (table["columns"] == columns)].to_dict("records")
    return one


@pytest.fixture(scope="module")
def located():
    films = {"a": film(seed=1, frames=9), "b": film(seed=2, frames=9)}
    return positions(films, {**SPEC, "doses_e_per_px": [0.2, 100.0]}, silent)


def test_the_bound_is_that_of_the_gaussian_in_closed_form():
    # Far below its level a column of height A has the variance 2 b / (pi A^2) pixel areas.
    movie = film(height=0.02)
    own = with_clean_fits(movie, true_columns(movie, [0], "a"))
    assert own["all"].all()
    closed = PIXEL * np.sqrt(2 / (np.pi * 0.02**2))
    # Differences over two pixels make a Gaussian 3.2 px wide 3 % flatter.
    np.testing.assert_allclose(own["x_bound"], 1.03 * closed, rtol=0.01)
    np.testing.assert_allclose(own["y_bound"], 1.03 * closed, rtol=0.01)
    np.testing.assert_allclose(own["fit_width_nm"], WIDTH, rtol=0.02)
    # The patch sees the same column and no other.
    np.testing.assert_allclose(own["x_patch"], closed, rtol=0.1)


def test_estimates_on_gaussian_columns_reach_the_bound(located):
    for method, least, most in (("fits", 0.9, 1.1), ("fits from the truth", 0.9, 1.1),
                                ("blobs", 0.95, 1.2), ("centroids", 1.0, 1.6)):  # fmt: skip
        one = row(located, method, 100.0)
        assert one["n_columns"] == 24 and one["n_true"] == 216 and one["failure_rate"] == 0
        assert least < one["ratio"] < most, method
        assert one["rms_pm_low"] < one["rms_pm"] < one["rms_pm_high"]
        # Without noise the model is exact: what is left is noise.
        assert one["systematic_pm"] < 0.15 * one["rms_pm"], method
        assert one["scatter_pm"] == pytest.approx(one["rms_pm"], rel=0.05)
    for method in ("fits", "blobs"):
        one = row(located, method, 100.0)
        assert one["pull"] == pytest.approx(1, abs=0.1)
        assert one["reported_pm"] == pytest.approx(one["rms_pm"], rel=0.12)
    assert np.isnan(row(located, "centroids", 100.0)["pull"])


def test_columns_drown_where_the_dose_is_too_low(located):
    # At 0.2 e/px a column's response is about one standard deviation of the noise.
    assert row(located, "blobs", 0.2)["failure_rate"] > 0.9
    assert row(located, "fits", 0.2)["failure_rate"] >= row(located, "blobs", 0.2)["failure_rate"]
    surface = row(located, "blobs", 100.0, "surface")
    assert surface["n_columns"] == 8 and surface["n_true"] == 72


class Painted:
    """A denoiser that shows what it was told to."""

    def __init__(self, image):
        self.image = image

    def denoise(self, counts, pixel_size_nm, *, dose):
        per_px = np.asarray(dose) * (10 * pixel_size_nm) ** 2
        return (self.image[: len(counts)] * per_px[:, None, None]).astype(np.float32)


def test_failures_and_inventions_are_counted_one_by_one(monkeypatch):
    # Columns 0 and 5 erased in all frames, one invented in vacuum and one between columns; column
    # 11 is absent in the last three frames and shown all the same.
    there = np.arange(12) < 9
    movie = film(blinking={11: there})
    shown = film().clean.copy()
    y, x = np.indices((SIDE, SIDE)) * PIXEL
    for frame, own in movie.truth.groupby("frame"):
        for place, sign in [*((own[own["column"] == c], -1) for c in (0, 5)), ("vacuum", 1),
                            ("gap", 1)]:  # fmt: skip
            x0, y0 = {"vacuum": (0.7, 0.25), "gap": (0.7, 0.74)}.get(
                place if isinstance(place, str) else "", (None, None)
            )
            if x0 is None:
                x0, y0 = place["x_nm"].item(), place["y_nm"].item()
            square = (x - x0) ** 2 + (y - y0) ** 2
            shown[frame] += sign * 0.3 * np.exp(-square / (2 * WIDTH**2))
    monkeypatch.setattr(module.registry, "create", lambda name: Painted(shown))
    spec = {**SPEC, "denoised_doses_e_per_px": [1.0]}
    table = positions({"a": movie}, spec, silent)
    one = row(table, "network", 1.0)
    assert one["n_true"] == 12 * 11 + 9 and one["n_located"] == one["n_true"] - 24
    assert one["failure_rate"] == pytest.approx(24 / one["n_true"])
    assert one["false_vacuum"] == 12 and one["false_elsewhere"] * one["n_true"] == 12
    assert one["false_per_nm2"] == pytest.approx(12 / one["vacuum_nm2"])
    # Farther than 0.15 nm from the border, and above the columns.
    assert 0.5 < one["vacuum_nm2"] / (12 * 1.08 * 0.25) < 1.2
    switching = row(table, "network", 1.0, "switching")
    assert switching["failure_rate"] == 0 and switching["invented_rate"] == 1
    assert switching["right"] == pytest.approx(9 / 12)
    assert np.isnan(one["pull"])  # nobody states a denoised position's error


def test_a_known_site_is_decided_and_the_chain_helps():
    rng = np.random.default_rng(4)
    blinking = {c: np.repeat(rng.random(10) < 0.5, 8) for c in (1, 6, 8)}
    for states in blinking.values():
        states[:8], states[8:16] = True, False
    movie = film(frames=80, blinking=blinking)
    right = {}
    for dose in (0.3, 20.0):
        counts = movie.counts(0, 1, dose=dose)
        table = known_sites(movie, counts, dose, WIDTH, "a")
        assert set(table["column"]) == {1, 6, 8} and len(table) == 2 * 3 * 80
        table = table.assign(right=table["located"] == table["there"])
        right[dose] = table.groupby("method")["right"].mean()
        if dose == 0.3:
            # One frame: a Gaussian column of height A among its neighbours' tails has
            # d'^2 = pi w^2 A^2 / b per pixel area, nearly, and errs with Phi(-d' / 2).
            d = np.sqrt(np.pi * (WIDTH / PIXEL) ** 2 * 0.3**2 * dose / 1.12)
            expected = norm.cdf(d / 2)
            assert right[dose]["known site, one frame"] == pytest.approx(expected, abs=0.06)
    assert right[0.3]["known site, chain"] > right[0.3]["known site, one frame"] + 0.1
    assert (right[20.0] == 1).all()
    assert known_sites(film(), film().counts(0, 1), 1.0, WIDTH, "a").empty


def shares(table, dose, averaging, columns="all"):
    mask = (table["dose_e_per_px"] == dose) & (table["averaging"] == averaging)
    (one,) = table[mask & (table["columns"] == columns)].to_dict("records")
    return one


@pytest.mark.parametrize("sign", [1, -1])
def test_atoms_are_counted_as_often_as_noise_allows(sign):
    def height(n):
        return 0.4 + sign * 0.06 * (n - 3)

    atoms = np.repeat([2, 3, 4], 4)[np.random.default_rng(0).permutation(12)]
    films = {name: film(height, atoms=atoms, seed=k, frames=16) for k, name in enumerate("ab")}
    spec = {**SPEC, "doses_e_per_px": [4.0, 1000.0], "frames": 16}
    table = counted(films, spec)
    assert shares(table, 1000.0, "one frame")["right"] == 1
    assert shares(table, 1000.0, "one frame")["sign"] == sign
    one, summed = (shares(table, 4.0, a) for a in ("one frame", "film"))
    assert one["n_counts"] == 2 * 16 * 12 and summed["n_counts"] == 24 and summed["frames"] == 16
    radius, pixels = one["radius_nm"], np.pi * (one["radius_nm"] / PIXEL) ** 2
    # Mean of the Gaussian over the disc, and the steps between numbers in standard deviations.
    share = 2 * WIDTH**2 / radius**2 * (1 - np.exp(-(radius**2) / (2 * WIDTH**2)))
    noise = np.sqrt((1 + 0.4 * share) / (4.0 * pixels))
    for frames, found in ((1, one), (16, summed)):
        half = 0.06 * share / 2 / (noise / np.sqrt(frames))
        expected = 1 - 4 / 3 * norm.sf(half)  # one side of the ends, both of the middle
        # The spread of 384 (24) decisions is 2.6 % (below 10 %).
        assert found["right"] == pytest.approx(expected, abs=0.06 if frames == 1 else 0.2)
        assert found["probability"] <= found["right"] + 0.1
    assert one["chance"] == pytest.approx(1 / 3) and one["within_one"] >= one["right"]
    assert summed["right"] > one["right"]


def test_numbers_that_were_not_learnt_are_wrong():
    def height(n):
        return 0.1 * n

    known, strange = np.repeat([2, 3, 4], 4), np.repeat([2, 3, 6], 4)
    films = {"a": film(height, atoms=known, seed=1), "b": film(height, atoms=strange, seed=2)}
    table = counted(films, {**SPEC, "doses_e_per_px": [1000.0]})
    one = shares(table, 1000.0, "one frame")
    # Of film b a third has 6 atoms, which film a lacks.  Between 3 and 6 film b learns 4 from its
    # curve.
    assert one["not_covered"] == pytest.approx(1 / 6)
    assert one["right"] == pytest.approx(5 / 6)


def test_dark_counts_widen_the_errors_and_their_statement():
    spec = {**SPEC, "doses_e_per_px": [400.0]}
    table = {
        dark: row(positions({"a": film(frames=7, dark=dark)}, spec, silent), "fits", 400.0)
        for dark in (0.0, 1200.0)
    }
    # Variance 400 without and 1600 with them: a factor 4 for columns of small height.
    for name in ("rms_pm", "reported_pm"):
        assert table[1200.0][name] / table[0.0][name] == pytest.approx(2, rel=0.2)
    assert table[1200.0]["pull"] == pytest.approx(1, abs=0.15)


def test_frames_are_evenly_spaced_and_films_are_needed():
    movie = film(frames=12)
    np.testing.assert_array_equal(used_frames(movie, 4), [0, 4, 7, 11])
    np.testing.assert_array_equal(used_frames(movie, 40), np.arange(12))
    with pytest.raises(UserError, match="give two films"):
        counted({"a": movie}, SPEC)
    with pytest.raises(UserError, match="give films with columns"):
        positions({"a": film(blinking={c: np.zeros(12, bool) for c in range(12)})}, SPEC, silent)
