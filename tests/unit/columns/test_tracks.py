"""Linking over frames, on columns whose histories are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lowdose.columns.tracks import by_frame, link, sites
from lowdose.runtime import UserError

FRAMES, NOISE = 60, 0.012


@pytest.fixture(scope="module")
def movie():
    """Nine columns that drift and blink, with false detections between them, in any order."""
    rng = np.random.default_rng(1)
    true = np.stack(np.meshgrid([0.5, 0.74, 0.98], [0.5, 0.74, 0.98]), axis=-1).reshape(-1, 2)
    drift = np.cumsum(rng.normal(0, 0.02, (FRAMES, 2)), axis=0)
    frames, names = [], []
    for frame in range(FRAMES):
        kept = np.flatnonzero(rng.random(9) < 0.85)
        here = true[kept] + rng.normal(0, NOISE, (len(kept), 2))
        false = rng.uniform(0.3, 1.2, (rng.poisson(1.0), 2))
        apart = np.linalg.norm(false[:, None] - true, axis=2).min(axis=1)
        false = false[apart > 0.1]
        name = np.concatenate([kept, np.full(len(false), -1)])
        order = rng.permutation(len(name))
        frames.append(np.concatenate([here, false])[order] + drift[frame])
        names.append(name[order])
    return true, drift, frames, names


def named(tracks, names):
    """Return the true column of each row."""
    return np.array(
        [names[f][d] for f, d in zip(tracks["frame"], tracks["detection"], strict=True)]
    )


def test_known_columns_are_followed(movie):
    true, drift, frames, names = movie
    tracks = link(frames, memory=8, drift_nm=drift)
    assert len(tracks) == sum(map(len, frames))
    tracks["true"] = named(tracks, names)
    # Every track is of one column, and every column is one track.
    real = tracks[tracks["true"] >= 0]
    assert (real.groupby("track")["true"].nunique() == 1).all()
    assert (real.groupby("true")["track"].nunique() == 1).all()
    found = sites(tracks, least_frames=30)
    assert len(found) == 9
    column = real.groupby("track")["true"].first()[found["track"]].to_numpy()
    pull = (found[["x_nm", "y_nm"]].to_numpy() - true[column]) / found[["x_se_nm", "y_se_nm"]]
    assert np.abs(pull.to_numpy()).max() < 3.5
    assert found["x_sd_nm"].mean() == pytest.approx(NOISE, rel=0.1)
    assert (found["x_se_nm"] * np.sqrt(found["frames"])).to_numpy() == pytest.approx(
        found["x_sd_nm"].to_numpy()
    )
    assert found["frames"].to_numpy() == pytest.approx(0.85 * FRAMES, rel=0.2)


def test_the_order_of_the_detections_is_irrelevant(movie):
    _, drift, frames, _ = movie
    rng = np.random.default_rng(2)
    orders = [rng.permutation(len(f)) for f in frames]
    mixed = link([f[o] for f, o in zip(frames, orders, strict=True)], drift_nm=drift)
    plain = link(frames, drift_nm=drift)
    pd.testing.assert_frame_equal(mixed.drop(columns="detection"), plain.drop(columns="detection"))


def test_without_the_drift_the_columns_are_lost(movie):
    _, drift, frames, _ = movie
    far = drift + np.arange(FRAMES)[:, None] * 0.1  # farther than the gate at every frame
    moved = [f - d + g for f, d, g in zip(frames, drift, far, strict=True)]
    assert len(sites(link(moved, drift_nm=far, memory=8), least_frames=30)) == 9
    assert len(sites(link(moved, memory=8), least_frames=30)) < 9


def test_memory_and_gate():
    one = np.array([[0.5, 0.5]])
    none = np.empty((0, 2))
    frames = [one, none, none, one, none, none, none, one]
    assert link(frames, memory=2)["track"].tolist() == [0, 0, 1]
    assert link(frames, memory=3)["track"].tolist() == [0, 0, 0]
    assert link(frames, memory=1)["track"].tolist() == [0, 1, 2]
    steps = [one + np.array([0.05 * k, 0]) for k in range(5)]
    assert link(steps, gate_nm=0.051)["track"].nunique() == 1  # it creeps, each step within it
    assert link(steps, gate_nm=0.049)["track"].nunique() == 5


def test_neighbours_do_not_cross_and_the_sum_of_distances_is_least():
    before = np.array([[0.0, 0.0], [0.05, 0.0]])
    after = np.array([[0.045, 0.0], [0.0951, 0.0]])
    # The nearest of the second column is the first detection; one to one, both move right.
    tracks = link([before, after], gate_nm=0.06)
    assert tracks["track"].tolist() == [0, 1, 0, 1]
    assert tracks["x_nm"].tolist() == pytest.approx([0.0, 0.05, 0.045, 0.0951])


def test_other_columns_are_kept_and_laid_out_by_frame():
    frames = [
        pd.DataFrame({"x_nm": [0.5, 0.1], "y_nm": 0.0, "intensity": [5.0, 1.0]}, index=[7, 3]),
        pd.DataFrame({"x_nm": [0.11], "y_nm": [0.0], "intensity": [2.0]}),
    ]
    tracks = link(frames)
    assert tracks["track"].tolist() == [0, 1, 0]
    assert tracks["detection"].tolist() == [1, 0, 0]
    laid = by_frame(tracks, "intensity", 3)
    np.testing.assert_equal(laid, [[1.0, 5.0], [2.0, np.nan], [np.nan, np.nan]])
    one = sites(tracks).iloc[1]
    assert one["frames"] == 1 and np.isnan(one["x_se_nm"])


def test_bad_input():
    one = np.array([[0.5, 0.5]])
    for call, says in (
        (lambda: link([]), "no frames"),
        (lambda: link([one], memory=-1), "memory"),
        (lambda: link([one], gate_nm=0), "gate"),
        (lambda: link([one], drift_nm=np.zeros((2, 2))), "drift"),
        (lambda: link([one * np.nan]), "not finite"),
        (lambda: link([pd.DataFrame({"x_nm": [1.0]})]), "lack"),
    ):
        with pytest.raises(UserError, match=says):
            call()
    assert link([np.empty((0, 2))]).empty
