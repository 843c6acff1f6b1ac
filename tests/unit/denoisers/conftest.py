"""A particle of Gaussian columns in vacuum: the tests' clean image."""

from collections.abc import Callable

import numpy as np
import pytest

PIXEL_NM = 0.0061
DOSE_E_PER_PX = 0.45


@pytest.fixture(scope="session")
def particle() -> Callable[[int], np.ndarray]:
    """A function of the size in pixels that returns the clean frame, in e/px at 6.1 pm."""
    return _particle


def _particle(size: int) -> np.ndarray:
    """Return expected counts (size, size) with the contrast of the paper's sample frames.

    Vacuum 0.45 e/px; bright columns, 0.05 nm wide, on a darker particle: 0.34 to 0.63 e/px.
    """
    y = PIXEL_NM * np.arange(size)[:, None]
    x = PIXEL_NM * np.arange(size)[None, :]
    edge = size * PIXEL_NM
    image = np.ones((size, size))
    for row in range(int(edge / 0.24) + 1):
        for column in range(int(edge / 0.277) + 1):
            cy, cx = 0.24 * row, 0.277 * (column + 0.5 * (row % 2))
            if np.hypot(cy - 0.55 * edge, cx - 0.5 * edge) < 0.42 * edge:
                for amplitude, width in ((0.62, 0.05), (-0.19, 0.12)):
                    across = np.exp(-((x - cx) ** 2) / (2 * width**2))
                    image += amplitude * np.exp(-((y - cy) ** 2) / (2 * width**2)) * across
    return DOSE_E_PER_PX * image
