"""The manifest explains every result, and names each one that it cannot explain."""

from __future__ import annotations

import os
import shutil

import pytest

from lowdose import manifest
from lowdose.cli import main
from lowdose.records import file_digest, record_path
from lowdose.runtime import UserError

LIBRARY, TABLE, FIGURE = (
    f"results/{name}" for name in ("structures/library.extxyz", "tables/a.csv", "figures/a.png")
)


@pytest.fixture
def results(record_of, tmp_path):
    """Three results, each made of the one before."""
    folder = tmp_path / "results"
    library, table, figure = (tmp_path / name for name in (LIBRARY, TABLE, FIGURE))
    record_of(library, b"atoms\n")
    record_of(table, b"1,2\n", [library], "summarise", job="2" * 32)
    record_of(figure, b"picture", [table], "figure", commit="b" * 40, job="3" * 32)
    return folder


def problems(results, **options):
    found = manifest.make(results, **options)
    kinds = ("unexplained", "altered", "missing", "outdated")
    return {kind: getattr(found, kind) for kind in kinds if getattr(found, kind)}


def test_results_as_they_were_made(results, tmp_path):
    found = manifest.make(results)
    assert list(found.files) == sorted([LIBRARY, TABLE, FIGURE])
    assert found.files[TABLE].model_dump() == {
        "sha256": file_digest(tmp_path / TABLE),
        "bytes": 4,
        "stage": "summarise",
        "record": "results/provenance/tables/a.csv.json",
    }
    assert (tmp_path / found.files[TABLE].record).is_file()
    assert [(one.commit.id[0], one.files) for one in found.commits] == [("a", 2), ("b", 1)]
    assert found.problems() == []
    manifest.write(results, found)
    assert manifest.read(results) == manifest.read(results / "MANIFEST.json") == found
    assert manifest.make(results) == found  # it does not list itself


def test_an_altered_file_is_named_and_what_was_made_of_it(results, tmp_path):
    (tmp_path / TABLE).write_bytes(b"1,3\n")
    assert problems(results) == {"altered": [TABLE], "outdated": [FIGURE]}
    sentences = manifest.make(results).problems()
    assert sentences[0].startswith(f"{TABLE} was altered after it was made")
    assert problems(results, trusting=True) == problems(results)


def test_an_alteration_that_keeps_size_and_time_is_found_by_reading(results, tmp_path):
    about = (tmp_path / TABLE).stat()
    (tmp_path / TABLE).write_bytes(b"1,3\n")
    os.utime(tmp_path / TABLE, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert problems(results, trusting=True) == {}
    assert problems(results) == {"altered": [TABLE], "outdated": [FIGURE]}


def test_what_nobody_made_and_what_is_gone(results, tmp_path):
    (results / "tables" / "mine.csv").write_text("1\n")
    (tmp_path / FIGURE).unlink()
    assert problems(results) == {"unexplained": ["results/tables/mine.csv"], "missing": [FIGURE]}


def test_a_link_to_a_file_that_has_gone_is_a_missing_result(results, tmp_path):
    (tmp_path / TABLE).unlink()
    (tmp_path / TABLE).symlink_to(tmp_path / "annex" / "a.csv")
    assert problems(results) == problems(results, trusting=True) == {"missing": [TABLE]}


def test_a_record_that_cannot_be_read_explains_nothing(results, tmp_path):
    record_path(tmp_path / LIBRARY).write_text("{}")
    assert problems(results) == {"unexplained": [LIBRARY]}
    with pytest.raises(UserError, match=r"library\.extxyz\.json cannot be read"):
        manifest.records_in(results)


def test_what_is_no_result_is_not_listed(results):
    before = manifest.make(results)
    for name in ("logs/a.log", "work/state", "reference/a.csv", "benchmarks/a.json", "README.md",
                 "report.html", "tables/.a.partial.csv", "waves/shard000.h5.damaged",
                 "release/results/waves/a.h5", "other/.snakemake/x", "other/a.csv"):  # fmt: skip
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text("x")
    assert manifest.make(results) == before


def test_a_copy_under_another_name_is_the_same(results, tmp_path):
    copy = tmp_path / "published"
    shutil.copytree(results, copy)
    assert manifest.make(copy) == manifest.make(copy, trusting=True) == manifest.make(results)


def test_the_command(results, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["manifest"]) == 0
    assert capsys.readouterr().out == "results/MANIFEST.json: 3 results, 3 with a record\n"
    for number in range(12):
        (results / "tables" / f"mine{number:02}.csv").write_text("1\n")
    assert main(["manifest"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert lines[1].startswith("  results/tables/mine00.csv has no record;")
    assert lines[-1] == "  and 2 more, which the manifest lists."
    assert len(manifest.read(results).unexplained) == 12
    assert main(["manifest", "nowhere"]) == 2
    with pytest.raises(UserError, match="run python -m lowdose manifest first"):
        manifest.read(tmp_path / "nowhere.json")
