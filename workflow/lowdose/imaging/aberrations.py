"""The aberration function of a lens, and how finely it must be sampled."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from lowdose.imaging.electron import wavelength
from lowdose.runtime import UserError


def aberration(
    kx: torch.Tensor,
    ky: torch.Tensor,
    c1_nm: float | torch.Tensor,
    optics: Mapping,
    energy_kev: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the phase of the aberrations and the square of its slope.

    In the notation of Krivanek et al. (Ultramicroscopy 78, 1, 1999), as in abTEM::

        chi = 2 pi / lambda (C1 a^2 / 2 + C12 a^2 cos 2(phi - phi12) / 2
                             + C21 a^3 cos(phi - phi21) / 3 + C23 a^3 cos 3(phi - phi23) / 3
                             + C3 a^4 / 4 + C5 a^6 / 6)

    with a = lambda k and phi counter-clockwise from x as the image is seen: rows run down, so
    that phi is the angle of (kx, -ky).

    Parameters
    ----------
    kx, ky : tensor
        Spatial frequencies along columns and along rows [1/Å], broadcast against each other.
    c1_nm : float or tensor (B,)
        Defocus C1, positive = overfocus [nm].
    optics : mapping
        Section ``optics`` of the configuration.  A coefficient may be a tensor, of shape () or
        (B,), through which gradients flow; one that is absent is 0.
    energy_kev : float
        Beam energy [keV].

    Returns
    -------
    chi, slope2 : tensor ([B,] y, x), float64
        Phase [rad], and the squared gradient of the phase by the angle [rad^2/rad^2].
    """
    lam = wavelength(energy_kev)
    alpha2 = (lam * lam) * (kx.double() ** 2 + ky.double() ** 2)

    def coefficient(value: float | torch.Tensor, unit: float) -> torch.Tensor:
        value = torch.as_tensor(value, dtype=torch.float64, device=alpha2.device)
        return (value * unit)[..., None, None]

    c1, c3 = coefficient(c1_nm, 10.0), coefficient(optics["c3_um"], 1e4)
    c5 = coefficient(optics["c5_mm"], 1e7)
    k0 = 2 * np.pi / lam
    chi = k0 * alpha2 * (c1 / 2 + alpha2 * (c3 / 4 + alpha2 * c5 / 6))
    radial = k0 * (c1 + alpha2 * (c3 + alpha2 * c5))  # slope over a
    skew = [key for key in ("12", "21", "23") if _present(optics.get(f"c{key}_nm", 0.0))]
    if not skew:
        return chi, alpha2 * radial**2
    # As complex numbers: w = a exp(i phi); each term is Re(c w^p conj(w)^q) / (p + q), and the
    # gradient of Re(f) is 2 d Re(f) / d conj(w).
    w = lam * torch.complex(*torch.broadcast_tensors(kx.double(), -ky.double()))
    gradient = radial * w
    for key in skew:
        order, fold = int(key[0]), int(key[1])
        angle = coefficient(optics.get(f"phi{key}_deg", 0.0), fold * np.pi / 180)
        c = k0 * coefficient(optics[f"c{key}_nm"], 10.0) * torch.exp(-1j * angle)
        p = (order + 1 + fold) // 2
        q = order + 1 - p
        chi = chi + (c * w**p * w.conj() ** q).real / (order + 1)
        conjugate = p * c.conj() * w.conj() ** (p - 1) * w**q
        if q:
            conjugate = conjugate + q * c * w**p * w.conj() ** (q - 1)
        gradient = gradient + conjugate / (order + 1)
    return chi, gradient.real**2 + gradient.imag**2


