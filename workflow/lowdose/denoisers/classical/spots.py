"""Fourier spot filter: what is periodic, and the shape of things."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

from lowdose.denoisers.classical.binned import BinnedDenoiser, binning
from lowdose.denoisers.classical.spectrum import background, border_sigma_px, periodic_and_smooth
from lowdose.denoisers.contract import DenoiserInfo, Parameter

RING = 1.0  # of the background [1/nm]


class FourierSpots(BinnedDenoiser):
    """Keeps discs about the Bragg spots and about the origin of the spectrum, softly edged.

    The spots are found: bins that are the largest nearby and stand far above the median of their
    ring.  What a mask keeps of the noise is as periodic as the lattice, and appears in vacuum too:
    users know it as the filter that makes crystals.
    """

    info = DenoiserInfo(
        name="spots",
        title="Fourier spot filter",
        citation="Möbus, Necker & Rühle, Ultramicroscopy 49, 46 (1993)",
        licence="GPL-3.0-or-later (this package)",
        pixel_size_nm=(0.001, 0.1),
        dose_e_per_a2=(0.1, 1e6),
        parameters={
            "binning": binning(1),
            "significance": Parameter(
                5.0, 100.0, 15.0, "log", "background", "power above which a bin is a spot"
            ),
            "spot": Parameter(0.1, 3.0, 0.6, "log", "1/nm", "radius that is kept about a spot"),
            "centre": Parameter(0.1, 6.0, 1.0, "log", "1/nm", "radius kept about the origin"),
        },
        global_field=True,
    )

    def _denoise_sums(self, sums: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        periodic, smooth = periodic_and_smooth(sums, border_sigma_px(pixel_size_nm))
        spectrum = fft.fft2(periodic)
        gain = self._mask(np.abs(spectrum) ** 2, pixel_size_nm)
        return fft.ifft2(spectrum * gain).real + smooth

    def _mask(self, power: np.ndarray, pixel_size_nm: float) -> np.ndarray:
        """Return the gain of each bin of ``fft2``: 1 at spots and origin, falling off around."""
        step = [1 / (size * pixel_size_nm) for size in power.shape]  # of the bins [1/nm]
        along_y, along_x = (fft.fftfreq(size, pixel_size_nm) for size in power.shape)
        radius = np.hypot(along_y[:, None], along_x)
        spot, centre = self.parameters["spot"], self.parameters["centre"]
        near = [2 * int(np.ceil(spot / one)) + 1 for one in step]
        largest = power == ndimage.maximum_filter(power, near, mode="wrap")
        above = power > self.parameters["significance"] * background(power, radius, RING)
        seeds = largest & above & (radius > centre)
        gain = _soft(radius, centre)
        if seeds.any():
            # Distance to the nearest spot; the spectrum wraps around.
            margins = [min(side, size) for side, size in zip(near, power.shape, strict=True)]
            wrapped = np.pad(~seeds, [(m, m) for m in margins], mode="wrap")
            distance = ndimage.distance_transform_edt(wrapped, sampling=step)
            inner = tuple(slice(m, m + size) for m, size in zip(margins, power.shape, strict=True))
            gain = np.maximum(gain, _soft(distance[inner], spot))
        return gain


def _soft(distance: np.ndarray, radius: float) -> np.ndarray:
    """Return 1 within half the radius, 0 from the radius on, half a cosine between."""
    share = np.clip(2 * distance / radius - 1, 0, 1)
    return (1 + np.cos(np.pi * share)) / 2
