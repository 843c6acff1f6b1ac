"""Filters of the spectrum, on lattices and noise whose spectra are known."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.denoisers import registry
from lowdose.denoisers.classical.spectrum import (
    background,
    frequency,
    low_pass,
    periodic_and_smooth,
)

PIXEL_NM = 0.0061


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def lattice(shape, period_px, amplitude=0.3):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return amplitude * np.cos(2 * np.pi * x / period_px) * np.cos(2 * np.pi * y / period_px)


def test_the_periodic_part_has_no_cross():
    """A ramp: all of its spectrum is the jump at the border."""
    ramp = np.add.outer(np.linspace(0, 1, 60), np.linspace(0, 2, 80))
    periodic, smooth = periodic_and_smooth(ramp)
    np.testing.assert_allclose(periodic + smooth, ramp, atol=1e-12)
    assert smooth.mean() == pytest.approx(0, abs=1e-12)
    cross = np.abs(np.fft.fft2(ramp))[0, 10:40].sum()
    assert np.abs(np.fft.fft2(periodic))[0, 10:40].sum() < 0.02 * cross
    tile = lattice((64, 64), 16)
    np.testing.assert_allclose(periodic_and_smooth(tile)[0], tile, atol=0.02)


def test_the_background_is_the_noise_and_not_the_spots(rng):
    noise = rng.poisson(0.45, (256, 200)).astype(float)
    spectrum = np.fft.rfft2(noise + lattice(noise.shape, 20, 0.4))
    radius = frequency(noise.shape, PIXEL_NM)
    level = background(np.abs(spectrum) ** 2, radius, 2.0)
    beyond = radius > 4
    # Of Poisson counts every frequency has the total as its power.
    assert level[beyond] == pytest.approx(noise.sum(), rel=0.35)
    assert level[beyond].mean() == pytest.approx(noise.sum(), rel=0.03)


def test_butterworths_gain():
    gain = low_pass(np.array([0.0, 5.0, 50.0]), 5.0, 2)
    assert gain == pytest.approx([1, 0.5**0.5, 1e-2], rel=1e-3)


@pytest.mark.parametrize("name", ["radial-wiener", "absf", "spots"])
def test_a_lattice_is_kept_and_noise_is_not(rng, name):
    expected = 0.45 * (1 + lattice((320, 300), 38.7))
    counts = rng.poisson(expected).astype(np.float32)
    estimate = registry.create(name).denoise(counts[None], PIXEL_NM)[0]
    inner = np.s_[20:-20, 20:-20]
    error = np.mean((estimate - expected)[inner] ** 2)
    assert error < 0.03 * np.mean((counts - expected)[inner] ** 2)
    # Phase and height of the lattice: the projection on the true one.
    wave = (expected - 0.45)[inner]
    share = np.sum((estimate - 0.45)[inner] * wave) / np.sum(wave**2)
    assert 0.6 < share < 1.1


def test_absf_takes_off_more_than_wiener_at_weak_and_less_at_no_frequency(rng):
    """(|F| - |N|) / |F| < (|F|^2 - |N|^2) / |F|^2 wherever |F| > |N|."""
    counts = rng.poisson(0.45 * (1 + lattice((200, 210), 20))).astype(np.float32)
    wiener, absf = (
        registry.create(name).denoise(counts[None], PIXEL_NM)[0]
        for name in ("radial-wiener", "absf")
    )
    assert absf.std() < wiener.std()


def test_a_stronger_background_leaves_less(rng):
    counts = rng.poisson(0.45, (1, 150, 160)).astype(np.float32)
    weak, strong = (
        registry.create("radial-wiener", strength=s).denoise(counts, PIXEL_NM).std()
        for s in (0.5, 3.0)
    )
    assert strong < 0.4 * weak


def test_spots_are_those_of_the_lattice(rng):
    """With a significance that noise does not reach, a flat frame keeps the disc at the origin."""
    made = registry.create("spots", significance=30.0, spot=0.5, centre=1.0)
    noise = rng.poisson(0.45, (256, 256)).astype(float)
    periodic, _ = periodic_and_smooth(noise)
    only_centre = made._mask(np.abs(np.fft.fft2(periodic)) ** 2, PIXEL_NM)
    periodic, _ = periodic_and_smooth(noise + lattice(noise.shape, 32, 0.5))
    mask = made._mask(np.abs(np.fft.fft2(periodic)) ** 2, PIXEL_NM)
    found = np.argwhere((mask == 1) & (only_centre == 0))
    places = {tuple(p) for p in np.round(found / 8).astype(int) % 32}
    assert places == {(1, 1), (1, 31), (31, 1), (31, 31)}
    step = 1 / (256 * PIXEL_NM)
    assert only_centre.sum() == pytest.approx(np.pi * (0.74 * 1.0 / step) ** 2, rel=0.1)


def test_a_low_pass_keeps_a_slow_wave_and_takes_a_fast_one():
    x = np.mgrid[:200, :220][1]
    slow, fast = (0.1 * np.cos(2 * np.pi * (x + 0.5) / p) for p in (110, 11))
    counts = (0.45 + slow + fast).astype(np.float32)
    made = registry.create("butterworth", resolution_nm=0.2, order=4)
    estimate = made.denoise(counts[None], PIXEL_NM)[0]
    # Periods of 0.67 and 0.067 nm: gains of 1.0 and (1 + 3^8)^-1/2.
    assert np.sum((estimate - 0.45) * slow) / np.sum(slow**2) == pytest.approx(1, abs=0.02)
    assert abs(np.sum((estimate - 0.45) * fast) / np.sum(fast**2)) < 0.03
