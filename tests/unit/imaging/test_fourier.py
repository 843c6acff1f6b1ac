"""Lengths and places of discrete Fourier transforms."""

import pytest
import torch

from lowdose.imaging.fourier import fast_length, low_frequencies


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (7, 8), (121, 125), (97, 100), (331, 360)])
def test_fast_lengths(n, expected):
    assert fast_length(n) == expected


@pytest.mark.parametrize(("n", "m"), [(7, 3), (8, 3), (20, 0), (21, 5)])
def test_low_frequencies_lie_where_the_transform_has_them(n, m):
    found = torch.fft.fftfreq(n, 1 / n)[low_frequencies(n, m)]
    assert found.tolist() == [*range(m + 1), *range(-m, 0)]
