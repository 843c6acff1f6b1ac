"""Each fault is found when it is there, and none where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from lowdose.microscope.checks import check_counts, check_stored, has_lattice, leans_down
from lowdose.microscope.gain import counts_of, gain_of
from lowdose.microscope.recording import Recording
from lowdose.runtime import UserError

RANGES = ((0.004, 0.012), (27.0, 5400.0))
PIXEL_NM = 0.0061
SHAPE = (400, 440)


def image(contrast=0.3):
    """A patch of a lattice of 0.226 nm in vacuum = 1."""
    y, x = PIXEL_NM * np.mgrid[: SHAPE[0], : SHAPE[1]]
    fringes = sum(
        np.cos(2 * np.pi * (x * np.cos(a) + y * np.sin(a)) / 0.226)
        for a in np.deg2rad([0, 70, 125])
    )
    return 1 + contrast * fringes / 3 * ((np.abs(x - 1.3) < 0.8) & (y > 0.8))


def counts(dose=0.45, frames=1, seed=1, of=None):
    rng = np.random.default_rng(seed)
    expected = dose * (image() if of is None else of)
    return rng.poisson(expected, (frames, *SHAPE)).astype(np.float32)


def said(frames, pixel=PIXEL_NM, ranges=RANGES):
    return [f"{one.kind}: {one.what}" for one in check_counts(frames, pixel, ranges, "general")]


def stored(values):
    recording = Recording(np.asarray(values), None, True, Path("a.npy"), "NPY")
    return [f"{one.kind}: {one.what}" for one in check_stored(recording)]


@pytest.mark.parametrize("dose", [0.45, 1.0, 5.0, 19.0])
@pytest.mark.parametrize("frames", [1, 12])
def test_good_frames_are_left_alone(dose, frames):
    for seed in range(3):
        assert said(counts(dose, frames, seed)) == []
    whole = counts(dose, frames).astype(np.uint16)
    assert stored(whole) == []


def only(found, *parts):
    assert len(found) == 1, found
    for part in parts:
        assert part in found[0]


def test_pixel_size_and_dose():
    good = counts()
    only(said(good, None), "refusal", "give --pixel-size in nm")
    assert "refusal: Pixels of 0.03 nm are larger than the 0.012 nm" in said(good, 0.03)[0]
    only([said(good, 0.003)[0]], "refusal: Pixels of 0.003 nm are smaller", "by --bin 2")
    only(said(counts(0.05, 12)), "warning", "are less than the 27", "sum frames")
    only(said(counts(30.0)), "warning", "are more than the 5.4e+03")


def test_offsets_and_bad_pixels():
    readout = counts(5.0) + np.random.default_rng(3).normal(0, 4, SHAPE).astype(np.float32)
    assert any("of the counts are negative" in one and "--offset" in one for one in said(readout))
    only(said(counts() - 1), "refusal", "give --offset")
    hot = counts(0.45, 4)
    hot[:, 100, 50] += 12
    only(said(hot), "warning", "1 pixel counts far more", "x 50, y 100")
    dead = counts(2.0, 20)
    dead[:, 30, 60] = 0
    only(said(dead), "warning", "1 pixel never counts", "x 60, y 30")


def test_noise_that_is_none_of_counts():
    rng = np.random.default_rng(4)
    rows = counts(9.0) + rng.normal(0, 0.5, (1, SHAPE[0], 1)).astype(np.float32)
    only(said(rows), "warning", "Rows flicker as wholes", "row noise")
    columns = counts(9.0) + rng.normal(0, 0.5, (1, 1, SHAPE[1])).astype(np.float32)
    only(said(columns), "Columns flicker")
    smooth = ndimage.gaussian_filter(counts(5.0), (0, 0.5, 0.5))
    only(said(smooth), "warning", "noise is smoother from pixel to pixel", "give raw frames")
    sharp = counts(9.0)
    sharp += 0.5 * (sharp - ndimage.uniform_filter(sharp, (1, 3, 3)))
    assert any("noise is rougher from pixel to pixel" in one for one in said(sharp))


def test_a_lattice_is_seen_and_none_is_not():
    assert has_lattice(counts(0.45), PIXEL_NM)
    vacuum = [has_lattice(counts(0.45, 1, seed, np.ones(SHAPE)), PIXEL_NM) for seed in range(40)]
    assert not any(vacuum)
    assert not has_lattice(counts(0.45, 15, of=np.ones(SHAPE)), PIXEL_NM)
    # A faint lattice shows in the sum of many frames alone.
    faint = counts(0.45, 20, of=image(0.1))
    assert has_lattice(faint, PIXEL_NM) and not has_lattice(faint[:1], PIXEL_NM)
    # An edge, as of an aperture or a carbon film, is no lattice.
    edge = np.where(np.arange(SHAPE[1]) > 200, 1.0, 0.3) * np.ones(SHAPE)
    assert not has_lattice(counts(20.0, of=ndimage.gaussian_filter(edge, 8)), PIXEL_NM)
    only(said(counts(of=np.ones(SHAPE))), "warning", "No lattice is seen", "crystals")


@pytest.mark.parametrize("dose", [0.45, 5.0, 40.0, 400.0])
def test_inverted_contrast_is_seen_and_turned_back(dose):
    good = counts(dose, 2)
    assert not leans_down(good)
    assert not leans_down(good * 37.5 + 100)
    # Bright or dark columns, sharper than any that a network knows, are no skew of noise.
    for sign in (1, -1):
        assert not leans_down(counts(dose, 2, of=1 + sign * (image(0.9) - 1)))
    top = 4095
    turned = (top - good).astype(np.uint16)
    assert leans_down(turned)
    found = [one for one in stored(turned) if "inverted" in one]
    only(found, "warning", f"--gain -1 --offset {turned.max()}")
    recording = Recording(turned, None, True, Path("a.npy"), "NPY")
    back = counts_of(recording, gain_of(recording, gain=-1, offset=top))
    np.testing.assert_array_equal(back, good)
    with pytest.raises(UserError, match="give --offset too"):
        gain_of(recording, gain=-1)


def test_an_inverted_picture_of_8_bits():
    turned = (255 - counts(2.0)).astype(np.uint8)
    assert any("--gain -1 --offset 255" in one for one in stored(turned))


def test_stored_values():
    good = counts(5.0).astype(np.float32)
    nan = good.copy()
    nan[0, 3, 3] = np.nan
    only(stored(nan), "refusal", "NaN or infinite", "replace them")
    only(stored(np.zeros((2, 40, 40), np.uint16)), "refusal", "All values are 0")
    only(stored(np.ones((1, 1, 1))), "refusal", "too small; give at least 16")
    clipped = np.minimum(counts(80.0), 90).astype(np.uint16)
    only(stored(clipped), "warning", "have the highest value 90", "saturated")
    picture = np.clip(counts(20.0) * 4, 0, 200).astype(np.uint8)
    assert any("8 bits" in one for one in stored(picture))
