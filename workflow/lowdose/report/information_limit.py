"""How fine the detail is that lens and camera pass."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch

from lowdose.imaging.camera import blur
from lowdose.imaging.electron import wavelength
from lowdose.imaging.optics import transfer

EDGE = math.exp(-2)  # 13.5 %: the usual criterion of the information limit


def information_limit_nm(optics: Mapping, energy_kev: float) -> float:
    """Return the information limit of the lens, 1/k where the focal spread leaves 1/e^2 [nm].

    ``exp(-(pi lambda spread k^2 / 2)^2) = exp(-2)`` gives
    ``k^2 = 2 sqrt(2) / (pi lambda spread)``; with the rms spread ``s = spread / sqrt(2)`` that is
    the textbook's ``k = sqrt(2 / (pi lambda s))`` (Williams and Carter 2009, section 28.8).

    Parameters
    ----------
    optics : mapping
        Section ``optics`` of the configuration; ``focal_spread_nm`` is the half width at 1/e.
    energy_kev : float
        Beam energy [keV].

    Returns
    -------
    float
        0 without a focal spread, which sets no limit.
    """
    spread = optics["focal_spread_nm"] * 10
    k_squared = (
        np.inf if spread == 0 else 2 * np.sqrt(2) / (np.pi * wavelength(energy_kev) * spread)
    )
    return float(0.1 / np.sqrt(k_squared))


def contrast_transfer(
    k_per_nm: np.ndarray, c1_nm: float, optics: Mapping, energy_kev: float
) -> tuple[np.ndarray, np.ndarray]:
    """Phase contrast transfer of the lens along x, and its envelope.

    Parameters
    ----------
    k_per_nm : array (n,)
        Spatial frequencies [1/nm].
    c1_nm : float
        Defocus C1, positive = overfocus [nm].
    optics : mapping
        Section ``optics`` of the configuration.
    energy_kev : float
        Beam energy [keV].

    Returns
    -------
    sine : array (n,)
        ``E sin(chi)``, -1 to 1: a weak phase object's contrast is twice this times its phase;
        positive means bright atoms.
    envelope : array (n,)
        E of focal spread and convergence, 0 to 1.
    """
    # The linear part of an incoherent focal sum is that of the envelope.
    quasi_coherent = {**optics, "focal_points": 1}
    kx = torch.as_tensor(np.asarray(k_per_nm) / 10, dtype=torch.float64)
    passed = transfer(kx, torch.zeros(1, dtype=torch.float64), c1_nm, quasi_coherent, energy_kev)
    values = passed.reshape(-1).numpy()
    return -values.imag, np.abs(values)


def camera_transfer(k_per_nm: np.ndarray, camera: Mapping) -> np.ndarray:
    """Modulation transfer of camera and vibration at spatial frequencies [1/nm], 1 at zero."""
    k = np.asarray(k_per_nm, dtype=np.float64)
    # On the frequencies of a field so long that they lie closer than any step of the curve.
    field_nm, points = 200.0, 8192
    row = blur((1, points), (1.0, field_nm), camera, camera["pixel_size_nm"])[0].numpy()
    return np.interp(k, np.arange(len(row)) / field_nm, row)


def detected_limit_nm(c1_nm: float, optics: Mapping, camera: Mapping, energy_kev: float) -> float:
    """Return 1/k where envelopes, vibration and camera together leave 1/e^2 [nm].

    Parameters
    ----------
    c1_nm : float
        Defocus C1 [nm]; the convergence envelope depends on it.
    optics, camera : mapping
        Sections of the configuration.
    energy_kev : float
        Beam energy [keV].

    Returns
    -------
    float
        The spacing at the lowest such frequency, at least the 0.05 nm up to which is looked.
    """
    k = np.linspace(0.0, 20.0, 4001)
    left = contrast_transfer(k, c1_nm, optics, energy_kev)[1] * camera_transfer(k, camera)
    below = np.flatnonzero(left < EDGE)
    if not len(below):
        return float(1 / k[-1])
    j = below[0]
    # The logarithm is smooth: interpolated between the two neighbours.
    ends = np.log(np.maximum(left[[j - 1, j]], 1e-30))
    return float(1 / (k[j - 1] + (k[j] - k[j - 1]) * (ends[0] + 2) / (ends[0] - ends[1])))
