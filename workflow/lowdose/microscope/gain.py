"""From a camera's units to electrons: by what the file says, by hand, or by photon transfer.

Of Poisson counts the variance is the mean, so that in units of 1 / g electrons it is the mean
divided by g (Janesick, Photon Transfer, 2007).  The variance is taken from mixed second differences
of neighbouring pixels, to which a lattice that is sampled more than four times contributes next to
nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lowdose import seeds
from lowdose.microscope.recording import Recording
from lowdose.runtime import UserError

BLOCK_PX = 32
DRAWS = 1000
MOST_FRAMES, MOST_PX = 20, 4096  # that the estimate looks at
ONE_WITHIN = 0.03  # of 1: a gain that close to 1 is that of an electron-counting camera
SEED = 0
LEAST_FOR_ROUNDING = 2.0  # e/px


@dataclass(frozen=True)
class Gain:
    """Electrons per stored unit.

    Attributes
    ----------
    electrons_per_unit : float
    low, high : float
        95 % interval of an estimate; equal to it where it was given.
    offset : float
        Stored value of no electrons.
    source : str
        In words, for the user: where it is from.
    """

    electrons_per_unit: float
    low: float
    high: float
    offset: float
    source: str


def gain_of(
    recording: Recording, *, gain: float | None = None, offset: float | None = None
) -> Gain:
    """Return how to turn the stored values of a recording into electrons.

    Parameters
    ----------
    recording : Recording
    gain : float, optional
        Electrons per stored unit, known to the user; negative, with an offset, where the contrast
        is inverted.
    offset : float, optional
        Stored value of no electrons, known to the user; that of the file, or 0, unless given.

    Raises
    ------
    UserError
        If a number is impossible, or the values do not let the gain be estimated.
    """
    if gain is not None and not (math.isfinite(gain) and gain != 0):
        raise UserError(f"--gain is {gain}; give a positive number of electrons per stored unit.")
    if gain is not None and gain < 0 and offset is None:
        raise UserError(
            f"--gain is {gain:g}, as for inverted contrast; give --offset too, the stored value of "
            "no electrons (the highest one)."
        )
    if offset is not None and not math.isfinite(offset):
        raise UserError(f"--offset is {offset}; give the stored value of no electrons.")
    zero = recording.offset if offset is None else offset
    if gain is not None:
        return Gain(gain, gain, gain, zero, "as given by --gain")
    if recording.electrons_per_unit is not None:
        known = recording.electrons_per_unit
        return Gain(known, known, known, zero, "as the file says, which calls its values electrons")
    estimate, low, high = photon_transfer(recording.frames, zero)
    whole = np.issubdtype(recording.frames.dtype, np.integer)
    if whole and abs(estimate - 1) < ONE_WITHIN and zero == 0:
        return Gain(1.0, low, high, 0.0, "whole numbers whose variance is their mean, as of a "
                    "counting camera")  # fmt: skip
    return Gain(estimate, low, high, zero, "estimated by photon transfer; --gain sets it")


def photon_transfer(frames: np.ndarray, offset: float = 0.0) -> tuple[float, float, float]:
    """Estimate electrons per unit from the noise of the frames.

    Parameters
    ----------
    frames : array (frame, y, x)
        Stored values.
    offset : float
        Stored value of no electrons.

    Returns
    -------
    (float, float, float)
        Estimate and 95 % interval, over blocks of 32 x 32 pixels.

    Raises
    ------
    UserError
        If there is no noise, or the mean is not above the offset.
    """
    chosen = frames[np.linspace(0, len(frames) - 1, min(len(frames), MOST_FRAMES)).astype(int)]
    means, variances = [], []
    for frame in chosen:
        frame = frame[:MOST_PX, :MOST_PX].astype(np.float64)
        frame = np.where(np.isfinite(frame), frame, np.nan)
        means.append(_blocks(frame[:-1, :-1]) - offset)
        variances.append(_blocks(mixed_difference(frame) ** 2 / 4))
    mean, variance = np.concatenate(means), np.concatenate(variances)
    good = np.isfinite(mean) & np.isfinite(variance)
    mean, variance = mean[good], variance[good]
    if not len(mean) or not variance.sum() > 0:
        raise UserError(
            "The values have no noise from which electrons could be told; give --gain, the number "
            "of electrons per stored unit."
        )
    if not mean.sum() > 0:
        raise UserError(
            f"The mean value is {mean.mean() + offset:.4g}, not above the offset {offset:g}; give "
            "--offset, the stored value of no electrons, and --gain."
        )
    estimate = mean.sum() / variance.sum()
    if len(mean) < 2:
        return float(estimate), 0.0, math.inf
    rng = seeds.rng(SEED, "photon transfer")
    times = rng.multinomial(len(mean), np.full(len(mean), 1 / len(mean)), size=DRAWS)
    drawn = (times @ mean) / (times @ variance)
    return float(estimate), *map(float, np.quantile(drawn, [0.025, 0.975]))


def mixed_difference(frame: np.ndarray, step: int = 1) -> np.ndarray:
    """Return ``f(y, x) - f(y, x + step) - f(y + step, x) + f(y + step, x + step)``.

    Of white noise its variance is four times that of a pixel.
    """
    across = frame[:, :-step] - frame[:, step:]
    return across[:-step] - across[step:]


def counts_of(recording: Recording, gain: Gain) -> np.ndarray:
    """Return the frames in electrons per pixel, float32 (frame, y, x)."""
    counts = recording.frames.astype(np.float32)
    if gain.offset:
        counts -= np.float32(gain.offset)
    if gain.electrons_per_unit != 1:
        counts *= np.float32(gain.electrons_per_unit)
    return counts


def can_be_dealt(counts: np.ndarray) -> bool:
    """Whether counts, rounded, are electrons that can be dealt to two independent halves.

    Parameters
    ----------
    counts : array (frame, y, x)
        Electrons per pixel, not negative.

    Returns
    -------
    bool
        True where they are whole numbers, and where they have 2 e/px or more, at which rounding
        adds 1/12 to a variance of 2.  The halves of counts whose variance is their mean are
        uncorrelated, whatever else their distribution is.
    """
    if counts.mean(dtype=np.float64) >= LEAST_FOR_ROUNDING:
        return True
    return all((frame == np.rint(frame)).all() for frame in counts)


def _blocks(image: np.ndarray) -> np.ndarray:
    """Return the means of blocks, (block,); of an image smaller than one the whole mean."""
    height, width = (n // BLOCK_PX * BLOCK_PX for n in image.shape)
    if not height or not width:
        return np.array([image.mean() if image.size else np.nan])
    blocks = image[:height, :width].reshape(height // BLOCK_PX, BLOCK_PX, -1, BLOCK_PX)
    return blocks.mean(axis=(1, 3)).ravel()
