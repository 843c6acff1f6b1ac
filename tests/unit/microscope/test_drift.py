"""A known drift is found at low dose, lattices do not mislead, noise does not move, counts stay."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.registration import phase_cross_correlation

from lowdose.microscope.aligned import align, running_sums
from lowdose.microscope.drift import Drift, drift, measure_drift
from lowdose.microscope.gain import mixed_difference
from lowdose.runtime import UserError

PIXEL_NM = 0.0061
SIDE = 512
MARGIN = 96  # pixels of the scene around a frame, so that frames can be cut anywhere
DOSE = 0.45
NUMBER = 20
RNG = np.random.default_rng


def columns(y, x, first, second, sigma_nm):
    """Gaussian columns at the nodes of a lattice, brought to -1 ... 1."""
    basis = np.array([first, second]).T
    u, v = np.tensordot(np.linalg.inv(basis), np.stack([y, x]), axes=1)
    u, v = u - np.rint(u), v - np.rint(v)
    image = np.zeros_like(y)
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            dy, dx = np.tensordot(basis, np.stack([u + i, v + j]), axes=1)
            image += np.exp(-(dy**2 + dx**2) / (2 * sigma_nm**2))
    return 2 * (image - image.min()) / np.ptp(image) - 1


def soft(depth_nm):
    """0 outside, 1 inside, over 0.05 nm or so."""
    return 1 / (1 + np.exp(-np.clip(depth_nm / 0.02, -50, 50)))


@pytest.fixture(scope="module")
def particle():
    """A rounded particle of 0.24 nm columns on a support of another lattice, vacuum above: 1."""
    y, x = PIXEL_NM * (np.mgrid[: SIDE + 2 * MARGIN, : SIDE + 2 * MARGIN] - float(MARGIN))
    surface, radius = 0.72 * SIDE * PIXEL_NM, 1.0
    cy, cx = surface - 0.6 * radius, 0.5 * SIDE * PIXEL_NM
    turned = [(0.24 * np.sin(a), 0.24 * np.cos(a)) for a in (0.3, 0.3 + np.pi / 3)]
    inside = soft(radius - np.hypot(y - cy, x - cx)) * soft(surface - y)
    of_particle = inside * columns(y - cy, x - cx, *turned, 0.05)
    of_support = soft(y - surface) * columns(y - surface, x, (0, 0.312), (0.271, 0), 0.06)
    return (1 + 0.2 * (of_particle + of_support)).astype(np.float32)


def recorded(scene, shifts, dose=DOSE, seed=0):
    """Counts of frames whose contents are displaced by whole pixels."""
    rng = RNG(seed)
    cuts = [np.s_[MARGIN - dy : MARGIN - dy + SIDE, MARGIN - dx : MARGIN - dx + SIDE]
            for dy, dx in np.asarray(shifts)]  # fmt: skip
    return np.stack([rng.poisson(dose * scene[cut]) for cut in cuts]).astype(np.float32)


def steady(dy, dx, number=NUMBER):
    return np.rint(np.outer(np.arange(number), [dy, dx])).astype(int)


def jump(dy, dx, at=9, number=NUMBER):
    return np.where(np.arange(number)[:, None] >= at, [[dy, dx]], 0)


def errors(found, true):
    """Errors of places; where the first frame was put is all frames' error and no drift."""
    difference = found - true
    return difference - np.median(difference, axis=0)


