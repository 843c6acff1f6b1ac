"""Butterworth low-pass filter."""

from __future__ import annotations

import numpy as np
from scipy import fft

from lowdose.denoisers.classical.binned import BinnedDenoiser, binning
from lowdose.denoisers.classical.spectrum import (
    border_sigma_px,
    frequency,
    low_pass,
    periodic_and_smooth,
)
from lowdose.denoisers.contract import DenoiserInfo, Parameter


class Butterworth(BinnedDenoiser):
    """Multiplication of the spectrum by Butterworth's gain; the borders are joined smoothly."""

    info = DenoiserInfo(
        name="butterworth",
        title="Butterworth low-pass",
        citation="Butterworth, Exp. Wireless Wireless Eng. 7, 536 (1930)",
        licence="GPL-3.0-or-later (this package)",
        pixel_size_nm=(0.001, 0.1),
        dose_e_per_a2=(0.1, 1e6),
        parameters={
            "binning": binning(1),
            "resolution_nm": Parameter(0.05, 1.0, 0.3, "log", "nm", "period at the cut-off"),
            "order": Parameter(1, 8, 2, "integer", "", "steepness"),
        },
        global_field=True,
    )

    def _denoise_sums(self, sums: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        periodic, smooth = periodic_and_smooth(sums, border_sigma_px(pixel_size_nm))
        radius = frequency(sums.shape, pixel_size_nm)
        gain = low_pass(radius, 1 / self.parameters["resolution_nm"], self.parameters["order"])
        filtered = fft.irfft2(fft.rfft2(periodic) * gain, s=sums.shape)
        return filtered + smooth
