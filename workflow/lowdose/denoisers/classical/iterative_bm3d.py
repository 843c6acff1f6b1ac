"""BM3D with iterated variance stabilisation, for the lowest counts."""

from __future__ import annotations

import numpy as np

from lowdose.denoisers.classical.binning import bin_padded, spread
from lowdose.denoisers.classical.stabilisation import anscombe, exact_inverse, noise_sigma
from lowdose.denoisers.classical.stabilised_bm3d import of_any_size
from lowdose.denoisers.contract import Denoiser, DenoiserInfo, Parameter


class IterativeBM3D(Denoiser):
    """Stabilise, denoise, mix the estimate with the counts, and again.

    A mixture ``a counts + (1 - a) estimate`` of Poisson counts with a good estimate y of their
    expectation has mean y and variance a^2 y, so that divided by a^2 it behaves as more counts
    would: y / a^2 of them, at which the stabilisation is nearly exact.  Azzari and Foi's scheme
    also bins, less from iteration to iteration; so does this one.
    """

    info = DenoiserInfo(
        name="bm3d-iterative",
        title="iterative VST + BM3D",
        citation="Azzari & Foi, IEEE Signal Process. Lett. 23, 1086 (2016), "
        "doi:10.1109/LSP.2016.2580600",
        licence="GPL-3.0-or-later (this package)",
        pixel_size_nm=(0.001, 0.03),
        dose_e_per_a2=(1.0, 1e5),
        parameters={
            "first_binning": Parameter(
                np.nan, np.nan, 8, "choice", "px", "pixels summed at first", (4, 6, 8)
            ),
            "binning": Parameter(
                np.nan, np.nan, 4, "choice", "px", "pixels summed at last", (2, 3, 4, 6)
            ),
            "patch": Parameter(
                np.nan, np.nan, 16, "choice", "bins", "edge of a patch", (8, 12, 16, 20)
            ),
            "radius": Parameter(6, 18, 14, "integer", "bins", "farthest patch compared"),
            "iterations": Parameter(2, 4, 3, "integer", "", "how often it is denoised"),
            "last_share": Parameter(
                0.2, 1.0, 0.5, "linear", "", "of the counts in the last mixture"
            ),
        },
        global_field=True,
    )

    def _denoise_frame(self, counts: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        number = self.parameters["iterations"]
        binnings = np.geomspace(
            max(self.parameters["first_binning"], self.parameters["binning"]),
            self.parameters["binning"], number,
        ).round().astype(int)  # fmt: skip
        estimate = counts
        for share, binning in zip(
            np.linspace(1.0, self.parameters["last_share"], number), binnings.tolist(), strict=True
        ):
            mixture = share * counts + (1 - share) * estimate
            estimate = self._once(mixture.astype(np.float64), float(share), binning, vacuum)
        return estimate

    def _once(self, mixture: np.ndarray, share: float, binning: int, vacuum: float) -> np.ndarray:
        """Return the estimate from a mixture whose variance is share^2 of its mean."""
        sums = bin_padded(mixture, binning) / share**2
        noise = noise_sigma(vacuum * (binning / share) ** 2)
        settings = (self.parameters[key] for key in ("patch", "radius"))
        smooth = of_any_size(anscombe(sums), noise, *settings)
        expected = share**2 * exact_inverse(smooth)
        return np.clip(spread(expected, binning, mixture.shape), 0.0, None)
