"""The model library: assemble models, check them, write them with their truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms

from lowdose import seeds
from lowdose.config_world import Structures
from lowdose.runtime import atomic_path
from lowdose.structures import plan as planning
from lowdose.structures.checks import check_model
from lowdose.structures.defects import Change, find_defect
from lowdose.structures.deformation import occupied, relaxation, strained, turned
from lowdose.structures.extxyz import write_extxyz
from lowdose.structures.fit import SUPPORT_BOTTOM, check_room, interface_height, recipe_of
from lowdose.structures.particles import cut
from lowdose.structures.support import lateral_period, layer_spacing, support_slab
from lowdose.structures.tables import matched_pairs, model_row, refuse_equal_shapes
from lowdose.structures.truth import (
    column_means,
    columns_of,
    group_columns,
    missing_neighbours,
    project,
)

BEAM_MARGIN = 1.0  # Å of vacuum before and behind the atoms


def build_structure(structures: Mapping, model: planning.Model, seed: int) -> Atoms:
    """Assemble one structure in its cell.

    Parameters
    ----------
    structures : mapping
        Section ``structures`` of the configuration (lengths in nm); keys that are left out
        take their defaults.
    model : Model
        From :func:`lowdose.structures.plan.plan`; the tilt is not used.
    seed : int
        Root seed; what is drawn depends on it and on the base shape alone.

    Returns
    -------
    ase.Atoms
        x right, y up, z along the beam [Å]; periodic along x.  ``arrays`` has ``column`` and
        ``missing``, see :func:`lowdose.structures.truth.columns_of`.  ``info`` has
        ``structure_id``, ``interface_y`` (middle of the gap; nan in a vacuum),
        ``changed_columns`` (numbers of removed, halved or added columns) and ``changed``:
        their positions in the perfect particle, in x, y, z.

    Raises
    ------
    UserError
        If the particle has no room in its cell, no site for its defect, or fails the checks.
    """
    section = Structures.model_validate(dict(structures)).model_dump()
    slab = support_slab(section, model.layers)
    slab.set_array("missing", np.full(len(slab), -1))
    slab_depth = (model.layers - 1) * layer_spacing(section)
    depth = slab_depth + 2 * BEAM_MARGIN
    top = interface_height(section)
    width, height = section["periods"] * lateral_period(section), section["cell_height_nm"] * 10
    particle, changed, numbers = Atoms(), np.zeros((0, 3)), ()
    if model.family in planning.BLANKS:
        slab = slab[:0] if model.family == "vacuum" else slab
    else:
        base = planning.index_of(model.base_shape)
        particle, changed, numbers, extent = _particle(section, model, base, seed)
        # Support and particle are centred on each other along the beam; the longer one sets
        # the cell.
        depth = max(depth, extent[2] + 2 * BEAM_MARGIN)
        origin = np.array([width / 2, top + section["interface_gap_nm"] * 10, depth / 2])
        particle.positions += origin
        changed = changed + origin
    slab.positions += [0, SUPPORT_BOTTOM, (depth - slab_depth) / 2]
    if len(particle):
        slab.arrays["column"] += (slab.arrays["column"] > 0) * particle.info["columns"]
    atoms = slab + particle
    atoms.set_cell([width, height, depth])
    atoms.pbc = [True, False, False]
    atoms.info = {
        "structure_id": model.structure_id,
        "base_shape": model.base_shape,
        "family": model.family,
        "defect": model.defect,
        "layers": model.layers,
        "beam": "z, along " + ("[001] of the support and [1-10] of the particle"
                               if section["support_structure"] == "rutile"
                               else "[1-10] of both lattices"),
        "interface_y": float(top + section["interface_gap_nm"] * 5) if len(slab) else float("nan"),
        "changed": changed.ravel().tolist(),
        "changed_columns": list(numbers),
        "seed": seed,
    }  # fmt: skip
    check_model(atoms, model.structure_id, section)
    return atoms


def _particle(
    section: Mapping, model: planning.Model, index: int, seed: int
) -> tuple[Atoms, np.ndarray, tuple[int, ...], np.ndarray]:
    """Return the particle, where it was changed, the changed columns' numbers, and its extent.

    The middle of the perfect particle is at x = z = 0 (plus the lateral shift), its lowest
    layer at y = 0.
    """
    lattice = section["particle_lattice_nm"] * 10
    shape = cut(recipe_of(section, model.family, index), lattice)
    ideal, label = shape.positions, group_columns(shape.positions[:, :2])
    full = np.bincount(label)
    share = section["surface_occupancy"]
    if min(share) < 1:
        rng = seeds.rng(seed, "structures", model.base_shape, "occupancy")
        missing = missing_neighbours(column_means(ideal, label)[:, :2], lattice)
        keep = occupied(ideal, label, missing, share, rng)
        ideal, label = ideal[keep], label[keep]
    rng = seeds.rng(seed, "structures", model.base_shape)
    change = find_defect(ideal, label, model.defect, lattice, rng, model.base_shape, full)
    before, added = _deformed(section, model.base_shape, seed, shape.positions, ideal, change.added)
    positions = np.concatenate([before[change.kept], added])
    number = np.concatenate([label[change.kept], np.full(len(added), label.max() + 1)])
    extent = np.ptp(np.concatenate([before, positions]), axis=0)
    check_room(section, extent, model.base_shape)
    # Twice the larger half: the particle may be shifted along the beam.
    extent[2] = 2 * np.abs(np.concatenate([before, positions])[:, 2]).max()
    particle = Atoms([section["particle_element"]] * len(positions), positions=positions)
    particle.set_array("column", number + 1)  # 0 is no column, as in atoms that are added later
    particle.set_array("missing", _missing_of_atoms(ideal, change, number, lattice))
    particle.info["columns"] = int(label.max()) + 2  # with that of a new column
    if model.defect == "Ds":
        changed = added.mean(axis=0, keepdims=True)
    else:
        changed = column_means(before, label)[list(change.columns)].reshape(-1, 3)
    return particle, changed, tuple(number + 1 for number in change.columns), extent


def _deformed(
    section: Mapping, base_shape: str, seed: int, outline: np.ndarray, ideal: np.ndarray,
    added: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Relax, strain, turn and shift the perfect particle and what a defect adds to it."""
    lattice = section["particle_lattice_nm"] * 10
    middle = (outline.min(axis=0) + outline.max(axis=0)) / 2
    rng = seeds.rng(seed, "structures", base_shape, "registry")
    along_x, along_z, angle = rng.uniform(-1, 1, 3)
    shift = np.array([along_x, 0.0, along_z]) * section["shift_nm"] * 10 - middle * [1, 0, 1]
    result = []
    for positions, around in ((ideal, ideal), (added, np.concatenate([ideal, added]))):
        moved = positions
        if percent := section["surface_relaxation_percent"]:
            moved = moved + relaxation(positions, around, lattice, percent)
        if percent := section["strain_percent"]:
            moved = strained(moved, middle, percent)
        if degrees := section["rotation_deg"]:
            moved = turned(moved, middle, angle * degrees)
        result.append(moved + shift)
    return result[0], result[1]


