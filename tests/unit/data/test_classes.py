"""Contrast of columns and the class of an image."""

import numpy as np
import pandas as pd
import pytest
import torch

from lowdose.data.classes import ContrastMeter, contrast_class, full_columns


@pytest.mark.parametrize(
    ("bright", "dark", "expected"),
    [(9, 1, "white"), (8, 2, "intermediate"), (1, 9, "black"), (2, 8, "intermediate"),
     (5, 0, "white"), (0, 5, "black"), (19, 2, "white"), (17, 2, "intermediate")],
)  # fmt: skip
def test_ninety_percent_rule(bright, dark, expected):
    contrast = np.array([0.1] * bright + [-0.1] * dark)
    assert contrast_class(contrast) == expected
    assert contrast_class(np.random.default_rng(0).permutation(contrast)) == expected


def test_an_image_without_a_particle_has_no_class():
    assert contrast_class(np.zeros(0)) == "none"


def test_full_columns_are_the_particle_s_of_three_atoms():
    columns = pd.DataFrame(
        {"is_particle": [True, True, False, True], "n_atoms": [3, 2, 9, 0],
         "y_nm": [1.0, 2.0, 3.0, 4.0], "x_nm": [5.0, 6.0, 7.0, 8.0]}
    )  # fmt: skip
    assert full_columns(columns).tolist() == [[1.0, 5.0]]


@pytest.mark.parametrize("amplitude", [0.4, -0.3])
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_contrast_of_a_gaussian_column(amplitude, factor):
    # Mean of a Gaussian over a disc and over a ring, in closed form.
    n, cell, sigma = 400, (2.0, 2.0), 0.05
    y, x = np.meshgrid(np.arange(n) * 2.0 / n, np.arange(n) * 2.0 / n, indexing="ij")
    centre = (0.805, 1.215)
    r2 = (y - centre[0]) ** 2 + (x - centre[1]) ** 2
    image = torch.from_numpy(1 + amplitude * np.exp(-r2 / (2 * sigma**2))).float()
    meter = ContrastMeter((n, n), cell, torch.ones(n, n // 2 + 1), factor)
    within = [sigma**2 * 2 * (1 - np.exp(-(r**2) / (2 * sigma**2))) for r in (0.05, 0.09, 0.13)]
    disc = 1 + factor * amplitude * within[0] / 0.05**2
    ring = 1 + factor * amplitude * (within[2] - within[1]) / (0.13**2 - 0.09**2)
    measured = meter.contrast(image, np.array([centre, [1.8, 0.2]]))
    assert measured[0] == pytest.approx(disc / ring - 1, abs=2e-3)
    assert measured[1] == pytest.approx(0, abs=1e-4)  # vacuum


def test_contrast_wraps_around_the_cell():
    n = 200
    y, x = np.meshgrid(np.arange(n) * 0.01, np.arange(n) * 0.01, indexing="ij")
    wrapped = np.minimum(x, 2.0 - x)
    image = torch.from_numpy(1 + 0.3 * np.exp(-((y - 1) ** 2 + wrapped**2) / 0.005)).float()
    meter = ContrastMeter((n, n), (2.0, 2.0), torch.ones(n, n // 2 + 1), 1.0)
    low, high = meter.contrast(image, np.array([[1.0, 0.0], [1.0, 1.9999]]))
    assert low == pytest.approx(high, abs=1e-3)
    assert low > 0.1