class Sampling:
    """Tells whether the frequencies of a periodic cell follow the phase of the aberrations.

    Between neighbouring frequencies the phase may turn by pi at most; beyond that it aliases,
    which in the image means that a beam is displaced by more than half the cell and appears
    from the other side.

    Parameters
    ----------
    cell_nm : (float, float)
        Height and width of the cell [nm].
    kx, ky : tensor
        Frequencies of the cell that the lens passes, in the order of an FFT: (1, x) and (y, 1)
        [1/Å].
    limit : float
        Highest frequency that the lens passes [1/Å].
    optics : mapping
        Section ``optics`` of the configuration.
    energy_kev : float
        Beam energy [keV].

    Attributes
    ----------
    c1_nm : (float, float)
        Smallest and largest defocus that the cell can follow [nm].

    Raises
    ------
    UserError
        If there is no such defocus.
    """

    def __init__(
        self,
        cell_nm: tuple[float, float],
        kx: torch.Tensor,
        ky: torch.Tensor,
        limit: float,
        optics: Mapping,
        energy_kev: float,
    ) -> None:
        self._cell_nm = cell_nm
        with torch.no_grad():
            kx, ky = torch.fft.fftshift(kx), torch.fft.fftshift(ky)
            inside = kx**2 + ky**2 <= limit**2
            chi, _ = aberration(kx, ky, 0.0, optics, energy_kev)
            alpha2 = wavelength(energy_kev) ** 2 * (kx**2 + ky**2)
            per_nm = 10 * np.pi / wavelength(energy_kev) * alpha2
            self._turns = []  # (side [nm], turn at C1 = 0, turn for each nm) along y and x
            for axis, side in zip((-2, -1), cell_nm, strict=True):
                n = inside.shape[axis]
                both = inside.narrow(axis, 1, n - 1) & inside.narrow(axis, 0, n - 1)
                fixed, slope = (torch.diff(f, dim=axis)[..., both] for f in (chi, per_nm))
                self._turns.append((side, *(t.cpu().numpy() for t in (fixed, slope))))
        low, high = -np.inf, np.inf
        for _, fixed, slope in self._turns:
            # No two neighbours have the same k^2, so that C1 turns each pair of them.
            ends = np.sort(np.stack([(-np.pi - fixed) / slope, (np.pi - fixed) / slope]), axis=0)
            low, high = max(low, ends[0].max(initial=low)), min(high, ends[1].min(initial=high))
        self.c1_nm = float(low), float(high)
        if low > high:
            best = float(low + high) / 2
            raise UserError(
                f"The aberrations of the section optics are too strong for a cell of {self._size}: "
                "their phase turns by more than pi from one frequency to the next at any defocus; "
                f"weaken them or take {self._cell_for(best)}."
            )

    def check(self, c1_nm: torch.Tensor) -> None:
        """Refuse a defocus whose phase the cell cannot follow.

        Raises
        ------
        UserError
            It names the nearest defocus and the smallest cell that work.
        """
        low, high = self.c1_nm
        for c1 in (c1_nm.min().item(), c1_nm.max().item()):
            if not low <= c1 <= high:
                nearest = np.ceil(10 * low) / 10 if c1 < low else np.floor(10 * high) / 10
                raise UserError(
                    f"The defocus C1 = {c1:g} nm is too strong for a cell of {self._size}: the "
                    "phase of the lens turns by more than pi from one frequency to the next; the "
                    f"nearest that works is {nearest:g} nm (frames.c1_nm), or "
                    f"{self._cell_for(c1)}."
                )

    @property
    def _size(self) -> str:
        return f"{self._cell_nm[0]:.3g} x {self._cell_nm[1]:.3g} nm"

    def _cell_for(self, c1_nm: float) -> str:
        """Describe the smallest cell that works: steps of frequency shrink as its sides grow."""
        sides = [
            # The rim of the passed band moves a little with the steps: 2 % to be sure.
            max(side, 1.02 * side * np.abs(fixed + c1_nm * slope).max(initial=0) / np.pi)
            for side, fixed, slope in self._turns
        ]
        height, width = (np.ceil(10 * side - 1e-9) / 10 for side in sides)
        return (
            f"a cell of {height:g} x {width:g} nm or more (structures.cell_height_nm, "
            "structures.periods)"
        )


def _present(value: float | torch.Tensor) -> bool:
    """Tell whether a coefficient must be computed with."""
    return isinstance(value, torch.Tensor) or value != 0