def _missing_of_atoms(
    ideal: np.ndarray, change: Change, number: np.ndarray, lattice: float
) -> np.ndarray:
    """Return how many neighbours the column of each atom lacks, on the ideal lattice."""
    points = np.concatenate([ideal[change.kept], change.added])[:, :2]
    columns, index = np.unique(number, return_inverse=True)
    missing = missing_neighbours(column_means(points, index), lattice)
    return missing[index].reshape(len(number)) if len(columns) else np.zeros(0, dtype=int)


def true_columns(atoms: Atoms, model: planning.Model) -> pd.DataFrame:
    """Return the true columns of a model in image coordinates.

    Returns
    -------
    pandas.DataFrame
        ``model_id``, ``column`` (its number: the same in all models of a base shape and
        support), ``x_nm, y_nm`` (from the upper left corner of the cell, y downwards, referred
        to the exit plane, tilt followed), ``element, n_atoms, is_particle, is_surface, site,
        changed``.  ``changed`` marks a halved or added column; a removed column is a row with
        ``n_atoms`` 0 and site ``vacancy``.  Empty for a vacuum.
    """
    columns = columns_of(atoms)
    numbers = np.atleast_1d(atoms.info.get("changed_columns", [])).astype(int).tolist()
    columns["changed"] = columns["column"].isin(numbers)
    if model.defect in ("D1", "D2"):
        metal = columns.loc[columns["is_particle"], "element"].iloc[0]
        changed = np.array(atoms.info["changed"]).reshape(-1, 3)
        empty = pd.DataFrame(changed, columns=["x", "y", "z_mean"]).assign(
            column=numbers, element=metal, n_atoms=0, is_particle=True, is_surface=False,
            site="vacancy", changed=True,
        )  # fmt: skip
        columns = pd.concat([columns, empty], ignore_index=True)
    elif model.defect == "Ds":
        columns.loc[columns["changed"], "site"] = "adatom"
    width, height, depth = atoms.cell.lengths()
    xy = project(columns, (model.tilt_x_deg, model.tilt_y_deg), depth)
    return pd.DataFrame(
        {
            "model_id": np.full(len(columns), model.model_id, dtype=object),
            "column": columns["column"].astype(int),
            "x_nm": (xy[:, 0] % width) / 10,
            "y_nm": (height - xy[:, 1]) / 10,
            "element": columns["element"],
            "n_atoms": columns["n_atoms"].astype(int),
            "is_particle": columns["is_particle"].astype(bool),
            "is_surface": columns["is_surface"].astype(bool),
            "site": columns["site"],
            "changed": columns["changed"].astype(bool),
        }
    )


def write_library(structures: Mapping, seed: int, folder: Path) -> int:
    """Build and write the library; return the number of its models.

    Files: ``library.extxyz`` (structures), ``columns.parquet`` (true columns), ``models.csv``
    (one row a model with all parameters) and ``pairs.csv`` (matched pairs).
    """
    section = Structures.model_validate(dict(structures)).model_dump()
    models = planning.plan(section)
    atoms_of: dict[str, Atoms] = {}
    tables, rows = [], []
    for model in models:
        if model.structure_id not in atoms_of:
            atoms_of[model.structure_id] = build_structure(section, model, seed)
        atoms = atoms_of[model.structure_id]
        tables.append(true_columns(atoms, model))
        rows.append(model_row(section, model, atoms, list(atoms_of).index(model.structure_id)))
    refuse_equal_shapes(atoms_of)
    columns = pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)
    pairs = matched_pairs(models, columns)
    with atomic_path(folder / "library.extxyz") as path:
        write_extxyz(path, list(atoms_of.values()))
    with atomic_path(folder / "columns.parquet") as path:
        columns.to_parquet(path, index=False)
    for name, table in (("models.csv", pd.DataFrame(rows)), ("pairs.csv", pairs)):
        with atomic_path(folder / name) as path:
            table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    return len(models)
