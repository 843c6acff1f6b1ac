"""The CeO2 (111) support, seen along [110]."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from lowdose.structures.lattices import fcc_sites


def layer_spacing(lattice_constant: float) -> float:
    """Return the spacing of the (220) layers along the beam, ``a / sqrt(8)`` [Å]."""
    return lattice_constant / np.sqrt(8)


def lateral_period(lattice_constant: float) -> float:
    """Return the period along [11-2] in the image, ``a sqrt(3/2)`` [Å]."""
    return lattice_constant * np.sqrt(1.5)


def support_slab(lattice_constant: float, periods: int, layers: int, trilayers: int) -> Atoms:
    """Build an oxygen-terminated fluorite CeO2 (111) slab.

    Parameters
    ----------
    lattice_constant : float
        Fluorite lattice constant [Å], 5.411 for CeO2.
    periods : int
        Lateral periods of ``a sqrt(3/2)``: the slab repeats seamlessly after them.
    layers : int
        (220) layers along the beam, each ``a / sqrt(8)`` thick.
    trilayers : int
        O-Ce-O layers upwards, each ``a / sqrt(3)`` high.

    Returns
    -------
    ase.Atoms
        The lowest oxygen layer is at y = 0 and the first layer along the beam at z = 0.
    """
    width = periods * lateral_period(lattice_constant)
    depth = (layers - 1) * layer_spacing(lattice_constant)
    height = (trilayers - 1) * lattice_constant / np.sqrt(3)
    bond = lattice_constant * np.sqrt(3) / 4  # Ce-O along +-[111]
    half = lattice_constant * np.sqrt(3) / 12  # an O layer lies this far from its Ce layer
    margin = 1e-3
    low = np.array([-margin, -margin, -margin])
    high = np.array([width - 2 * margin, height + margin, depth + margin])
    cerium = fcc_sites(lattice_constant, low, high)
    # Oxygen is bound to Ce sites of the layers above and below; keep those within the slab.
    reach = np.array([0, bond + half, 0])
    sites = fcc_sites(lattice_constant, low - reach, high + reach)
    along = np.array([0, bond, 0])
    oxygen = np.concatenate([sites + along, sites - along])
    oxygen = oxygen[(oxygen[:, 1] > -half - margin) & (oxygen[:, 1] < height + half + margin)]
    positions = np.concatenate([cerium, oxygen])
    positions[:, 1] += half
    symbols = ["Ce"] * len(cerium) + ["O"] * len(oxygen)
    return Atoms(symbols, positions=positions, cell=[width, 0, 0], pbc=[True, False, False])