DRIFTS = {
    "none": steady(0, 0),
    "slow": steady(1.1, -1.7),
    # By two periods of the particle and one and a half of the support, along its rows.
    "along the lattice": steady(0, 4),
    "steps": np.cumsum(RNG(5).integers(-6, 7, (NUMBER, 2)), axis=0),
    "jump": jump(0, 12),
    "jump across": jump(-12, 8),
    "two frames": steady(5, 3, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", DRIFTS)
def test_a_known_drift_is_found(particle, name):
    true = DRIFTS[name] - DRIFTS[name][0]
    counts = recorded(particle, true, seed=1)
    before = counts.copy()
    found = measure_drift(counts, PIXEL_NM)
    np.testing.assert_array_equal(counts, before)
    assert found.shifts.shape == (len(true), 2) and found.shifts.dtype == np.float64
    assert not found.shifts[0].any()
    error = errors(found.shifts, true)
    assert np.sqrt(np.mean(error**2)) < 0.5
    assert np.abs(error).max() < 1.5
    assert found.reliable
    assert np.abs(np.rint(found.shifts) - true).max() <= 2  # the first frame's error included


def test_what_does_not_drift_stays(particle):
    for seed in range(3):
        shifts = drift(recorded(particle, steady(0, 0), seed=seed), PIXEL_NM)
        assert np.abs(np.rint(shifts)).max() <= 1
        assert np.sqrt(np.mean(errors(shifts, 0) ** 2)) < 0.5


@pytest.mark.parametrize("name", ["slow", "along the lattice", "jump"])
def test_a_tenth_of_an_electron_a_pixel_is_enough(particle, name):
    counts = recorded(particle, DRIFTS[name], dose=0.1, seed=2)
    found = measure_drift(counts, PIXEL_NM)
    error = errors(found.shifts, DRIFTS[name])
    assert np.sqrt(np.mean(error**2)) < 1.0
    assert np.abs(error).max() < 4  # a tenth of a lattice period: of one frame in ten it is chance
    assert found.reliable


def test_at_high_dose_whole_pixels_are_found(particle):
    true = DRIFTS["steps"] - DRIFTS["steps"][0]
    shifts = drift(recorded(particle, true, dose=20), PIXEL_NM)
    # What a lattice does at the frame's edges leaves a tenth of a pixel or two at any dose.
    error = errors(shifts, true)
    assert np.sqrt(np.mean(error**2)) < 0.2
    assert not np.rint(error).any()


def test_frames_one_by_one_would_be_taken_for_others(particle):
    # What this module is for: the same frames, each against the first by plain correlation.
    true = DRIFTS["along the lattice"]
    counts = recorded(particle, true, seed=1)
    alone = [-phase_cross_correlation(counts[0], one, normalization=None)[0] for one in counts]
    assert np.mean(np.abs(alone - true).max(axis=1) > 8) > 0.3
    assert np.abs(errors(drift(counts, PIXEL_NM), true)).max() < 1.5


def test_pixels_of_any_size(particle):
    true = steady(2, -4)
    counts = recorded(particle, true, seed=4)
    binned = counts.reshape(NUMBER, SIDE // 4, 4, SIDE // 4, 4).sum(axis=(2, 4))
    error = errors(drift(binned, 4 * PIXEL_NM), true / 4)
    assert np.sqrt(np.mean(error**2)) < 0.2
    odd = counts[:, 3:, : SIDE - 101]
    assert np.abs(errors(drift(odd, PIXEL_NM), true)).max() < 2


def test_what_stands_still_does_not_hold_the_frames(particle):
    true = DRIFTS["slow"]
    bright = np.linspace(0.6, 1.4, SIDE, dtype=np.float32)
    counts = np.stack([RNG(k).poisson(one * bright) for k, one in
                       enumerate(DOSE * particle[MARGIN - dy : MARGIN - dy + SIDE,
                                                 MARGIN - dx : MARGIN - dx + SIDE]
                                 for dy, dx in true)]).astype(np.float32)  # fmt: skip
    hot = RNG(7).integers(0, SIDE, (2, 40))
    counts[:, hot[0], hot[1]] = 50
    counts[:, 200] = 0
    found = measure_drift(counts, PIXEL_NM)
    assert np.abs(errors(found.shifts, true)).max() < 1.5
    assert found.reliable


def test_a_dark_frame_is_put_where_its_neighbours_are(particle):
    true = DRIFTS["slow"]
    counts = recorded(particle, true, seed=1)
    counts[8] = 0
    assert np.abs(errors(drift(counts, PIXEL_NM), true)).max() < 2


@pytest.mark.parametrize(("number", "dose"), [(2, 0.1), (5, 20), (NUMBER, DOSE), (3, 0)])
def test_noise_does_not_move(number, dose):
    for seed in range(3):
        counts = RNG(seed).poisson(dose, (number, 256, 320)).astype(np.float32)
        found = measure_drift(counts, PIXEL_NM)
        assert not found.shifts.any()
        assert not found.reliable


def test_nor_does_noise_that_has_a_direction():
    # Lines that flicker look like a specimen in the spectrum, but no place explains the next frame.
    rng = RNG(3)
    counts = rng.poisson(DOSE, (NUMBER, 256, 256)) + rng.normal(0, 0.1, (NUMBER, 256, 1))
    found = measure_drift(counts.astype(np.float32), PIXEL_NM)
    assert not found.shifts.any() and not found.reliable


def test_one_frame_is_where_it_is(particle):
    found = measure_drift(recorded(particle, steady(0, 0, 1)), PIXEL_NM)
    assert found.shifts.tolist() == [[0, 0]] and found.reliable
    assert drift(np.zeros((1, 64, 64), np.float32), PIXEL_NM).tolist() == [[0, 0]]


def test_a_lattice_that_fills_the_frame_is_followed_but_not_over_half_a_period():
    y, x = PIXEL_NM * np.mgrid[: SIDE + 2 * MARGIN, : SIDE + 2 * MARGIN]
    period = 50 * PIXEL_NM
    lattice = 1 + 0.2 * columns(y, x, (0, period), (period, 0), 0.06)
    slow = measure_drift(recorded(lattice, DRIFTS["slow"]), PIXEL_NM)
    assert np.abs(errors(slow.shifts, DRIFTS["slow"])).max() < 1.5
    assert slow.reliable
    # Nobody can say to which side it jumped: there is nothing else to see.
    assert not measure_drift(recorded(lattice, jump(0, 25)), PIXEL_NM).reliable


def test_reliable_means_every_frame():
    shifts = np.zeros((3, 2))
    assert Drift(shifts, np.array([9.0, 8.0, 30.0])).reliable
    assert not Drift(shifts, np.array([9.0, 0.5, 30.0])).reliable


def test_drift_of_what_is_no_stack():
    counts = np.ones((3, 64, 64), np.float32)
    for bad in (None, 0, -0.1, np.nan, np.inf):
        with pytest.raises(UserError, match="give --pixel-size in nm"):
            drift(counts, bad)
    for shape in ((64, 64), (0, 64, 64)):
        with pytest.raises(UserError, match="give frames of a stack by --frames"):
            drift(np.ones(shape, np.float32), PIXEL_NM)
    counts[1, 5, 5] = np.nan
    with pytest.raises(UserError, match="NaN or infinite"):
        drift(counts, PIXEL_NM)


def test_too_few_pixels_are_nothing_to_go_by():
    counts = RNG(0).poisson(DOSE, (4, 20, 18)).astype(np.float32)
    for size in (PIXEL_NM, 0.2, 3.0):
        found = measure_drift(counts, size)
        assert not found.shifts.any() and not found.reliable


def test_aligned_frames_are_what_was_recorded():
    # Each frame is a window on the same counts, so that once aligned they are the same counts.
    ground = RNG(1).poisson(DOSE, (200, 220)).astype(np.float32)
    true = np.array([[0, 0], [3, -2], [-5, 9], [1, 1]])
    counts = np.stack([ground[40 - dy : 160 - dy, 40 - dx : 150 - dx] for dy, dx in true])
    for shifts in (true, true + RNG(2).uniform(-0.49, 0.49, true.shape) * [[0], [1], [1], [1]]):
        aligned, (row, col) = align(counts, shifts)
        assert aligned.shape == (4, 120 - 8, 110 - 11) and aligned.dtype == np.float32
        assert (row, col) == (5, 2)
        for one, frame, (dy, dx) in zip(aligned, counts, true, strict=True):
            np.testing.assert_array_equal(one, aligned[0])
            there = frame[row + dy : row + dy + 112, col + dx : col + dx + 99]
            assert one.sum() == there.sum()
    np.testing.assert_array_equal(aligned[0], ground[45:157, 42:141])
    # Only differences count, and what comes back is not a view.
    again, _ = align(counts, true + np.array([7, -4]))
    np.testing.assert_array_equal(again, aligned)
    again[:] = -1
    assert counts.min() == 0
    whole, corner = align(counts.astype(np.uint16), np.zeros((4, 2)))
    np.testing.assert_array_equal(whole, counts)
    assert whole.dtype == np.uint16 and corner == (0, 0)


def test_aligned_counts_are_poisson_counts():
    counts = RNG(3).poisson(DOSE, (30, 300, 300)).astype(np.float32)
    aligned, _ = align(counts, RNG(4).uniform(-8, 8, (30, 2)))
    assert aligned.var() / aligned.mean() == pytest.approx(1, abs=0.01)
    apart = [np.mean([np.mean(mixed_difference(f, step) ** 2) for f in aligned]) for step in (1, 2)]
    assert apart[0] / apart[1] == pytest.approx(1, abs=0.01)
    total = running_sums(aligned, 30)[0]
    assert total.var() / total.mean() == pytest.approx(1, abs=0.03)


def test_an_aligned_sum_is_as_sharp_as_the_frames(particle):
    true = DRIFTS["along the lattice"]
    aligned, (row, col) = align(counts := recorded(particle, true, seed=1), drift(counts, PIXEL_NM))
    there = np.s_[row : row + aligned.shape[1], col : col + aligned.shape[2]]
    expected = particle[MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE][there]
    # What the sum has of the expected contrast, and what it would have without alignment.
    wave = expected - expected.mean()
    kept = [np.sum(total * wave) / (NUMBER * DOSE * np.sum(wave**2))
            for total in (aligned.sum(axis=0), counts.sum(axis=0)[there])]  # fmt: skip
    assert kept[0] == pytest.approx(1, abs=0.03)
    assert kept[1] < 0.4


def test_what_cannot_be_aligned():
    counts = np.zeros((2, 100, 120), np.float32)
    assert align(counts, [[0, 0], [36, -56]])[0].shape == (2, 64, 64)
    for far, shared in (([37, 0], "63 x 120"), ([0, 57], "100 x 63"), ([-500, 0], "0 x 120")):
        with pytest.raises(UserError, match=f"share only {shared} pixels.*--frames"):
            align(counts, [[0, 0], far])
    for bad in ([[0, 0]], [0, 0], [[0, 0], [np.nan, 0]]):
        with pytest.raises(UserError, match="leave out --align"):
            align(counts, bad)


@pytest.mark.parametrize("number", [1, 2, 5, 7])
def test_running_sums_are_plain_sums(number):
    counts = RNG(5).poisson(1000.0, (7, 30, 40)).astype(np.float32)
    before = counts.copy()
    sums = running_sums(counts, number)
    assert sums.shape == (8 - number, 30, 40) and sums.dtype == np.float32
    for k, one in enumerate(sums):
        np.testing.assert_array_equal(one, counts[k : k + number].sum(axis=0))
    np.testing.assert_array_equal(counts, before)


def test_running_sums_of_parts_do_not_wander():
    counts = RNG(6).gamma(0.5, 0.7, (400, 8, 8)).astype(np.float32)
    sums = running_sums(counts, 3)
    plain = [counts[k : k + 3].sum(axis=0, dtype=np.float64) for k in range(398)]
    np.testing.assert_allclose(sums, plain, rtol=1e-6)


def test_sums_that_cannot_be():
    counts = np.zeros((4, 8, 8), np.float32)
    for bad in (0, -1, 5, 1.5):
        with pytest.raises(UserError, match=f"--sum is {bad}, .* from 1 to 4"):
            running_sums(counts, bad)
