"""The convergence study: what it compares, and what it concludes."""

import csv
import json

import numpy as np
import pytest
from ase import Atoms

from lowdose.cli import main
from lowdose.config import Structures
from lowdose.imaging import convergence, convergence_bench
from lowdose.imaging.convergence import measure, metal_slab, middling, oxide_slab
from lowdose.imaging.convergence_bench import Bench, Row, differences
from lowdose.imaging.convergence_page import conclusion, page, table

WEAK_LENS = {"c3_um": -2.0, "c5_mm": 0.5}  # its beams stay within a cell of 2.4 nm


@pytest.fixture
def spec(library, simulation, optics, camera) -> dict:
    """A specification of the stage, as JSON leaves it."""
    structures = Structures.model_validate(library).model_dump(mode="json")
    small = {**simulation, "grid": 320}
    return {"structures": structures, "simulation": small, "optics": {**optics, **WEAK_LENS},
            "camera": camera, "seed": 1}  # fmt: skip


@pytest.fixture
def columns() -> Atoms:
    """Nine columns of Pt, 0.8 nm deep, in a cell of 2.4 nm."""
    x, y, n = np.meshgrid(np.arange(3), np.arange(3), np.arange(3), indexing="ij")
    positions = np.stack([8 + 2.4 * x + 0.7 * y, 9 + 2.3 * y, 1 + 1.39 * (x % 2) + 2.77 * n], -1)
    atoms = Atoms("Pt27", positions=positions.reshape(-1, 3), cell=[24.0, 24.0, 10.0])
    atoms.info = {"structure_id": "columns", "seed": 1}
    return atoms


def row(study: str, setting: str, rms: float, seconds: float = 1.0, default: bool = False, **where):
    place = {"c1_nm": 6.0, "tilt_deg": 0.0, **where}
    return Row(study, setting, "best", error_rms_percent=rms, error_mean_percent=rms / 2,
               seconds=seconds, is_default=default, **place)  # fmt: skip


def test_differences_are_per_cent_of_the_references_contrast():
    reference = np.array([1.0, 1.2, 0.8, 1.0])  # standard deviation sqrt(0.02)
    image = reference + np.array([0.01, -0.01, 0.0, 0.02])
    rms, mean = differences(image, reference)
    assert rms == pytest.approx(100 * np.sqrt(1.5e-4 / 0.02))
    assert mean == pytest.approx(100 * 0.01 / np.sqrt(0.02))


def test_cheapest_good_setting_is_found():
    rows = [
        row("grid", "coarse", 4.0, 0.1),
        row("grid", "middle", 0.3, 0.5, default=True),
        row("grid", "fine", 0.01, 2.0),
        row("engine", "other", 0.9, 0.2),
        row("engine", "other", 1.1, 0.2, tilt_deg=3.0),  # good without tilt only
        row("coherence", "envelope", 12.0, default=True),
        row("coherence", "envelope", 7.0, default=True, c1_nm=9.0),
        row("coherence", "15 foci", 0.1),
        row("phonons", "model, cell 5 nm deep", 3.0),
        row("phonons", "particle, 6 nm", 80.0),
    ]
    text = conclusion(rows)
    assert "at every defocus and tilt is middle (0.30 %, 0.5 s" in text
    assert "The configured one (middle) is it" in text
    assert "by 7 to 12 % of the contrast of the model's images, most at C1 = 6 nm" in text
    assert "phonons by 3 to 3 %" in text


@pytest.mark.parametrize(
    ("rms", "seconds", "words"),
    [
        (2.0, 0.5, "(mine) errs by up to 2 %; set simulation.grid"),
        (0.2, 1.9, "(mine) is good too (0.2 %) but takes 1.9 s."),
        (0.2, 0.55, "(mine) is it"),
    ],
)
def test_configured_setting_is_judged(rms, seconds, words):
    rows = [row("grid", "good", 0.5, 0.5), row("grid", "mine", rms, seconds, default=True)]
    assert words in conclusion(rows)
    nothing = conclusion([row("grid", "mine", 2.0, default=True)])
    assert nothing.startswith("No setting is within 1 % of the contrast everywhere.")


def test_page_and_table_hold_every_number():
    rows = [
        row("grid", "mine", 0.52, default=True), row("grid", "mine", 0.25, tilt_deg=3.0),
        row("slice", "2 Å", 14.4), row("slice", "2 Å", 9.81, tilt_deg=3.0),
    ]  # fmt: skip
    text = page("PtNp1c-D0-26L", rows)
    assert "| **mine** | 0.52 | 0.25 | 1 |" in text
    assert "| 2 Å | 14.4 | 9.81 | 1 |" in text
    assert "| setting | 0°, C1 6 nm | 3°, C1 6 nm | s |" in text
    found = list(csv.DictReader(table(rows).splitlines()))
    assert [float(r["error_rms_percent"]) for r in found] == [0.52, 0.25, 14.4, 9.81]
    assert [r["is_default"] for r in found] == ["True", "False", "False", "False"]


def test_middling_model_is_perfect_and_about_5_nm_deep(spec):
    name, atoms = middling(spec["structures"], 1)
    assert name == "PtNp1d-D0-26L"  # the middle of seven shapes
    assert atoms.info["structure_id"] == name
    assert atoms.cell.lengths()[2] == pytest.approx(25 * 5.411 / np.sqrt(8) + 2)


