"""A periodic field of soft columns, cheap to render, for the tests of frames and crops."""

import numpy as np
import pytest

CELL_NM = (3.2, 2.4)  # height and width


@pytest.fixture(scope="session")
def cell_nm() -> tuple[float, float]:
    """Height and width of the field [nm]."""
    return CELL_NM


@pytest.fixture(scope="session")
def phase_wave() -> np.ndarray:
    """Exit wave exp(i phi) of 40 columns at random places: (y, x), complex64."""
    rng = np.random.default_rng(5)
    y = np.arange(128)[:, None] * CELL_NM[0] / 128
    x = np.arange(112)[None, :] * CELL_NM[1] / 112
    phase = np.zeros((128, 112))
    for cy, cx in rng.uniform((0, 0), CELL_NM, (40, 2)):
        dy = (y - cy + CELL_NM[0] / 2) % CELL_NM[0] - CELL_NM[0] / 2
        dx = (x - cx + CELL_NM[1] / 2) % CELL_NM[1] - CELL_NM[1] / 2
        phase += 0.8 * np.exp(-(dy**2 + dx**2) / (2 * 0.045**2))
    return np.exp(1j * phase).astype(np.complex64)
