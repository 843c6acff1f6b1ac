"""Gaussian low-pass filter."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from lowdose.denoisers.classical.binned import BinnedDenoiser, binning
from lowdose.denoisers.contract import DenoiserInfo, Parameter


class Gaussian(BinnedDenoiser):
    """Convolution with a Gaussian; the frame is mirrored at its borders, so no count is lost."""

    info = DenoiserInfo(
        name="gaussian",
        title="Gaussian low-pass",
        citation="Virtanen et al., Nat. Methods 17, 261 (2020), doi:10.1038/s41592-019-0686-2",
        licence="GPL-3.0-or-later",
        pixel_size_nm=(0.001, 0.1),
        dose_e_per_a2=(0.1, 1e6),
        parameters={
            "binning": binning(1),
            "sigma_nm": Parameter(0.01, 0.3, 0.05, "log", "nm", "standard deviation of the kernel"),
        },
    )

    def _denoise_sums(self, sums: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        sigma_px = self.parameters["sigma_nm"] / pixel_size_nm
        return ndimage.gaussian_filter(sums, sigma_px, output=np.float64, mode="reflect")
