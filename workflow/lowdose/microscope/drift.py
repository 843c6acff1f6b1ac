"""Drift of a stack of frames: how far each of them is displaced.

Frames of a tenth of an electron a pixel show next to nothing one by one, and a lattice looks the
same one period further on.  Three things help against both.  The power spectra of all frames are
averaged, which no displacement changes: they tell where in the spectrum the specimen is, and by
how much it exceeds the noise there, so that every frequency has the weight that it deserves.  A
frame is compared with the sum of the others at the places found so far, never with itself.  And a
stage drifts steadily, so that of two places that the image cannot tell apart the one is taken that
is nearer to where the frame is expected.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage, stats
from scipy.signal.windows import tukey
from skimage.filters import apply_hysteresis_threshold

from lowdose.microscope.checks import LATTICE_NM
from lowdose.runtime import UserError
from lowdose.sampling import bin_counts

BINNED_NM = 0.03  # pixels are summed up to this size, of which a lattice spacing is still eight
COARSEST_NM = 1.0  # slower changes may be of the illumination, which does not move
CANVAS = 1.5  # sides of the canvas over those of a frame: so a drift of half a side does not wrap
TAPER = 0.06  # of a side, over which a frame fades out towards each of its edges
CAP = (3.0, 6.0)  # counts above 3 means + 6 roots of it are hot pixels, which do not move either
RING_PX = 4  # of the spectrum, along the radius, over which noise is taken to be alike
CHANCE = 1e-3  # that noise shows a specimen anywhere in the spectrum
SKIRT = 3.0  # standard deviations of what belongs to a peak of the spectrum beside it
FEWEST = 50  # frequencies in the band, or the frames are too small or the pixels too coarse
STEP_NM, STEP_POWER = 0.02, 2.0  # of the prior for what a step differs from the steps around it
STEPS_AROUND = 4  # before a frame and after it
PASSES = 2  # over all frames, after the first
APART_NM = 0.1  # of places that are not one and the same: less than half a lattice spacing
UNKNOWN = 0.01  # of a score, that a lattice cut off by the edges of the frame may feign
SURE_NATS = 4.0  # odds of 50 to 1, of each frame
SURE_NATS_OF_STACK = 8.0  # of the middle one, or nothing is moved


@dataclass(frozen=True)
class Drift:
    """Displacements of frames, and whether they can be believed.

    Attributes
    ----------
    shifts : float64 array (frame, 2)
        How far the specimen has moved down (y) and right (x) since the first frame [pixels]; the
        first row is 0.
    margin : float64 array (frame,)
        Logarithm of the odds of the place of a frame against the best one that is 0.1 nm or more
        away [nats], or of that of all frames from it on, where that is less.  0 where there is
        nothing to go by; infinite for a single frame.
    """

    shifts: np.ndarray
    margin: np.ndarray

    @property
    def reliable(self) -> bool:
        """Whether no frames could as well lie elsewhere, such as a lattice period further on."""
        return bool((self.margin >= SURE_NATS).all())


def drift(counts: np.ndarray, pixel_size_nm: float) -> np.ndarray:
    """Return how far each frame is displaced; :func:`measure_drift` also says how sure that is.

    Returns
    -------
    float64 array (frame, 2)
        See :attr:`Drift.shifts`.
    """
    return measure_drift(counts, pixel_size_nm).shifts


def measure_drift(counts: np.ndarray, pixel_size_nm: float) -> Drift:
    """Estimate the rigid drift of a stack.

    Parameters
    ----------
    counts : float32 array (frame, y, x)
        Electrons per pixel.
    pixel_size_nm : float
        Side of a pixel [nm].

    Returns
    -------
    Drift
        All shifts are 0 where the frames show nothing above the noise, or where most of them
        could as well lie elsewhere: no shift is made up.  It is then not `reliable`.

    Raises
    ------
    UserError
        If the pixel size is no length or the counts are not numbers.

    Notes
    -----
    Each frame in turn is first placed against the sum of those before it; then, in two passes,
    each against the sum of all others, with the weights of :meth:`_Spectra.score` from the
    aligned sum, which shows more than the frames did, and all frames from one on against the sum
    of those before, since frames that went wrong together hold one another.  What counts is the
    posterior: the likelihood of a place times a prior, ``(1 + d² / (0.02 nm)²) ** -2``, of the
    steps from the frame before and to the frame after, d being what a step differs from the
    median of the steps around it.  Its tails are heavy, so that a jump is found where the frames
    show one.

    Correlation is not divided by the area that two frames share.  That would let a support that
    fills a side of the image, whose lattice fits as well wherever a sliver of it is shared, carry
    frames away by many periods; and it raises the noise where little is shared.

    `phase_cross_correlation` of scikit-image takes the highest peak of a correlation and can
    weigh neither frequencies nor places, both of which it takes here.

    A drift of up to half a side is found.  The memory is that of the spectra, 9 bytes a summed
    pixel and frame: at 0.006 nm a pixel a seventh of the counts.
    """
    if pixel_size_nm is None or not (math.isfinite(pixel_size_nm) and pixel_size_nm > 0):
        raise UserError(
            f"Drift cannot be measured at a pixel size of {pixel_size_nm} nm; give --pixel-size in "
            "nm, above 0."
        )
    if np.ndim(counts) != 3 or not np.size(counts):
        raise UserError(
            f"Drift is that of a stack (frame, y, x), not of an array of shape {np.shape(counts)};"
            " give frames of a stack by --frames."
        )
    number = len(counts)
    nowhere = Drift(np.zeros((number, 2)), np.zeros(number))
    if number == 1:
        return Drift(nowhere.shifts, np.full(1, np.inf))  # a frame is where it is
    spectra = _Spectra(counts, pixel_size_nm)
    power = sum(np.abs(one) ** 2 for one in spectra.frames)
    if not spectra.weigh(power / number, 1):
        return nowhere
    places, margin = spectra.first_places(), np.zeros(number)
    for _ in range(PASSES):
        total = spectra.total(places)
        spectra.weigh(np.abs(total) ** 2 / number, number)
        margin = np.minimum(spectra.improve(places, total), spectra.mend(places))
    if np.median(margin) < SURE_NATS_OF_STACK:
        return nowhere
    return Drift((places - places[0]) * spectra.binning, margin)


class _Spectra:
    """Spectra of frames, summed to pixels as coarse as columns allow, on a canvas with a margin.

    Places are in summed pixels.

    Parameters
    ----------
    counts, pixel_size_nm
        See :func:`measure_drift`.
    """

    def __init__(self, counts: np.ndarray, pixel_size_nm: float) -> None:
        height, width = counts.shape[1:]
        self.binning = max(1, min(int(BINNED_NM / pixel_size_nm + 1e-9), height, width))
        size_nm = self.binning * pixel_size_nm
        sides = height // self.binning, width // self.binning
        self.shape = tuple(fft.next_fast_len(math.ceil(CANVAS * n), real=True) for n in sides)
        # A spectrum on a larger canvas has more values, but no more of them are independent.
        self._independent = sides[0] * sides[1]
        window = np.outer(*(tukey(n, 2 * TAPER) for n in sides)).astype(np.float32)
        self.frames = np.empty((len(counts), self.shape[0], self.shape[1] // 2 + 1), np.complex64)
        for spectrum, frame in zip(self.frames, counts, strict=True):
            mean = frame.mean(dtype=np.float64)
            if not math.isfinite(mean):
                raise UserError(
                    "Some counts are NaN or infinite, and drift cannot be measured; replace them, "
                    "or leave those frames out by --frames."
                )
            cap = CAP[0] * mean + CAP[1] * math.sqrt(max(mean, 0))
            summed = bin_counts(np.minimum(frame, np.float32(cap)), self.binning)
            # Without its mean, or the window itself would be what is aligned.
            summed = (summed - np.average(summed, weights=window + 1e-12)) * window
            spectrum[:] = fft.rfft2(summed.astype(np.float32), self.shape)
        self._ky, self._kx = fft.fftfreq(self.shape[0])[:, None], fft.rfftfreq(self.shape[1])[None]
        k = np.hypot(self._ky, self._kx)
        self._band = (k > size_nm / COARSEST_NM) & (k < min(size_nm / LATTICE_NM[0], 0.5))
        self._ring = (k[self._band] * min(self.shape) / RING_PX).astype(int)
        self._y, self._x = (np.fft.fftfreq(n, 1 / n) for n in self.shape)
        self._step, self._apart = STEP_NM / size_nm, APART_NM / size_nm

    def weigh(self, power: np.ndarray, added: int) -> bool:
        """Learn from a spectrum what of it is the specimen, and say whether anything is.

        Parameters
        ----------
        power : array (ky, kx)
            Of a frame's noise and `added` times the specimen: that of the sum of so many aligned
            frames over their number, or, with 1, the mean of those of the single frames.
        added : int

        Notes
        -----
        Noise is the median over frequencies of the same radius, whatever the camera's transfer
        makes of it.  What exceeds it is judged by the cube root, which is nearly normal for
        powers (Wilson & Hilferty 1931), and kept where it belongs to a peak that noise would
        have in one stack of a thousand.  Once frames are aligned, the specimen is only what they
        have in common, ``(power of the sum / K - mean power) / (K - 1)`` of K frames, and the rest
        is noise as well, such as that of lines that flicker.
        """
        if len(self._ring) < FEWEST:
            return False
        smooth = ndimage.uniform_filter(power, 3, mode="wrap")
        inside = smooth[self._band]
        noise = ndimage.median(inside, self._ring, np.arange(self._ring.max() + 1))[self._ring]
        if not noise.min() > 0:
            return False
        root = np.cbrt(inside / noise)
        deviations = np.full(power.shape, -np.inf)
        centre = np.median(root)
        deviations[self._band] = (root - centre) / stats.median_abs_deviation(root, scale="normal")
        peak = max(stats.norm.isf(CHANCE / root.size), SKIRT)
        peaks = apply_hysteresis_threshold(deviations, SKIRT, peak)[self._band]
        if not peaks.any():
            return False
        if added == 1:
            self._mean = inside
            specimen = np.maximum(inside - noise, 0)
        else:
            specimen = np.maximum(inside - self._mean, 0) / (added - 1)
            noise = np.maximum(self._mean - specimen, noise)
        self._noise, self._specimen = np.ones((2, *power.shape), np.float32)
        self._noise[self._band] = noise
        self._specimen[:] = 0
        self._specimen[self._band] = np.where(peaks, specimen, 0)
        return True

    def score(self, reference: np.ndarray, frame: np.ndarray, number: int) -> np.ndarray:
        """Return the logarithm of the likelihood of every place of a frame, up to a constant.

        Parameters
        ----------
        reference, frame : array (ky, kx)
            Each a frame or the sum of aligned ones, of which none is in both.
        number : int
            Frames of both together.

        Returns
        -------
        array (y, x)
            In nats, at displacements of whole summed pixels, negative ones at the end.

        Notes
        -----
        Specimen and noise of a frequency are taken as complex normal with the powers s and v.
        Of a sum R of K frames and a sum F of L others, the exponent's part that depends on their
        displacement is the sum over all frequencies of ``Re(R* F) s / (v (v + (K + L) s))``: a
        correlation.
        """
        weight = self._specimen / (self._noise * (self._noise + number * self._specimen))
        return fft.irfft2(np.conj(reference) * frame * weight, self.shape) * self._independent

    def first_places(self) -> np.ndarray:
        """Place each frame against the sum of those before it, float64 (frame, 2)."""
        places = np.zeros((len(self.frames), 2))
        total = self.frames[0].copy()
        for k in range(1, len(places)):
            expected = places[k - 1] + _usual_step(places[:k], k)
            score = self.score(total, self.frames[k], k + 1) + self._prior(expected)
            places[k], _ = self._peak(score)
            total += self._moved_back(self.frames[k], places[k])
        return places

    def improve(self, places: np.ndarray, total: np.ndarray) -> np.ndarray:
        """Place each frame anew against all others; return by how much that is the best place.

        The places (frame, 2) and the total (ky, kx) of all frames there are changed in place.
        """
        number = len(places)
        margin = np.empty(number)
        for k in range(number):
            total -= self._moved_back(self.frames[k], places[k])
            score = self.score(total, self.frames[k], number)
            step = _usual_step(places, k)
            if k > 0:
                score += self._prior(places[k - 1] + step)
            if k < number - 1:
                score += self._prior(places[k + 1] - step)
            places[k], margin[k] = self._peak(score)
            total += self._moved_back(self.frames[k], places[k])
        return margin

    def mend(self, places: np.ndarray) -> np.ndarray:
        """Move all frames from one on together where that is better; return by how much."""
        number = len(places)
        margin = np.full(number, np.inf)
        before = self._moved_back(self.frames[0], places[0])
        after = self.total(places) - before
        for k in range(1, number):
            expected = places[k - 1] + _usual_step(places, k) - places[k]
            score = self.score(before, after, number) + self._prior(expected)
            further, margin[k] = self._peak(score)
            if np.hypot(*further) > self._apart and margin[k] > 0:
                places[k:] += further
                after = self._moved_back(after, further)
            here = self._moved_back(self.frames[k], places[k])
            before += here
            after -= here
        return margin

    def total(self, places: np.ndarray) -> np.ndarray:
        """Return the sum of all frames, moved back from their places."""
        total = np.zeros_like(self.frames[0])
        for frame, place in zip(self.frames, places, strict=True):
            total += self._moved_back(frame, place)
        return total

    def _moved_back(self, spectrum: np.ndarray, place: np.ndarray) -> np.ndarray:
        turn = 2j * np.pi * place
        down, right = np.exp(turn[0] * self._ky), np.exp(turn[1] * self._kx)
        return spectrum * down.astype(np.complex64) * right.astype(np.complex64)

    def _distance2(self, place: np.ndarray) -> np.ndarray:
        """Squared distances from a place to all others, the shorter way around the canvas."""
        dy, dx = (
            (every - one + n / 2) % n - n / 2
            for every, one, n in zip((self._y, self._x), place, self.shape, strict=True)
        )
        return dy[:, None] ** 2 + dx[None] ** 2

    def _prior(self, expected: np.ndarray) -> np.ndarray:
        """Logarithm of the prior of places, given where a frame is expected."""
        return -STEP_POWER * np.log1p(self._distance2(expected) / self._step**2)

    def _peak(self, score: np.ndarray) -> tuple[np.ndarray, float]:
        """Return where a score is highest, and by how much more than anywhere apart from there.

        Places and heights are those of parabolas through neighbouring pixels: a peak between
        pixels, compared as it is sampled, would be taken for lower than its copies elsewhere.
        """
        tops = np.nonzero(score == ndimage.maximum_filter(score, 3, mode="wrap"))
        here = score[tops]
        heights, places = here.copy(), []
        for axis, along in enumerate((self._y, self._x)):
            sides = []
            for step in (-1, 1):
                beside = list(tops)
                beside[axis] = (tops[axis] + step) % len(along)
                sides.append(score[tuple(beside)])
            slope = (sides[1] - sides[0]) / 2
            bend = np.minimum(sides[0] + sides[1] - 2 * here, -1e-12)
            heights -= slope**2 / (2 * bend)
            places.append(along[tops[axis]] - slope / bend)
        best = np.argmax(heights)
        place = np.array([along[best] for along in places])
        apart = self._distance2(place)[tops] > self._apart**2
        second = heights[apart].max(initial=-np.inf)
        return place, heights[best] - second - UNKNOWN * abs(heights[best])


def _usual_step(places: np.ndarray, k: int) -> np.ndarray:
    """Return the median of the steps around frame k: one jump is not usual.

    Of one or two steps it would be just that jump.
    """
    steps = np.diff(places[max(k - STEPS_AROUND, 0) : k + STEPS_AROUND + 1], axis=0)
    return np.median(steps, axis=0) if len(steps) > 2 else np.zeros(2)
