"""Metrics against closed forms and a second route."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from lowdose import metrics
from lowdose.runtime import UserError

DOSE = metrics.REFERENCE_DOSE_E_PER_PX


@pytest.fixture
def frame():
    """Return a clean expectation and an estimate of it [e/px] at the reference dose."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:96, :80]
    clean = DOSE * (1 + 0.2 * np.sin(x / 5) * np.cos(y / 7))
    return clean, clean + 0.02 * rng.standard_normal(clean.shape)


def test_raw_poisson_frame_scores_the_paper_s_3_5_db():
    rng = np.random.default_rng(1)
    clean = np.full((1024, 1024), DOSE)
    counts = rng.poisson(clean)
    assert metrics.psnr(clean, counts, dose_e_per_px=DOSE) == pytest.approx(
        -10 * np.log10(DOSE), abs=0.02
    )


def test_psnr_and_contrast_psnr_of_a_known_error(frame):
    clean, _ = frame
    estimate = clean + 0.01
    assert metrics.psnr(clean, estimate, dose_e_per_px=DOSE) == pytest.approx(40.0)
    expected = 10 * np.log10(clean.var() / 1e-4)
    assert metrics.contrast_psnr(clean, estimate, dose_e_per_px=DOSE) == pytest.approx(expected)


def test_constant_image_at_the_mean_has_contrast_psnr_zero(frame):
    clean, _ = frame
    constant = np.full_like(clean, clean.mean())
    assert metrics.contrast_psnr(clean, constant, dose_e_per_px=DOSE) == pytest.approx(0, abs=1e-9)
    # Its PSNR is then that of the contrast alone.
    assert metrics.psnr(clean, constant, dose_e_per_px=DOSE) == pytest.approx(
        -10 * np.log10(clean.var())
    )


@pytest.mark.parametrize("factor", [0.01, 0.1, 3, 100])
def test_the_same_relative_error_scores_the_same_at_every_dose(frame, factor):
    clean, estimate = frame
    reference = metrics.image_metrics(clean, estimate, dose_e_per_px=DOSE)
    scaled = metrics.image_metrics(clean * factor, estimate * factor, dose_e_per_px=DOSE * factor)
    for name in ("psnr", "contrast_psnr", "ssim"):
        assert scaled[name] == pytest.approx(reference[name], rel=1e-5)
    # Information grows with the dose instead: the deviance is homogeneous of degree 1.
    assert scaled["poisson_deviance"] == pytest.approx(factor * reference["poisson_deviance"])


def test_ssim_is_scikit_image_s(frame):
    clean, estimate = frame
    ours = metrics.ssim(clean * 4, estimate * 4, dose_e_per_px=4 * DOSE)
    assert ours == pytest.approx(structural_similarity(clean, estimate, data_range=1.0), abs=2e-6)


def test_deviance_of_constants_and_of_a_zero_estimate():
    clean = np.full((8, 8), 0.55)
    expected = 0.55 * np.log(0.55 / 0.45) - 0.10
    got = metrics.poisson_deviance(clean, np.full((8, 8), 0.45), dose_e_per_px=DOSE)
    assert got == pytest.approx(expected)
    assert expected == pytest.approx(0.0104, abs=5e-5)  # the paper's column against vacuum
    floored = metrics.poisson_deviance(clean, np.zeros((8, 8)), dose_e_per_px=DOSE)
    assert floored == pytest.approx(0.55 * np.log(0.55 / 1e-3) - 0.55 + 1e-3)


def test_deviance_is_the_mean_excess_of_the_poisson_log_likelihood():
    rng = np.random.default_rng(3)
    clean, estimate = np.full((600, 600), 2.0), np.full((600, 600), 1.5)
    counts = rng.poisson(clean)
    excess = np.mean(counts * np.log(clean / estimate) - (clean - estimate))
    got = metrics.poisson_deviance(clean, estimate, dose_e_per_px=2.0)
    assert got == pytest.approx(excess, abs=0.004)


def test_identical_images(frame):
    clean, _ = frame
    got = metrics.image_metrics(clean, clean.copy(), dose_e_per_px=DOSE)
    assert got == {
        "psnr": np.inf,
        "contrast_psnr": np.inf,
        "ssim": pytest.approx(1.0),
        "poisson_deviance": pytest.approx(0.0, abs=1e-12),
    }


def test_impossible_input_is_told(frame):
    clean, estimate = frame
    with pytest.raises(UserError, match="positive dose"):
        metrics.psnr(clean, estimate, dose_e_per_px=0)
    with pytest.raises(UserError, match="one shape"):
        metrics.psnr(clean, estimate[1:], dose_e_per_px=DOSE)
    with pytest.raises(UserError, match="7 x 7"):
        metrics.ssim(clean[:6, :6], estimate[:6, :6], dose_e_per_px=DOSE)
