"""What every classical method shares: it works on sums of b x b pixels, and some stabilise them."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import numpy as np

from lowdose.denoisers.classical.binning import bin_padded, spread
from lowdose.denoisers.classical.stabilisation import anscombe, exact_inverse, noise_sigma
from lowdose.denoisers.contract import Denoiser, Parameter


def binning(default: int, choices: Sequence[int] = (1, 2, 3, 4, 6)) -> Parameter:
    """Return the parameter ``binning``, with which a method's tuning begins.

    Parameters
    ----------
    default : int
        Pixels summed along each axis; 1 leaves the frame as it is.
    choices : sequence of int
        What may be tried.
    """
    return Parameter(
        np.nan, np.nan, default, "choice", "px", "pixels summed along each axis", tuple(choices)
    )


class BinnedDenoiser(Denoiser):
    """Sums b x b pixels, denoises the sums, spreads them: a subclass writes `_denoise_sums`.

    The parameter ``binning``, which `info` must have, is b.  Sums of Poisson counts are Poisson
    counts, of b² times the expectation; see :mod:`lowdose.denoisers.classical.binning`.
    """

    def _denoise_frame(self, counts: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        factor = self.parameters["binning"]
        sums = bin_padded(counts.astype(np.float64), factor)
        expected = self._denoise_sums(sums, factor * pixel_size_nm, factor**2 * vacuum)
        return np.clip(spread(expected, factor, counts.shape), 0.0, None)

    @abc.abstractmethod
    def _denoise_sums(self, sums: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        """Return the expectation of sums (y, x), float64; size of a bin [nm], counts in vacuum."""


class StabilisedDenoiser(BinnedDenoiser):
    """Anscombe's transform of the sums, a method for Gaussian noise, the exact unbiased inverse.

    A subclass writes `_denoise_gaussian`, which is told the exact deviation of the stabilised
    sums in vacuum, and not 1.
    """

    def _denoise_sums(self, sums: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        return exact_inverse(self._denoise_gaussian(anscombe(sums), noise_sigma(vacuum)))

    @abc.abstractmethod
    def _denoise_gaussian(self, image: np.ndarray, sigma: float) -> np.ndarray:
        """Return the expectation of an image (y, x) with noise of standard deviation `sigma`."""
