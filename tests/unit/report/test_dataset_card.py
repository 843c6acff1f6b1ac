"""The card: its numbers are those of the files, and no parameter is forgotten."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
from matplotlib.image import imread

from lowdose.cli import main
from lowdose.environments import lock
from lowdose.report.style import DPI, WIDTH_IN

FIGURES = ("library", "defocus", "dataset")


def describe(world, folder):
    arguments = ["dataset", "--spec", json.dumps(world.spec), "--structures",
                 str(world.structures), "--classes", str(world.folder / "classes.parquet"),
                 "--frozen", *map(str, world.frozen), "--figures", str(folder / "figures"),
                 "--tables", str(folder / "tables")]  # fmt: skip
    assert main(arguments) == 0
    return folder


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    return describe(world, tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def text(made):
    return (made / "tables" / "dataset.md").read_text(encoding="utf-8")


def rows_of(text, heading):
    """Return the cells of all table rows below a heading, up to the next one."""
    part = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_command_writes_all_and_twice_alike(world, made, tmp_path):
    again = describe(world, tmp_path)
    names = [f"figures/{name}.{end}" for name in FIGURES for end in ("png", "svg", "csv")]
    names += ["tables/classes.csv", "tables/dataset.md"]
    found = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert found == set(names)
    for name in names:
        assert (made / name).read_bytes() == (again / name).read_bytes(), name
    for name in FIGURES:
        assert imread(made / "figures" / f"{name}.png").shape[1] == WIDTH_IN * DPI


def test_the_class_table_is_recomputed_from_the_images(world, made, text):
    table = pd.read_csv(made / "tables" / "classes.csv")
    images = world.classes[world.classes["contrast"] != "none"]
    at_six = table[(table["by"] == "c1_nm") & (table["value"] == "6.0")].iloc[0]
    here = images[images["c1_nm"] == 6]
    for name in ("white", "intermediate", "black"):
        assert at_six[name] == (here["contrast"] == name).sum()
    rows = {row[0]: row for row in rows_of(text, "Contrast of the columns")}
    for name, group in (("**all**", images), ("C1 = 6 nm", here),
                        ("tilt x2 y0", images[images["tilt_x_deg"] == 2])):  # fmt: skip
        shares = [f"{100 * (group['contrast'] == n).mean():.1f}"
                  for n in ("white", "intermediate", "black")]  # fmt: skip
        assert rows[name][1:5] == [str(len(group)), *shares]
        assert float(rows[name][5]) == pytest.approx(group["mean_contrast"].mean(), abs=5e-4)
    assert rows["**all**"][6:] == ["3,567", "31.3", "64.1", "4.6"]
    blank = (world.classes["contrast"] == "none").sum()
    assert f"{blank} images without a particle are not counted" in text


def test_the_composition_is_that_of_the_models(world, text):
    assert f"{len(world.models)} atomic models of Pt particles on a CeO2 support" in text
    assert f": {len(world.classes)} images." in text
    rows = {row[0]: row for row in rows_of(text, "What it holds")}
    first = ["PtNp1", "2", "D0, D1", "4", "12", "48", "0.96 to 1.44", "0.84 to 1.08", "19 to 35"]
    assert rows["PtNp1"] == first
    assert rows["vacuum alone"][4:6] == ["3", "12"]
    assert rows["all"][1:6] == ["3", "", "6", str(len(world.models)), str(len(world.classes))]
    assert rows["2, 0"] == ["2, 0", "7"] and rows["21"] == ["21", "7"]
    assert "1 half, 5 vacancy" in text and "- PtNp1: like PtNp1" in text
    assert "D1 one column removed" in text and "Dh" not in text.split("## How it was made")[0]


def test_every_parameter_stands_in_the_card_with_its_value(world, text):
    rows = {row[0]: row for row in rows_of(text, "How it was made")}
    for section in ("structures", "simulation", "optics", "camera"):
        for key, value in world.spec[section].items():
            shown = "none" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"
            assert rows[f"`{section}.{key}`"][1] == shown
    assert "[keV]" in rows["`simulation.energy_kev`"][2]


def test_counts_and_digests_are_those_of_the_frozen_frames(world, text):
    dose = world.spec["frames"]["reference_dose_e_per_px"]
    rows = {row[0]: row for row in rows_of(text, "Counts")}
    for name, clean in world.clean.items():
        pixels = dose * clean.astype(float)
        expected = [pixels.min(), pixels.max(), pixels.mean(), pixels.std()]
        assert [float(v) for v in rows[name][1:5]] == pytest.approx(expected, abs=6e-4)
        electrons = world.counts[name]
        zero = f"{100 * (electrons == 0).mean():.1f}"
        assert rows[name][5] == zero
    # The paper's 0.45 in vacuum, at the tiny study's 10 e/pixel.
    sample = [f"{v * dose / 0.45:.3f}" for v in (0.337, 0.634, 0.443, 0.048)]
    assert rows["paper's four sample frames"][1:5] == sample
    splits = {row[0]: row for row in rows_of(text, "Splits and frozen frames")}
    assert splits["train"][1:] == ["1", "9", "36", "PtNp1b"]
    assert "`test-digest`" in text and "`validation-digest`" in text


def test_training_sets_count_what_they_admit(world, text):
    (row,) = rows_of(text, "Training sets")[2:]
    images = world.classes[world.classes["split"] == "train"]
    low, high = world.spec["training_sets"]["white"]["c1_nm"]
    images = images[images["c1_nm"].between(low, high)]
    # Blanks belong to every contrast.
    assert row[:2] == ["`white`", str(images["contrast"].isin(["white", "none"]).sum())]


def test_versions_are_those_of_the_lock(text):
    rows = {row[0]: row[1] for row in rows_of(text, "Versions and seeds")}
    for name in ("abtem", "torch", "numpy", "ase", "wulffpack"):
        assert rows[name] == lock()[name]
    assert re.search(r"Root seed 20210127;", text)
    assert "GPL-3.0-or-later" in text and "10.1017/S1431927621012678" in text


def test_the_limit_quoted_is_the_lenss(text):
    assert "information limit of 0.0935 nm" in text  # 4 nm, 300 kV: see test_information_limit
