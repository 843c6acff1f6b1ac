"""PURE-LET of binned counts, as a denoiser."""

from __future__ import annotations

import numpy as np

from lowdose.denoisers.classical.binned import BinnedDenoiser, binning
from lowdose.denoisers.classical.purelet import purelet
from lowdose.denoisers.contract import DenoiserInfo, Parameter


class PureLet(BinnedDenoiser):
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
            "binning": binning(4),
            "levels": Parameter(2, 6, 5, "integer", "", "halvings of the Haar transform"),
        },
        global_field=True,
    )

    def _denoise_sums(self, sums: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        return purelet(sums, self.parameters["levels"])
