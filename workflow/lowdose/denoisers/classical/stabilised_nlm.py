"""Non-local means of variance-stabilised, binned counts."""

from __future__ import annotations

import numpy as np
from skimage.restoration import denoise_nl_means

from lowdose.denoisers.classical.binned import StabilisedDenoiser, binning
from lowdose.denoisers.contract import DenoiserInfo, Parameter


class StabilisedNLM(StabilisedDenoiser):
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
            "binning": binning(4, (2, 3, 4, 6)),
            "strength": Parameter(0.1, 2.0, 0.3, "log", "noise sigma", "cut-off h of the weights"),
            "patch": Parameter(
                np.nan, np.nan, 21, "choice", "bins", "edge of a patch", (3, 5, 7, 11, 15, 21, 31)
            ),
            "distance": Parameter(3, 20, 12, "integer", "bins", "farthest patch compared"),
        },
        global_field=True,
    )

    def _denoise_gaussian(self, image: np.ndarray, sigma: float) -> np.ndarray:
        return denoise_nl_means(
            image,
            patch_size=self.parameters["patch"],
            patch_distance=self.parameters["distance"],
            h=self.parameters["strength"] * sigma,
            sigma=sigma,
            fast_mode=True,
        ).reshape(image.shape)  # scikit-image drops axes of length one
