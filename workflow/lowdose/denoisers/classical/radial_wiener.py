"""The microscopist's filters: Wiener's and the background subtraction, noise from the spectrum."""

from __future__ import annotations

import abc
import dataclasses

import numpy as np
from scipy import fft

from lowdose.denoisers.classical.binned import BinnedDenoiser, binning
from lowdose.denoisers.classical.spectrum import (
    background,
    border_sigma_px,
    frequency,
    low_pass,
    periodic_and_smooth,
)
from lowdose.denoisers.contract import DenoiserInfo, Parameter

CITATION = "Kilaas, J. Microsc. 190, 45 (1998), doi:10.1046/j.1365-2818.1998.3070861.x"
PARAMETERS = {
    "binning": binning(1),
    "strength": Parameter(0.3, 8.0, 2.0, "log", "background", "how much of it is taken off"),
    "resolution_nm": Parameter(0.04, 0.4, 0.1, "log", "nm", "period at the low-pass's cut-off"),
    "ring": Parameter(0.2, 4.0, 1.0, "log", "1/nm", "width of the rings of the background"),
}
ORDER = 4  # of the low-pass


class _Radial(BinnedDenoiser):
    """Scales each frequency by how far it stands above the mean of its ring."""

    def _denoise_sums(self, sums: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        periodic, smooth = periodic_and_smooth(sums, border_sigma_px(pixel_size_nm))
        radius = frequency(sums.shape, pixel_size_nm)
        spectrum = fft.rfft2(periodic)
        power = np.abs(spectrum) ** 2
        noise = background(power, radius, self.parameters["ring"])
        above = np.divide(noise, power, out=np.ones_like(power), where=power > 0)
        gain = self._gain(self.parameters["strength"] * above)
        gain *= low_pass(radius, 1 / self.parameters["resolution_nm"], ORDER)
        gain[0, 0] = 1
        return fft.irfft2(spectrum * gain, s=sums.shape) + smooth

    @staticmethod
    @abc.abstractmethod
    def _gain(share: np.ndarray) -> np.ndarray:
        """Return the gain for the background's share of the power."""


class RadialWiener(_Radial):
    """Wiener's filter ``(|F|^2 - |N|^2) / |F|^2`` with the noise from rings of the spectrum."""

    info = DenoiserInfo(
        name="radial-wiener",
        title="Wiener, radial background",
        citation=CITATION,
        licence="GPL-3.0-or-later (this package)",
        pixel_size_nm=(0.001, 0.1),
        dose_e_per_a2=(0.1, 1e6),
        parameters=PARAMETERS,
        global_field=True,
    )

    @staticmethod
    def _gain(share: np.ndarray) -> np.ndarray:
        return np.clip(1 - share, 0, None)


class ABSF(_Radial):
    """Average background subtraction filter: ``(|F| - |N|) / |F|``."""

    info = dataclasses.replace(RadialWiener.info, name="absf", title="ABSF")

    @staticmethod
    def _gain(share: np.ndarray) -> np.ndarray:
        return np.clip(1 - np.sqrt(share), 0, None)
