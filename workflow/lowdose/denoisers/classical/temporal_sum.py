"""Mean over neighbouring frames of a stack: what a microscopist does first."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from lowdose.denoisers.classical.binned import BinnedDenoiser, binning
from lowdose.denoisers.contract import DenoiserInfo, Parameter


class TemporalSum(BinnedDenoiser):
    """Running mean along time, then a Gaussian; at the ends of the stack, of the frames there are.

    What moves or changes within the window is blurred or halved: the frames are as if they had
    been exposed for longer.
    """

    info = DenoiserInfo(
        name="temporal-sum",
        title="sum of frames",
        citation="Virtanen et al., Nat. Methods 17, 261 (2020), doi:10.1038/s41592-019-0686-2",
        licence="GPL-3.0-or-later (this package)",
        pixel_size_nm=(0.001, 0.1),
        dose_e_per_a2=(0.1, 1e6),
        parameters={
            "binning": binning(1),
            "frames": Parameter(1, 99, 9, "integer", "", "frames of the window, odd"),
            "sigma_nm": Parameter(0.005, 0.3, 0.05, "log", "nm", "deviation of the Gaussian"),
        },
        temporal=True,
        global_field=True,
    )

    def _denoise_stack(
        self, counts: np.ndarray, pixel_size_nm: float, vacuum: np.ndarray
    ) -> np.ndarray:
        window = self.parameters["frames"]
        mean = summed(counts, window) / summed(np.ones(len(counts)), window)[:, None, None]
        return super()._denoise_stack(mean, pixel_size_nm, vacuum)

    def _denoise_sums(self, sums: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        return ndimage.gaussian_filter(
            sums, self.parameters["sigma_nm"] / pixel_size_nm, mode="reflect"
        )


def summed(values: np.ndarray, number: int) -> np.ndarray:
    """Sum each frame with its neighbours; at the ends, those there are.

    Parameters
    ----------
    values : array (frame, ...)
    number : int
        Frames of a sum, odd (of an even number, one more).

    Returns
    -------
    array (frame, ...)
        float64; `values` themselves for a single frame.
    """
    if number == 1:
        return np.asarray(values)
    half, frames = number // 2, len(values)
    total = np.cumsum(values, axis=0, dtype=np.float64)
    total = np.concatenate([np.zeros_like(total[:1]), total])
    place = np.arange(frames)
    return total[np.minimum(place + half + 1, frames)] - total[np.maximum(place - half, 0)]
