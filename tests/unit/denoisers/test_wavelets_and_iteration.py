"""Wavelets and iterated stabilisation, where they must beat what is simpler."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.denoisers import registry

PIXEL_NM = 0.0061


def error_db(expected, counts, name, **parameters):
    estimate = registry.create(name, **parameters).denoise(counts[None], PIXEL_NM)[0]
    return 10 * np.log10(np.mean((estimate - expected) ** 2))


@pytest.fixture
def columns():
    """A lattice of blobs on half of a frame, at half an electron a pixel: (expected, counts)."""
    y, x = np.mgrid[:360, :372]
    lattice = np.cos(2 * np.pi * x / 36) * np.cos(2 * np.pi * y / 44)
    expected = 0.45 * (1 + 0.6 * np.clip(lattice, 0, None) * (y > 180))
    return expected, np.random.default_rng(5).poisson(expected).astype(np.float32)


def test_wavelets_need_their_coarse_levels(columns):
    deep, shallow = (error_db(*columns, "wavelets", levels=n) for n in (5, 2))
    assert deep < shallow - 1
    # Better than a low-pass that blurs as much as columns allow.
    assert deep < error_db(*columns, "gaussian", sigma_nm=0.05)


def test_a_stronger_assumed_noise_leaves_less(columns):
    expected, _ = columns
    flat = np.random.default_rng(6).poisson(np.full(expected.shape, 0.45)).astype(np.float32)
    weak, strong = (
        registry.create("wavelets", strength=s).denoise(flat[None], PIXEL_NM).std()
        for s in (0.7, 1.4)
    )
    assert strong < 0.5 * weak


def test_iteration_gains_where_bins_hold_few_counts(columns):
    """Bins of 4 x 4 pixels hold 7 counts; the mixtures behave as more of them would."""
    expected, _ = columns
    counts = np.random.default_rng(7).poisson(0.4 * expected).astype(np.float32)
    once = error_db(0.4 * expected, counts, "bm3d", binning=4, patch=16, radius=14)
    again = error_db(0.4 * expected, counts, "bm3d-iterative", binning=4, patch=16, radius=14)
    assert again < once - 0.3


def test_a_share_of_one_is_no_mixture(columns):
    """Without the estimate in it, the last pass is BM3D of the counts alone."""
    _, counts = columns
    settings = {"binning": 6, "patch": 12, "radius": 10}
    once = registry.create("bm3d", **settings).denoise(counts[None], PIXEL_NM)
    again = registry.create("bm3d-iterative", iterations=2, last_share=1.0, **settings)
    np.testing.assert_allclose(again.denoise(counts[None], PIXEL_NM), once, rtol=1e-5, atol=1e-6)
