"""Wavelet shrinkage of variance-stabilised, binned counts."""

from __future__ import annotations

import warnings

import numpy as np
from skimage.restoration import cycle_spin, denoise_wavelet

from lowdose.denoisers.classical.binning import bin_padded, spread
from lowdose.denoisers.classical.stabilisation import anscombe, exact_inverse, noise_sigma
from lowdose.denoisers.contract import Denoiser, DenoiserInfo, Parameter


class StabilisedWavelets(Denoiser):
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
            "wavelet": Parameter(
                np.nan, np.nan, "db4", "choice", "", "mother wavelet",
                ("haar", "db2", "db4", "sym8", "bior2.2", "bior4.4"),
            ),
            "strength": Parameter(0.5, 3.0, 1.0, "log", "", "of the noise that is assumed"),
            "levels": Parameter(2, 6, 5, "integer", "", "of the transform"),
            "shifts": Parameter(1, 4, 3, "integer", "bins", "largest shift of the cycle spinning"),
            "binning": Parameter(
                np.nan, np.nan, 4, "choice", "px", "pixels summed along each axis", (1, 2, 3, 4, 6)
            ),
        },
        global_field=True,
    )  # fmt: skip

    def _denoise_frame(self, counts: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        factor = self.parameters["binning"]
        sums = bin_padded(counts.astype(np.float64), factor)
        levels = min(self.parameters["levels"], int(np.log2(min(sums.shape))))
        if levels < 1:  # nothing to transform
            return np.full(counts.shape, counts.mean())
        settings = {
            "wavelet": self.parameters["wavelet"],
            "wavelet_levels": levels,
            "sigma": self.parameters["strength"] * noise_sigma(vacuum * factor**2),
            "method": "BayesShrink",
            "mode": "soft",
            "rescale_sigma": False,
        }
        with warnings.catch_warnings():
            # The longest wavelets reach over the frame at the coarsest levels, mirrored.
            warnings.filterwarnings("ignore", "Level value of", UserWarning)
            smooth = cycle_spin(
                anscombe(sums), denoise_wavelet, self.parameters["shifts"], func_kw=settings
            )
        return np.clip(spread(exact_inverse(smooth), factor, counts.shape), 0.0, None)
