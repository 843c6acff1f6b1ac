"""The fast electron."""

from __future__ import annotations

import numpy as np


def wavelength(energy_kev: float) -> float:
    """Return the relativistic electron wavelength [Å] (CODATA 2018); 0.019687 Å at 300 keV."""
    rest = 510.99895  # keV
    return 12.398419843320026 / np.sqrt(energy_kev * (2 * rest + energy_kev))


def interaction_parameter(energy_kev: float) -> float:
    """Return sigma = 2 pi m e lambda / h^2 [rad / (V Å)]; 6.526e-4 at 300 keV (Kirkland 2010)."""
    rest = 510.99895  # keV
    return (
        2 * np.pi * (rest + energy_kev)
        / (wavelength(energy_kev) * energy_kev * 1e3 * (2 * rest + energy_kev))
    )  # fmt: skip