@pytest.mark.parametrize("thickness", [10.0, 40.0])
def test_slabs_have_the_crystals_density(spec, thickness):
    metal = metal_slab(spec["structures"], thickness)
    layers = round(thickness / (3.92 / np.sqrt(8)))
    volume = metal.cell.lengths()[0] * 5 * 3.92 / np.sqrt(3) * layers * 3.92 / np.sqrt(8)
    assert len(metal) == round(4 * volume / 3.92**3)
    oxide = oxide_slab(spec["structures"], thickness)
    numbers = [oxide.get_chemical_symbols().count(s) for s in ("Ce", "O")]
    assert numbers[1] == 2 * numbers[0]
    for slab in (metal, oxide):
        assert slab.positions[:, 2].min() == pytest.approx(1.0, abs=0.02)
        assert np.ptp(slab.positions[:, 2]) == pytest.approx(thickness, abs=2.4)
        assert slab.positions[:, 1].min() > 3.9
        assert slab.cell.lengths()[1] - slab.positions[:, 1].max() > 3.9


def test_repeated_field_shows_the_same_image(spec, columns, monkeypatch):
    monkeypatch.setattr(convergence_bench, "C1_NM", (0.0, 3.0))
    one, four = (Bench(columns, spec, spec["simulation"], tiles=n) for n in (1, 2))
    wave = one.waves()[0][0]
    assert np.abs(one.images(wave)[0] - four.images(wave)[0]).max() < 1e-4
    assert one.images(wave)[0].std() > 0.01


def test_equal_slices_are_simulated_once(spec, columns):
    bench = Bench(columns, spec, spec["simulation"])
    # Planes 1.39 Å apart: below that no slice holds two.
    assert bench.key({"slice_thickness_nm": 0.1}) == bench.key({"slice_thickness_nm": 1e-5})
    assert bench.key({"slice_thickness_nm": 0.2}) != bench.key({"slice_thickness_nm": 1e-5})
    assert bench.key({"parametrization": "kirkland"}) != bench.key({})
    assert bench.waves(slice_thickness_nm=0.1)[0] is bench.waves(slice_thickness_nm=1e-5)[0]


@pytest.fixture
def small_study(monkeypatch, columns):
    """The study in small: every part of it, on nine columns."""
    for name, value in {
        "GRIDS": (32, 128, 320), "SLICES_NM": (0.5, 0.0167), "ABTEM": ((192, 0.1),),
        "REFERENCE_GRID": 480, "FOCI": (1, 7), "REFERENCE_FOCI": 21, "THICKNESSES_NM": (1,),
        "CONFIGURATIONS": 6, "middling": lambda structures, seed: ("columns", columns),
        "C1_NM": (0.0, 3.0),
    }.items():  # fmt: skip
        monkeypatch.setattr(convergence, name, value)
    monkeypatch.setattr(convergence_bench, "C1_NM", (0.0, 3.0))


def test_study_finds_what_is_known(spec, small_study):
    lines = []
    name, rows = measure(spec, lines.append)
    assert name == "columns"
    worst = {}
    for one in rows:
        worst.setdefault((one.study, one.setting), []).append(one.error_rms_percent)
    worst = {key: max(values) for key, values in worst.items()}
    # A grid that cannot hold the lens is left out and said to be.
    assert any("torch, grid 32 left out" in line for line in lines)
    assert worst["grid", "torch, grid 320, exact planes"] < 1
    assert worst["grid", "torch, grid 320, exact planes"] < (
        0.5 * worst["grid", "torch, grid 128, exact planes"]
    )
    assert worst["slice", "torch, grid 320, slices of 5 Å"] > 5
    # Thin slices are the atomic planes: the same wave, the configured one.
    exact = [r for r in rows if r.setting == "torch, grid 320, exact planes"]
    thin = [r for r in rows if r.setting == "torch, grid 320, slices of 0.167 Å"]
    assert [r.error_rms_percent for r in exact] == [r.error_rms_percent for r in thin]
    assert all(r.is_default for r in (*exact, *thin))
    assert worst["coherence", "7 foci"] < worst["coherence", "quasi-coherent envelope"]
    assert {r.tilt_deg for r in rows if r.study == "grid"} == {0.0, 3.0}
    assert 0.1 < worst["parametrization", "kirkland"] < 20
    model = next(s for k, s in worst if k == "phonons" and s.endswith("potential smeared"))
    better = model.replace("potential", "transmission")
    assert worst["phonons", better] < 0.7 * worst["phonons", model] < 70
    assert {s for s, _ in worst} == {"grid", "slice", "engine", "parametrization", "coherence",
                                     "phonons"}  # fmt: skip


def test_command_writes_both_files(tmp_path, spec, monkeypatch):
    rows = [row("grid", "mine", 0.5, default=True)]
    monkeypatch.setattr(convergence, "measure", lambda spec, log: (spec["seed"], rows))
    code = main(["--threads", "1", "converge", "--spec", json.dumps(spec),
                 "--output", str(tmp_path / "tables")])  # fmt: skip
    assert code == 0
    assert (tmp_path / "tables" / "convergence.csv").read_text() == table(rows)
    assert (tmp_path / "tables" / "convergence.md").read_text() == page(1, rows)
