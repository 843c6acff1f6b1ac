"""Binning and resampling keep the counts per area, and state the noise that they leave."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf

from lowdose.runtime import UserError
from lowdose.sampling import bin_counts, dose_e_per_a2, dose_e_per_px, resample_counts


def integrated_columns(size_nm: float, pixel_nm: float) -> np.ndarray:
    """Exact counts of pixels on a row of Gaussian columns: the integral, not a sample."""
    centres = pixel_nm * np.arange(int(size_nm / pixel_nm))
    edges = np.stack([centres - pixel_nm / 2, centres + pixel_nm / 2])
    profile = np.zeros_like(centres)
    for column in np.arange(0.3, size_nm - 0.2, 0.24):
        steps = erf((edges - column) / (0.05 * np.sqrt(2)))
        profile += 0.05 * np.sqrt(np.pi / 2) * (steps[1] - steps[0])
    vacuum = np.full_like(profile, pixel_nm)
    return 0.45 / 0.0061**2 * (np.outer(vacuum, vacuum) + 0.25 * np.outer(profile, profile))


def test_reference_dose_is_121_electrons_per_square_angstrom():
    assert dose_e_per_a2(0.45, 0.0061) == pytest.approx(120.935, rel=1e-4)
    assert dose_e_per_px(120.935, 0.0061) == pytest.approx(0.45, rel=1e-4)


def test_bins_are_sums_of_blocks_and_leave_out_the_rest():
    image = np.arange(35.0).reshape(5, 7)
    expected = [[0 + 1 + 7 + 8, 2 + 3 + 9 + 10, 4 + 5 + 11 + 12], [72, 80, 88]]
    assert np.array_equal(bin_counts(image, 2), expected)
    assert np.array_equal(bin_counts(image[None], 2)[0], bin_counts(image, 2))


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 4))
def test_binning_keeps_every_count_of_whole_bins(factor, rows, columns):
    counts = np.random.default_rng(factor).poisson(0.45, (2, rows * factor, columns * factor))
    assert bin_counts(counts, factor).sum() == counts.sum()


def test_binned_counts_are_poisson():
    counts = np.random.default_rng(1).poisson(0.45, (400, 400))
    binned = bin_counts(counts, 4)
    assert binned.mean() == pytest.approx(7.2, abs=0.11)
    assert binned.var() / binned.mean() == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("factor", [0, -1, 6])
def test_binning_that_does_not_fit_is_refused(factor):
    with pytest.raises(UserError, match="does not fit an image of 5 x 7"):
        bin_counts(np.ones((5, 7)), factor)


@pytest.mark.parametrize("pixel_nm", [0.004, 0.008, 0.012])
def test_mean_and_bias_of_resampling(pixel_nm):
    source = integrated_columns(2.0, pixel_nm)
    truth = integrated_columns(2.0, 0.0061)
    found, _ = resample_counts(source, pixel_nm, 0.0061)
    rows, columns = (min(a, b) for a, b in zip(found.shape, truth.shape, strict=True))
    difference = found[:rows, :columns] - truth[:rows, :columns]
    assert found.mean() / source.mean() == pytest.approx((0.0061 / pixel_nm) ** 2, rel=2e-3)
    assert abs(difference.mean()) < 1e-3 * 0.45
    # Of vacuum; a shift by half a 12 pm pixel would leave 0.65 %.
    assert np.sqrt((difference**2).mean()) < 3e-3 * 0.45


@pytest.mark.parametrize("pixel_nm", [0.004, 0.008, 0.012])
def test_stated_noise_is_the_noise(pixel_nm):
    rate = 0.45 * (pixel_nm / 0.0061) ** 2
    counts = np.random.default_rng(2).poisson(rate, (4, 200, 200))
    found, factor = resample_counts(counts, pixel_nm, 0.0061)
    assert found.mean() == pytest.approx(0.45, rel=0.01)
    inside = found[:, 2:-2, 2:-2]
    assert inside.var() / inside.mean() == pytest.approx(factor, rel=0.03)
    assert factor < 1


def test_equal_and_odd_whole_ratios_stay_poisson():
    counts = np.random.default_rng(3).poisson(2.0, (31, 31)).astype(np.float32)
    same, factor = resample_counts(counts, 0.0061, 0.0061)
    assert np.array_equal(same, counts)
    assert factor == pytest.approx(1.0)
    coarse, factor = resample_counts(counts, 0.002, 0.006)
    # New pixel 1 is centred on old pixel 3: old pixels 2 to 4.
    assert np.allclose(coarse[1:-1, 1:-1], bin_counts(counts[2:-2, 2:-2], 3))


def test_flat_stays_flat_up_to_the_border():
    found, _ = resample_counts(np.full((7, 11), 3.0), 0.008, 0.0061)
    assert np.allclose(found, 3.0 * (0.0061 / 0.008) ** 2, rtol=1e-6)


@pytest.mark.parametrize("sizes", [(0.0, 0.006), (0.006, -1.0), (float("nan"), 0.006)])
def test_impossible_pixel_sizes_are_refused(sizes):
    with pytest.raises(UserError, match="pixel size in nm above 0"):
        resample_counts(np.ones((4, 4)), *sizes)
