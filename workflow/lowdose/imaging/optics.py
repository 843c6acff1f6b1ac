"""Optics: from the exit wave to the image intensity, in torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from lowdose.runtime import UserError

NEGLIGIBLE = 1e-4  # transfer below this cannot be seen in an image


def wavelength(energy_kev: float) -> float:
    """Return the relativistic electron wavelength [Å] (CODATA 2018); 0.019687 Å at 300 keV."""
    rest = 510.99895  # keV
    return 12.398419843320026 / np.sqrt(energy_kev * (2 * rest + energy_kev))


def band_limit(optics: Mapping, energy_kev: float) -> float:
    """Return the spatial frequency above which the focal spread passes nothing [1/Å].

    It solves ``exp(-(pi lambda spread k^2 / 2)^2) = 1e-4``, and is 3.5 1/Å at most.
    """
    spread = optics["focal_spread_nm"] * 10
    if spread <= 0:
        return 3.5
    k_squared = np.sqrt(-np.log(NEGLIGIBLE)) / (0.5 * np.pi * wavelength(energy_kev) * spread)
    return float(min(np.sqrt(k_squared), 3.5))


def transfer(
    kx: torch.Tensor, ky: torch.Tensor, c1_nm: float, optics: Mapping, energy_kev: float
) -> torch.Tensor:
    """Quasi-coherent transfer function of the objective lens.

    ``exp(-i chi)`` with ``chi = 2 pi / lambda (C1 a^2 / 2 + C3 a^4 / 4 + C5 a^6 / 6)``, times
    the envelopes of focal spread and of convergence (Kirkland 2010, section 3; the same
    convention as abTEM's CTF, whose ``defocus`` is -C1).

    Parameters
    ----------
    kx, ky : tensor
        Spatial frequencies [1/Å], broadcast against each other.
    c1_nm : float
        Defocus C1, positive = overfocus [nm].
    optics : mapping
        Section ``optics`` of the configuration.
    energy_kev : float
        Beam energy [keV].

    Returns
    -------
    tensor, complex64
    """
    lam = wavelength(energy_kev)
    alpha2 = (lam * lam) * (kx.double() ** 2 + ky.double() ** 2)
    c1, c3, c5 = c1_nm * 10.0, optics["c3_um"] * 1e4, optics["c5_mm"] * 1e7
    k0 = 2 * np.pi / lam
    chi = k0 * alpha2 * (c1 / 2 + alpha2 * (c3 / 4 + alpha2 * c5 / 6))
    spread = optics["focal_spread_nm"] * 10
    convergence = optics["convergence_mrad"] * 1e-3
    temporal = (0.5 * np.pi / lam * spread * alpha2) ** 2
    gradient2 = alpha2 * (k0 * (c1 + alpha2 * (c3 + alpha2 * c5))) ** 2
    spatial = (convergence / 2) ** 2 * gradient2
    return torch.polar(torch.exp(-temporal - spatial), -chi).to(torch.complex64)


class WaveOptics:
    """Renders images of exit waves of one cell size.

    The wave's spectrum is cut at the lens's band limit, so that all transforms run on a grid
    just large enough for the intensity, whose band is twice as wide.

    Parameters
    ----------
    cell_nm : (float, float)
        Height and width of the periodic field [nm].
    optics : mapping
        Section ``optics`` of the configuration.
    energy_kev : float
        Beam energy [keV].
    """

    def __init__(self, cell_nm: tuple[float, float], optics: Mapping, energy_kev: float) -> None:
        self.cell_nm = cell_nm
        self.optics = dict(optics)
        self.energy_kev = energy_kev
        limit = band_limit(optics, energy_kev)
        # Frequencies -m..m pass the lens; the intensity has -2m..2m and needs 4m + 1 points.
        self.cut = tuple(int(np.floor(limit * 10 * length)) for length in cell_nm)
        self.grid = tuple(fast_length(4 * m + 1) for m in self.cut)
        k = [torch.fft.fftfreq(n, 10 * length / n, dtype=torch.float64)
             for n, length in zip(self.grid, cell_nm, strict=True)]  # fmt: skip
        self._kept = [_low_frequencies(n, m) for n, m in zip(self.grid, self.cut, strict=True)]
        self._ky = k[0][self._kept[0]][:, None]
        self._kx = k[1][self._kept[1]][None, :]

    def spectrum(self, wave: np.ndarray) -> torch.Tensor:
        """Return the part of a wave's spectrum that the lens can pass.

        Parameters
        ----------
        wave : array (y, x), complex
            Exit wave over the cell, 1 in vacuum.

        Returns
        -------
        tensor (2 m_y + 1, 2 m_x + 1), complex64
            Small enough that hundreds of waves fit in memory.
        """
        full = torch.fft.fft2(torch.as_tensor(wave).to(torch.complex64), norm="forward")
        rows, columns = (_low_frequencies(n, m) for n, m in zip(full.shape, self.cut, strict=True))
        return full[rows][:, columns].contiguous()

    def intensity(self, spectrum: torch.Tensor, c1_nm: float) -> torch.Tensor:
        """Return the image intensity at a defocus, vacuum = 1.

        Parameters
        ----------
        spectrum : tensor
            From :meth:`spectrum`.
        c1_nm : float
            Defocus C1 [nm], positive = overfocus.

        Returns
        -------
        tensor (grid), float32
            Intensity on `grid` points over the cell, free of aliasing.
        """
        passed = spectrum * transfer(self._kx, self._ky, c1_nm, self.optics, self.energy_kev)
        full = torch.zeros(self.grid, dtype=torch.complex64)
        full[self._kept[0][:, None], self._kept[1][None, :]] = passed
        image = torch.fft.ifft2(full, norm="forward")
        return image.real**2 + image.imag**2


def fast_length(n: int) -> int:
    """Return the smallest length of at least n whose prime factors are 2, 3 and 5."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def _low_frequencies(n: int, m: int) -> torch.Tensor:
    """Return the positions of the frequencies 0..m, -m..-1 in an FFT of length n."""
    if n < 2 * m + 1:
        raise UserError(
            f"simulation.grid is {n}, but the lens passes {2 * m + 1} frequencies of this cell; "
            f"set it to {fast_length(2 * m + 1)} or more."
        )
    return torch.cat([torch.arange(m + 1), torch.arange(n - m, n)])
