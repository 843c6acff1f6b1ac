"""BM3D of variance-stabilised, binned counts."""

from __future__ import annotations

import numpy as np

from lowdose.denoisers.classical.binned import StabilisedDenoiser, binning
from lowdose.denoisers.classical.binning import at_least
from lowdose.denoisers.classical.bm3d import THRESHOLD, Stage, bm3d
from lowdose.denoisers.contract import DenoiserInfo, Parameter


class StabilisedBM3D(StabilisedDenoiser):
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
            "binning": binning(6, (2, 3, 4, 6, 8)),
            "patch": Parameter(
                np.nan, np.nan, 16, "choice", "bins", "edge of a patch", (8, 12, 16, 20, 24)
            ),
            "radius": Parameter(6, 24, 22, "integer", "bins", "farthest patch compared"),
            "threshold": Parameter(
                2.0, 3.5, 2.7, "linear", "noise sigma", "of the coefficients in the first stage"
            ),
        },
        global_field=True,
    )

    def _denoise_gaussian(self, image: np.ndarray, sigma: float) -> np.ndarray:
        settings = (self.parameters[key] for key in ("patch", "radius", "threshold"))
        return of_any_size(image, sigma, *settings)


def of_any_size(
    image: np.ndarray, sigma: float, patch: int, radius: int, threshold: float = THRESHOLD
) -> np.ndarray:
    """Return :func:`bm3d` of an image that may be smaller than a patch; both stages alike.

    Parameters
    ----------
    image : array (y, x)
    sigma : float
        Standard deviation of the noise.
    patch, radius : int
        Side of a patch and farthest patch compared [pixels of the image].
    threshold : float
        Of the first stage's coefficients, in units of the noise.
    """
    stage = Stage(patch, patch // 4, radius, group=32)
    smooth = bm3d(at_least(image, patch), sigma, stage, stage, threshold=threshold)
    return smooth[: image.shape[0], : image.shape[1]]
