"""The example recording: a movie whose truth is known, with an experiment's calibration."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lowdose import config, seeds
from lowdose.cli import main
from lowdose.columns.discs import disc_means
from lowdose.data.example import movie
from lowdose.microscope.reading import read_recording
from lowdose.stages import Study


@pytest.fixture(scope="module")
def made():
    world = Study(config.load([])).spec("converge")
    return movie(world, seeds.rng(0, "test"), frames=4, dose_e_per_px=2.0, drift_px=(3, 7))


def test_the_particle_drifts_by_whole_pixels(made):
    first, second = made.expected[:2]
    np.testing.assert_array_equal(second[3:, 7:], first[:-3, :-7])
    truth = made.truth.set_index("frame")
    moved = truth.loc[1, ["x_nm", "y_nm"]].to_numpy() - truth.loc[0, ["x_nm", "y_nm"]].to_numpy()
    np.testing.assert_allclose(moved / made.pixel_size_nm, np.broadcast_to([7, 3], moved.shape))


def test_columns_are_where_the_truth_says(made):
    """Bright at every column, darker half-way to its neighbours; gone at the vacancy."""
    for frame in (0, 3):
        own = made.truth[(made.truth["frame"] == frame)]
        full = own[own["n_atoms"] >= 4][["x_nm", "y_nm"]].to_numpy()
        image = made.expected[frame] / 2.0
        on = disc_means(image, full, made.pixel_size_nm, 0.04)
        between = disc_means(image, full + np.array([0.1385, 0]), made.pixel_size_nm, 0.04)
        assert np.mean(on > 1.05) > 0.95
        assert np.mean(on > between) > 0.95
    gone = made.truth[made.truth["site"] == "vacancy"]
    assert sorted(gone["frame"].unique()) == [2, 3]
    place = gone.iloc[0][["x_nm", "y_nm"]].to_numpy(float)[None]
    shift = made.pixel_size_nm * np.array([7, 3])
    before = disc_means(made.expected[1] / 2.0, place - shift, made.pixel_size_nm, 0.05)
    after = disc_means(made.expected[2] / 2.0, place, made.pixel_size_nm, 0.05)
    assert before[0] > 1.05 > after[0] + 0.02


def test_counts_are_poisson_about_the_expectation(made):
    residual = (made.counts - made.expected) / np.sqrt(made.expected)
    assert made.counts.dtype == np.uint8
    assert abs(residual.mean()) < 4 / np.sqrt(residual.size)
    assert residual.var() == pytest.approx(1, abs=0.01)


def test_the_command_writes_what_an_experiment_would(tmp_path, capsys):
    words = ["--threads", "1", "example", str(tmp_path), "--frame-count", "2"]
    assert main(words) == 0
    tif, hspy = (read_recording(tmp_path / f"example.{kind}") for kind in ("tif", "hspy"))
    np.testing.assert_array_equal(tif.frames, hspy.frames)
    for one in (tif, hspy):
        assert one.pixel_size_nm == pytest.approx((0.0061, 0.0061))
        assert one.frame_interval_s == pytest.approx(0.025)
    assert (hspy.energy_kev, hspy.exposure_s) == (300, 0.025)
    truth = pd.read_csv(tmp_path / "example.truth.csv")
    assert set(truth["frame"]) == {0, 1}
    assert (truth["site"] == "vacancy").sum() == 1
    capsys.readouterr()
    assert main(words) == 2
    assert "example.hspy exists; replace it by --overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--dose", "0"], "--dose is 0"), (["--dose", "nan"], "--dose is nan"),
     (["--frame-count", "0"], "--frame-count is 0")],
)  # fmt: skip
def test_impossible_wishes_write_nothing(tmp_path, capsys, words, said):
    assert main(["example", str(tmp_path), *words]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
