"""Face-centred cubic and fluorite lattices with (111) upwards and the beam along [1-10]."""

from __future__ import annotations

import numpy as np

# Rows: image right [11-2], image up [111], beam [1-10]; right-handed.
ORIENTATION = np.array([[1.0, 1.0, -2.0], [1.0, 1.0, 1.0], [1.0, -1.0, 0.0]])
ORIENTATION /= np.linalg.norm(ORIENTATION, axis=1, keepdims=True)

FCC_BASIS = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])

# Bulk nearest-neighbour distances [Å] from the lattice constants at room temperature:
# Pt 3.924 / sqrt(2); fluorite CeO2 5.411: Ce-O a sqrt(3)/4, O-O a/2, Ce-Ce a/sqrt(2).
# Between the two solids: Pt-O of PtO (2.02 Å) and Pt-Ce of the intermetallic CePt5 (3.10 Å).
NEIGHBOUR_DISTANCE = {
    ("Pt", "Pt"): 2.772,
    ("Ce", "O"): 2.343,
    ("O", "O"): 2.706,
    ("Ce", "Ce"): 3.826,
    ("O", "Pt"): 2.02,
    ("Ce", "Pt"): 3.10,
}


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
