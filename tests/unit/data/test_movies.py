"""Simulated movies: images, motion, states and truth agree; counts and files can be had again."""

import numpy as np
import pandas as pd
import pytest

from lowdose import config
from lowdose.data import simulated_movies
from lowdose.data.frames import region, render
from lowdose.data.movies import read_movie, write_movie
from lowdose.data.simulated_movies import simulate_movie
from lowdose.imaging.waves import exit_waves
from lowdose.runtime import UserError
from lowdose.stages import Study
from lowdose.structures.library import build_structure
from lowdose.structures.plan import Model

PIXEL = 0.012
KINDS = ("adatom", "vacancy", "partial", "corner", "step", "disorder")
# Frame 0 is unchanged, in frame k the process number k is at work, the last is unchanged again.
EACH = [{"kind": kind, "schedule": [[k + 1, k + 1]]} for k, kind in enumerate(KINDS)]
SHORT = {"layers": 8, "side_px": None, "frames": 8}
MOTION = {"drift_nm_per_frame": [0.02, -0.03], "jitter_nm": 0.01, "rotation_deg": [0.0, 4.0]}


@pytest.fixture(scope="module")
def world():
    """The default world in a narrow cell, on a coarse grid and coarse pixels."""
    world = Study(config.load([])).spec("converge")
    return {
        **world,
        "structures": {**world["structures"], "periods": 5},
        "simulation": {**world["simulation"], "grid": 256},
        "camera": {**world["camera"], "pixel_size_nm": PIXEL},
    }


@pytest.fixture(scope="module")
def calls():
    """Structures whose wave was asked for; each wave is simulated once for the whole module."""
    made, asked = {}, []

    def cached(atoms, tilts, simulation):
        key = (atoms.positions.tobytes(), atoms.numbers.tobytes(), tuple(map(tuple, tilts)))
        asked.append(key)
        if key not in made:
            made[key] = exit_waves(atoms, tilts, simulation)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulated_movies, "exit_waves", cached)
        yield asked


@pytest.fixture(scope="module")
def still(world, calls):
    return simulate_movie(world, {**SHORT, "processes": EACH}, 1)


@pytest.fixture(scope="module")
def moving(world, calls):
    return simulate_movie(world, {**SHORT, **MOTION, "processes": EACH}, 1)


@pytest.fixture(scope="module")
def rendered(world):
    """The perfect particle by another way: data.frames.render of the library's model."""
    name = "PtNp1d-D0-8L"
    atoms = build_structure(
        world["structures"], Model(name, name, "PtNp1d", "PtNp1", "D0", 8, 0.0, 0.0), world["seed"]
    )
    cell = tuple(atoms.cell.lengths()[[1, 0]] / 10)
    wave = exit_waves(atoms, [(0, 0)], world["simulation"])[0]
    imaging = {"optics": world["optics"], "camera": world["camera"], "energy_kev": 300.0}
    return lambda c1, **options: render(wave, cell, c1, imaging, **options)


def crop_of(movie, image):
    """Cut from a whole frame what a movie without rotation shows in its first frame."""
    row = round((movie.origin_nm[0] - region(5.0)[0]) / movie.pixel_size_nm)
    column = round(movie.origin_nm[1] / movie.pixel_size_nm)
    height, width = movie.clean.shape[1:]
    return image[row : row + height, column : column + width]


def frame(movie, number):
    return movie.truth[movie.truth["frame"] == number].set_index("column")


def positions(table):
    return table[["x_nm", "y_nm"]].to_numpy()


def test_an_unchanged_frame_is_a_frame_of_the_library(still, rendered):
    expected = rendered(8.0)
    assert still.clean.dtype == np.float32
    assert still.clean[0].shape == expected.shape
    assert np.abs(still.clean[0] - expected).max() < 1e-5
    np.testing.assert_array_equal(still.clean[7], still.clean[0])


