"""PURE-LET of binned counts, as a denoiser."""

from __future__ import annotations

import numpy as np

from lowdose.denoisers.classical.binning import bin_padded, spread
from lowdose.denoisers.classical.purelet import purelet
from lowdose.denoisers.contract import Denoiser, DenoiserInfo, Parameter


class PureLet(Denoiser):
    """Sum b x b pixels, PURE-LET, spread; nothing is stabilised, so no count is too low."""

    info = DenoiserInfo(
        name="purelet",
        title="PURE-LET",
        citation="Luisier, Vonesch, Blu & Unser, Signal Process. 90, 415 (2010), "
        "doi:10.1016/j.sigpro.2009.07.009",
        licence="GPL-3.0-or-later (this package)",
        pixel_size_nm=(0.001, 0.03),
        dose_e_per_a2=(1.0, 1e5),
        parameters={
            "binning": Parameter(
                np.nan, np.nan, 4, "choice", "px", "pixels summed along each axis", (1, 2, 3, 4, 6)
            ),
            "levels": Parameter(2, 6, 5, "integer", "", "halvings of the Haar transform"),
        },
        global_field=True,
    )

    def _denoise_frame(self, counts: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        factor = self.parameters["binning"]
        sums = bin_padded(counts.astype(np.float64), factor)
        smooth = purelet(sums, self.parameters["levels"])
        return np.clip(spread(smooth, factor, counts.shape), 0.0, None)
