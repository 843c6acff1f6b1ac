"""Whole models: they pass the checks, differ in the right columns, and tell the truth."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lowdose.config import load
from lowdose.structures.defects import DEFECTS
from lowdose.structures.fit import recipe_of
from lowdose.structures.library import build_structure, true_columns
from lowdose.structures.particles import cut
from lowdose.structures.plan import Model, base_shapes
from lowdose.structures.support import layer_spacing
from lowdose.structures.truth import columns_of

SMALL = {
    "base_shapes": {"PtNp1": 2, "PtNp4": 1},
    "defects": {"PtNp1": ["D0", "D1", "D2", "Dh", "Ds"], "PtNp4": ["D0", "D1"]},
    "size_nm": [1.6, 2.4],
    "thickness_quota": {12: 24},
    "tilts_deg": [[0, 0], [3, 0], [0, -4]],
}


ROOT = Path(__file__).parents[3]
OPTIONS = {
    "surface_occupancy": [0.5, 0.9],
    "shift_nm": 0.1,
    "rotation_deg": 3.0,
    "strain_percent": 1.5,
    "surface_relaxation_percent": -2.0,
}


def metal(atoms) -> np.ndarray:
    return np.array([s == "Pt" for s in atoms.get_chemical_symbols()])


def test_all_shapes_of_the_paper_build_on_the_thinnest_support(library, model):
    # build_structure checks every model; the thinnest support is the hardest on the particle.
    outlines = set()
    for base, family, _ in base_shapes(library):
        for defect in library["defects"][family]:
            atoms = build_structure(library, model(base, defect), seed=1)
            particle = atoms.positions[metal(atoms)]
            local = np.round(particle - particle.min(axis=0), 1) + 0.0
            outlines.add(local[np.lexsort(local.T)].tobytes())
    assert len(outlines) == 101


@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["ideal", "options"])
@pytest.mark.parametrize("base", ["PtNp1e", "PtNp2d", "PtNp4f"])
def test_matched_models_differ_in_the_atoms_of_one_column_alone(library, model, base, options):
    section = {**library, **options}
    atoms_of = {d: build_structure(section, model(base, d), 7) for d in DEFECTS}

    def differing(first: str, second: str) -> tuple[np.ndarray, np.ndarray]:
        """Atoms of one model that the other has not, and the other way round."""
        sets = [{(s, *np.round(p, 6)) for s, p in zip(a.get_chemical_symbols(), a.positions,
                strict=True)} for a in (atoms_of[first], atoms_of[second])]  # fmt: skip
        only = [np.array([a[1:] for a in sorted(one - two)]).reshape(-1, 3)
                for one, two in (sets, sets[::-1])]  # fmt: skip
        return only[0].astype(float), only[1].astype(float)

    for first, second in (("D0", "D1"), ("D1", "D2"), ("D0", "Dh"), ("Ds", "D0")):
        lost, won = differing(first, second)
        assert len(won) == 0
        whole = true_columns(atoms_of[first], model(base, first)).set_index("column")
        other = true_columns(atoms_of[second], model(base, second)).set_index("column")
        counts = whole["n_atoms"] - other["n_atoms"].reindex(whole.index, fill_value=0)
        assert counts[counts != 0].tolist() == [len(lost)]
        column = counts[counts != 0].index[0]
        n_atoms = whole.loc[column, "n_atoms"]
        assert len(lost) == (n_atoms // 2 if second == "Dh" else n_atoms)
        # The atoms stand one behind the other: the rotation of 3° turns 25 Å by 1.3 Å.
        assert np.ptp(lost[:, 0]) < (1.4 if options else 1e-6)
        assert np.ptp(lost[:, 1]) < (0.2 if options else 1e-6)
        # Every other column is where it was, to the last digit.
        rest = whole.index.intersection(other.index).drop(column, errors="ignore")
        both = [t.loc[rest, ["x_nm", "y_nm", "n_atoms"]] for t in (whole, other)]
        pd.testing.assert_frame_equal(*both)


def test_options_are_off_by_default(library, model):
    plain = build_structure(library, model("PtNp1e", "D1"), 3)
    off = {"surface_occupancy": [1, 1], "shift_nm": 0, "rotation_deg": 0, "strain_percent": 0,
           "surface_relaxation_percent": 0}  # fmt: skip
    assert np.array_equal(
        plain.positions, build_structure({**library, **off}, model("PtNp1e", "D1"), 3).positions
    )


def test_shift_and_rotation_are_shared_by_a_base_shape_and_no_others(library, model):
    section = {**library, "shift_nm": 0.2, "rotation_deg": 5.0}
    moves, angles = {}, {}
    for base, defect, layers in (("PtNp1e", "D0", 16), ("PtNp1e", "D1", 26), ("PtNp2d", "D0", 16)):
        plain = build_structure(library, model(base, defect, layers), 3)
        moved = build_structure(section, model(base, defect, layers), 3)
        before, after = (a.positions[metal(a)] - a.cell.lengths() / 2 for a in (plain, moved))
        # The rotation and shift that map one onto the other: a complex linear fit.
        plane = [p[:, 0] + 1j * p[:, 2] for p in (before, after)]
        slope, offset = np.polyfit(plane[0], plane[1], 1)
        assert np.abs(plane[0] * slope + offset - plane[1]).max() < 1e-6
        assert abs(slope) == pytest.approx(1)
        assert np.array_equal(before[:, 1], after[:, 1])
        key = (base, defect, layers)
        moves[key], angles[key] = offset, np.degrees(np.angle(slope))
        assert 0.01 < max(abs(offset.real), abs(offset.imag)) <= 2.0
        assert 0.01 < abs(angles[key]) <= 5.0
    first, second, other = angles
    assert moves[first] == pytest.approx(moves[second])
    assert angles[first] == pytest.approx(angles[second])
    assert abs(moves[first] - moves[other]) > 0.01
    assert abs(angles[first] - angles[other]) > 0.01


def test_rotated_columns_keep_their_atoms_and_sites(library, model):
    plain = columns_of(build_structure(library, model("PtNp1g"), 3)).set_index("column")
    turned = columns_of(
        build_structure({**library, "rotation_deg": 5.0, "strain_percent": -2.0},
                        model("PtNp1g"), 3)
    ).set_index("column")  # fmt: skip
    keep = ["element", "n_atoms", "is_particle", "is_surface", "site"]
    pd.testing.assert_frame_equal(plain[keep], turned.loc[plain.index, keep])
    # Although the atoms of a column no longer coincide in projection.
    atoms = build_structure({**library, "rotation_deg": 5.0}, model("PtNp1g"), 3)
    spread = [np.ptp(atoms.positions[atoms.arrays["column"] == c, 0])
              for c in turned.index[turned["is_particle"]]]  # fmt: skip
    assert max(spread) > 0.1


def test_gold_on_rutile_is_the_epitaxy_of_the_example(gold, model):
    atoms = build_structure({**gold, "base_shapes": {"PtNp1": 5}}, model("PtNp1c"), 1)
    assert set(atoms.get_chemical_symbols()) == {"Au", "Ti", "O"}
    assert atoms.cell.lengths()[0] == pytest.approx(8 * 4.594 * np.sqrt(2))
    columns = columns_of(atoms)
    assert set(columns.loc[columns["is_particle"], "element"]) == {"Au"}
    assert set(columns.loc[~columns["is_particle"], "element"]) == {"Ti"}
    top = columns[columns["is_particle"] & (columns["y"] > columns["y"].max() - 0.1)]
    assert np.allclose(np.diff(np.sort(top["x"])), 4.078 * np.sqrt(3 / 8))
    # Atoms along the beam are a bond apart in the metal and c in the support.
    for element, step in (("Au", 4.078 / np.sqrt(2)), ("Ti", 2.959)):
        symbols = np.array(atoms.get_chemical_symbols())
        for column in set(atoms.arrays["column"][symbols == element]):
            z = np.sort(atoms.positions[atoms.arrays["column"] == column, 2])
            assert np.allclose(np.diff(z), step)


def test_worked_example_is_what_the_tests_of_gold_use(gold, section):
    example = load([ROOT / "config" / "au-tio2.yaml"]).model_dump()["structures"]
    changed = {key for key in gold if gold[key] != section[key]}
    assert {key: example[key] for key in changed} == {key: gold[key] for key in changed}
    # The largest particles do not stand over the thinnest support.
    thinnest = min(map(int, example["thickness_quota"])) * layer_spacing(example)
    for base, family, index in base_shapes(example):
        depth = np.ptp(cut(recipe_of(example, family, index), 4.078).positions[:, 2])
        assert depth < thinnest + 1, base


@pytest.mark.parametrize("family", ["vacuum", "support"])
def test_blank_models_have_no_particle(library, model, family):
    blank = Model(f"{family}-D0-16L-x4y0", f"{family}-D0-16L", family, family, "D0", 16, 4.0, 0.0)
    atoms = build_structure(library, blank, 1)
    with_particle = build_structure(library, model("PtNp1a"), 1)
    assert np.array_equal(atoms.cell.lengths(), with_particle.cell.lengths())
    table = true_columns(atoms, blank)
    if family == "vacuum":
        assert len(atoms) == len(table) == 0
        assert np.isnan(atoms.info["interface_y"])
    else:
        support = ~metal(with_particle)
        assert np.array_equal(atoms.positions, with_particle.positions[support])
        assert set(table["site"]) == {"support"}
        assert not table["is_particle"].any()


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
    assert (table["is_particle"] == (table["element"] == "Pt")).all()
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