def test_a_square_is_a_crop_of_it_with_the_upper_facet_below_vacuum(world, calls, rendered):
    movie = simulate_movie(world, {**SHORT, "frames": 2, "side_px": 100}, 1)
    assert movie.clean.shape == (2, 100, 100)
    assert np.abs(movie.clean[0] - crop_of(movie, rendered(8.0))).max() < 1e-5
    columns = frame(movie, 0)
    top = columns["y_nm"].min()
    assert 0.3 < top / (100 * PIXEL) < 0.4
    assert np.abs(movie.clean[0][: int((top - 0.2) / PIXEL)] - 1).max() < 0.02
    assert columns["is_surface"].sum() >= 5
    assert (columns["x_nm"].min(), columns["x_nm"].max()) > (0.05, 0.8)


def test_drift_within_a_frame_blurs_it(world, calls, rendered):
    way = (3 * PIXEL, 5 * PIXEL)
    movie = simulate_movie(
        world, {**SHORT, "frames": 2, "side_px": 100, "drift_nm_per_frame": way}, 1
    )
    expected = crop_of(movie, rendered(8.0, drift_nm=way))
    assert np.abs(movie.clean[0] - expected).max() < 1e-5
    assert np.abs(movie.clean[0] - crop_of(movie, rendered(8.0))).max() > 0.01
    np.testing.assert_allclose(movie.clean[1, 3:, 5:], movie.clean[0, :-3, :-5], atol=1e-5)
    np.testing.assert_allclose(movie.drift_nm, [[0, 0], way])
    moved = positions(frame(movie, 1)) - positions(frame(movie, 0).loc[frame(movie, 1).index])
    np.testing.assert_allclose(moved, np.tile(way[::-1], (len(moved), 1)), atol=1e-9)


def test_truth_moves_as_drift_and_rotation_say(moving):
    """With complex numbers, y up, about the middle of the frame."""
    assert not moving.drift_nm[0].any()
    np.testing.assert_allclose(moving.rotation_deg, np.linspace(0, 4, 8))
    steps = np.diff(moving.drift_nm, axis=0)
    assert np.abs(steps - MOTION["drift_nm_per_frame"]).max() < 4 * MOTION["jitter_nm"]
    assert np.std(steps, axis=0).min() > 0.2 * MOTION["jitter_nm"]
    height, width = moving.clean.shape[1:]
    middle = PIXEL * ((width - 1) - 1j * (height - 1)) / 2

    def points(table):
        return table["x_nm"].to_numpy() - 1j * table["y_nm"].to_numpy() - middle

    first = frame(moving, 0)
    for number in (1, 3, 5, 7):
        own = frame(moving, number)
        own = own[own["state"] != "disordered"]
        down, right = moving.drift_nm[number]
        turn = np.exp(1j * np.deg2rad(4 * number / 7))
        expected = points(first.loc[own.index]) * turn + right - 1j * down
        assert np.abs(points(own) - expected).max() < 1e-9


def test_columns_lie_on_maxima_of_the_moving_frames(moving, locate):
    errors = []
    for number in range(8):
        own = frame(moving, number)
        # At this C1 columns of 9 and 10 atoms have next to no contrast.
        sure = own[own["n_atoms"].between(3, 8) & (own["state"] != "disordered")]
        places = positions(sure)[:, ::-1]
        found = locate(moving.clean[number], (PIXEL, PIXEL), places, 1)
        errors.append(np.linalg.norm(found - places, axis=1))
        assert errors[-1].max() < 0.012
    assert np.median(np.concatenate(errors)) < 0.002
    # Without the rotation and the drift that the truth follows, they would not.
    wrong = positions(frame(moving, 0))[:, ::-1]
    found = locate(moving.clean[7], (PIXEL, PIXEL), wrong, 1)
    assert np.median(np.linalg.norm(found - wrong, axis=1)) > 0.03


