"""The two ends of the scale: the frame as it is, and a constant image."""

from __future__ import annotations

import numpy as np

from lowdose.denoisers.contract import Denoiser, DenoiserInfo


class Raw(Denoiser):
    """The counts themselves: an unbiased estimate with all of the shot noise."""

    info = DenoiserInfo(
        name="raw",
        title="raw counts",
        citation="none",
        licence="GPL-3.0-or-later",
        pixel_size_nm=(0.001, 0.1),
        dose_e_per_a2=(0.1, 1e6),
        receptive_field_px=1,
    )

    def _denoise_frame(self, counts: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        return counts


class Constant(Denoiser):
    """The mean counts everywhere: no noise and no atoms.  A denoiser must beat it."""

    info = DenoiserInfo(
        name="constant",
        title="constant image",
        citation="none",
        licence="GPL-3.0-or-later",
        pixel_size_nm=(0.001, 0.1),
        dose_e_per_a2=(0.1, 1e6),
        global_field=True,
    )

    def _denoise_frame(self, counts: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        return np.full(counts.shape, counts.mean(dtype=np.float64))
