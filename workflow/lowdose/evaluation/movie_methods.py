"""A way to denoise a movie: frames summed first or not, a denoiser, its parameters chosen."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowdose.denoisers import registry
from lowdose.denoisers.classical.temporal_sum import summed
from lowdose.metrics import psnr
from lowdose.sampling import dose_e_per_a2


@dataclass(frozen=True)
class Chosen:
    """A method with its parameters.

    Attributes
    ----------
    denoiser : str
        Name in the registry.
    parameters : dict
    summed : int
        Frames that are summed first, odd.
    """

    denoiser: str
    parameters: dict[str, Any]
    summed: int = 1


@dataclass(frozen=True)
class Denoised:
    """A denoised movie.

    Attributes
    ----------
    images : float32 array (frame, y, x)
        Estimated image, vacuum = 1.
    seconds : float
        For all frames; a training on them included.
    """

    images: np.ndarray
    seconds: float


def choices(method: Mapping) -> Iterator[Chosen]:
    """Yield what a method of the configuration may mean: each value of each list.

    Parameters
    ----------
    method : mapping
        ``denoiser, parameters, sum``.
    """
    sums = method["sum"] if isinstance(method["sum"], list) else [method["sum"]]
    lists = {
        key: value if isinstance(value, list) else [value]
        for key, value in method["parameters"].items()
    }
    for number, *values in itertools.product(sums, *lists.values()):
        yield Chosen(method["denoiser"], dict(zip(lists, values, strict=True)), number)


def choose(
    method: Mapping, counts: np.ndarray, clean: np.ndarray, dose: np.ndarray, pixel_size_nm: float
) -> Chosen:
    """Choose the parameters with the highest PSNR on frames of which the truth is known.

    Parameters
    ----------
    method : mapping
    counts : array (frame, y, x)
    clean : array (frame, y, x)
        Expected image, vacuum = 1.
    dose : array (frame,)
        Dose in vacuum [e/px].
    pixel_size_nm : float
    """
    known = list(choices(method))
    if len(known) == 1:
        return known[0]
    scores = [
        frame_psnr(run(one, counts, dose, pixel_size_nm).images, clean).mean() for one in known
    ]
    return known[int(np.argmax(scores))]


def run(chosen: Chosen, counts: np.ndarray, dose: np.ndarray, pixel_size_nm: float) -> Denoised:
    """Denoise a movie.

    Parameters
    ----------
    chosen : Chosen
    counts : array (frame, y, x)
        Electrons per pixel.
    dose : array (frame,)
        Of a frame in vacuum [e/px].
    pixel_size_nm : float
    """
    denoiser = registry.create(chosen.denoiser, **chosen.parameters)
    begun = time.perf_counter()
    sums, doses = summed(counts, chosen.summed), summed(dose, chosen.summed)
    images = denoiser.denoise(sums, pixel_size_nm, dose=dose_e_per_a2(doses, pixel_size_nm))
    images = images / doses[:, None, None].astype(np.float32)
    return Denoised(images, time.perf_counter() - begun)


def frame_psnr(images: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Return the PSNR of each frame [dB], as at the reference dose.

    Parameters
    ----------
    images, clean : array (frame, y, x)
        Vacuum = 1.
    """
    pairs = zip(clean, images, strict=True)
    # Relative to vacuum, that is at a dose of 1: it is scaled to the reference all the same.
    return np.array([psnr(c, image, dose_e_per_px=1.0) for c, image in pairs])
