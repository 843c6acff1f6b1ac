"""The command line's own grammar and its last words."""

from __future__ import annotations

import argparse
import errno
import os

import pytest

from lowdose import cli
from lowdose.cli import main
from lowdose.cli import run as run_command
from lowdose.runtime import UserError


@pytest.fixture
def last_error(tmp_path, monkeypatch):
    path = tmp_path / "last-error"
    monkeypatch.setenv(cli.LAST_ERROR, str(path))
    return path


def test_words_for_snakemake_pass_untouched(monkeypatch):
    seen = []
    monkeypatch.setattr(run_command, "run", lambda arguments: seen.append(arguments.rest))
    words = ["--cores", "1", "--config", "seed=3", "-n", "generate", "--", "--threads"]
    assert main(["run", *words]) == 0
    # The name of a command as a target is a target.
    assert main(["--threads", "2", "run", "run"]) == 0
    assert seen == [words, ["run"]]


def test_an_unknown_option_is_one_sentence(capsys, last_error):
    assert main(["generate", "--chekc"]) == 2
    told = capsys.readouterr().err
    assert told == "lowdose: Unrecognized arguments: --chekc; see lowdose --help.\n"
    assert last_error.read_text() == told.removeprefix("lowdose: ")


def test_no_command_and_a_wrong_one(capsys):
    assert main([]) == 2
    assert main(["generat"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_errors_of_several_jobs_are_all_kept(last_error):
    for sentence in ("The dose is\nnegative.", "The pixel size is 0."):
        with pytest.raises(SystemExit) as ended:
            cli.refuse(UserError(sentence))
        assert ended.value.code == 2
    assert last_error.read_text() == "The dose is negative.\nThe pixel size is 0.\n"


def test_a_full_disk_in_any_command_is_one_sentence(monkeypatch, capsys):
    def fill(_):
        raise OSError(28, "No space left on device", "waves.h5")

    monkeypatch.setattr(run_command, "run", fill)
    assert main(["run"]) == 2
    assert capsys.readouterr().err.startswith("lowdose: The disk is full while writing waves.h5;")


@pytest.mark.parametrize(
    ("readable", "says"),
    [(False, "{file} cannot be read for lack of permission"), (True, "{folder} cannot be written")],
)
def test_a_file_without_permission_is_one_sentence(tmp_path, monkeypatch, capsys, readable, says):
    path = tmp_path / "frames.h5"
    path.write_bytes(b"")

    def refuse(_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    # Root, who may run this test, has every permission.
    monkeypatch.setattr(os, "access", lambda _, mode: readable or mode != os.R_OK)
    monkeypatch.setattr(run_command, "run", refuse)
    assert main(["run"]) == 2
    expected = says.format(file=path, folder=tmp_path)
    assert capsys.readouterr().err.startswith(f"lowdose: {expected}; make ")


def test_ctrl_c_ends_with_130(monkeypatch):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_command, "run", stop)
    assert main(["run"]) == 130


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--foo"], "unrecognized arguments: --foo"),
        (["--cores", "x"], "Error parsing number of cores"),
        (["--configfile", "no/such.yaml"], "--configfile no/such.yaml cannot be read"),
    ],
)
def test_what_snakemake_would_not_understand_is_one_sentence(words, part):
    with pytest.raises(UserError) as refused:
        run_command.parsed(words)
    assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_broken_configuration_file_is_told_with_its_line(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("a: 1\n  b: 2\nc: 3\n")
    with pytest.raises(UserError, match=r"bad.yaml, line 2: not valid YAML"):
        run_command.parsed(["--configfile", str(path)])
    path.write_text("- a\n")
    with pytest.raises(UserError, match=r"is no table of keys and values"):
        run_command.parsed(["--configfile", str(path)])


def test_every_mode_and_part_is_an_option_of_the_snakemake_in_the_lock():
    options: argparse.Namespace = run_command.parsed([])
    names = (*run_command.OTHER_MODES, *run_command.PARTS, *run_command.TALKATIVE)
    assert not [name for name in names if not hasattr(options, name)]
    assert not [name for name in names if getattr(options, name)]
