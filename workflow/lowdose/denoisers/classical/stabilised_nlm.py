"""Non-local means of variance-stabilised, binned counts."""

from __future__ import annotations

import numpy as np
from skimage.restoration import denoise_nl_means

from lowdose.denoisers.classical.binning import bin_padded, spread
from lowdose.denoisers.classical.stabilisation import anscombe, exact_inverse, noise_sigma
from lowdose.denoisers.contract import Denoiser, DenoiserInfo, Parameter


class StabilisedNLM(Denoiser):
    """Sum b x b pixels, Anscombe, non-local means, exact unbiased inverse, spread.

    The noise variance that non-local means subtracts from its patch distances is the exact one
    of the stabilised sums in vacuum, not 1.
    """

    info = DenoiserInfo(
        name="nlm",
        title="VST + non-local means",
        citation="Buades, Coll & Morel, Image Process. On Line 1, 208 (2011), "
        "doi:10.5201/ipol.2011.bcm_nlm; Darbon et al., ISBI 2008, 1331, "
        "doi:10.1109/ISBI.2008.4541250",
        licence="BSD-3-Clause (scikit-image)",
        pixel_size_nm=(0.001, 0.03),
        dose_e_per_a2=(1.0, 1e5),
        parameters={
            "strength": Parameter(0.1, 2.0, 0.3, "log", "noise sigma", "cut-off h of the weights"),
            "patch": Parameter(
                np.nan, np.nan, 21, "choice", "bins", "edge of a patch", (3, 5, 7, 11, 15, 21, 31)
            ),
            "distance": Parameter(3, 20, 12, "integer", "bins", "farthest patch compared"),
            "binning": Parameter(
                np.nan, np.nan, 4, "choice", "px", "pixels summed along each axis", (2, 3, 4, 6)
            ),
        },
        global_field=True,
    )

    def _denoise_frame(self, counts: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        factor = self.parameters["binning"]
        patch = self.parameters["patch"]
        sums = bin_padded(counts.astype(np.float64), factor)
        noise = noise_sigma(vacuum * factor**2)
        smooth = denoise_nl_means(
            anscombe(sums),
            patch_size=patch,
            patch_distance=self.parameters["distance"],
            h=self.parameters["strength"] * noise,
            sigma=noise,
            fast_mode=True,
        ).reshape(sums.shape)  # scikit-image drops axes of length one
        return np.clip(spread(exact_inverse(smooth), factor, counts.shape), 0.0, None)
