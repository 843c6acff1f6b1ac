"""Bad wave files are found when Snakemake parses, and only then and only those."""

import base64
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lowdose.cli import _waves
from lowdose.imaging.store import write_shard
from lowdose.provenance import file_digest
from lowdose.runtime import UserError

SIMULATION = {"grid": 64}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three shards of one library, the shards younger than it, and Snakemake's records."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "library.extxyz").write_text("atoms")
    os.utime("library.extxyz", (1000, 1000))
    for number in range(3):
        path = tmp_path / f"shard{number:03d}.h5"
        row = {"model_id": f"m{number}", "cell_y_nm": 1.0, "cell_x_nm": 1.0}
        parameters = {**SIMULATION, "library": file_digest("library.extxyz")}
        write_shard(path, [(row, np.full((4, 4), number, np.complex64))], parameters)
    record("shard001.h5", parameters_of("shard001"))
    return tmp_path


def parameters_of(shard):
    models = [f"m{int(shard[5:])}"]
    return [json.dumps({"models": models, "simulation": SIMULATION}), "code", "libraries"]


def record(path, parameters):
    os.makedirs("metadata", exist_ok=True)
    name = base64.urlsafe_b64encode(path.encode()).decode()
    with open(f"metadata/{name}", "w") as stream:
        json.dump({"params": sorted(map(repr, parameters))}, stream)


def inspect(folder):
    shards = [Path(f"shard{number:03d}.h5") for number in range(4)]  # the last does not exist
    _waves.set_bad_shards_aside(shards, parameters_of, Path("library.extxyz"), Path("metadata"))
    return sorted(path.name for path in folder.glob("shard*"))


def flip_wave(path):
    content = bytearray(path.read_bytes())
    content[content.index(np.full(4, 1, np.complex64).tobytes())] ^= 1
    path.write_bytes(content)


WHOLE = ["shard000.h5", "shard001.h5", "shard002.h5"]
SECOND_ASIDE = ["shard000.h5", "shard001.h5.damaged", "shard002.h5"]


def test_whole_shards_stay_without_a_word(folder, capsys):
    assert inspect(folder) == WHOLE
    assert capsys.readouterr().err == ""


def test_a_damaged_one_is_named_and_set_aside_alone(folder, capsys):
    flip_wave(folder / "shard001.h5")
    assert inspect(folder) == SECOND_ASIDE
    assert capsys.readouterr().err == (
        "lowdose: note: shard001.h5 is set aside as shard001.h5.damaged because the wave of m1 is "
        "damaged (its checksum differs); of the wave files, it alone is made anew, by a run of "
        "the whole study.\n"
    )


def test_a_foreign_one_is_named_and_set_aside_alone(folder, capsys):
    (folder / "shard001.h5").write_bytes((folder / "shard002.h5").read_bytes())
    assert inspect(folder) == SECOND_ASIDE
    assert "because it holds the wave of m2, which belongs elsewhere;" in capsys.readouterr().err


def test_what_snakemake_makes_anew_in_any_case_is_left_to_it(folder, capsys):
    """Another configuration was simulated last: its waves are not thrown away beforehand."""
    flip_wave(folder / "shard001.h5")
    record("shard001.h5", ["another spec", "code", "libraries"])
    assert inspect(folder) == WHOLE
    record("shard001.h5", parameters_of("shard001"))
    os.utime("library.extxyz")  # younger than the waves
    assert inspect(folder) == WHOLE
    assert capsys.readouterr().err == ""
    os.utime("library.extxyz", (1000, 1000))
    assert inspect(folder) == SECOND_ASIDE


def test_records_that_cannot_be_read_hide_nothing(folder):
    flip_wave(folder / "shard001.h5")
    for path in (folder / "metadata").iterdir():
        path.write_text("{")
    assert inspect(folder) == SECOND_ASIDE


def test_a_bad_library_does_not_condemn_the_waves(folder):
    (folder / "library.extxyz").write_text("atomz")
    os.utime("library.extxyz", (1000, 1000))
    with pytest.raises(UserError, match=r"library\.extxyz is not the library that the 3"):
        inspect(folder)
    assert sorted(path.name for path in folder.glob("shard*")) == WHOLE


def test_without_a_library_the_waves_are_checked_for_themselves(folder):
    (folder / "library.extxyz").unlink()
    assert inspect(folder) == WHOLE
    flip_wave(folder / "shard001.h5")
    assert inspect(folder) == SECOND_ASIDE


@pytest.mark.parametrize(
    ("words", "main", "dry", "expected"),
    [
        ("--cores 2 --configfile config/tiny.yaml", True, False, True),
        ("results/waves/shard000.h5 --forceall", True, False, True),
        ("--cores 2", False, False, False),  # a job that Snakemake has started, or a cluster
        ("--cores 2 -n", True, True, False),
        ("--cores 2 --report results/report.html", True, False, False),
        ("--report=results/report.html", True, False, False),
        ("--lint", True, False, False),
        ("--unlock", True, False, False),
        ("--touch", True, False, False),
        ("--summary", True, False, False),
    ],
)
def test_only_a_run_that_makes_files_inspects(words, main, dry, expected):
    workflow = SimpleNamespace(is_main_process=main, output_settings=SimpleNamespace(dryrun=dry))
    assert _waves.makes_files(workflow, words.split()) is expected


def test_the_words_are_those_of_this_snakemake():
    from snakemake.cli import get_argument_parser

    known = {word for action in get_argument_parser()._actions for word in action.option_strings}
    assert set(_waves.WITHOUT_WORK) <= known
