"""Optics: from the exit wave to the image intensity, in torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from lowdose.imaging.aberrations import Sampling, aberration
from lowdose.imaging.electron import wavelength
from lowdose.imaging.fourier import fast_length, low_frequencies
from lowdose.runtime import UserError

NEGLIGIBLE = 1e-4  # transfer below this cannot be seen in an image
OPEN_LENS = 3.5  # 1/Å, the limit of a lens without focal spread
# 1/Å, for a sum over foci.  The wave of a particle on 5 nm of CeO2 has 2e-4 of its power beyond;
# leaving it out changes the image by 1.5e-3 (C1 = 0) and 3e-4 (9 nm) of its contrast.
INCOHERENT_LIMIT = 3.0


def band_limit(optics: Mapping, energy_kev: float) -> float:
    """Return the spatial frequency of the wave above which the lens passes nothing [1/Å].

    With an envelope it solves ``exp(-(pi lambda spread k^2 / 2)^2) = 1e-4``, and is 3.5 1/Å at
    most.  A sum over foci (``focal_points`` above 1) has no such limit: focal spread damps what
    beams of different |k| make together, but each beam passes, and the high ones brighten the
    columns that scattered them.  There the limit is 3 1/Å, where the wave itself ends.
    """
    spread = optics["focal_spread_nm"] * 10
    if spread <= 0:
        return OPEN_LENS
    k_squared = np.sqrt(-np.log(NEGLIGIBLE)) / (0.5 * np.pi * wavelength(energy_kev) * spread)
    limit = float(min(np.sqrt(k_squared), OPEN_LENS))
    return max(limit, INCOHERENT_LIMIT) if optics.get("focal_points", 1) > 1 else limit


def foci(optics: Mapping) -> list[tuple[float, float]]:
    """Return the foci of an incoherent sum over the focal spread, and their weights.

    The distribution is ``exp(-(d / spread)^2)``, of rms spread / sqrt(2).  Its foci are equally
    spaced: the trapezoidal rule on a Gaussian ends abruptly (its error is exp(-(pi / h - z)^2)
    for the step h and the oscillation cos(2 z d)), where Gauss-Hermite nodes, made for
    polynomials, lose themselves in the tails.  The step of 1.3 / sqrt(n) spreads balances the
    tails left out against the step.  Error of the image of 5 nm of CeO2 with a particle, in
    its contrast at C1 = 0 and 9 nm: 0.02 and 0.01 with 7 foci (Gauss-Hermite 0.11 and 0.04),
    2e-3 and 5e-4 with 15 (0.025 and 0.009), 2e-4 and 7e-5 with 21.

    Parameters
    ----------
    optics : mapping
        Section ``optics`` of the configuration.

    Returns
    -------
    list of (float, float)
        Offset from C1 [nm] and weight; [(0, 1)] where there is an envelope, or no spread.
    """
    n = optics.get("focal_points", 1)
    if n == 1 or optics["focal_spread_nm"] <= 0:
        return [(0.0, 1.0)]
    places = 1.3 / np.sqrt(n) * (np.arange(n) - (n - 1) / 2)
    weights = np.exp(-(places**2))
    weights /= weights.sum()
    return list(zip((places * optics["focal_spread_nm"]).tolist(), weights.tolist(), strict=True))


def transfer(
    kx: torch.Tensor,
    ky: torch.Tensor,
    c1_nm: float | torch.Tensor,
    optics: Mapping,
    energy_kev: float,
    *,
    dtype: torch.dtype = torch.complex64,
) -> torch.Tensor:
    """Transfer function of the objective lens for the wave.

    ``exp(-i chi)`` with the phase of :func:`lowdose.imaging.aberrations.aberration`, times the
    quasi-coherent envelopes of convergence, ``exp(-(q / 2)^2 |grad chi|^2)`` with the full
    gradient, and of focal spread, ``exp(-(pi lambda spread k^2 / 2)^2)`` (Kirkland 2010,
    section 3; the same convention as abTEM's CTF, whose ``defocus`` is -C1).  The latter is
    left out if ``focal_points`` is above 1: this is then one focus of the sum.

    Parameters
    ----------
    kx, ky : tensor
        Spatial frequencies along columns and along rows [1/Å], broadcast against each other.
    c1_nm : float or tensor (B,)
        Defocus C1, positive = overfocus [nm].
    optics : mapping
        Section ``optics`` of the configuration; aberrations may be tensors, () or (B,).
    energy_kev : float
        Beam energy [keV].
    dtype : torch.dtype
        Of the result; it is computed in double precision in any case.

    Returns
    -------
    tensor, complex
        Of the shape of ``kx + ky``, with a leading axis (B,) if C1 or an aberration has one.
    """
    shape = torch.broadcast_shapes(kx.shape, ky.shape)
    kx, ky = torch.atleast_2d(kx), torch.atleast_2d(ky)
    chi, slope2 = aberration(kx, ky, c1_nm, optics, energy_kev)
    damping = (optics["convergence_mrad"] * 1e-3 / 2) ** 2 * slope2
    if optics.get("focal_points", 1) == 1:
        lam, spread = wavelength(energy_kev), optics["focal_spread_nm"] * 10
        alpha2 = (lam * lam) * (kx.double() ** 2 + ky.double() ** 2)
        damping = (0.5 * np.pi / lam * spread * alpha2) ** 2 + damping
    result = torch.polar(torch.exp(-damping), -chi).to(dtype)
    return result if len(shape) >= 2 else result.reshape(*result.shape[:-2], *shape)


class WaveOptics:
    """Renders images of exit waves of one cell size.

    The wave's spectrum is cut at the lens's band limit, so that all transforms run on a grid
    just large enough for the intensity, whose band is twice as wide.  Everything runs on the
    device of the spectrum and can be differentiated by the spectrum, by C1 and by aberrations
    given as tensors.

    Parameters
    ----------
    cell_nm : (float, float)
        Height and width of the periodic field [nm].
    optics : mapping
        Section ``optics`` of the configuration.
    energy_kev : float
        Beam energy [keV].

    Raises
    ------
    UserError
        If the phase of the aberrations aliases in this cell at any defocus.
    """

    def __init__(self, cell_nm: tuple[float, float], optics: Mapping, energy_kev: float) -> None:
        self.cell_nm = cell_nm
        self.optics = dict(optics)
        self.energy_kev = energy_kev
        self.limit = band_limit(optics, energy_kev)
        # Frequencies -m..m pass the lens; the intensity has -2m..2m and needs 4m + 1 points.
        self.cut = tuple(int(np.floor(self.limit * 10 * length)) for length in cell_nm)
        self.grid = tuple(fast_length(4 * m + 1) for m in self.cut)
        k = [torch.fft.fftfreq(n, 10 * length / n, dtype=torch.float64)
             for n, length in zip(self.grid, cell_nm, strict=True)]  # fmt: skip
        kept = [low_frequencies(n, m) for n, m in zip(self.grid, self.cut, strict=True)]
        self._kept = kept[0][:, None], kept[1][None, :]
        self._k = k[1][kept[1]][None, :], k[0][kept[0]][:, None]
        self._foci = foci(optics)
        self.sampling = Sampling(cell_nm, *self._k, self.limit, optics, energy_kev)

    def spectrum(self, wave: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Return the part of a wave's spectrum that the lens can pass.

        Parameters
        ----------
        wave : array ([..., configuration,] y, x), complex
            Exit wave over the cell, 1 in vacuum, on any number of points that holds the
            frequencies which the lens passes.

        Returns
        -------
        tensor (..., configuration, 2 m_y + 1, 2 m_x + 1), complex64 (complex128 of a double)
            The axis of frozen-phonon configurations is always there, of length 1 for a wave
            (y, x), so that spectra can be stacked in front of it.  Small enough that hundreds
            of waves fit in memory.

        Raises
        ------
        UserError
            If the wave has too few points.
        """
        wave = torch.as_tensor(wave)
        if wave.dtype != torch.complex128:
            wave = wave.to(torch.complex64)
        if wave.dim() == 2:
            wave = wave[None]
        for n, m in zip(wave.shape[-2:], self.cut, strict=True):
            if n < 2 * m + 1:
                # The multislice keeps two thirds of its band.
                grid = fast_length(int(np.ceil(30 * self.limit * max(self.cell_nm))))
                raise UserError(
                    f"A wave of {n} points is too coarse for the lens, which passes {2 * m + 1} "
                    f"frequencies of this cell; set simulation.grid to {grid} or more."
                )
        full = torch.fft.fft2(wave, norm="forward")
        rows, columns = (
            low_frequencies(n, m).to(full.device)
            for n, m in zip(full.shape[-2:], self.cut, strict=True)
        )
        return full[..., rows[:, None], columns[None, :]]

    def intensity(
        self,
        spectrum: torch.Tensor,
        c1_nm: float | Sequence[float] | torch.Tensor,
        optics: Mapping | None = None,
    ) -> torch.Tensor:
        """Return the image intensity at a defocus or at several, vacuum = 1.

        Configurations are averaged incoherently: (configuration, ky, kx) is one object, a batch
        of objects is (B, configuration, ky, kx).  So (B, ky, kx) would be taken for B
        configurations; stacks of what :meth:`spectrum` returns are always right.

        Parameters
        ----------
        spectrum : tensor ([B,] configuration, ky, kx) or (ky, kx)
            From :meth:`spectrum`.
        c1_nm : float, or sequence or tensor (B,)
            Defocus C1 [nm], positive = overfocus.
        optics : mapping, optional
            Another lens for this image, whose band and aberrations are no larger than those
            that this object was made with (which are the ones that are checked).

        Returns
        -------
        tensor ([B,] grid), float32 (float64 of a complex128 spectrum)
            Intensity on `grid` points over the cell, free of aliasing.

        Raises
        ------
        UserError
            If the phase of the lens aliases at a defocus.
        """
        self._move_to(spectrum.device)
        c1 = torch.as_tensor(c1_nm, dtype=torch.float64)
        self.sampling.check(c1.detach())  # where it is: a number is not fetched from a GPU
        c1 = c1.to(spectrum.device)
        if spectrum.dim() == 2:
            spectrum = spectrum[None]
        total, focal = None, self._foci if optics is None else foci(optics)
        for offset, weight in focal:
            lens = transfer(
                *self._k, c1 + offset, optics or self.optics, self.energy_kev, dtype=spectrum.dtype
            )
            image = self._image(spectrum, lens)
            if len(focal) > 1:
                image = weight * image if total is None else total + weight * image
            total = image
        return total

    def _image(self, spectrum: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Square the wave that a lens passes, averaged over configurations."""
        passed = spectrum * (lens if lens.dim() == 2 else lens.unsqueeze(-3))
        full = passed.new_zeros((*passed.shape[:-2], *self.grid))
        full[(..., *self._kept)] = passed
        wave = torch.fft.ifft2(full, norm="forward")
        image = wave.real**2 + wave.imag**2
        return image[..., 0, :, :] if image.shape[-3] == 1 else image.mean(dim=-3)

    def _move_to(self, device: torch.device) -> None:
        """Keep the frequencies where the spectra are."""
        if self._k[0].device != device:
            self._k = tuple(k.to(device) for k in self._k)
            self._kept = tuple(k.to(device) for k in self._kept)
