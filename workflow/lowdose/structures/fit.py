"""Whether a particle has room in its cell, and what would give it room."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from lowdose.runtime import UserError
from lowdose.structures import plan as planning
from lowdose.structures.particles import cut
from lowdose.structures.shapes import recipe
from lowdose.structures.support import lateral_period, support_slab

SUPPORT_BOTTOM = 1.0  # Å of vacuum below the support
ABOVE = 1.0  # Å of vacuum above the particle
BESIDE = 4.0  # Å between the particle and its periodic image


def recipe_of(structures: Mapping, family: str, index: int):
    """Return the :class:`~lowdose.structures.shapes.Recipe` of a base shape of the library."""
    low, high = (10 * s for s in structures["size_nm"])
    return recipe(family, index, structures["base_shapes"][family], (low, high))


def check_room(structures: Mapping, extent: np.ndarray, name: str) -> None:
    """Refuse a particle that comes within 0.4 nm of its periodic image or leaves the cell.

    Parameters
    ----------
    structures : mapping
        Section ``structures`` of the configuration (lengths in nm).
    extent : array (3,)
        Width, height and depth of the particle, between the centres of its atoms [Å].
    name : str
        For the message.

    Raises
    ------
    UserError
        It names the smallest cell and the largest particle size that work for all base shapes.
    """
    width, height = _needed(structures, extent)
    too_wide = bool(width > structures["periods"] * lateral_period(structures) + 1e-6)
    too_high = bool(height > structures["cell_height_nm"] * 10 + 1e-6)
    if not too_wide and not too_high:
        return
    # What one shape needs may not be enough for another one.
    needs = [_needed(structures, e) for e in (*_extents(structures), extent)]
    periods = math.ceil(max(w for w, _ in needs) / lateral_period(structures) - 1e-6)
    cell_height = math.ceil(max(h for _, h in needs) - 1e-6) / 10
    changes = []
    if periods > structures["periods"]:
        changes.append(f"structures.periods: {periods}")
    if cell_height > structures["cell_height_nm"]:
        changes.append(f"structures.cell_height_nm: {cell_height}")
    where = " and ".join(["the width"] * too_wide + ["the height"] * too_high)
    raise UserError(
        f"{name}, {extent[0] / 10:.2f} nm wide and {extent[1] / 10:.2f} nm high, is too large for "
        f"{where} of its cell, which must leave {BESIDE / 10} nm beside and {ABOVE / 10} nm above "
        f"it; {' with '.join(changes)} works, and so does {_largest(structures)}."
    )


def _needed(structures: Mapping, extent: np.ndarray) -> tuple[float, float]:
    """Return the width and the height [Å] of the cell that a particle needs."""
    width = extent[0] + max(BESIDE, 20 * structures["shift_nm"])
    return width, interface_height(structures) + structures["interface_gap_nm"] * 10 + (
        extent[1] + ABOVE
    )


def interface_height(structures: Mapping) -> float:
    """Return the height of the top oxygen layer in the cell [Å]."""
    return SUPPORT_BOTTOM + float(support_slab(structures, 2).positions[:, 1].max())


def _extents(structures: Mapping) -> list[np.ndarray]:
    """Return the extents of all base shapes [Å], with room for strain, turn and an adatom."""
    lattice = structures["particle_lattice_nm"] * 10
    strain = 1 + 0.0256 * abs(structures["strain_percent"])
    found = []
    for _, family, index in planning.base_shapes(structures):
        extent = np.ptp(cut(recipe_of(structures, family, index), lattice).positions, axis=0)
        width, height, depth = extent * strain
        turn = np.deg2rad(structures["rotation_deg"])
        relaxed = 0.02 * abs(structures["surface_relaxation_percent"]) * lattice
        layer = lattice / np.sqrt(3) if "Ds" in structures["defects"][family] else 0.0
        width += depth * np.sin(turn) + relaxed + layer
        found.append(np.array([width, height + relaxed + layer, depth]))
    return found


def _largest(structures: Mapping) -> str:
    """Say which upper end of structures.size_nm lets every base shape fit."""
    low, high = structures["size_nm"]
    room = structures["periods"] * lateral_period(structures), structures["cell_height_nm"] * 10
    works, fails = 7, math.ceil(10 * high)  # tenths of a nm
    while fails - works > 1:
        tried = (works + fails) // 2
        smaller = {**structures, "size_nm": [min(low, tried / 10), tried / 10]}
        try:
            needs = [_needed(smaller, extent) for extent in _extents(smaller)]
        except UserError:  # too small for atoms or steps
            needs = []
        if all(width <= room[0] and height <= room[1] for width, height in needs):
            works = tried
        else:
            fails = tried
    return f"structures.size_nm: [{min(low, works / 10):g}, {works / 10:g}]"
