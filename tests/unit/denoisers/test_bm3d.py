"""Our BM3D against the authors' package, and against what it must do to known images."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

from lowdose.denoisers.classical.bm3d import (
    Stage,
    _haar,
    _inverse_haar,
    basis,
    bm3d,
    spectra,
)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def psnr(estimate, truth):
    return -10 * np.log10(np.mean((estimate - truth) ** 2))


def image(name):
    return np.float32(getattr(data, name)()[120:280, 120:280] / 255)


def test_spectra_hold_the_power_of_their_patches(rng):
    noise = rng.normal(size=(20, 24)).astype(np.float32)
    found = spectra(noise, basis(8, "dct"))
    assert found.shape == (13, 17, 64)
    patch = noise[5:13, 9:17]
    assert (found[5, 9] ** 2).sum() == pytest.approx((patch**2).sum(), rel=1e-5)
    assert found[5, 9, 0] == pytest.approx(patch.sum() / 8, rel=1e-4, abs=1e-5)


def test_the_wavelet_is_that_of_the_authors():
    """Rows of the matrix in their code, to the digits that are printed there."""
    matrix = basis(8, "bior1.5")
    np.testing.assert_allclose(matrix[0], np.full(8, 0.353553390593274), atol=1e-6)
    row = np.array([0.219417649252501, 0.449283757993216, 0.449283757993216, 0.219417649252501])
    np.testing.assert_allclose(matrix[1], [*row, *-row], atol=1e-6)
    large, small = [0.569359398342846, 0.402347308162278], 0.083506045090284
    row = [*large, *np.negative(large[::-1]), -small, small, -small, small]
    np.testing.assert_allclose(matrix[2], row, atol=1e-6)
    np.testing.assert_allclose(matrix[4, :2], [0.5**0.5, -(0.5**0.5)], atol=1e-6)
    with pytest.raises(ValueError, match="not 12"):
        basis(12, "bior1.5")


@pytest.mark.parametrize("number", [1, 2, 16])
def test_stacks_are_transformed_orthonormally(rng, number):
    stack = rng.normal(size=(16, 5)).astype(np.float32)
    before, scratch = stack.copy(), np.empty(16, dtype=np.float32)
    _haar(stack, number, scratch)
    np.testing.assert_allclose((stack**2).sum(0), (before**2).sum(0), rtol=1e-5)
    np.testing.assert_allclose(
        stack[0], before[:number].sum(0) / np.sqrt(number), rtol=1e-4, atol=1e-5
    )
    _inverse_haar(stack, number, scratch)
    np.testing.assert_allclose(stack, before, atol=1e-5)


@pytest.mark.parametrize("name", ["camera", "brick", "coins"])
@pytest.mark.parametrize("sigma", [0.1, 0.2])
def test_it_is_as_good_as_the_authors_package(rng, name, sigma):
    package = pytest.importorskip(
        "bm3d", reason="the package bm3d (closed, non-commercial) is not installed"
    )
    truth = image(name)
    noisy = truth + rng.normal(0, sigma, truth.shape).astype(np.float32)
    theirs = psnr(package.bm3d(noisy, sigma), truth)
    assert abs(psnr(bm3d(noisy, sigma), truth) - theirs) < 0.3


def test_without_repetition_of_the_second_stage_it_is_worse(rng):
    truth = image("brick")
    noisy = truth + rng.normal(0, 0.15, truth.shape).astype(np.float32)
    one, two = (psnr(bm3d(noisy, 0.15, wiener=w), truth) for w in (None, Stage(group=32)))
    assert psnr(noisy, truth) + 6 < one < two


def test_units_do_not_matter(rng):
    noisy = image("coins") + rng.normal(0, 0.1, (160, 160)).astype(np.float32)
    np.testing.assert_allclose(bm3d(1000 * noisy, 100.0) / 1000, bm3d(noisy, 0.1), atol=2e-3)


def test_a_lattice_comes_out_of_noise_by_large_patches(rng):
    """Half of the noise's deviation high: a patch of 8 pixels is not recognised, one of 16 is."""
    y, x = np.mgrid[:120, :120]
    truth = (0.5 * np.cos(2 * np.pi * x / 8) * np.cos(2 * np.pi * y / 10)).astype(np.float32)
    noisy = truth + rng.normal(0, 1, truth.shape).astype(np.float32)
    stages = (Stage(patch=side, step=side // 4, group=32) for side in (8, 16))
    small, large = (
        np.mean((bm3d(noisy, 1.0, stage, stage) - truth) ** 2) / np.mean(truth**2)
        for stage in stages
    )
    assert large < 0.15 < 0.3 < small


def test_flat_noise_becomes_flat(rng):
    noisy = rng.normal(3, 0.5, (90, 100))
    estimate = bm3d(noisy, 0.5)
    assert estimate.dtype == np.float32
    assert estimate.mean() == pytest.approx(noisy.mean(), abs=0.01)
    assert estimate.std() < 0.1


def test_what_cannot_be_filtered():
    with pytest.raises(ValueError, match="8 x 8 pixels or more"):
        bm3d(np.zeros((7, 30)), 1.0)
    with pytest.raises(ValueError, match="sigma above 0"):
        bm3d(np.zeros((30, 30)), 0.0)
