"""What a tuning maximises, against the evaluation's own route."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.data.frames import one_per_shape
from lowdose.denoisers import registry
from lowdose.evaluation.arms import known_thresholds
from lowdose.evaluation.evaluate import Evaluation
from lowdose.evaluation.summary import with_sums
from lowdose.evaluation.tuning_score import TuningScore
from lowdose.sampling import dose_e_per_a2

PARAMETERS = {"binning": 1, "sigma_nm": 0.03}


@pytest.fixture(scope="module")
def frames(particle):
    return particle.frame_set("PtNp1a", "PtNp1b")


def test_it_is_what_the_evaluation_says(frames, spec):
    score = TuningScore(registry.kind("gaussian"), frames, {**spec, "dose_e_per_px": 1.5},
                        ("psnr", "f1"))(PARAMETERS)  # fmt: skip
    gaussian = registry.create("gaussian", **PARAMETERS)

    def denoise(counts, dose, clean):
        dose = dose_e_per_a2(dose, frames.pixel_size_nm)
        return gaussian.denoise(counts[None], frames.pixel_size_nm, dose=dose)[0]

    once = {**spec, "doses_e_per_px": [1.5], "reference_dose_e_per_px": 1.5, "realisations": 1,
            "validation_realisations": 1}  # fmt: skip
    rows = Evaluation(frames, frames, once).run(denoise).frames
    assert score["psnr_db"] == pytest.approx(rows["psnr"].mean(), abs=1e-5)
    assert score["threshold"] == rows["threshold"].iloc[0]
    sums = with_sums(rows)
    assert score["f1"] == pytest.approx(sums["twice_matched"].sum() / sums["n_both"].sum())
    assert 0.3 < score["f1"] <= 1
    # So the threshold may be taken from the tuning, where it is of these frames and this noise.
    tuned = {"objectives": {"psnr": {**score, "parameters": PARAMETERS}},
             "frames_digest": frames.digest, "dose_e_per_px": 1.5}  # fmt: skip
    known = known_thresholds(tuned, "psnr", frames.digest, 1)
    assert known == {1.5: score["threshold"]}
    again = Evaluation(frames, frames, once).run(denoise, thresholds=known).frames
    assert again.drop(columns="seconds").equals(rows.drop(columns="seconds"))
    assert known_thresholds(tuned, "psnr", "other frames", 1) == {}
    assert known_thresholds(tuned, "psnr", frames.digest, 2) == {}


def test_a_set_of_parameters_is_tried_once(frames, spec, monkeypatch):
    kind = registry.kind("gaussian")
    score = TuningScore(kind, frames, spec, ("psnr",))
    first = score(PARAMETERS)
    assert set(first) == {"psnr_db"}
    monkeypatch.setattr(kind, "denoise", None)
    assert score(dict(PARAMETERS)) == first


def test_one_frame_of_each_shape_in_turn(frames, spec):
    few = one_per_shape(frames)
    assert few.table["model_id"].tolist() == ["PtNp1a-D0", "PtNp1b-D1"]
    assert few.table["frame"].tolist() == [0, 1] == few.columns["frame"].unique().tolist()
    # Frame 1 is the fourth of the set: its image, its counts, its columns.
    np.testing.assert_array_equal(few.clean[1], frames.clean[3])
    np.testing.assert_array_equal(few.counts(1, 0.45, 2, 9), frames.counts(3, 0.45, 2, 9))
    own = frames.columns[frames.columns["frame"] == 3].reset_index(drop=True)
    found = few.columns[few.columns["frame"] == 1].reset_index(drop=True)
    assert found.drop(columns="frame").equals(own.drop(columns="frame"))
    assert few.digest == "digest, frames 0, 3"
