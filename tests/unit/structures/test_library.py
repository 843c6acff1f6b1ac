"""Whole models: they pass the checks, differ in the right columns, and tell the truth."""

import ase.io
import numpy as np
import pandas as pd
import pytest

from lowdose.runtime import UserError
from lowdose.structures.library import build_structure, true_columns, write_library
from lowdose.structures.plan import base_shapes, plan
from lowdose.structures.truth import columns_of

SMALL = {
    "base_shapes": {"PtNp1": 2, "PtNp4": 1},
    "defects": {"PtNp1": ["D0", "D1", "D2", "Dh", "Ds"], "PtNp4": ["D0", "D1"]},
    "size_nm": [1.6, 2.4],
    "thickness_quota": {12: 24},
    "tilts_deg": [[0, 0], [3, 0], [0, -4]],
}


def platinum(atoms) -> pd.DataFrame:
    columns = columns_of(atoms)
    return columns[columns["element"] == "Pt"].round({"x": 3, "y": 3}).set_index(["x", "y"])


def test_all_shapes_of_the_paper_build_on_the_thinnest_support(library, model):
    # build_structure checks every model; the thinnest support is the hardest on the particle.
    outlines = set()
    for base, family, _ in base_shapes(library):
        for defect in library["defects"][family]:
            atoms = build_structure(library, model(base, defect), seed=1)
            metal = atoms.positions[[s == "Pt" for s in atoms.get_chemical_symbols()]]
            local = np.round(metal - metal.min(axis=0), 1)
            outlines.add(local[np.lexsort(local.T)].tobytes())
    assert len(outlines) == 101


@pytest.mark.parametrize("base", ["PtNp1a", "PtNp1e", "PtNp2d", "PtNp3c"])
def test_matched_pairs_differ_in_one_column(library, model, base):
    perfect = platinum(build_structure(library, model(base), 7))["n_atoms"]
    for defect, lost, won in (("D1", 1, 0), ("D2", 2, 0), ("Ds", 0, 1)):
        other = platinum(build_structure(library, model(base, defect), 7))["n_atoms"]
        assert len(perfect.index.difference(other.index)) == lost
        assert len(other.index.difference(perfect.index)) == won
        common = perfect.index.intersection(other.index)
        assert (perfect[common] == other[common]).all()
    half = platinum(build_structure(library, model(base, "Dh"), 7))["n_atoms"]
    assert set(half.index) == set(perfect.index)
    changed = perfect[half.reindex(perfect.index) != perfect]
    assert len(changed) == 1
    assert half[changed.index[0]] == (changed.iloc[0] + 1) // 2


def test_structure_is_a_function_of_seed_and_names(library, model):
    first = build_structure(library, model("PtNp2c", "D1", 21), 3)
    again = build_structure(library, model("PtNp2c", "D1", 21, (4.0, 0.0)), 3)
    assert np.array_equal(first.positions, again.positions)  # the tilt is the wave's
    thicker = build_structure(library, model("PtNp2c", "D1", 26), 3)
    where = [np.array(a.info["changed"])[:2] for a in (first, thicker)]
    assert np.allclose(*where)  # the same site at every thickness
    others = {tuple(np.round(build_structure(library, model("PtNp2c", "D1", 21), s).info["changed"],
                             2)) for s in range(12)}  # fmt: skip
    assert len(others) > 1


def test_particle_stands_in_the_middle_on_its_support(particle_model):
    symbols = np.array(particle_model.get_chemical_symbols())
    metal = particle_model.positions[symbols == "Pt"]
    support = particle_model.positions[symbols != "Pt"]
    width, _, depth = particle_model.cell.lengths()
    middle = (metal.max(axis=0) + metal.min(axis=0)) / 2
    assert middle[[0, 2]] == pytest.approx([width / 2, depth / 2])
    assert metal[:, 1].min() - support[:, 1].max() == pytest.approx(2.3)
    centre = (support[:, 2].max() + support[:, 2].min()) / 2
    assert centre == pytest.approx(depth / 2)


