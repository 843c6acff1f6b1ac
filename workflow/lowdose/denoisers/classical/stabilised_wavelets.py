"""Wavelet shrinkage of variance-stabilised, binned counts."""

from __future__ import annotations

import warnings

import numpy as np
from skimage.restoration import cycle_spin, denoise_wavelet

from lowdose.denoisers.classical.binned import StabilisedDenoiser, binning
from lowdose.denoisers.contract import DenoiserInfo, Parameter


class StabilisedWavelets(StabilisedDenoiser):
    """Sum b x b pixels, Anscombe, BayesShrink with cycle spinning, exact inverse, spread.

    BayesShrink is given the exact deviation of the stabilised sums (scikit-image's default would
    estimate it from the finest coefficients), and goes down to columns and below: scikit-image's
    default ends three levels earlier, which costs a longer wavelet 7 dB here.
    """

    info = DenoiserInfo(
        name="wavelets",
        title="VST + wavelets",
        citation="Chang, Yu & Vetterli, IEEE Trans. Image Process. 9, 1532 (2000), "
        "doi:10.1109/83.862633; Coifman & Donoho, Lect. Notes Stat. 103, 125 (1995)",
        licence="BSD-3-Clause (scikit-image), MIT (PyWavelets)",
        pixel_size_nm=(0.001, 0.03),
        dose_e_per_a2=(1.0, 1e5),
        parameters={
            "binning": binning(4),
            "wavelet": Parameter(
                np.nan, np.nan, "db4", "choice", "", "mother wavelet",
                ("haar", "db2", "db4", "sym8", "bior2.2", "bior4.4"),
            ),
            "strength": Parameter(0.5, 3.0, 1.0, "log", "", "of the noise that is assumed"),
            "levels": Parameter(2, 6, 5, "integer", "", "of the transform"),
            "shifts": Parameter(1, 4, 3, "integer", "bins", "largest shift of the cycle spinning"),
        },
        global_field=True,
    )  # fmt: skip

    def _denoise_gaussian(self, image: np.ndarray, sigma: float) -> np.ndarray:
        levels = min(self.parameters["levels"], int(np.log2(min(image.shape))))
        if levels < 1:  # nothing to transform
            return np.full(image.shape, image.mean())
        settings = {
            "wavelet": self.parameters["wavelet"],
            "wavelet_levels": levels,
            "sigma": self.parameters["strength"] * sigma,
            "method": "BayesShrink",
            "mode": "soft",
            "rescale_sigma": False,
        }
        with warnings.catch_warnings():
            # The longest wavelets reach over the frame at the coarsest levels, mirrored.
            warnings.filterwarnings("ignore", "Level value of", UserWarning)
            return cycle_spin(image, denoise_wavelet, self.parameters["shifts"], func_kw=settings)
