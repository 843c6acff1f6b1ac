"""Exit waves by multislice, in image orientation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms

from lowdose.config_world import LARGEST_TILT_DEG
from lowdose.imaging.abtem_engine import abtem_multislice
from lowdose.imaging.multislice import multislice
from lowdose.runtime import UserError

ENGINES = {"torch": multislice, "abtem": abtem_multislice}


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
    element or displaced as frozen phonons; the tilt is applied by the Fresnel propagator, which
    keeps the periodic support whole (rotated atoms would not fit their cell).

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
        Exit waves in image orientation, 1 in vacuum; (tilt, configuration, y, x) if
        ``phonon_configurations`` is not 0.

    Raises
    ------
    UserError
        If a tilt is larger than 6°.
    """
    for tilt in tilts_deg:
        if max(map(abs, tilt)) > LARGEST_TILT_DEG:
            raise UserError(
                f"The tilt {tuple(tilt)} is beyond the propagator's validity; the largest that "
                f"works is {LARGEST_TILT_DEG:g}° (structures.tilts_deg)."
            )
    waves = to_image(ENGINES[simulation.get("engine", "torch")](atoms, tilts_deg, simulation))
    return waves if simulation.get("phonon_configurations", 0) else waves[:, 0]
