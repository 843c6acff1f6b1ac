"""Adaptive (local) Wiener filter for Poisson counts."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from lowdose.denoisers.classical.binned import BinnedDenoiser, binning
from lowdose.denoisers.contract import DenoiserInfo, Parameter


class Wiener(BinnedDenoiser):
    """The filter of ``scipy.signal.wiener`` with the noise that counts have.

    In a window, with local mean m and variance v, the estimate is
    ``m + max(0, 1 - noise / v) * (counts - m)`` (Lee 1980, eq. 8).  SciPy takes one noise
    variance for the whole image and zeros beyond the border; here the noise is m, as it is for
    Poisson counts, and the frame is mirrored.
    """

    info = DenoiserInfo(
        name="wiener",
        title="adaptive Wiener",
        citation="Lee, IEEE Trans. Pattern Anal. Mach. Intell. 2, 165 (1980), "
        "doi:10.1109/TPAMI.1980.4766994",
        licence="GPL-3.0-or-later",
        pixel_size_nm=(0.001, 0.1),
        dose_e_per_a2=(0.1, 1e6),
        parameters={
            "binning": binning(1),
            "window_nm": Parameter(0.03, 1.0, 0.2, "log", "nm", "edge of the square window"),
        },
    )

    def _denoise_sums(self, sums: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        # An even window would shift the image by half a pixel.
        window = 2 * round(self.parameters["window_nm"] / pixel_size_nm / 2 - 0.5) + 1
        window = max(window, 3)
        mean = ndimage.uniform_filter(sums, window, mode="reflect")
        variance = ndimage.uniform_filter(sums**2, window, mode="reflect") - mean**2
        gain = 1.0 - np.divide(mean, variance, out=np.ones_like(mean), where=variance > mean)
        return mean + gain * (sums - mean)
