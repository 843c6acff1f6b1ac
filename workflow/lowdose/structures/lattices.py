"""Face-centred cubic lattices with (111) upwards and the beam along [1-10]; bond lengths."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ase.data import atomic_numbers, covalent_radii

# Rows: image right [11-2], image up [111], beam [1-10]; right-handed.
ORIENTATION = np.array([[1.0, 1.0, -2.0], [1.0, 1.0, 1.0], [1.0, -1.0, 0.0]])
ORIENTATION /= np.linalg.norm(ORIENTATION, axis=1, keepdims=True)

FCC_BASIS = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])

# Oxygen parameter of rutile TiO2 (Burdett et al. 1987, J. Am. Chem. Soc. 109, 3639: 0.3048).
RUTILE_U = 0.305


def fcc_sites(lattice_constant: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return all sites of an oriented fcc lattice inside a box.

    Parameters
    ----------
    lattice_constant : float
        Conventional lattice constant [Å].
    low, high : array (3,)
        Corners of the box in image coordinates (right, up, beam) [Å]; a site of the lattice
        is at the origin.

    Returns
    -------
    array (n, 3)
        Positions [Å], sorted by height, then by x, then by z.
    """
    vectors = lattice_constant * FCC_BASIS @ ORIENTATION.T
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1])
                        for z in (low[2], high[2])])  # fmt: skip
    indices = corners @ np.linalg.inv(vectors)
    ranges = [
        np.arange(np.floor(indices[:, i].min()) - 1, np.ceil(indices[:, i].max()) + 2)
        for i in range(3)
    ]
    grid = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    sites = grid @ vectors
    sites = sites[np.all((sites >= low - 1e-6) & (sites <= high + 1e-6), axis=1)]
    return sites[np.lexsort(np.round(sites, 4)[:, [2, 0, 1]].T)]


def column_spacing(lattice_constant: float) -> tuple[float, float]:
    """Return the two projected neighbour distances of fcc along [110] [Å].

    They are ``a sqrt(3/8)`` (four neighbours) and ``a / sqrt(2)`` (two).
    """
    return lattice_constant * np.sqrt(3 / 8), lattice_constant / np.sqrt(2)


def neighbour_distances(structures: Mapping) -> dict[tuple[str, str], float]:
    """Return the shortest distance of every pair of elements of a model [Å].

    Within a crystal it follows from the lattice constants: fcc a/sqrt(2); fluorite a sqrt(3)/4
    (cation and O), a/2 (O) and a/sqrt(2) (cations); rutile the shorter of u a sqrt(2) and
    sqrt(c²/4 + 2 (1/2 - u)² a²) (cation and O), (1 - 2u) a sqrt(2) (O, the shared edge) and the
    shorter of c and sqrt(a²/2 + c²/4) (cations).  Across the interface it is the sum of the
    covalent radii (Cordero et al. 2008, Dalton Trans. 2832): Pt-O 2.02 Å as in PtO.

    Parameters
    ----------
    structures : mapping
        Section ``structures`` of the configuration (lengths in nm).

    Returns
    -------
    dict
        Two elements in alphabetical order -> distance [Å].
    """
    metal, cation = structures["particle_element"], structures["support_cation"]
    a = structures["support_lattice_nm"] * 10
    if structures["support_structure"] == "fluorite":
        bond, oxygen, cations = a * np.sqrt(3) / 4, a / 2, a / np.sqrt(2)
    else:
        c = structures["support_c_nm"] * 10
        across = np.sqrt(c**2 / 4 + 2 * (0.5 - RUTILE_U) ** 2 * a**2)
        bond = min(RUTILE_U * a * np.sqrt(2), across)
        oxygen = (1 - 2 * RUTILE_U) * a * np.sqrt(2)
        cations = min(c, np.sqrt(a**2 / 2 + c**2 / 4))
    found = {
        (metal, cation): _contact(metal, cation),
        (metal, "O"): _contact(metal, "O"),
        (cation, "O"): bond,
        ("O", "O"): oxygen,
        (cation, cation): cations,
        (metal, metal): structures["particle_lattice_nm"] * 10 / np.sqrt(2),
    }
    return {tuple(sorted(pair)): float(distance) for pair, distance in found.items()}


def _contact(first: str, second: str) -> float:
    return covalent_radii[atomic_numbers[first]] + covalent_radii[atomic_numbers[second]]
