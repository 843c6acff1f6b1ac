"""One noisy image, and what is known of its noise: enough to test an estimate without the truth.

What a loss or a test needs of the noise is here, so that counted frames, images with Gaussian
noise and images of which nothing is known are adapted to in the same way.
"""

from __future__ import annotations

import abc
import math
from typing import NamedTuple, Protocol

import numpy as np

from lowdose.columns.likelihood import thin
from lowdose.runtime import UserError
from lowdose.sampling import overlaps

NEAR = 2  # px: how far from a hidden pixel its stand-in is taken
TRIES = 20  # for a stand-in that is not hidden itself


class Comparison(NamedTuple):
    """By how much an estimate's mean squared error differs from that of another.

    Attributes
    ----------
    difference : float
        Unbiased; negative where the first is better.
    error : float
        Its standard error.
    """

    difference: float
    error: float


class Unseen(Protocol):
    """What was kept from a network, to test it."""

    def compare(self, estimate: np.ndarray, reference: np.ndarray) -> Comparison:
        """Compare two estimates (y, x) of the same image, made from what was seen."""


class Observation(abc.ABC):
    """A noisy image on the network's own pixels.

    Attributes
    ----------
    image : array (y, x), float32
        What the network is given; for counts vacuum = 1.
    reach : int
        Pixels up to so far apart, along either axis, share noise.
    hidden : array (y, x), bool, or None
        Pixels whose own values are not in `image`.
    """

    image: np.ndarray
    reach: int = 0
    hidden: np.ndarray | None = None

    @abc.abstractmethod
    def deal(self, share: float, rng: np.random.Generator) -> tuple[Observation, Unseen]:
        """Split into a part to adapt to and an independent one to test with.

        Parameters
        ----------
        share : float
            Part of the dose (of the information) that is seen, between 0 and 1.
        rng : numpy.random.Generator
        """

    def probe(self, rng: np.random.Generator) -> np.ndarray:
        """Return random numbers (y, x) of mean 0 that are correlated as the noise is."""
        raise UserError(_unknown("the unbiased risk"))

    def redrawn(self, estimate: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the image (y, x) that another exposure would give if `estimate` were true."""
        raise UserError(_unknown("noise resampling"))


class Electrons(Observation):
    """Poisson counts.

    Parameters
    ----------
    counts : array (y, x)
        Whole electrons per pixel of the frame.
    dose_e_per_px : float
        In vacuum, on a pixel of the frame.
    ratio : float
        Pixel size of the network over that of the frame; other than 1, the image is resampled
        (as by :func:`lowdose.sampling.resample_counts`), and everything else is still done with
        whole electrons.

    Raises
    ------
    UserError
        If the dose is not positive.
    """

    def __init__(self, counts: np.ndarray, dose_e_per_px: float, ratio: float = 1.0) -> None:
        if not dose_e_per_px > 0:
            raise UserError(f"The dose is {dose_e_per_px} e/px; give a positive dose.")
        self.counts, self.dose, self.ratio = counts, dose_e_per_px, ratio
        self.grid = _Grid(counts.shape, ratio)
        # An own pixel and one n further share a pixel of the frame if n ratio < ratio + 1.
        self.reach = 0 if ratio == 1 else math.ceil(1 / ratio)
        self.image = self._relative(counts)

    def deal(self, share: float, rng: np.random.Generator) -> tuple[Electrons, UnseenElectrons]:
        """Toss a coin for each electron (raises as :func:`lowdose.columns.likelihood.thin`)."""
        seen, unseen = thin(self.counts, share, rng)
        dose = self.dose * self.ratio**2 * (1 - share)
        return (
            Electrons(seen, self.dose * share, self.ratio),
            UnseenElectrons(unseen, dose, self.grid),
        )

    def probe(self, rng: np.random.Generator) -> np.ndarray:
        """Return the root of each pixel's electrons with a random sign, as an image.

        The counts estimate their own variance, so that the probe's covariance is that of the
        image's noise, also where that is correlated by resampling.
        """
        return self._relative(_signs(self.counts.shape, rng) * np.sqrt(self.counts))

    def redrawn(self, estimate: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        expected = self.dose * self.grid.on_frame(np.maximum(estimate, 0))
        return self._relative(rng.poisson(expected))

    def _relative(self, counts: np.ndarray) -> np.ndarray:
        return (self.grid.gather(counts) / (self.dose * self.ratio**2)).astype(np.float32)


class Gaussian(Observation):
    """An image with independent Gaussian noise of one known standard deviation."""

    def __init__(self, image: np.ndarray, sigma: float) -> None:
        if not sigma > 0:
            raise UserError(f"The noise has a standard deviation of {sigma}; give a positive one.")
        self.image, self.sigma = np.asarray(image, np.float32), sigma

    def deal(self, share: float, rng: np.random.Generator) -> tuple[Gaussian, UnseenImage]:
        """Add noise and subtract it elsewhere: y + t w and y - w / t are independent.

        With t^2 = (1 - share) / share their variances are sigma^2 over `share` and over its
        complement, as for electrons (Oliveira, Lei and Tibshirani 2021, arXiv:2111.09447).
        """
        noise = self.sigma * rng.standard_normal(self.image.shape)
        ratio = math.sqrt((1 - share) / share)
        seen = Gaussian(self.image + ratio * noise, self.sigma / math.sqrt(share))
        return seen, UnseenImage(self.image - noise / ratio, self.sigma / math.sqrt(1 - share))

    def probe(self, rng: np.random.Generator) -> np.ndarray:
        return (self.sigma * _signs(self.image.shape, rng)).astype(np.float32)

    def redrawn(self, estimate: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_normal(self.image.shape)
        return (estimate + self.sigma * noise).astype(np.float32)


class Unknown(Observation):
    """An image whose noise is only known to be independent beyond `reach` pixels."""

    def __init__(self, image: np.ndarray, reach: int = 0, hidden: np.ndarray | None = None) -> None:
        self.image, self.reach, self.hidden = np.asarray(image, np.float32), reach, hidden

    def deal(self, share: float, rng: np.random.Generator) -> tuple[Unknown, UnseenPixels]:
        """Hide pixels, and with them the neighbours that share their noise."""
        chosen = choose(self.image.shape, 1 - share, self.reach, rng)
        image, hidden = without(self.image, chosen, self.reach, rng)
        return Unknown(image, self.reach, hidden), UnseenPixels(self.image, chosen)


class UnseenElectrons:
    """Electrons that were kept back.

    Parameters
    ----------
    counts : array (y, x)
        On the frame's pixels.
    dose_e_per_px : float
        Of theirs, in vacuum, on the network's own pixels.
    grid : _Grid
    """

    def __init__(self, counts: np.ndarray, dose_e_per_px: float, grid: _Grid) -> None:
        self.counts, self.dose, self.grid = counts, dose_e_per_px, grid

    def compare(self, estimate: np.ndarray, reference: np.ndarray) -> Comparison:
        """Compare two estimates (y', x') on own pixels, vacuum = 1.

        The counts a have the mean of the truth c, so ``mean(f^2 - r^2 - 2 a (f - r))`` has that
        of ``mean((f - c)^2 - (r - c)^2)``.  It is a constant and a sum over electrons, whose
        Poisson variance the counts estimate themselves.
        """
        change = np.subtract(estimate, reference, dtype=np.float64)
        each = 2 * self.grid.scatter(change) / (self.dose * change.size)
        squares = np.mean(change * (estimate + reference))
        error = math.sqrt(np.sum(each**2 * self.counts))
        return Comparison(float(squares - np.sum(each * self.counts)), error)


class UnseenImage(NamedTuple):
    """A further image of the same, with Gaussian noise of its own."""

    image: np.ndarray
    sigma: float

    def compare(self, estimate: np.ndarray, reference: np.ndarray) -> Comparison:
        change = np.subtract(estimate, reference, dtype=np.float64)
        difference = np.mean(change * (estimate + reference - 2 * self.image))
        error = 2 * self.sigma * math.sqrt(np.sum(change**2)) / change.size
        return Comparison(float(difference), error)


class UnseenPixels(NamedTuple):
    """Pixels of the image that an estimate was made without."""

    image: np.ndarray
    chosen: np.ndarray

    def compare(self, estimate: np.ndarray, reference: np.ndarray) -> Comparison:
        f, r, y = (a[self.chosen].astype(np.float64) for a in (estimate, reference, self.image))
        terms = (f - r) * (f + r - 2 * y)
        if terms.size < 2:
            return Comparison(0.0, math.inf)
        return Comparison(float(terms.mean()), float(terms.std(ddof=1) / math.sqrt(terms.size)))


def choose(
    shape: tuple[int, int], share: float, reach: int, rng: np.random.Generator
) -> np.ndarray:
    """Return pixels at random, bool (y, x), so many that `share` is lost with their neighbours."""
    return rng.random(shape) < share / (2 * reach + 1) ** 2


def without(
    image: np.ndarray, chosen: np.ndarray, reach: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Replace pixels by others nearby, so that the image says nothing about their own noise.

    Images are oversampled: a neighbour's value has nearly the law of the pixel's own, and a
    network sees nothing unusual (Krull, Buchholz and Jug 2019, arXiv:1811.10980).

    Parameters
    ----------
    image : array (y, x)
    chosen : array (y, x), bool
    reach : int
        Neighbours up to so far away are replaced as well.
    rng : numpy.random.Generator

    Returns
    -------
    replaced : array like `image`
        Its replaced pixels hold values of pixels up to `NEAR` beyond `reach` away that are not
        replaced; of the mean of those, where there is none to be found.
    hidden : array (y, x), bool
        Which were replaced.
    """
    hidden = chosen
    for axis in (0, 1):
        hidden = _widened(hidden, reach, axis)
    rest = image[~hidden]
    rows, columns = np.nonzero(hidden)
    values = np.full(rows.shape, rest.mean() if rest.size else 0, image.dtype)
    open_ = np.ones(rows.shape, bool)
    far = reach + NEAR
    for _ in range(TRIES):
        y = rows + rng.integers(-far, far + 1, rows.shape)
        x = columns + rng.integers(-far, far + 1, rows.shape)
        inside = (y >= 0) & (x >= 0) & (y < image.shape[0]) & (x < image.shape[1])
        y, x = np.where(inside, y, rows), np.where(inside, x, columns)
        found = open_ & ~hidden[y, x]
        values[found] = image[y[found], x[found]]
        open_ &= ~found
    replaced = image.copy()
    replaced[rows, columns] = values
    return replaced, hidden


class _Grid:
    """The way from a frame's pixels to the network's own, and back."""

    def __init__(self, shape: tuple[int, int], ratio: float) -> None:
        self.same = ratio == 1
        if not self.same:
            self.down, self.across = (overlaps(side, ratio) for side in shape)

    def gather(self, counts: np.ndarray) -> np.ndarray:
        """Return what each own pixel gathers of the counts (y, x)."""
        counts = np.asarray(counts, np.float64)
        return counts if self.same else self.down @ counts @ self.across.T

    def scatter(self, values: np.ndarray) -> np.ndarray:
        """Return the transpose of `gather`: what a count adds to the sum of values times image."""
        return values if self.same else self.down.T @ values @ self.across

    def on_frame(self, values: np.ndarray) -> np.ndarray:
        """Return own pixels' values on the frame's pixels, each the mean of those that see it."""
        if self.same:
            return values
        seen = self.scatter(np.ones(values.shape))
        return np.divide(self.scatter(values), seen, out=np.ones_like(seen), where=seen > 0)


def _widened(chosen: np.ndarray, reach: int, axis: int) -> np.ndarray:
    """Return the pixels within `reach` of a chosen one along an axis."""
    wide = chosen.copy()
    for step in range(1, reach + 1):
        ahead = [slice(None)] * 2
        behind = [slice(None)] * 2
        ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
        wide[tuple(ahead)] |= chosen[tuple(behind)]
        wide[tuple(behind)] |= chosen[tuple(ahead)]
    return wide


def _signs(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    return 2.0 * rng.integers(0, 2, shape) - 1


def _unknown(what: str) -> str:
    return (
        f"The noise of this image is not known, and {what} needs it; give whole electrons and "
        "their dose, or a standard deviation, or choose the loss blind-spot."
    )
