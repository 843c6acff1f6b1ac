"""What is written about the models: a row of parameters each, and the matched pairs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from ase import Atoms

from lowdose.runtime import UserError
from lowdose.structures import plan as planning
from lowdose.structures.fit import recipe_of
from lowdose.structures.particles import cut
from lowdose.structures.shapes import FAMILIES
from lowdose.structures.truth import columns_of, group_columns

# kind of pair, model with the column, model without it (or with half of it)
PAIRS = (
    ("vacancy", "D0", "D1"),
    ("vacancy", "D1", "D2"),
    ("half", "D0", "Dh"),
    ("adatom", "Ds", "D0"),
)
PAIR_COLUMNS = (
    "pair", "kind", "model_present", "model_absent", "element", "column", "x_nm", "y_nm",
    "n_atoms", "site", "base_shape", "layers", "tilt_x_deg", "tilt_y_deg",
)  # fmt: skip


def model_row(
    structures: Mapping, model: planning.Model, atoms: Atoms, structure_index: int
) -> dict:
    """Return the row of ``models.csv`` about one model.

    Parameters
    ----------
    structures : mapping
        Section ``structures`` of the configuration, complete.
    model : Model
    atoms : ase.Atoms
        Its structure.
    structure_index : int
        Number of the structure in ``library.extxyz``.
    """
    width, height, depth = atoms.cell.lengths() / 10
    symbols = np.array(atoms.get_chemical_symbols())
    columns = columns_of(atoms)
    particle = columns[columns["is_particle"]]
    return {
        **planning.rows([model])[0],
        "structure_index": structure_index,
        "cell_x_nm": width,
        "cell_y_nm": height,
        "cell_z_nm": depth,
        # It moves with the columns under tilt: both are centred along the beam.
        "interface_y_nm": height
        - atoms.info["interface_y"] / 10
        - depth / 2 * np.tan(np.deg2rad(model.tilt_y_deg)),
        "n_atoms": len(atoms),
        "n_platinum": int(np.sum(symbols == "Pt")),
        "n_particle": int(particle["n_atoms"].sum()),
        "n_columns": len(particle),
        "n_surface_columns": int(particle["is_surface"].sum()),
        **_shape(structures, model),
        "seed": atoms.info["seed"],
    }


def _shape(structures: Mapping, model: planning.Model) -> dict:
    """Return the parameters of a model's perfect base shape, None where there is no particle."""
    names = ("meaning", "width_nm", "height_nm", "depth_nm", "size_nm", "ratio_100", "adhesion",
             "centre_x", "centre_z", "variant", "stepped", "twin_layer", "share_100", "scale_nm",
             "n_perfect", "n_perfect_columns")  # fmt: skip
    if model.family in planning.BLANKS:
        return dict.fromkeys(names)
    recipe = recipe_of(structures, model.family, planning.index_of(model.base_shape))
    shape = cut(recipe, structures["particle_lattice_nm"] * 10)
    extent = np.ptp(shape.positions, axis=0) / 10
    values = (
        FAMILIES[model.family].meaning, *extent, recipe.size / 10, recipe.ratio_100,
        recipe.adhesion, *recipe.centre, recipe.variant, shape.stepped, shape.twin_layer,
        shape.share_100, shape.scale / 10, len(shape.positions),
        int(group_columns(shape.positions[:, :2]).max()) + 1,
    )  # fmt: skip
    return dict(zip(names, values, strict=True))


def matched_pairs(models: list[planning.Model], columns: pd.DataFrame) -> pd.DataFrame:
    """List the pairs of models that differ in one column alone.

    Parameters
    ----------
    models : list of Model
        The plan.
    columns : DataFrame
        True columns of all of them, see :func:`lowdose.structures.library.true_columns`.

    Returns
    -------
    pandas.DataFrame
        ``pair`` (its name), ``kind``: `vacancy` (D0 and D1, or D1 and D2, whose first vacancy
        is that of D1), `half` (D0 and Dh: half of the column's atoms) or `adatom` (Ds and D0);
        ``model_present`` has the column whole, ``model_absent`` does not; ``element, column,
        x_nm, y_nm, n_atoms, site`` of the column in `model_present`; ``base_shape, layers,
        tilt_x_deg, tilt_y_deg`` of both.
    """
    tables = {name: table.set_index("column") for name, table in columns.groupby("model_id")}
    siblings: dict[tuple, dict[str, str]] = {}
    for m in models:
        key = (m.base_shape, m.layers, m.tilt_x_deg, m.tilt_y_deg)
        siblings.setdefault(key, {})[m.defect] = m.model_id
    rows = []
    for key, names in siblings.items():
        base, layers, tilt_x, tilt_y = key
        for kind, present, absent in PAIRS:
            if present not in names or absent not in names:
                continue
            whole, other = tables[names[present]], tables[names[absent]]
            label = _at_stake(kind, whole, other)
            if label is None:
                continue
            at = whole.loc[label]
            pair = f"{base}-{present}-{absent}-{layers}L-x{tilt_x:g}y{tilt_y:g}"
            rows.append(
                (pair, kind, names[present], names[absent], at["element"], label, at["x_nm"],
                 at["y_nm"], at["n_atoms"], at["site"], base, layers, tilt_x, tilt_y)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(PAIR_COLUMNS))


def _at_stake(kind: str, whole: pd.DataFrame, other: pd.DataFrame) -> int | None:
    """Return the number of the column in which two models differ; None if there are more."""
    if kind == "vacancy":
        of_whole = set(whole.index[whole["site"] == "vacancy"])
        of_other = set(other.index[other["site"] == "vacancy"])
        labels = of_other - of_whole if of_whole <= of_other else set()
    else:
        table = whole if kind == "adatom" else other
        labels = set(table.index[table["changed"]])
    return int(labels.pop()) if len(labels) == 1 else None


def refuse_equal_shapes(atoms_of: Mapping[str, Atoms]) -> None:
    """Refuse two base shapes of the same atoms: they would leak from training to test set.

    Parameters
    ----------
    atoms_of : mapping of str to ase.Atoms
        Structures by name.

    Raises
    ------
    UserError
        If two perfect particles are the same up to a shift.
    """
    seen: dict[bytes, str] = {}
    for name, atoms in atoms_of.items():
        metal = atoms.positions[(atoms.arrays["missing"] >= 0) & (atoms.arrays["column"] > 0)]
        if atoms.info["defect"] != "D0" or len(metal) == 0:
            continue
        local = np.round(metal - metal.min(axis=0), 1) + 0.0
        key = str(atoms.info["layers"]).encode() + local[np.lexsort(local.T)].tobytes()
        if key in seen:
            raise UserError(
                f"The base shapes {seen[key]} and {name} are the same particle; widen "
                "structures.size_nm or lower structures.base_shapes."
            )
        seen[key] = name
