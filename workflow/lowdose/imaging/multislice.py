"""Multislice in torch: one slice for each atomic plane, at its own depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from ase import Atoms

from lowdose.imaging.electron import wavelength
from lowdose.imaging.fourier import fast_length
from lowdose.imaging.phonons import displaced
from lowdose.imaging.potential import PlaneTransmission, planes

BAND = 2 / 3  # of the Nyquist frequency: products of two such functions do not alias into it
CLOSEST_PLANES = 0.3  # Å, when the atoms vibrate: planes are those of the atoms at rest


def stored_points(cell: tuple[float, float], grid: int) -> tuple[int, int]:
    """Return the points along x and y that hold all frequencies of a wave without loss."""
    limit = BAND * grid / (2 * max(cell))
    return tuple(fast_length(2 * int(np.floor(limit * length)) + 1) for length in cell)


def multislice(
    atoms: Atoms,
    tilts_deg: Sequence[tuple[float, float]],
    simulation: Mapping,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Propagate a plane wave through atoms at several crystal tilts.

    The wave is transmitted by the phase ``sigma V`` of each atomic plane and carried to the
    next by the Fresnel propagator ``exp(-i pi lambda dz k^2 - 2 pi i dz tan(tilt) k)``; both
    are cut at two thirds of the grid's band (Kirkland 2010, chapter 6).  Planes stand where
    their atoms are, so that there is no slice thickness to converge.

    Thermal motion enters as the mean transmission of each atom, which makes the wave the mean
    of the waves of frozen phonons but for the motion along the beam; see
    :mod:`lowdose.imaging.thermal`.

    Parameters
    ----------
    atoms : ase.Atoms
        x right, y up, beam along +z [Å]; periodic in its cell.
    tilts_deg : sequence of (float, float)
        Tilts that carry columns along x and along y (up) [degrees].
    simulation : mapping
        Section ``simulation`` of the configuration.
    device : torch device

    Returns
    -------
    array (tilt, configuration, x, y), complex64
        At the exit plane (the cell's far side), on `stored_points`; one configuration if the
        atoms do not vibrate.
    """
    lengths = atoms.cell.lengths()
    cell, depth = (float(lengths[0]), float(lengths[1])), float(lengths[2])
    grid, count = simulation["grid"], simulation.get("phonon_configurations", 0)
    sigmas = {k: 10 * v for k, v in simulation["debye_waller_nm"].items()}
    transmissions = PlaneTransmission(
        cell, grid, simulation["parametrization"], {} if count else sigmas,
        simulation["energy_kev"], simulation.get("thermal", "transmission"), device,
    )  # fmt: skip
    tolerance = 10 * simulation["slice_thickness_nm"]
    slices = planes(atoms.positions[:, 2], max(tolerance, CLOSEST_PLANES) if count else tolerance)
    propagator = _Propagator(cell, grid, simulation["energy_kev"], tilts_deg, device)
    symbols = np.array(atoms.get_chemical_symbols())
    result = []
    for configuration in range(max(count, 1)):
        positions = displaced(atoms, sigmas, configuration) if count else atoms.positions
        wave = torch.ones(len(tilts_deg), grid, grid, dtype=torch.complex64, device=device)
        spectrum = propagator.start()
        for number, plane in enumerate(slices):
            transmission = transmissions.of(symbols[plane], positions[plane, :2])
            transmission = propagator.limited(transmission)
            here = positions[plane, 2].mean()
            behind = slices[number + 1] if number + 1 < len(slices) else None
            there = depth if behind is None else positions[behind, 2].mean()
            spectrum = propagator.carry(torch.fft.fft2(wave.mul_(transmission)), there - here)
            if behind is not None:
                wave = torch.fft.ifft2(spectrum)
        result.append(_cropped(spectrum, stored_points(cell, grid)))
    return torch.stack(result, dim=1).cpu().numpy()


class _Propagator:
    """Fresnel propagation of waves at several tilts, in place."""

    def __init__(
        self,
        cell: tuple[float, float],
        grid: int,
        energy_kev: float,
        tilts_deg: Sequence[tuple[float, float]],
        device: torch.device | str,
    ) -> None:
        self._lambda, self._device = wavelength(energy_kev), device
        self._k = [np.fft.fftfreq(grid, length / grid) for length in cell]
        self._tangents = np.tan(np.deg2rad(np.asarray(tilts_deg, dtype=float))).reshape(-1, 2)
        limit = BAND * grid / (2 * max(cell))
        inside = np.hypot(self._k[0][:, None], self._k[1][None, :]) < limit
        self._aperture = torch.from_numpy(inside.astype(np.float32)).to(device)

    def start(self) -> torch.Tensor:
        """Return the spectra of the incident plane waves, one for each tilt."""
        grid = self._aperture.shape[0]
        spectrum = torch.zeros(
            len(self._tangents), grid, grid, dtype=torch.complex64, device=self._device
        )
        spectrum[:, 0, 0] = grid * grid
        return spectrum

    def limited(self, transmission: torch.Tensor) -> torch.Tensor:
        """Cut a transmission function at the band limit."""
        return torch.fft.ifft2(torch.fft.fft2(transmission).mul_(self._aperture))

    def carry(self, spectrum: torch.Tensor, distance: float) -> torch.Tensor:
        """Propagate spectra (tilt, x, y) by a distance [Å]; the propagator is a product."""
        spectrum.mul_(self._aperture)
        for axis in (0, 1):
            k = self._k[axis][None, :]
            turn = -np.pi * self._lambda * distance * k**2
            turn = turn - 2 * np.pi * distance * self._tangents[:, axis, None] * k
            factor = torch.from_numpy(np.exp(1j * turn).astype(np.complex64)).to(self._device)
            spectrum.mul_(factor[:, :, None] if axis == 0 else factor[:, None, :])
        return spectrum


def _cropped(spectrum: torch.Tensor, points: tuple[int, int]) -> torch.Tensor:
    """Transform spectra (..., x, y) back on fewer points, which hold all that is not zero."""
    scale = points[0] * points[1] / (spectrum.shape[-2] * spectrum.shape[-1])
    for axis, n in zip((-2, -1), points, strict=True):
        size = spectrum.shape[axis]
        if n < size:
            low = spectrum.narrow(axis, 0, (n + 1) // 2)
            high = spectrum.narrow(axis, size - n // 2, n // 2)
            spectrum = torch.cat([low, high], dim=axis)
    return torch.fft.ifft2(spectrum) * scale
