"""Cubic B-splines through periodic images."""

import numpy as np
import pytest
import torch

from lowdose.imaging.resampling import sample_periodic, spline_coefficients


def waves(y, x):
    """Two to nine waves in the cell."""
    return (1 + 0.1 * np.cos(2 * np.pi * (5 * y + 7 * x)) + 0.1 * np.sin(2 * np.pi * 4 * x)
            + 0.05 * np.cos(2 * np.pi * (9 * y - 2 * x)))  # fmt: skip


def test_spline_passes_through_the_points_of_the_image():
    image = torch.from_numpy(np.random.default_rng(1).normal(size=(21, 16)))
    y, x = torch.meshgrid(torch.arange(21.0) / 21, torch.arange(16.0) / 16, indexing="ij")
    value = sample_periodic(spline_coefficients(image), y.double(), x.double())[0, 0]
    assert torch.allclose(value, image, atol=1e-5)


@pytest.mark.parametrize("first_y", [-1.4, -0.2, 0.1, 0.8, 2.3])
def test_periodic_sampling_is_accurate_and_wraps(first_y):
    # 90 to 100 points for nine waves: more than the camera leaves of a frame.
    coarse = waves(np.arange(90)[:, None] / 90, np.arange(100)[None] / 100)
    coefficients = spline_coefficients(torch.from_numpy(coarse)).float()
    rng = np.random.default_rng(3)
    at_y = first_y + rng.uniform(0, 0.5, (40, 40))
    for first in (-0.7, 0.0, 0.7, 1.8):  # left of, inside, across and right of the cell
        at_x = first + rng.uniform(0, 0.5, (40, 40))
        value = sample_periodic(coefficients, torch.from_numpy(at_y), torch.from_numpy(at_x))
        assert value.shape == (1, 1, 40, 40)
        assert np.abs(value[0, 0].numpy() - waves(at_y, at_x)).max() < 1e-3


def test_error_of_the_spline_falls_with_the_fourth_power_of_the_grid():
    coarse = torch.from_numpy(waves(np.arange(30)[:, None] / 30, np.arange(32)[None] / 32))
    at_y, at_x = np.random.default_rng(5).uniform(0, 1, (2, 60, 60))
    errors = []
    for factor in (2, 4, 8):
        fine = spline_coefficients(coarse, (30 * factor, 32 * factor), (9, 7))
        value = sample_periodic(fine, torch.from_numpy(at_y), torch.from_numpy(at_x))[0, 0]
        errors.append(np.abs(value.numpy() - waves(at_y, at_x)).max())
    assert errors[0] < 2e-3 and errors[2] < 1e-6
    assert 12 < errors[1] / errors[2] < 20


def test_stack_is_sampled_like_its_images():
    stack = torch.from_numpy(np.random.default_rng(7).normal(size=(3, 20, 24)))
    at_y, at_x = torch.from_numpy(np.random.default_rng(8).uniform(-1, 1, (2, 15, 11)))
    together = sample_periodic(spline_coefficients(stack, (40, 48)), at_y, at_x)
    assert together.shape == (1, 3, 15, 11)
    for image, value in zip(stack, together[0], strict=True):
        alone = sample_periodic(spline_coefficients(image, (40, 48)), at_y, at_x)
        assert torch.allclose(value, alone[0, 0], atol=1e-12)


def test_spline_reproduces_straight_lines_and_scipy():
    from scipy import ndimage

    rng = np.random.default_rng(4)
    rows, columns = rng.uniform(0.2, 0.8, (2, 30, 30))
    line = torch.arange(40.0)[:, None].expand(40, 50).contiguous()
    value = sample_periodic(line, torch.from_numpy(rows), torch.from_numpy(columns))
    assert np.abs(value[0, 0].numpy() - 40 * rows).max() < 1e-4
    noise = rng.normal(size=(40, 50)).astype(np.float32)
    expected = ndimage.map_coordinates(noise, [40 * rows, 50 * columns], order=3, prefilter=False)
    value = sample_periodic(
        torch.from_numpy(noise), torch.from_numpy(rows), torch.from_numpy(columns)
    )
    assert np.abs(value[0, 0].numpy() - expected).max() < 1e-4
