"""The library on disk: structures, columns, models and matched pairs agree with each other."""

import ase.io
import numpy as np
import pandas as pd
import pytest

from lowdose.config_world import Structures
from lowdose.runtime import UserError
from lowdose.structures.library import build_structure, write_library
from lowdose.structures.plan import plan
from lowdose.structures.tables import PAIRS

SMALL = {
    "base_shapes": {"PtNp1": 2, "PtNp4": 1},
    "defects": {"PtNp1": ["D0", "D1", "D2", "Dh", "Ds"], "PtNp4": ["D0", "D1"]},
    "size_nm": [1.8, 2.4],
    "thickness_quota": {12: 24},
    "tilts_deg": [[0, 0], [3, 0], [0, -4]],
    "blanks": {"vacuum": 2, "support": 1},
}


@pytest.fixture(scope="module")
def small(library) -> dict:
    return Structures.model_validate({**library, **SMALL}).model_dump()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small):
    folder = tmp_path_factory.mktemp("library")
    assert write_library(small, 11, folder) == 27
    return folder


def test_models_structures_and_columns_agree(folder, small):
    table = pd.read_csv(folder / "models.csv")
    columns = pd.read_parquet(folder / "columns.parquet")
    structures = ase.io.read(folder / "library.extxyz", index=":")
    assert table["model_id"].tolist() == [m.model_id for m in plan(small)]
    assert set(columns["model_id"]) == set(table.loc[table["family"] != "vacuum", "model_id"])
    for row in table.itertuples():
        atoms = structures[row.structure_index]
        assert atoms.info["structure_id"] == row.structure_id
        assert row.n_atoms == len(atoms)
        assert atoms.cell.lengths() / 10 == pytest.approx(
            [row.cell_x_nm, row.cell_y_nm, row.cell_z_nm], abs=1e-5
        )
        here = columns[(columns["model_id"] == row.model_id) & columns["is_particle"]]
        assert here["n_atoms"].sum() == row.n_platinum == row.n_particle
        assert (here["n_atoms"] > 0).sum() == row.n_columns
        assert here["is_surface"].sum() == row.n_surface_columns
        if row.family in ("vacuum", "support"):
            assert row.n_particle == 0
            assert pd.isna(row.width_nm)
            continue
        # The interface lies between the lowest Pt and the highest Ce, under tilt too.
        support = columns[(columns["model_id"] == row.model_id) & ~columns["is_particle"]]
        assert here["y_nm"].max() < row.interface_y_nm < support["y_nm"].min()


def test_shape_parameters_are_those_of_the_perfect_particle(folder):
    table = pd.read_csv(folder / "models.csv")
    for row in table[(table["defect"] == "D0") & (table["n_particle"] > 0)].itertuples():
        atoms = ase.io.read(folder / "library.extxyz", index=row.structure_index)
        particle = atoms.positions[atoms.arrays["missing"] >= 0]
        extent = np.ptp(particle, axis=0) / 10
        assert extent == pytest.approx([row.width_nm, row.height_nm, row.depth_nm], abs=2e-5)
        assert (row.n_perfect, row.n_perfect_columns) == (row.n_particle, row.n_columns)
        assert abs(row.width_nm - row.size_nm) < 0.25
    shared = ["width_nm", "ratio_100", "adhesion", "variant", "twin_layer", "n_perfect", "meaning"]
    assert (table.groupby("base_shape")[shared].nunique() <= 1).all(axis=None)


def test_file_keeps_atoms_to_a_thousandth_of_their_vibration(folder, small):
    for model in (plan(small)[0], plan(small)[-1]):
        built = build_structure(small, model, 11)
        index = list(dict.fromkeys(m.structure_id for m in plan(small))).index(model.structure_id)
        read = ase.io.read(folder / "library.extxyz", index=index)
        assert read.get_chemical_symbols() == built.get_chemical_symbols()
        assert np.abs(read.positions - built.positions).max(initial=0) <= 0.5001e-4
        assert np.array_equal(read.cell.array, built.cell.array)
        assert read.pbc.tolist() == [True, False, False]
        for name in ("column", "missing"):
            assert np.array_equal(read.arrays[name], built.arrays[name])


def test_pairs_are_all_matched_models_and_point_at_the_column(folder, small):
    pairs = pd.read_csv(folder / "pairs.csv").set_index("pair")
    columns = pd.read_parquet(folder / "columns.parquet")
    models = [m for m in plan(small) if m.layers == 12 and m.family.startswith("Pt")]
    seen = {(m.base_shape, m.tilt_x_deg, m.tilt_y_deg, m.defect) for m in models}
    wanted = [(base, x, y) for base, x, y, defect in seen for _, p, a in PAIRS
              if defect == p and (base, x, y, a) in seen]  # fmt: skip
    assert len(pairs) == len(wanted) > 15
    assert set(pairs["kind"]) == {"vacancy", "half", "adatom"}
    for pair in pairs.itertuples():
        present, absent = (
            columns[columns["model_id"] == name].set_index("column")
            for name in (pair.model_present, pair.model_absent)
        )
        at = present.loc[pair.column]
        assert (at["x_nm"], at["y_nm"]) == pytest.approx((pair.x_nm, pair.y_nm), abs=1e-5)
        assert (at["n_atoms"], at["element"], at["site"]) == (pair.n_atoms, "Pt", pair.site)
        assert at["is_surface"]
        assert pair.site == "adatom" if pair.kind == "adatom" else pair.site in ("facet", "edge")
        if pair.kind == "vacancy":
            assert absent.loc[pair.column, "site"] == "vacancy"
            # The vacancy lies where the column was, also under tilt.
            gap = absent.loc[pair.column, ["x_nm", "y_nm"]] - at[["x_nm", "y_nm"]]
            assert np.abs(gap.astype(float)).max() < 1e-9
        elif pair.kind == "half":
            assert absent.loc[pair.column, "n_atoms"] == (pair.n_atoms + 1) // 2
        else:
            assert pair.column not in absent.index


def test_same_seed_gives_the_same_bytes_and_another_one_other_sites(folder, small, tmp_path):
    write_library(small, 11, tmp_path)
    for name in ("models.csv", "library.extxyz", "columns.parquet", "pairs.csv"):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()
    write_library(small, 12, tmp_path)
    first, second = (pd.read_csv(f / "pairs.csv")["column"].tolist() for f in (folder, tmp_path))
    assert first != second


def test_equal_base_shapes_are_refused(library, tmp_path):
    section = {**library, **SMALL, "base_shapes": {"PtNp2": 11}, "size_nm": [1.5, 1.52],
               "defects": {"PtNp2": ["D0"]}, "thickness_quota": {12: 11}}  # fmt: skip
    with pytest.raises(UserError, match=r"PtNp2\w-D0-12L and PtNp2\w-D0-12L are the same particle"):
        write_library(section, 11, tmp_path)
    assert not list(tmp_path.iterdir())
