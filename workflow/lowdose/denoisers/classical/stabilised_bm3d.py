"""BM3D of variance-stabilised, binned counts."""

from __future__ import annotations

import numpy as np

from lowdose.denoisers.classical.binning import bin_padded, spread
from lowdose.denoisers.classical.bm3d import THRESHOLD, Stage, bm3d
from lowdose.denoisers.classical.stabilisation import anscombe, exact_inverse, noise_sigma
from lowdose.denoisers.contract import Denoiser, DenoiserInfo, Parameter


class StabilisedBM3D(Denoiser):
    """Sum b x b pixels, Anscombe, BM3D, exact unbiased inverse, spread.

    BM3D is given the exact deviation of the stabilised sums in vacuum, not 1.  Its patches are
    larger than the usual 8 pixels: what repeats here are unit cells and not textures, and at
    these doses a small patch is too noisy to be recognised.
    """

    info = DenoiserInfo(
        name="bm3d",
        title="VST + BM3D",
        citation="Dabov, Foi, Katkovnik & Egiazarian, IEEE Trans. Image Process. 16, 2080 (2007), "
        "doi:10.1109/TIP.2007.901238; Mäkitalo & Foi, IEEE Trans. Image Process. 20, 99 (2011), "
        "doi:10.1109/TIP.2010.2056693",
        licence="GPL-3.0-or-later (this package)",
        pixel_size_nm=(0.001, 0.03),
        dose_e_per_a2=(1.0, 1e5),
        parameters={
            "binning": Parameter(
                np.nan, np.nan, 6, "choice", "px", "pixels summed along each axis", (2, 3, 4, 6, 8)
            ),
            "patch": Parameter(
                np.nan, np.nan, 16, "choice", "bins", "edge of a patch", (8, 12, 16, 20, 24)
            ),
            "radius": Parameter(6, 24, 16, "integer", "bins", "farthest patch compared"),
            "threshold": Parameter(
                2.0, 3.5, 2.7, "linear", "noise sigma", "of the coefficients in the first stage"
            ),
        },
        global_field=True,
    )

    def _denoise_frame(self, counts: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        factor, patch = self.parameters["binning"], self.parameters["patch"]
        sums = bin_padded(counts.astype(np.float64), factor)
        expected = denoised_sums(
            sums, vacuum * factor**2, patch, self.parameters["radius"],
            self.parameters["threshold"],
        )  # fmt: skip
        return np.clip(spread(expected, factor, counts.shape), 0.0, None)


def denoised_sums(
    sums: np.ndarray, vacuum: float, patch: int, radius: int, threshold: float = THRESHOLD
) -> np.ndarray:
    """Return the expectation of Poisson counts by BM3D of what stabilises their variance.

    Parameters
    ----------
    sums : array (y, x)
        Counts, or what has their mean and variance; of any size.
    vacuum : float
        Expected counts of vacuum.
    patch, radius : int
        Side of a patch and farthest patch compared [bins].
    threshold : float
        Of the first stage's coefficients, in units of the noise.
    """
    missing = [(0, max(patch - size, 0)) for size in sums.shape]
    stage = Stage(patch, patch // 4, radius, group=32)
    smooth = bm3d(
        np.pad(anscombe(sums), missing, mode="symmetric"), noise_sigma(vacuum), stage, stage,
        threshold=threshold,
    )  # fmt: skip
    return exact_inverse(smooth[: sums.shape[0], : sums.shape[1]])
