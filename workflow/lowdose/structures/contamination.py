"""Amorphous carbon on a particle: what a column may not show beam still has lying on it."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree

DENSITY = 0.1  # atoms / Å^3: amorphous carbon of 2.0 g/cm^3
CLOSEST_CARBON = 1.42  # Å, the bond of graphite
CLOSEST_METAL = 2.0  # Å, Pt-C as in carbonyls
TRIALS = 40  # places that are tried for every atom
PATCH = 5.0  # Å, the distance over which cover and bare surface alternate


def contaminated(
    atoms: Atoms, thickness: float, rng: np.random.Generator, cover: float = 0.5
) -> Atoms:
    """Cover patches of the particle's free surface with amorphous carbon.

    Carbon atoms are put at random places within `thickness` of the particle and above the
    support, none closer than a bond to another atom, up to the density of amorphous carbon.
    Patches follow the sign of a smooth random field, so that bare and covered facets alternate.

    Parameters
    ----------
    atoms : ase.Atoms
        A model of the library: x right, y up, z along the beam [Å].
    thickness : float
        Of the layer [Å].
    rng : numpy.random.Generator
    cover : float
        Share of the surface that is covered, about.

    Returns
    -------
    ase.Atoms
        The model with its carbon, in the same cell.
    """
    symbols = np.array(atoms.get_chemical_symbols())
    elements = set(symbols) - {"O"}
    top = {e: atoms.positions[symbols == e, 1].max() for e in elements}
    metal = atoms.positions[symbols == max(top, key=top.get)]
    support = atoms.positions[symbols != max(top, key=top.get)]
    floor = support[:, 1].max() + CLOSEST_METAL if len(support) else -np.inf
    cell = atoms.cell.lengths()
    low = np.maximum(metal.min(axis=0) - thickness, [0, max(floor, 0), 0.2])
    high = np.minimum(metal.max(axis=0) + thickness, cell - [0, 1, 0.2])
    surface = cKDTree(metal)
    trial = rng.uniform(low, high, (int(TRIALS * DENSITY * np.prod(high - low)), 3))
    distance = surface.query(trial)[0]
    trial = trial[(distance > CLOSEST_METAL) & (distance < thickness + CLOSEST_METAL)]
    trial = trial[_field(trial, rng) < cover]
    chosen = _apart(trial, CLOSEST_CARBON, len(trial) // TRIALS)
    carbon = Atoms(f"C{len(chosen)}", positions=chosen) if len(chosen) else Atoms()
    result = atoms.copy()
    result += carbon
    return result


def _field(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a smooth random field, uniform between 0 and 1 over the points."""
    waves = rng.standard_normal((12, 3)) / PATCH
    phases = rng.uniform(0, 2 * np.pi, 12)
    values = np.cos(points @ waves.T + phases).sum(axis=1)
    return np.argsort(np.argsort(values)) / max(len(values), 1)


def _apart(points: np.ndarray, distance: float, wanted: int) -> np.ndarray:
    """Choose points, first come first served, so that no two are closer than `distance`."""
    near = cKDTree(points).query_ball_point(points, distance)
    taken = np.zeros(len(points), dtype=bool)
    for i, others in enumerate(near):
        if taken.sum() == wanted:
            break
        taken[i] = not taken[others].any()
    return points[taken]
