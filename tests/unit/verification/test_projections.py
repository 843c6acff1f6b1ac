"""Sixteen numbers tell how far apart two images are."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.verification.projections import NUMBER, _signs, projections, root_mean_square

SHAPE = (61, 75)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_the_distance_is_right_within_its_own_scatter(dtype):
    """Over 300 pairs the mean square is right to 3 %, and scatters by sqrt(2 / k)."""
    rng = np.random.default_rng(1)
    ratios = []
    for _ in range(300):
        one, change = (rng.normal(size=SHAPE).astype(dtype) for _ in range(2))
        if dtype == np.complex64:
            change = change + 1j * rng.normal(size=SHAPE).astype(np.float32)
        found = root_mean_square(projections(one), projections(one + change), one.size)
        ratios.append((found / np.sqrt((np.abs(change) ** 2).mean())) ** 2)
    degrees = NUMBER * (2 if dtype == np.complex64 else 1)
    assert np.mean(ratios) == pytest.approx(1, abs=3 * np.sqrt(2 / degrees / 300))
    assert np.std(ratios) == pytest.approx(np.sqrt(2 / degrees), rel=0.2)


def test_they_are_the_sums_that_they_say():
    image = np.random.default_rng(2).normal(size=SHAPE)
    signs = 2.0 * _signs(image.size) - 1
    np.testing.assert_allclose(projections(image), signs @ image.ravel(), atol=1e-9)
    # Signs that are balanced and unlike each other, or single pixels would not show.
    products = signs @ signs.T / image.size
    assert np.abs(products - np.eye(NUMBER)).max() < 5 / np.sqrt(image.size)


def test_one_pixel_shows():
    image = np.ones(SHAPE, np.float32)
    other = image.copy()
    other[3, 70] += 0.5
    found = root_mean_square(projections(image), projections(other), image.size)
    assert found == pytest.approx(0.5 / np.sqrt(image.size))
