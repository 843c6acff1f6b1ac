"""The evaluation of known denoisers: the expectation itself, a constant, the counts."""

import math

import numpy as np
import pytest

from lowdose.evaluation.evaluate import Evaluation
from lowdose.evaluation.measure import pooled_f1
from lowdose.evaluation.thresholds import THRESHOLDS


def clean(counts, dose, expectation):
    return expectation.copy()


def constant(counts, dose, expectation):
    return np.full_like(counts, counts.mean())


def raw(counts, dose, expectation):
    return counts


@pytest.fixture(scope="module")
def evaluation(particle, spec):
    return Evaluation(particle.frame_set("PtNp1c"), particle.frame_set("PtNp1a", "PtNp1b"), spec)


@pytest.fixture(scope="module")
def of_clean(evaluation):
    return evaluation.run(clean)


def test_the_expectation_reaches_the_ceiling(of_clean):
    frames, columns, *_ = of_clean
    # Columns 0.05 nm wide and 0.24 nm apart on a flat vacuum: the detector has no excuse.
    assert pooled_f1(frames) == 1.0
    assert frames["n_filled"].sum() == 0
    assert frames["n_erased"].sum() == 0
    assert frames["n_vacancies"].sum() == frames["n_partners"].sum() == 2 * 3
    assert math.sqrt(frames["squared_error_nm2"].sum() / frames["n_matched"].sum()) < 0.005
    # What the metrics say of identical images: infinite dB, not a large number.
    assert np.isposinf(frames["psnr"]).all()
    assert np.isposinf(frames["contrast_psnr"]).all()
    assert (frames["ssim"] == 1).all()
    assert (frames["poisson_deviance"] == 0).all()
    assert columns.loc[columns["n_atoms"] > 0, "reported"].all()
    assert not columns.loc[columns["site"] == "vacancy", "reported"].any()


def test_what_is_slow_is_measured_on_the_first_realisations(particle, spec, monkeypatch):
    monkeypatch.setattr("lowdose.evaluation.evaluate.SLOW_REALISATIONS", 1)
    once = {**spec, "doses_e_per_px": [0.45]}
    frames = Evaluation(particle.frame_set("PtNp1c"), particle.frame_set("PtNp1a"), once).run(
        clean
    )[0]
    slow = frames[["ssim", "poisson_deviance", "paper_shared"]].notna().all(axis=1)
    assert (slow == (frames["realisation"] == 0)).all()
    assert frames["psnr"].notna().all()
    # The paper compares with the blobs of the clean image: the expectation is without fault.
    first = frames[slow]
    assert (first["paper_missing"] == 0).all() and (first["paper_extra"] == 0).all()


def test_the_full_grid_has_as_many_realisations_at_every_dose(evaluation):
    frames = evaluation.run(constant, full_grid=True).frames
    assert frames.groupby("dose_e_per_px").size().to_dict() == {0.45: 8, 1.5: 8}


def test_one_row_a_frame_dose_and_realisation(of_clean, evaluation, spec):
    frames, columns, images, _ = of_clean
    key = ["frame", "dose_e_per_px", "realisation"]
    assert not frames.duplicated(key).any()
    # Four frames: two realisations at the reference dose, one elsewhere.
    assert frames.groupby("dose_e_per_px").size().to_dict() == {0.45: 8, 1.5: 4}
    per_frame = evaluation.test.columns.groupby("frame").size()
    assert len(columns) == per_frame.sum() * 3
    assert list(images.shape) == list(evaluation.test.clean.shape)
    assert np.allclose(images, evaluation.test.clean, rtol=1e-6)


def test_a_constant_image_is_the_floor(evaluation):
    frames, columns, *_ = evaluation.run(constant)
    assert frames["n_found"].sum() == 0
    assert pooled_f1(frames) == 0
    assert not columns["reported"].any()
    # Above the variance of the clean image by the square of the mean's error alone.
    assert (frames["contrast_psnr"] <= 1e-6).all()
    assert (frames["contrast_psnr"] > -0.2).all()


def test_the_counts_score_what_shot_noise_says(evaluation):
    frames, *_ = evaluation.run(raw)
    mean = evaluation.test.clean.mean()
    for dose, rows in frames.groupby("dose_e_per_px"):
        # The error is the variance, dose times the image; scaled to 0.45 e/px.
        expected = -10 * math.log10(mean * dose * (0.45 / dose) ** 2)
        assert rows["psnr"].mean() == pytest.approx(expected, abs=0.1)


def test_realisations_differ_and_repeat(evaluation):
    first, _, one, _ = evaluation.run(raw)
    again, _, two, _ = evaluation.run(raw)
    assert np.array_equal(one, two)
    timeless = [c for c in first.columns if c != "seconds"]
    assert first[timeless].equals(again[timeless])
    reference = first[first["dose_e_per_px"] == 0.45]
    assert reference.groupby("frame")["psnr"].nunique().eq(2).all()


def test_the_threshold_rejects_a_known_ghost(evaluation, particle):
    # A false column of a quarter of the height on every frame: any threshold between its
    # response and the true one's gives F1 = 1, and the highest such is taken.
    def haunted(counts, dose, expectation):
        ghost = particle.image_of(np.array([[0.9, 0.25]]), height=0.12) - 1
        return expectation + np.float32(dose) * ghost

    threshold = evaluation.threshold(haunted, 0.45)
    # A Gaussian of height A and width s gives A s^2 sigma^2 / (s^2 + sigma^2)^2 2 at its centre.
    response = 2 * 0.05**2 * 0.049**2 / (0.05**2 + 0.049**2) ** 2
    assert 0.12 * response < threshold <= 0.5 * response
    above = THRESHOLDS[np.searchsorted(THRESHOLDS, threshold) + 1 :]
    assert len(above) == 0 or above[0] > 0.9 * 0.5 * response
    frames, *_ = evaluation.run(haunted)
    assert pooled_f1(frames) == 1.0
