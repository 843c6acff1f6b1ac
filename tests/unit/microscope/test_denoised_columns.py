"""``lowdose denoise``: columns, what the counts say of them, drift, sums, the page."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lowdose.cli import _denoised_file, main
from lowdose.columns.matching import match
from lowdose.microscope.calibrated_tiff import write_tiff
from lowdose.microscope.column_files import read_columns, to_atomai, to_atomap
from lowdose.microscope.reading import read_recording
from lowdose.report.frame_verdict import verdict, verdict_of_all
from lowdose.runtime import UserError

PIXEL = 0.0122
STEP = (2, 3)  # px of drift a frame, down and right


def points() -> np.ndarray:
    """Return a Pt [110] particle, free in vacuum: (x, y) [nm]."""
    rows = np.arange(1.2, 2.6, 0.226)
    return np.array([(x, y) for k, y in enumerate(rows)
                     for x in np.arange(1.3 + 0.1385 * (k % 2), 2.7, 0.277)])  # fmt: skip


@pytest.fixture(scope="module")
def movie():
    """Six frames of 3 e/px that drift, and where the columns are in the first."""
    y, x = np.mgrid[:320, :340] * PIXEL
    image = np.ones(y.shape)
    for px, py in points():
        image += 0.5 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 0.055**2))
    rng = np.random.default_rng(1)
    frames = [np.roll(image, (k * STEP[0], k * STEP[1]), (0, 1)) for k in range(6)]
    return np.stack([rng.poisson(3 * one) for one in frames]).astype(np.uint8)


def run(capsys, path, *words, threads=1):
    code = main(["--threads", str(threads), "denoise", str(path), "--denoiser", "gaussian",
                 *map(str, words)])  # fmt: skip
    captured = capsys.readouterr()
    return SimpleNamespace(code=code, out=captured.out, err=captured.err)


def written(folder):
    return sorted(path.name for path in folder.iterdir())


def test_one_command_gives_frames_columns_and_a_page(tmp_path, capsys, movie):
    path = tmp_path / "movie.tif"
    write_tiff(path, movie, PIXEL, title="columns")
    done = run(capsys, path)
    assert (done.code, done.err) == (0, "")
    assert written(tmp_path) == [
        "movie.columns.csv", "movie.columns.hdf5", "movie.denoised.hspy", "movie.denoised.html",
        "movie.denoised.json", "movie.denoised.tif", "movie.tif",
    ]  # fmt: skip
    columns = read_columns(tmp_path / "movie.columns.csv")
    pd.testing.assert_frame_equal(columns, read_columns(tmp_path / "movie.columns.hdf5"))
    for frame in range(6):
        own = columns[columns["frame"] == frame]
        true = points() + PIXEL * frame * np.array(STEP[::-1])
        assert set(own["where"]) == {"particle"}
        _, there, distance = match(true, own[["x_nm", "y_nm"]].to_numpy(), 0.072)
        assert len(distance) > 0.9 * len(true)
        fitted = own.iloc[there]
        off = np.hypot(fitted["x_fit_nm"] - fitted["x_nm"], fitted["y_fit_nm"] - fitted["y_nm"])
        assert off.median() < 0.02
        np.testing.assert_allclose(own["x_px"] * PIXEL, own["x_nm"], rtol=1e-6)
        np.testing.assert_allclose(to_atomap(columns, frame), own[["x_px", "y_px"]])
    assert sorted(to_atomai(columns)) == list(range(6))
    surface = columns[columns["is_surface"]]
    record = json.loads((tmp_path / "movie.denoised.json").read_text())
    kept, shown = re.search(r"(\d+) of (\d+) surface columns", record["verdict"]).groups()
    assert int(kept) == surface["supported"].sum() and int(shown) == len(surface)
    assert (surface["supported"] == (surface["q_value"] <= 0.05)).all()
    assert not columns.loc[~columns["is_surface"], "supported"].any()
    assert record["verdict"] in done.out
    assert record["verdict"] in (tmp_path / "movie.denoised.html").read_text()
    assert record["vacuum_electrons_per_px"] == pytest.approx([3.0] * 6, rel=0.03)
    assert record["columns_are"] == ["bright"] * 6
    assert "movie.denoised.html" in record["outputs_sha256"]


def test_threads_change_nothing(tmp_path, capsys, movie):
    path = tmp_path / "movie.tif"
    write_tiff(path, movie[:3], PIXEL, title="columns")
    tables = []
    for threads in (1, 2):
        done = run(capsys, path, "--formats", "csv", "--overwrite", threads=threads)
        assert done.code == 0
        tables.append((tmp_path / "movie.columns.csv").read_bytes())
    assert tables[0] == tables[1]


def test_drift_is_taken_out_and_frames_are_summed(tmp_path, capsys, movie):
    path = tmp_path / "movie.tif"
    write_tiff(path, movie, PIXEL, title="columns")
    done = run(capsys, path, "--align", "--sum", 3)
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "movie.denoised.json").read_text())
    shifts = np.array(record["drift_px"])
    np.testing.assert_allclose(shifts, np.arange(6)[:, None] * STEP, atol=1.01)
    frames = read_recording(tmp_path / "movie.denoised.tif").frames
    assert len(frames) == 4
    columns = read_columns(tmp_path / "movie.columns.csv")
    assert record["vacuum_electrons_per_px"] == pytest.approx([9.0] * 4, rel=0.02)
    # The particle stands still, where it was in the first frame, less what was cut off.
    cut = PIXEL * np.array([record["first_column"], record["first_row"]])
    for frame in range(4):
        own = columns.loc[columns["frame"] == frame, ["x_nm", "y_nm"]].to_numpy()
        _, _, distance = match(points() - cut, own, 0.06)
        assert len(distance) == len(points())
    surface = columns[columns["is_surface"]]
    assert surface["supported"].mean() > 0.8
    assert f"each frame is the sum of {3}" in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sum", "7"], "--sum"),
        (["--sum", "0"], "--sum is 0"),
        (["--frames", "0:1", "--align"], "need a stack"),
        (["--frames", "0:1", "--sum", "2"], "need a stack"),
        (["--false-discoveries", "1"], "--false-discoveries is 1"),
        (["--page-frames", "0"], "--page-frames is 0"),
    ],
)
def test_impossible_wishes_write_nothing(tmp_path, capsys, movie, words, said):
    path = tmp_path / "movie.tif"
    write_tiff(path, movie, PIXEL, title="columns")
    done = run(capsys, path, *words)
    assert done.code == 2 and said in done.err and "Traceback" not in done.err
    assert written(tmp_path) == ["movie.tif"]


def test_frames_without_anything_to_align_by_are_refused(tmp_path, capsys):
    path = tmp_path / "vacuum.tif"
    empty = np.random.default_rng(0).poisson(1.0, (4, 200, 200)).astype(np.uint8)
    write_tiff(path, empty, PIXEL, title="vacuum")
    done = run(capsys, path, "--align")
    assert done.code == 2 and "show too little to tell how they drift" in done.err
    assert written(tmp_path) == ["vacuum.tif"]
    # Without it they are denoised, and show nothing to believe.
    done = run(capsys, path)
    assert done.code == 0
    assert "could be tested" in done.out or "0 of " in done.out or "No surface" in done.out


def test_values_that_are_no_electrons_are_not_tested(tmp_path, capsys, movie):
    path = tmp_path / "analogue.tif"
    rng = np.random.default_rng(2)
    analogue = 0.2 * (movie[:1] + rng.normal(0, 0.3, movie[:1].shape))
    write_tiff(path, analogue.astype(np.float32)[0], PIXEL, title="columns")
    done = run(capsys, path, "--gain", "1")
    assert done.code == 0
    assert "none could be tested, since the values are no whole electrons" in done.out
    columns = read_columns(tmp_path / "analogue.columns.csv")
    assert columns["q_value"].isna().all() and not columns["supported"].any()
    assert "not tested" in (tmp_path / "analogue.denoised.html").read_text()


def test_a_frame_that_is_too_large_for_columns_or_memory(tmp_path, capsys, movie, monkeypatch):
    path = tmp_path / "movie.tif"
    write_tiff(path, movie[0], PIXEL, title="columns")
    monkeypatch.setattr(_denoised_file, "MOST_PX", 10_000)
    done = run(capsys, path)
    assert done.code == 0 and "too large for csv, hdf5, html; --bin sums pixels" in done.out
    assert written(tmp_path) == [
        "movie.denoised.hspy", "movie.denoised.json", "movie.denoised.tif", "movie.tif",
    ]  # fmt: skip
    monkeypatch.setattr(
        _denoised_file.psutil, "virtual_memory", lambda: SimpleNamespace(available=10**6)
    )
    done = run(capsys, path, "--overwrite")
    assert done.code == 2 and "GB of memory" in done.err and "--bin" in done.err


def table(*supported, surface=True):
    return pd.DataFrame({"id": range(1, len(supported) + 1), "supported": supported,
                         "is_surface": surface})  # fmt: skip


def test_the_verdict_in_words():
    many = verdict(table(*[True] * 12, False, False))
    assert many == (
        "12 of 14 surface columns are supported by the counts at 5 % false discoveries; these two "
        "are not: 13 and 14."
    )
    assert "this one is not: 2." in verdict(table(True, False))
    assert verdict(table(True, True)).startswith("All 2 surface columns are supported")
    assert verdict(table(False, False)).startswith("None of the 2 surface columns is supported")
    assert verdict(table(True)).startswith("The one surface column is supported")
    assert verdict(table(False)).startswith("The one surface column is not supported")
    assert "the other 9 are not" in verdict(table(True, *[False] * 9))
    assert verdict(table(True, surface=False)) == "No surface column is shown in this frame."
    assert "at 10 % false" in verdict(table(True, False), level=0.1)
    assert verdict(table(False, False), "it rains").endswith(
        "none could be tested, since it rains."
    )
    two = verdict_of_all([table(True, False), table(True, True), table()], ["", "", ""])
    assert two.startswith("3 of 4 surface columns (75 %) in 2 frames are supported")
    assert two.endswith("1 frame shows no surface or could not be tested.")
    assert verdict_of_all([table(True)] * 2, ["it rains"] * 2) == (
        "No frame could be tested, since it rains."
    )


def test_memory_is_checked_by_the_frame():
    _denoised_file.check_memory(np.zeros((2, 10, 10), np.float32))
    with pytest.raises(UserError, match=r"need about .* GB of memory"):
        _denoised_file.check_memory(np.broadcast_to(np.float32(0), (1, 10**6, 10**6)))