@pytest.mark.parametrize("number", range(1, 7))
def test_frames_differ_where_the_truth_says_and_nowhere_else(still, number):
    kind = KINDS[number - 1]
    before, after = frame(still, 0), frame(still, number)
    changed = after["state"] != before["state"]
    own = after["process"] == (kind if kind == "disorder" else f"{kind}1")
    assert own.any()
    if kind == "disorder":
        own |= after["process"].ne("") & after["state"].ne("absent")
    assert changed.tolist() == own.tolist()
    brighter = still.clean[number] - still.clean[0]
    places = positions(before[changed])
    y, x = np.mgrid[: brighter.shape[0], : brighter.shape[1]] * PIXEL
    distance = np.min([np.hypot(x - px, y - py) for px, py in places], axis=0)
    assert np.abs(brighter[distance > 0.45]).max() < 0.004
    rows, columns = np.rint(places[:, ::-1] / PIXEL).astype(int).T
    here = brighter[rows, columns]
    if kind == "disorder":
        assert here.mean() < -0.1  # it loses contrast
        assert (after["state"] == "disordered").sum() > 10
    elif kind == "partial":
        # Which of 8 and 4 atoms is brighter depends on C1: dynamical diffraction.
        assert abs(here[0]) > 0.05
    else:
        assert np.all(here * (1 if kind == "adatom" else -1) > 0.2)
    if kind in ("vacancy", "corner", "step"):
        # Vacuum now: the level of the frame's first rows, but for the fringe of what is beside.
        assert np.abs(still.clean[number][rows, columns] - 1).max() < 0.15


def test_surface_columns_are_seen_displaced(world, calls, still, locate):
    moved = simulate_movie(
        world, {**SHORT, "frames": 1, "processes": [], "surface_displacement_nm": 0.03}, 1
    )
    here, there = frame(still, 0), frame(moved, 0)
    top = here[(here["site"] == "facet") & (here["y_nm"] < here["y_nm"].min() + 0.01)
               & (here["n_atoms"] >= 4)].index.intersection(there.index)  # fmt: skip
    assert len(top) >= 4
    gap = positions(there.loc[top]) - positions(here.loc[top])
    np.testing.assert_allclose(gap, np.tile([0, -0.03], (len(top), 1)), atol=1e-6)
    found = [locate(m.clean[0], (PIXEL, PIXEL), positions(t.loc[top])[:, ::-1], 1)
             for m, t in ((still, here), (moved, there))]  # fmt: skip
    assert np.abs(np.median(found[1] - found[0], axis=0) - [-0.03, 0]).max() < 0.006


@pytest.fixture
def unseen(monkeypatch):
    """Movies without multislice and images, whose states are all that matters: counts waves."""
    count = []

    def wave(*_):
        count.append(1)
        return np.ones((1, 256, 256), np.complex64)

    monkeypatch.setattr(simulated_movies, "exit_waves", wave)
    monkeypatch.setattr(simulated_movies, "_frame", lambda *_: np.ones((16, 16), np.float32))
    return count


def test_one_wave_serves_all_frames_of_a_state(world, unseen):
    disorder = {"kind": "disorder", "configurations": 2}
    processes = [{"kind": "vacancy", "sites": 2}, disorder]
    movie = simulate_movie(world, {**SHORT, "frames": 150, "processes": processes}, 2)
    assert len(unseen) == 2 * 2 * 3
    # States over time: each site for itself, changed in 5 of 13 frames.
    states = movie.truth.set_index("process")["state"].eq("absent")
    one, other = (states[f"vacancy{k}"].to_numpy() for k in (1, 2))
    for site in (one, other):
        assert 0.15 < site.mean() < 0.65
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.4


def test_processes_do_not_change_each_other(world, unseen):
    def track(seed, *more, **changes):
        spec = {**SHORT, "frames": 30, **changes, "processes": [{"kind": "vacancy"}, *more]}
        truth = simulate_movie(world, spec, seed).truth
        return truth[truth["process"] == "vacancy1"]["n_atoms"].tolist()

    expected = track(5)
    assert track(5, jitter_nm=0.01) == expected
    assert track(5, {"kind": "disorder"}) == expected
    assert track(6) != expected