def test_true_columns_of_an_untilted_model(particle_model, model):
    table = true_columns(particle_model, model("PtNp1c"))
    width, height, _ = particle_model.cell.lengths()
    symbols = np.array(particle_model.get_chemical_symbols())
    for element in ("Pt", "Ce"):
        rows = table[table["element"] == element]
        assert rows["n_atoms"].sum() == np.sum(symbols == element)
        atoms = particle_model.positions[symbols == element]
        # Every atom has its column right behind it; y is counted from the top.
        xy = np.column_stack([10 * rows["x_nm"], height - 10 * rows["y_nm"]])
        gap = np.abs(atoms[:, None, :2] - xy[None])
        gap[..., 0] = np.minimum(gap[..., 0], width - gap[..., 0])
        assert np.linalg.norm(gap, axis=2).min(axis=1).max() < 1e-6
    assert not table["changed"].any()
    assert set(table["site"]) <= {"bulk", "step", "facet", "edge", "corner", "support"}
    top = table[table["element"] == "Pt"].nsmallest(1, "y_nm")
    assert top["is_surface"].all()


def test_vacancy_is_listed_where_the_perfect_partner_has_its_column(library, model):
    tilt = (0.0, -4.0)
    perfect, vacant = (
        true_columns(build_structure(library, model("PtNp1e", d), 5), model("PtNp1e", d, tilt=tilt))
        for d in ("D0", "D1")
    )
    row = vacant[vacant["site"] == "vacancy"]
    assert len(row) == 1
    assert row["n_atoms"].item() == 0
    assert row["changed"].item()
    assert not row["is_surface"].item()
    metal = perfect[perfect["element"] == "Pt"]
    distance = np.hypot(metal["x_nm"] - row["x_nm"].item(), metal["y_nm"] - row["y_nm"].item())
    assert distance.min() < 1e-6
    assert metal.loc[distance.idxmin(), "is_surface"]
    # Every other column is where it was.
    rest = vacant[vacant["site"] != "vacancy"]
    assert len(rest) == len(perfect) - 1


@pytest.mark.parametrize(("defect", "site"), [("Dh", None), ("Ds", "adatom")])
def test_changed_columns_are_marked(library, model, defect, site):
    atoms = build_structure(library, model("PtNp1e", defect), 5)
    table = true_columns(atoms, model("PtNp1e", defect))
    changed = table[table["changed"]]
    assert changed["element"].tolist() == ["Pt"]
    assert changed["is_surface"].item()
    assert site is None or changed["site"].item() == site


def test_library_on_disk(tmp_path, library):
    section = {**library, **SMALL}
    count = write_library(section, 11, tmp_path)
    table = pd.read_csv(tmp_path / "models.csv")
    columns = pd.read_parquet(tmp_path / "columns.parquet")
    structures = ase.io.read(tmp_path / "library.extxyz", index=":")
    assert count == len(table) == 24
    assert table["model_id"].tolist() == [m.model_id for m in plan(section)]
    assert set(columns["model_id"]) == set(table["model_id"])
    for row in table.itertuples():
        atoms = structures[row.structure_index]
        assert atoms.info["structure_id"] == row.structure_id
        assert row.n_atoms == len(atoms)
        assert atoms.cell.lengths() / 10 == pytest.approx(
            [row.cell_x_nm, row.cell_y_nm, row.cell_z_nm], abs=1e-5
        )
        here = columns[(columns["model_id"] == row.model_id) & (columns["element"] == "Pt")]
        assert here["n_atoms"].sum() == row.n_platinum
        # The interface lies between the lowest Pt and the highest Ce, under tilt too.
        support = columns[(columns["model_id"] == row.model_id) & (columns["element"] == "Ce")]
        assert here["y_nm"].max() < row.interface_y_nm < support["y_nm"].min()
    again = tmp_path / "again"
    write_library(section, 11, again)
    for name in ("models.csv", "library.extxyz", "columns.parquet"):
        assert (again / name).read_bytes() == (tmp_path / name).read_bytes()


def test_two_equal_base_shapes_are_refused(tmp_path, library):
    section = {**library, **SMALL, "base_shapes": {"PtNp1": 11}, "size_nm": [2.0, 2.02],
               "thickness_quota": {12: 55}}  # fmt: skip
    with pytest.raises(UserError, match=r"PtNp1a-D0-12L and PtNp1f-D0-12L are the same particle"):
        write_library(section, 11, tmp_path)
    assert not list(tmp_path.iterdir())
