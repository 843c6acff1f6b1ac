"""From stored units to electrons: a known gain is found again, and what cannot be is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lowdose.columns.likelihood import thin
from lowdose.microscope.gain import (
    can_be_dealt,
    counts_of,
    gain_of,
    mixed_difference,
    photon_transfer,
)
from lowdose.microscope.recording import Recording
from lowdose.runtime import UserError


def recording(frames, **known):
    return Recording(np.asarray(frames), (0.006, 0.006), True, Path("a.npy"), "NPY", **known)


def lattice(shape=(320, 352), period=40):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 1 + 0.5 * np.cos(2 * np.pi * x / period) * np.cos(2 * np.pi * y / period)


@pytest.mark.parametrize("dose", [0.1, 0.45, 20.0])
@pytest.mark.parametrize(("units_per_electron", "offset"), [(1.0, 0.0), (37.5, 100.0)])
def test_a_known_gain_is_found_within_its_interval(dose, units_per_electron, offset):
    rng = np.random.default_rng(5)
    frames = units_per_electron * rng.poisson(dose * lattice(), (4, 320, 352)) + offset
    estimate, low, high = photon_transfer(frames, offset)
    assert estimate == pytest.approx(1 / units_per_electron, rel=0.02)
    assert low < 1 / units_per_electron < high
    assert (high - low) / estimate < 0.05


def test_intervals_cover():
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(60):
        _, low, high = photon_transfer(rng.poisson(0.5 * lattice((160, 160)), (1, 160, 160)) * 3.0)
        covered += low < 1 / 3 < high
    assert 0.85 <= covered / 60 <= 1.0


def test_white_noise_has_four_times_its_variance_in_mixed_differences():
    noise = np.random.default_rng(1).normal(0, 2, (400, 500))
    for step in (1, 2, 5):
        assert np.mean(mixed_difference(noise, step) ** 2) / 4 == pytest.approx(4, rel=0.02)
    plane = np.add.outer(3.0 * np.arange(20), 7.0 * np.arange(30))
    assert np.abs(mixed_difference(plane)).max() < 1e-9


def test_where_the_gain_is_from():
    counts = np.random.default_rng(2).poisson(0.45 * lattice(), (2, 320, 352)).astype(np.uint16)
    counting = gain_of(recording(counts))
    assert counting.electrons_per_unit == 1 and "counting camera" in counting.source
    assert counting.low < 1 < counting.high
    scaled = recording(counts.astype(np.float32) * 12)
    estimated = gain_of(scaled)
    assert estimated.electrons_per_unit == pytest.approx(1 / 12, rel=0.02)
    assert "--gain sets it" in estimated.source
    np.testing.assert_allclose(counts_of(scaled, gain_of(scaled, gain=1 / 12)), counts, rtol=1e-6)
    said = gain_of(recording(counts, electrons_per_unit=0.02, offset=12.0))
    assert (said.electrons_per_unit, said.offset) == (0.02, 12.0)
    assert "as the file says" in said.source
    by_hand = gain_of(recording(counts, electrons_per_unit=0.02, offset=12.0), gain=0.5, offset=0)
    assert (by_hand.electrons_per_unit, by_hand.low, by_hand.offset) == (0.5, 0.5, 0)
    shifted = counts_of(
        recording(counts + 100), gain_of(recording(counts + 100), gain=1, offset=100)
    )
    np.testing.assert_array_equal(shifted, counts)


def test_what_has_no_gain_is_refused():
    flat = recording(np.full((1, 64, 64), 5, np.uint16))
    with pytest.raises(UserError, match="no noise from which electrons could be told; give --gain"):
        gain_of(flat)
    low = recording(np.random.default_rng(0).normal(-5, 1, (1, 64, 64)))
    with pytest.raises(UserError, match="not above the offset 0; give --offset"):
        gain_of(low)
    for bad in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(UserError, match="--gain is"):
            gain_of(flat, gain=bad)
    with pytest.raises(UserError, match="--offset is nan"):
        gain_of(flat, gain=1, offset=np.nan)


def test_what_can_be_dealt_to_two_halves():
    rng = np.random.default_rng(0)
    few = rng.poisson(0.45, (2, 50, 50)).astype(np.float32)
    assert can_be_dealt(few)
    assert not can_be_dealt(few * 0.97)
    # An analogue camera: each electron gives more or less, scaled until the variance is the mean.
    units = rng.poisson(5.0, (1, 400, 400)) * rng.normal(1, 0.3, (1, 400, 400)) + 20
    units = (units - 20) * (units - 20).mean() / units.var()
    analogue = np.maximum(units, 0).astype(np.float32)
    assert can_be_dealt(analogue)
    one, other = thin(np.rint(analogue[0]), 0.5, rng)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.015
    # Without that scale they would know of each other.
    one, other = thin(np.rint(3 * analogue[0]), 0.5, rng)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.3
