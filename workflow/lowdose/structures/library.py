"""The model library: assemble models, check them, write them with their truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
from ase import Atoms

from lowdose import seeds
from lowdose.runtime import UserError, atomic_path
from lowdose.structures import plan as planning
from lowdose.structures.checks import check_model
from lowdose.structures.defects import apply_defect
from lowdose.structures.particles import CENTRES, FAMILIES, particle
from lowdose.structures.support import lateral_period, layer_spacing, support_slab
from lowdose.structures.truth import SAME_COLUMN, columns_of, project

SUPPORT_BOTTOM = 1.0  # Å above the lower edge of the cell
BEAM_MARGIN = 1.0  # Å of vacuum before and behind the atoms


def build_structure(structures: Mapping, model: planning.Model, seed: int) -> Atoms:
    """Assemble one structure in its cell.

    Parameters
    ----------
    structures : mapping
        Section ``structures`` of the configuration (lengths in nm).
    model : Model
        From :func:`lowdose.structures.plan.plan`; the tilt is not used.
    seed : int
        Root seed; the defect's site depends on the base shape alone.

    Returns
    -------
    ase.Atoms
        x right, y up, z along the beam [Å]; periodic along x.  ``info`` has ``structure_id``,
        ``interface_y`` (middle of the gap) and ``changed``: positions of removed, halved or
        added columns, in x, y, z.
    """
    a_support = structures["support_lattice_nm"] * 10
    a_particle = structures["particle_lattice_nm"] * 10
    slab = support_slab(a_support, structures["periods"], model.layers, structures["trilayers"])
    width = structures["periods"] * lateral_period(a_support)
    count = structures["base_shapes"][model.family]
    index = ord(model.base_shape[-1]) - ord("a")
    low, high = (10 * s for s in structures["size_nm"])
    # Families take different sizes, or a twin and its single crystal would share their outline.
    place = (FAMILIES.index(model.family) + 0.5) / len(FAMILIES)
    size = low + (high - low) * (index + place) / count
    perfect = particle(model.family, size, CENTRES[index % len(CENTRES)], a_particle)
    if len(perfect) == 0:
        raise UserError(f"{model.base_shape} has no atoms; raise structures.size_nm.")
    rng = seeds.rng(seed, "structures", model.base_shape)
    positions, changed = apply_defect(perfect, model.defect, rng, model.base_shape)
    # Support and particle are centred on each other along the beam; the longer one sets the
    # cell.  Referred to the perfect particle, so that a defect does not move the rest.
    low_corner, high_corner = perfect.min(axis=0), perfect.max(axis=0)
    middle = (low_corner + high_corner) / 2
    slab_depth = (model.layers - 1) * layer_spacing(a_support)
    depth = max(slab_depth, high_corner[2] - low_corner[2]) + 2 * BEAM_MARGIN
    slab.positions += [0, SUPPORT_BOTTOM, (depth - slab_depth) / 2]
    top = slab.positions[:, 1].max()
    gap = structures["interface_gap_nm"] * 10
    shift = np.array([width / 2 - middle[0], top + gap, depth / 2 - middle[2]])
    atoms = slab + Atoms(["Pt"] * len(positions), positions=positions + shift)
    atoms.set_cell([width, structures["cell_height_nm"] * 10, depth])
    atoms.pbc = [True, False, False]
    atoms.info = {
        "structure_id": model.structure_id,
        "base_shape": model.base_shape,
        "family": model.family,
        "defect": model.defect,
        "layers": model.layers,
        "beam": "z, along [1-10] of both lattices",
        "interface_y": float(top + gap / 2),
        "changed": np.asarray(changed + shift if len(changed) else changed).ravel().tolist(),
        "seed": seed,
    }
    check_model(atoms, model.structure_id)
    return atoms


def true_columns(atoms: Atoms, model: planning.Model) -> pd.DataFrame:
    """Return the true columns of a model in image coordinates.

    Returns
    -------
    pandas.DataFrame
        ``model_id, x_nm, y_nm`` (from the upper left corner of the cell, y downwards, referred
        to the exit plane, tilt followed), ``element, n_atoms, is_surface, site, changed``.
        ``changed`` marks a halved or added column; a removed column is a row with
        ``n_atoms`` 0 and site ``vacancy``.
    """
    columns = columns_of(atoms)
    changed = np.array(atoms.info["changed"]).reshape(-1, 3)
    columns["changed"] = False
    if model.defect in ("D1", "D2"):
        empty = pd.DataFrame(changed, columns=["x", "y", "z_mean"])
        empty = empty.assign(
            element="Pt", n_atoms=0, is_surface=False, site="vacancy", changed=True
        )
        columns = pd.concat([columns, empty], ignore_index=True)
    else:
        for x, y, _ in changed:
            here = np.hypot(columns["x"] - x, columns["y"] - y) < SAME_COLUMN
            columns.loc[here & (columns["element"] == "Pt"), "changed"] = True
            if model.defect == "Ds":
                columns.loc[here & (columns["element"] == "Pt"), "site"] = "adatom"
    width, height, depth = atoms.cell.lengths()
    xy = project(columns, (model.tilt_x_deg, model.tilt_y_deg), depth)
    return pd.DataFrame(
        {
            "model_id": model.model_id,
            "x_nm": (xy[:, 0] % width) / 10,
            "y_nm": (height - xy[:, 1]) / 10,
            "element": columns["element"],
            "n_atoms": columns["n_atoms"].astype(int),
            "is_surface": columns["is_surface"].astype(bool),
            "site": columns["site"],
            "changed": columns["changed"],
        }
    )


def write_library(structures: Mapping, seed: int, folder: Path) -> int:
    """Write ``library.extxyz``, ``columns.parquet``, ``models.csv``; return the models' number."""
    models = planning.plan(structures)
    atoms_of: dict[str, Atoms] = {}
    tables, rows = [], []
    for model in models:
        if model.structure_id not in atoms_of:
            atoms_of[model.structure_id] = build_structure(structures, model, seed)
        atoms = atoms_of[model.structure_id]
        tables.append(true_columns(atoms, model))
        width, height, depth = atoms.cell.lengths() / 10
        rows.append(
            {
                **planning.rows([model])[0],
                "structure_index": len(atoms_of) - 1,
                "cell_x_nm": width,
                "cell_y_nm": height,
                "cell_z_nm": depth,
                # It moves with the columns under tilt: both are centred along the beam.
                "interface_y_nm": height
                - atoms.info["interface_y"] / 10
                - depth / 2 * np.tan(np.deg2rad(model.tilt_y_deg)),
                "n_atoms": len(atoms),
                "n_platinum": int(sum(s == "Pt" for s in atoms.get_chemical_symbols())),
                "seed": seed,
            }
        )
    _refuse_twins(atoms_of)
    with atomic_path(folder / "library.extxyz") as path:
        ase.io.write(path, list(atoms_of.values()), format="extxyz")
    with atomic_path(folder / "columns.parquet") as path:
        pd.concat(tables, ignore_index=True).to_parquet(path, index=False)
    with atomic_path(folder / "models.csv") as path:
        pd.DataFrame(rows).to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    return len(models)


def _refuse_twins(atoms_of: Mapping[str, Atoms]) -> None:
    """Two base shapes with the same atoms would leak from the training into the test set."""
    seen: dict[bytes, str] = {}
    for name, atoms in atoms_of.items():
        if atoms.info["defect"] != "D0":
            continue
        metal = atoms.positions[[s == "Pt" for s in atoms.get_chemical_symbols()]]
        # Compared up to a shift: a particle moved along x or z is the same particle.
        local = np.round(metal - metal.min(axis=0), 1)
        key = str(atoms.info["layers"]).encode() + local[np.lexsort(local.T)].tobytes()
        if key in seen:
            raise UserError(
                f"The base shapes {seen[key]} and {name} are the same particle; widen "
                "structures.size_nm or lower structures.base_shapes."
            )
        seen[key] = name
