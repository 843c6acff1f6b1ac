"""Sums and the way back: no count lost, nothing shifted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowdose.denoisers.classical.binning import at_least, bin_padded, spread
from lowdose.sampling import bin_counts


@given(st.integers(1, 6), st.integers(1, 40), st.integers(1, 40))
def test_spread_has_the_same_sums(factor, height, width):
    rng = np.random.default_rng(height * width)
    sums = bin_padded(rng.poisson(3.0, (height, width)), factor)
    whole = (sums.shape[0] * factor, sums.shape[1] * factor)
    assert np.allclose(bin_counts(spread(sums, factor, whole), factor), sums, atol=1e-9)
    assert spread(sums, factor, (height, width)).shape == (height, width)


@pytest.mark.parametrize("factor", [2, 3, 4, 6])
def test_smooth_image_comes_back_in_place(factor, particle):
    clean = particle(241)
    found = spread(bin_padded(clean, factor), factor, clean.shape)
    # Of vacuum; a shift by one pixel would leave 1.3 %, a bicubic spline through the means of
    # the bins 0.04, 0.11, 0.21 and 0.50 %.
    bound = {2: 1e-4, 3: 3e-4, 4: 5e-4, 6: 2e-3}[factor]
    assert np.sqrt(np.mean((found - clean) ** 2)) < bound * 0.45


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_one_column_keeps_its_centre(factor):
    y, x = np.mgrid[:121, :97]
    blob = np.exp(-((y - 58.3) ** 2 + (x - 41.6) ** 2) / (2 * 8.2**2))
    found = spread(bin_padded(blob, factor), factor, blob.shape)
    assert (found * y).sum() / found.sum() == pytest.approx(58.3, abs=0.01)
    assert (found * x).sum() / found.sum() == pytest.approx(41.6, abs=0.01)


def test_padding_is_as_bright_as_the_frame():
    assert np.array_equal(bin_padded(np.ones((5, 9)), 4), np.full((2, 3), 16.0))
    assert np.array_equal(bin_padded(np.full((1, 1), 2.0), 4), [[32.0]])
    assert np.allclose(spread(np.full((2, 3), 16.0), 4, (5, 9)), 1.0)


def test_what_is_lacking_is_mirrored():
    image = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(at_least(image, 2), image)
    padded = at_least(image, 4)
    assert np.array_equal(padded, [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [0, 1, 2, 2]])
