"""abTEM's own multislice: its potential, its equal slices, its propagator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from ase import Atoms

from lowdose.imaging.phonons import displaced
from lowdose.imaging.scattering import parametrization_of

# After `scattering`, which keeps the user's own configuration of abTEM out.
import abtem  # isort: skip
from abtem.multislice import FresnelPropagator  # isort: skip


@contextlib.contextmanager
def fixed_abtem() -> Iterator[None]:
    """Fix what would change abTEM's numbers from machine to machine or run to run.

    FFTW's measured plans depend on timing, and so do the last bits of the wave; its estimated
    plans do not, but at 512 x 512 they take 28 ms where pocketfft takes 9 (one core).
    """
    settings = {
        "device": "cpu",
        "precision": "float32",
        "fft": "numpy",
        "dask.lazy": False,
        "diagnostics.progress_bar": False,
    }
    with abtem.config.set(settings):
        yield


def abtem_multislice(
    atoms: Atoms, tilts_deg: Sequence[tuple[float, float]], simulation: Mapping
) -> np.ndarray:
    """Propagate a plane wave through atoms at several crystal tilts, with abTEM.

    abTEM's infinite projection spreads each atom over the four nearest points of the grid, so
    that it needs a much finer one than :func:`lowdose.imaging.multislice.multislice`, beside
    which it stands for comparison.

    Parameters
    ----------
    atoms : ase.Atoms
        x right, y up, beam along +z [Å]; periodic in its cell.
    tilts_deg : sequence of (float, float)
        Tilts that carry columns along x and along y (up) [degrees].
    simulation : mapping
        Section ``simulation`` of the configuration.

    Returns
    -------
    array (tilt, configuration, x, y), complex64
        At the exit plane, on ``grid`` points; one configuration if the atoms do not vibrate.
    """
    count = simulation.get("phonon_configurations", 0)
    sigmas = {k: 10 * v for k, v in simulation["debye_waller_nm"].items() if v > 0}
    parametrization = parametrization_of(
        simulation["parametrization"], sigmas={} if count else sigmas
    )
    result = []
    with fixed_abtem():
        for configuration in range(max(count, 1)):
            moved = atoms.copy()
            if count:
                moved.positions = displaced(atoms, sigmas, configuration)
            potential = abtem.Potential(
                moved,
                gpts=simulation["grid"],
                slice_thickness=simulation["slice_thickness_nm"] * 10,
                parametrization=parametrization,
                projection="infinite",
            ).build(lazy=False)
            result.append([_exit_wave(potential, tilt, simulation) for tilt in tilts_deg])
    return np.stack(result, axis=1).astype(np.complex64)


def _exit_wave(
    potential: abtem.PotentialArray, tilt: tuple[float, float], simulation: Mapping
) -> np.ndarray:
    plane = abtem.PlaneWave(
        energy=simulation["energy_kev"] * 1e3,
        normalize=False,
        # A positive tilt carries the wave to positive x (y) as it goes down the cell.
        tilt=tuple(1e3 * np.deg2rad(t) for t in tilt),
    )
    wave = plane.multislice(potential, lazy=False)
    # A slice scatters at its entrance and is crossed afterwards: atoms seem half a slice too
    # high, so that a tilt carries them too far (0.007 nm at 4° and 0.2 nm slices).
    half = potential.slice_thickness[-1] / 2
    return FresnelPropagator().propagate(wave, -half).array
