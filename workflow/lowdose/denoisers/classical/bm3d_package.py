"""BM3D by its authors' own package, which is optional: closed, and for non-commercial use only."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np

from lowdose.denoisers.classical.binned import StabilisedDenoiser, binning
from lowdose.denoisers.classical.binning import at_least
from lowdose.denoisers.contract import DenoiserInfo, Parameter

# Name of a profile in the package -> its class.  "refilter" is not here: in bm3d 4.0.3 it fails
# on white noise (the residual is padded, its spectrum is not); "lc" has no name there.
PROFILES = {
    "np": "BM3DProfile",
    "vn": "BM3DProfileVN",
    "vn_old": "BM3DProfileVNOld",
    "high": "BM3DProfileHigh",
    "deb": "BM3DProfileDeb",
}
# An image exactly as large as a block, 8 to 12 bins by profile, crashes the whole process.
SMALLEST = 16
LICENCE = (
    "bm3d is the package of Tampere University: it may be used for non-commercial purposes only, "
    "and who publishes results made with it must cite its authors."
)


class PackageBM3D(StabilisedDenoiser):
    """Sum b x b pixels, Anscombe, the package's BM3D, exact unbiased inverse, spread.

    The authors' settings for white noise, with patches of 8 to 12 bins, on one thread: on more,
    its sums change from call to call.

    Raises
    ------
    UserError
        If the package is not installed.
    """

    info = DenoiserInfo(
        name="bm3d-package",
        title="VST + BM3D (authors' package)",
        citation="Mäkinen, Azzari & Foi, IEEE Trans. Image Process. 29, 8339 (2020), "
        "doi:10.1109/TIP.2020.3014721; Dabov, Foi, Katkovnik & Egiazarian, IEEE Trans. Image "
        "Process. 16, 2080 (2007), doi:10.1109/TIP.2007.901238; Mäkitalo & Foi, IEEE Trans. Image "
        "Process. 20, 99 (2011), doi:10.1109/TIP.2010.2056693",
        licence="non-commercial use only, closed source (Tampere University, package bm3d)",
        pixel_size_nm=(0.001, 0.03),
        dose_e_per_a2=(1.0, 1e5),
        parameters={
            "binning": binning(6, (2, 3, 4, 6, 8)),
            "profile": Parameter(
                np.nan, np.nan, "vn_old", "choice", "", "the package's settings", tuple(PROFILES)
            ),
            "strength": Parameter(0.5, 2.0, 1.1, "log", "noise sigma", "noise that it is told of"),
        },
        global_field=True,
    )

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        _tell_licence()

    @staticmethod
    def missing() -> str | None:
        """Return what to install, in one sentence, or None if the package is here."""
        if importlib.util.find_spec("bm3d") is not None:
            return None
        return (
            "Denoiser bm3d-package needs the package bm3d, which is not installed; install it, if "
            "your use is not commercial, with python -m pip install 'bm3d>=4.0.3'."
        )

    @staticmethod
    def version() -> str:
        """Return the version of the package that is installed."""
        return importlib.metadata.version("bm3d")

    def _denoise_gaussian(self, image: np.ndarray, sigma: float) -> np.ndarray:
        package = _package()
        profile = getattr(package, PROFILES[self.parameters["profile"]])()
        profile.num_threads = 1
        # The stabilised noise is white: the package's variances for correlated noise need 0.9 s a
        # call, and what they gain or lose (0.1 dB at the defaults) the tuned `strength` makes up.
        profile.nf = 0
        padded = at_least(image, SMALLEST)
        smooth = package.bm3d(padded, self.parameters["strength"] * sigma, profile)
        return smooth[: image.shape[0], : image.shape[1]]


def _package() -> ModuleType:
    """Return the package: loaded when it is used, since most installations have none."""
    return importlib.import_module("bm3d")


@functools.cache
def _tell_licence() -> None:
    """Say once in a process what the package may be used for."""
    print(f"lowdose: {LICENCE}", file=sys.stderr, flush=True)
