"""Butterworth low-pass filter."""

from __future__ import annotations

import numpy as np
from scipy import fft

from lowdose.denoisers.classical.spectrum import (
    border_sigma_px,
    frequency,
    low_pass,
    periodic_and_smooth,
)
from lowdose.denoisers.contract import Denoiser, DenoiserInfo, Parameter


class Butterworth(Denoiser):
    """Multiplication of the spectrum by Butterworth's gain; the borders are joined smoothly."""

    info = DenoiserInfo(
        name="butterworth",
        title="Butterworth low-pass",
        citation="Butterworth, Exp. Wireless Wireless Eng. 7, 536 (1930)",
        licence="GPL-3.0-or-later (this package)",
        pixel_size_nm=(0.001, 0.1),
        dose_e_per_a2=(0.1, 1e6),
        parameters={
            "resolution_nm": Parameter(0.05, 1.0, 0.3, "log", "nm", "period at the cut-off"),
            "order": Parameter(1, 8, 2, "integer", "", "steepness"),
        },
        global_field=True,
    )

    def _denoise_frame(self, counts: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        periodic, smooth = periodic_and_smooth(counts, border_sigma_px(pixel_size_nm))
        radius = frequency(counts.shape, pixel_size_nm)
        gain = low_pass(radius, 1 / self.parameters["resolution_nm"], self.parameters["order"])
        filtered = fft.irfft2(fft.rfft2(periodic) * gain, s=counts.shape)
        return np.clip(filtered + smooth, 0.0, None)
