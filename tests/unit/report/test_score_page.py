"""The page of scores, and our own rows as the repository keeps and quotes them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lowdose import cli
from lowdose.evaluation.benchmark_files import _name
from lowdose.report.score_page import SHOWN, score_page

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = ROOT / "results" / "reference" / "benchmark"
DOCS = (ROOT / "docs" / "score.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| ([^`]+) \|$", re.MULTILINE)
# Of a row of the page: measure, factor, step of the last digit.
QUOTED = (
    ("test", "", "psnr_db", 1, 0.01),
    ("test", "", "f1", 1, 0.001),
    ("test", "", "fill_in_rate", 100, 1),
    ("test", "", "erasure_rate", 100, 1),
    ("test", "", "auc", 1, 0.001),
    ("shifted", "all", "psnr_db", 1, 0.01),
    ("shifted", "all", "auc", 1, 0.001),
)


def rows(method: str, **numbers) -> pd.DataFrame:
    names = [f"{name}{end}" for name, *_ in SHOWN for end in ("", "_low", "_high")]
    about = {"method": method, "set": "test", "shift": "", "dose_e_per_px": 0.45,
             "status": "scored", "n_units": 3, "n_images": 12}  # fmt: skip
    table = pd.DataFrame([{**dict.fromkeys(names, np.nan), **about, **numbers}])
    return table.astype({"n_images": "Int64", "n_units": "Int64"})


def test_a_number_that_is_missing_and_one_that_cannot_be():
    table = pd.concat([
        rows("mine", psnr_db=31.234, psnr_db_low=30.5, psnr_db_high=31.999, fill_in_rate=0.256,
             ssim=np.inf),
        rows("none", status="missing", n_images=pd.NA),
        rows("ideal", n_images=pd.NA, auc=1.0),
    ])  # fmt: skip
    page = score_page(table, "digest", "code", ["A note."])
    assert "### test at 0.45 electrons per pixel, 3 base shapes" in page
    cells = {line.split(" | ")[0]: line.split(" | ")[1:] for line in page.splitlines()}
    mine = cells["| mine"]
    # Scored, but without what this number needs.
    assert mine[:4] == ["31.23 [30.50, 32.00]", "missing", "∞", "missing"] and mine[6] == "26"
    assert set(cells["| none"]) == {"missing", "missing |"}
    assert cells["| ideal"][0] == "-" and cells["| ideal"][-1] == "1.000 |"
    assert page.endswith("- A note.\n")


def test_our_rows_are_of_the_benchmark_whose_manifest_is_kept():
    manifest = json.loads((REFERENCE / "benchmark.json").read_text(encoding="utf-8"))
    assert _name(manifest) == manifest["sha256"]
    table = pd.read_csv(REFERENCE / "scores.csv", keep_default_na=False)
    assert set(table["benchmark"]) == {manifest["sha256"]}
    assert set(table["scorer"]) == {manifest["made_by"]["scorer"]}
    page = (REFERENCE / "scores.md").read_text(encoding="utf-8")
    assert page.startswith(f"Benchmark `{manifest['sha256']}`")
    assert manifest["sha256"] in DOCS
    groups = len(manifest["doses_e_per_px"]) * (1 + 1 + len(manifest["sets"]["shifted"]["shifts"]))
    assert (table.groupby("method").size() == groups).all()


def test_our_rows_in_the_page_are_those_of_the_table():
    table = pd.read_csv(REFERENCE / "scores.csv", keep_default_na=False)
    table = table[table["dose_e_per_px"] == 0.45].set_index(["method", "set", "shift"])
    found = ROW.findall(DOCS.split("## Our own rows")[1])
    assert {name for name, _ in found} == set(table.index.get_level_values("method"))
    for name, cells in found:
        for (kind, shift, measure, factor, step), cell in zip(
            QUOTED, cells.split(" | "), strict=True
        ):
            row = table.loc[name, kind, shift]
            known = [row[f"{measure}{end}"] for end in ("", "_low", "_high")]
            if cell in ("–", "∞"):
                assert known[0] == {"–": "", "∞": "inf"}[cell], (name, measure)
                continue
            said = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", cell)]
            expected = [factor * float(n) for n in known]
            assert said == pytest.approx(expected, abs=0.51 * step), (name, measure)


def test_the_commands_of_the_page_are_understood(monkeypatch):
    lines = re.findall(r"^python -m lowdose (.+)$", DOCS, re.MULTILINE)
    assert {line.split()[0] for line in lines} == {"benchmark", "score"}
    for line in lines:
        name = line.split()[0]
        seen = []
        monkeypatch.setattr(f"lowdose.cli.{name}.run", seen.append)
        assert cli.main(shlex.split(line)) == 0
        assert seen[0].command == name
