"""Geometric checks that refuse impossible models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree

from lowdose.runtime import UserError
from lowdose.structures.lattices import neighbour_distances

CLOSEST = 0.8  # of the bulk neighbour distance
GAP = (1.6, 3.2)  # Å between the top oxygen layer and the lowest particle layer


def check_model(atoms: Atoms, name: str, structures: Mapping) -> None:
    """Refuse a model that no experiment could show.

    Parameters
    ----------
    atoms : ase.Atoms
        Model in its cell; x is periodic, y is up; no atoms at all are fine.
    name : str
        For the message.
    structures : mapping
        Section ``structures`` of the configuration: elements and lattice constants.

    Raises
    ------
    UserError
        Atoms closer than 0.8 of the bulk neighbour distance (across the lateral boundary
        too), a particle that floats above or sinks into the support or reaches beyond its
        cell, a support that does not join across the lateral boundary.
    """
    if len(atoms) == 0:
        return
    symbols = np.array(atoms.get_chemical_symbols())
    particle = symbols == structures["particle_element"]
    _check_cell(atoms, name)
    _check_distances(atoms, symbols, neighbour_distances(structures), name)
    _check_join(atoms, symbols == structures["support_cation"], name)
    if particle.any():
        _check_contact(atoms, particle, name)


def _check_cell(atoms: Atoms, name: str) -> None:
    size = atoms.cell.lengths()
    for axis, (letter, margin) in enumerate(zip("xyz", (0.0, 1.0, 0.0), strict=True)):
        low, high = atoms.positions[:, axis].min(), atoms.positions[:, axis].max()
        if low < -1e-5 or high > size[axis] - margin + 1e-5:
            raise UserError(
                f"Model {name} does not fit its cell along {letter}: atoms span {low:.1f} to "
                f"{high:.1f} Å in a cell of {size[axis]:.1f} Å; use a larger cell "
                "(structures.cell_height_nm, structures.periods, thicker support) or a smaller "
                "particle (structures.size_nm)."
            )


def _check_distances(atoms: Atoms, symbols: np.ndarray, bulk_distances: Mapping, name: str) -> None:
    width = atoms.cell.lengths()[0]
    # Periodic along x only; cKDTree wants one box per axis, and a huge one does not wrap.
    positions = atoms.positions - atoms.positions.min(axis=0) * [0, 1, 1]
    positions[:, 0] %= width
    positions[positions[:, 0] >= width, 0] = 0.0  # -1e-17 % width is width
    tree = cKDTree(positions, boxsize=[width, 1e4, 1e4])
    reach = CLOSEST * max(bulk_distances.values())
    pairs = tree.query_pairs(reach, output_type="ndarray")
    delta = positions[pairs[:, 0]] - positions[pairs[:, 1]]
    delta[:, 0] -= width * np.rint(delta[:, 0] / width)
    distance = np.linalg.norm(delta, axis=1)
    first, second = symbols[pairs[:, 0]], symbols[pairs[:, 1]]
    for (a, b), bulk in bulk_distances.items():
        of_pair = ((first == a) & (second == b)) | ((first == b) & (second == a))
        if np.any(of_pair & (distance < CLOSEST * bulk)):
            nearest = distance[of_pair].min()
            raise UserError(
                f"Model {name} has {a} and {b} atoms {nearest:.2f} Å apart, closer than 0.8 of "
                f"the bulk distance of {bulk:.2f} Å; check structures.interface_gap_nm and the "
                "lattice constants."
            )


def _check_join(atoms: Atoms, cations: np.ndarray, name: str) -> None:
    """The columns of the support must be equally spaced across the boundary, too."""
    width = atoms.cell.lengths()[0]
    support = atoms.positions[cations]
    for height in np.unique(np.round(support[:, 1], 1)):
        row = np.sort(support[np.abs(support[:, 1] - height) < 0.1][:, 0] % width)
        steps = np.diff(np.concatenate([row, [row[0] + width]]))
        steps = steps[steps > 0.3]  # atoms of one column lie within rounding of each other
        if steps.max() - steps.min() > 0.05:
            raise UserError(
                f"The support of model {name} does not join across the lateral boundary: its "
                f"columns at height {height:.1f} Å are {steps.min():.2f} to {steps.max():.2f} Å "
                "apart; make the cell a whole number of lateral periods (structures.periods)."
            )


def _check_contact(atoms: Atoms, particle: np.ndarray, name: str) -> None:
    metal, support = atoms.positions[particle], atoms.positions[~particle]
    if len(support) == 0:
        return
    gap = metal[:, 1].min() - support[:, 1].max()
    if not GAP[0] <= gap <= GAP[1]:
        verb, nearest = ("floats above", GAP[1]) if gap > GAP[1] else ("sinks into", GAP[0])
        raise UserError(
            f"The particle of model {name} {verb} its support: the gap is {gap:.2f} Å, and "
            f"{GAP[0]} to {GAP[1]} Å is possible; structures.interface_gap_nm: "
            f"{nearest / 10:.2f} works."
        )
