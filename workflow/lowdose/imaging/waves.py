"""Exit waves by multislice, with abTEM."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from ase import Atoms

# abTEM reads the user's own configuration when it is imported; the study must not depend on it.
os.environ["ABTEM_CONFIG"] = os.path.join(tempfile.gettempdir(), "lowdose-no-abtem-configuration")

import abtem
from abtem.multislice import FresnelPropagator
from abtem.parametrizations import KirklandParametrization, LobatoParametrization

PARAMETRIZATIONS = {"lobato": LobatoParametrization, "kirkland": KirklandParametrization}


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


def to_image(array: np.ndarray) -> np.ndarray:
    """Turn an abTEM array (x, y up) into an image (row 0 at the top, y down; x).

    abTEM samples at ``i * sampling``.  The image's row j is at the distance ``j * sampling``
    below the upper edge of the cell, which is the point ``y = height - j * sampling`` there;
    its row 0 is therefore abTEM's y = 0 by periodicity, and the flip goes with a roll by one.

    Parameters
    ----------
    array : array (..., x, y)

    Returns
    -------
    array (..., y, x)
    """
    flipped = np.roll(array[..., ::-1], 1, axis=-1)
    return np.ascontiguousarray(np.swapaxes(flipped, -1, -2))


def exit_waves(
    atoms: Atoms, tilts_deg: Sequence[tuple[float, float]], simulation: Mapping
) -> np.ndarray:
    """Simulate the exit waves of one structure at several crystal tilts.

    The potential is that of independent atoms, smeared by the Debye-Waller factor of each
    element; the tilt is applied by the Fresnel propagator, which keeps the periodic support
    whole (rotated atoms would not fit their cell).

    Parameters
    ----------
    atoms : ase.Atoms
        x right, y up, beam along +z [Å]; the cell is the field of view and is periodic.
    tilts_deg : sequence of (float, float)
        Tilts that carry columns along x and along y (up) [degrees].
    simulation : mapping
        Section ``simulation`` of the configuration.

    Returns
    -------
    array (tilt, y, x), complex64
        Exit waves in image orientation, 1 in vacuum.
    """
    parametrization = PARAMETRIZATIONS[simulation["parametrization"]](
        sigmas={k: 10 * v for k, v in simulation["debye_waller_nm"].items() if v > 0}
    )
    with fixed_abtem():
        potential = abtem.Potential(
            atoms,
            gpts=simulation["grid"],
            slice_thickness=simulation["slice_thickness_nm"] * 10,
            parametrization=parametrization,
            projection="infinite",
        ).build(lazy=False)
        waves = []
        for tilt in tilts_deg:
            plane = abtem.PlaneWave(
                energy=simulation["energy_kev"] * 1e3,
                normalize=False,
                # A positive tilt carries the wave to positive x (y) as it goes down the cell.
                tilt=tuple(1e3 * np.deg2rad(t) for t in tilt),
            )
            wave = plane.multislice(potential, lazy=False)
            # A slice scatters at its entrance and is crossed afterwards: atoms seem half a slice
            # too high, so that a tilt carries them too far (0.007 nm at 4° and 0.2 nm slices).
            half = potential.slice_thickness[-1] / 2
            waves.append(to_image(FresnelPropagator().propagate(wave, -half).array))
    return np.stack(waves).astype(np.complex64)
