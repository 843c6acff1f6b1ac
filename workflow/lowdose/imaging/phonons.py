"""Frozen phonons: atoms displaced at random, one configuration after another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ase import Atoms

from lowdose import seeds

# Atoms at rest do not blur their potential, which then needs a finer grid than their mean
# transmission: 960 points for 640.
GRID_RATIO = 1.5


def displaced(atoms: Atoms, sigmas: Mapping[str, float], configuration: int) -> np.ndarray:
    """Return the positions of one configuration of the Einstein model.

    Every atom is displaced by independent normal amounts along x, y and z (Loane, Xu and
    Silcox, Acta Cryst. A 47, 267, 1991).

    Parameters
    ----------
    atoms : ase.Atoms
        ``info`` may have ``structure_id`` and ``seed``; with the number of the configuration
        they give the displacements, the same whenever asked.
    sigmas : mapping
        rms displacement along one axis of each element [Å]; others stand still.
    configuration : int

    Returns
    -------
    array (n, 3)
        Positions [Å].
    """
    name = str(atoms.info.get("structure_id", atoms.get_chemical_formula()))
    rng = seeds.rng(int(atoms.info.get("seed", 0)), "phonons", name, configuration)
    amplitude = np.array([sigmas.get(s, 0.0) for s in atoms.get_chemical_symbols()])
    return atoms.positions + amplitude[:, None] * rng.standard_normal((len(amplitude), 3))