def test_dose_and_defocus_change_linearly(world, calls, rendered):
    movie = simulate_movie(
        world, {**SHORT, "frames": 5, "dose_e_per_px": [1.0, 0.6], "c1_nm": [4.0, 12.0]}, 1
    )
    np.testing.assert_allclose(movie.dose_e_per_px, [1.0, 0.9, 0.8, 0.7, 0.6])
    np.testing.assert_allclose(movie.c1_nm, [4, 6, 8, 10, 12])
    for number in (1, 4):
        expected = rendered(4.0 + 2 * number)
        assert np.abs(movie.clean[number] - expected).max() < 1e-5
    counts = movie.counts(0, 1)
    means = counts.mean(axis=(1, 2)) / movie.clean.mean(axis=(1, 2))
    deviation = np.sqrt(movie.dose_e_per_px / movie.clean[0].size)
    assert np.all(np.abs(means - movie.dose_e_per_px) < 4 * deviation)


def test_counts_are_poisson_reproducible_and_independent(still):
    first = still.counts(0, 1)
    assert first.dtype == np.float32
    expected = still.clean * still.dose_e_per_px[:, None, None]
    z = (first - expected) / np.sqrt(expected)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    # The variance of a squared standardised Poisson variable of mean m is 2 + 1 / m.
    assert z.var() == pytest.approx(1, abs=4 * np.sqrt((2 + 1 / expected.mean()) / z.size))
    np.testing.assert_array_equal(first, still.counts(0, 1))
    assert np.array_equal(first, np.rint(first))
    doubled = still.counts(0, 1, dose=2.0)
    others = [still.counts(1, 1) - expected, still.counts(0, 2) - expected, doubled - 2 * expected]
    assert doubled.mean() == pytest.approx(2 * expected.mean(), rel=0.005)
    # Frames of the same state, too, have noise of their own.
    pairs = [(first - expected, other) for other in others]
    pairs.append(((first - expected)[0], (first - expected)[7]))
    for one, other in pairs:
        correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
        assert abs(correlation) < 4.5 / np.sqrt(one.size)


def test_round_trip(tmp_path, moving):
    path = tmp_path / "movie.h5"
    assert write_movie(path, moving) == moving.digest
    again = read_movie(path)
    for name in ("clean", "dose_e_per_px", "c1_nm", "rotation_deg", "drift_nm"):
        np.testing.assert_array_equal(getattr(again, name), getattr(moving, name))
    pd.testing.assert_frame_equal(again.truth, moving.truth, atol=1e-8, rtol=0)
    for name in ("pixel_size_nm", "frame_time_s", "origin_nm", "spec", "seed", "digest"):
        assert getattr(again, name) == getattr(moving, name)
    np.testing.assert_array_equal(again.counts(3, 1), moving.counts(3, 1))
    write_movie(tmp_path / "other.h5", again)
    assert (tmp_path / "other.h5").read_bytes() == path.read_bytes()


def test_a_missing_or_damaged_file_is_refused(tmp_path, still):
    with pytest.raises(UserError, match=r"gone\.h5 does not exist; simulate it first"):
        read_movie(tmp_path / "gone.h5")
    path = tmp_path / "movie.h5"
    write_movie(path, still)
    content = path.read_bytes()
    wrong = bytearray(content)
    at = content.index(b'"state":"present"')
    wrong[at : at + 17] = b'"state":"pretend"'
    for damaged in (b"", content[:100], content[: len(content) // 2], bytes(wrong)):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"movie\.h5 is damaged .* simulate it again"):
            read_movie(path)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"side_px": 400}, r"side_px = 400 is larger than the field of 362 x 276 pixels; 276"),
        ({"side_px": 250, "drift_nm_per_frame": [0.1, 0], "frames": 20}, "leaves the field"),
        ({"side_px": None, "drift_nm_per_frame": [1, 0], "frames": 9}, "leave nothing of the"),
        ({"side_px": 20, "processes": [{"kind": "step"}]}, "shows no facet of 4 columns in the"),
        ({"base_shape": "PtNp1y"}, r"structures\.base_shapes has no PtNp1y"),
        ({"frames": 4, "processes": [{"kind": "adatom", "schedule": [[0, 4]]}]},
         r"has \[0, 4\], but the movie has the frames 0 to 3"),
    ],
)  # fmt: skip
def test_impossible_movies_are_refused_before_anything_is_simulated(world, calls, spec, said):
    before = len(calls)
    with pytest.raises(UserError, match=said):
        simulate_movie(world, {**SHORT, **spec}, 1)
    assert len(calls) == before
