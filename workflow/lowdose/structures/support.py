"""Oxide supports: fluorite (111) seen along [110], and rutile (110) seen along [001]."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
from ase import Atoms

from lowdose.structures.lattices import RUTILE_U, fcc_sites
from lowdose.structures.truth import group_columns


def layer_spacing(structures: Mapping) -> float:
    """Return the thickness of a support layer along the beam [Å].

    Fluorite: (220) layers, ``a / sqrt(8)``.  Rutile: (002) layers, ``c / 2``.
    """
    if structures["support_structure"] == "rutile":
        return structures["support_c_nm"] * 10 / 2
    return structures["support_lattice_nm"] * 10 / np.sqrt(8)


def lateral_period(structures: Mapping) -> float:
    """Return the period of the support along x [Å].

    Fluorite: [11-2], ``a sqrt(3/2)``.  Rutile: [1-10], ``a sqrt(2)``.
    """
    a = structures["support_lattice_nm"] * 10
    return a * (np.sqrt(2) if structures["support_structure"] == "rutile" else np.sqrt(1.5))


def support_slab(structures: Mapping, layers: int) -> Atoms:
    """Build the support of a model.

    Parameters
    ----------
    structures : mapping
        Section ``structures`` of the configuration (lengths in nm): ``support_structure,
        support_cation, support_lattice_nm, support_c_nm, periods, trilayers``.
    layers : int
        Layers along the beam, see :func:`layer_spacing`.

    Returns
    -------
    ase.Atoms
        The lowest oxygen layer is at y = 0 and the first layer along the beam at z = 0; x is
        periodic.  ``arrays["column"]`` numbers the columns of cations from 1, oxygen has 0.
    """
    build = rutile if structures["support_structure"] == "rutile" else fluorite
    cations, oxygen = build(
        structures["support_lattice_nm"] * 10,
        (structures["support_c_nm"] or 0.0) * 10,
        structures["periods"],
        layers,
        structures["trilayers"],
    )
    symbols = [structures["support_cation"]] * len(cations) + ["O"] * len(oxygen)
    slab = Atoms(
        symbols,
        positions=np.concatenate([cations, oxygen]),
        cell=[structures["periods"] * lateral_period(structures), 0, 0],
        pbc=[True, False, False],
    )
    column = np.concatenate([group_columns(cations[:, :2]) + 1, np.zeros(len(oxygen))])
    slab.set_array("column", column.astype(int))
    return slab


@functools.lru_cache(maxsize=16)
def fluorite(
    a: float, _c: float, periods: int, layers: int, trilayers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Build an oxygen-terminated fluorite (111) slab, stoichiometric.

    Parameters
    ----------
    a : float
        Lattice constant [Å].
    periods, layers, trilayers : int
        Lateral periods of ``a sqrt(3/2)``, (220) layers of ``a / sqrt(8)`` along the beam, and
        O-M-O layers of ``a / sqrt(3)`` upwards.

    Returns
    -------
    cations, oxygen : array (n, 3), array (2 n, 3)
        Positions [Å].
    """
    width = periods * a * np.sqrt(1.5)
    depth = (layers - 1) * a / np.sqrt(8)
    height = (trilayers - 1) * a / np.sqrt(3)
    bond = a * np.sqrt(3) / 4  # cation to O along +-[111]
    half = a * np.sqrt(3) / 12  # an O layer lies this far from its cation layer
    margin = 1e-3
    low = np.array([-margin, -margin, -margin])
    high = np.array([width - 2 * margin, height + margin, depth + margin])
    cations = fcc_sites(a, low, high)
    # Oxygen is bound to cation sites of the layers above and below; keep those within the slab.
    reach = np.array([0, bond + half, 0])
    sites = fcc_sites(a, low - reach, high + reach)
    along = np.array([0, bond, 0])
    oxygen = np.concatenate([sites + along, sites - along])
    oxygen = oxygen[(oxygen[:, 1] > -half - margin) & (oxygen[:, 1] < height + half + margin)]
    up = np.array([0, half, 0])
    return cations + up, oxygen + up


@functools.lru_cache(maxsize=16)
def rutile(
    a: float, c: float, periods: int, layers: int, trilayers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Build a bulk-terminated rutile (110) slab with its rows of bridging oxygen, stoichiometric.

    Image right is [1-10], up [110], beam [001].  A trilayer is a plane M2O2 (two cations and
    two O a surface cell of ``a sqrt(2)`` by c) with one bridging O above and one below it;
    the next one is shifted by half the cell's width, which is what stacks (110) planes
    ``a / sqrt(2)`` apart.

    Parameters
    ----------
    a, c : float
        Lattice constants [Å].
    periods, layers, trilayers : int
        Lateral periods of ``a sqrt(2)``, (002) layers of ``c / 2`` along the beam, and
        trilayers of ``a / sqrt(2)`` upwards.

    Returns
    -------
    cations, oxygen : array (n, 3), array (2 n, 3)
        Positions [Å].
    """
    period, step = a * np.sqrt(2), a / np.sqrt(2)
    bridge = (0.5 - RUTILE_U) * period  # height of the bridging O above its plane
    cations, oxygen = [], []
    for plane in range(trilayers):
        origin = np.array([(plane % 2) * step, plane * step + bridge])
        for layer in range(layers):
            # On even layers lies the cation that is bound to O above and below it; on odd ones
            # that under the bridging rows, which are themselves on even layers.
            if layer % 2 == 0:
                flat, bound = [(0.0, 0.0)], [(step, bridge), (step, -bridge)]
            else:
                flat = [(step, 0.0)]
                bound = [(step + RUTILE_U * period, 0.0), (step - RUTILE_U * period, 0.0)]
            z = layer * c / 2
            cations += [[*(origin + p), z] for p in flat]
            oxygen += [[*(origin + p), z] for p in bound]
    tiles = np.arange(periods)[:, None, None] * np.array([period, 0.0, 0.0])
    width = periods * period

    def tiled(points: list) -> np.ndarray:
        positions = (np.array(points)[None] + tiles).reshape(-1, 3)
        positions[:, 0] = np.mod(positions[:, 0] + 1e-6, width) - 1e-6
        return positions[np.lexsort(np.round(positions, 4)[:, [2, 0, 1]].T)]

    return tiled(cations), tiled(oxygen)
