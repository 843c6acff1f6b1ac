"""Settings of a rerun, and what else it was made with, against the published ones."""

from __future__ import annotations

import json

import pytest

from lowdose import records
from lowdose.cli import main
from lowdose.verification.compare import compare
from lowdose.verification.made_with import changed, circumstances, settings

SPEC = {"optics": {"c3_um": -13.0, "c1_nm": [0, 1]}, "seed": 3}


@pytest.fixture
def made(tmp_path, record_of):
    """A function that makes results of two jobs, of given specs and libraries."""

    def make(name, first=SPEC, second=SPEC, **changes):
        results = tmp_path / name / "results"
        (tmp_path / name).mkdir()
        for number, spec in enumerate((first, second)):
            path = results / "limits" / f"{number}.parquet"
            record = record_of(path, bytes([number]), stage="frames", job=str(number) * 32)
            compared = record.compared.model_copy(update={"spec": spec, **changes})
            records.write(path, record.model_copy(update={"compared": compared}))
        return results

    return make


def test_settings_that_all_jobs_of_a_stage_share(made):
    table = settings(made("a", second={**SPEC, "seed": 4, "more": None}))
    rows = {(row.stage, row.setting): json.loads(row.value) for row in table.itertuples()}
    assert rows == {
        ("frames", "more"): None,
        ("frames", "optics.c1_nm"): [0, 1],
        ("frames", "optics.c3_um"): -13.0,
    }
    assert settings(made("b", first=None, second=None)) is None


def test_a_changed_setting_is_named_by_stage_and_key(made):
    other = {"optics": {"c3_um": -12.0, "c1_nm": [0, 1]}, "seed": 3}
    sides = [{"settings": settings(results)} for results in (made("a"), made("b", other, other))]
    unlike = [item for item in compare(*sides) if item.is_unlike]
    assert [(i.kind, i.item, i.detail) for i in unlike] == [
        ("settings", "frames optics.c3_um", "value -13.0, now -12.0")
    ]


def test_what_else_results_were_made_with(made):
    published = circumstances(made("a"))
    assert published == {
        "GPU": "none", "code of frames": "0123456789ab", "commit": "a" * 12,
        "numpy": "2.4.6", "processor": "one", "python": "3.11.7",
    }  # fmt: skip
    assert changed(published, published) == changed(published, {}) == []
    code = records.Code(digest="ba9876543210", loaded={})
    here = circumstances(made("b", libraries={"numpy": "2.5.0", "python": "3.11.7"}, code=code))
    assert changed(published, here) == [
        "numpy 2.4.6, now 2.5.0", "the code of frames is another one"
    ]  # fmt: skip


def test_the_command_says_it_where_something_differs(made, tmp_path, capsys):
    reference = tmp_path / "reference"
    assert main(["verify", str(made("a")), "--publish", str(reference)]) == 0
    other = made("b", {"seed": 4}, {"seed": 4}, libraries={"numpy": "2.5.0"})
    capsys.readouterr()
    assert main(["verify", str(other), "--reference", str(reference)]) == 1
    told = capsys.readouterr().out
    assert "settings, frames seed: differs: value 3, now 4\n" in told
    assert "settings, frames optics.c3_um: missing\n" in told
    assert told.endswith("made with: numpy 2.4.6, now 2.5.0\n")
    assert main(["verify", str(tmp_path / "a" / "results"), "--reference", str(reference)]) == 0
    assert "made with" not in capsys.readouterr().out
