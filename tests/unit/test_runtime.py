"""Errors in words, and files that are whole or not there."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import lowdose
from lowdose.runtime import (
    THREAD_VARIABLES,
    UserError,
    atomic_path,
    fix_threads,
    translated,
    write_text,
)


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_write_replaces_the_old_file(tmp_path):
    target = tmp_path / "deep" / "table.csv"
    write_text(target, "old")
    write_text(target, "Å new")
    assert target.read_text(encoding="utf-8") == "Å new"
    assert leftovers(target.parent) == ["table.csv"]


def test_the_temporary_file_keeps_the_suffix(tmp_path):
    # Writers choose a format by the suffix.
    with atomic_path(tmp_path / "a.h5") as path:
        assert path.suffix == ".h5"
        assert path.parent == tmp_path
        path.write_text("x")


def test_a_result_is_as_readable_as_any_file(tmp_path):
    write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_failing_writer_leaves_the_old_file(tmp_path):
    target = tmp_path / "model.bin"
    write_text(target, "old")

    def fail_half_way():
        with atomic_path(target) as path:
            path.write_text("half")
            raise ValueError("the simulation broke")

    with pytest.raises(ValueError, match="broke"):
        fail_half_way()
    assert target.read_text() == "old"
    assert leftovers(tmp_path) == ["model.bin"]


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    target = tmp_path / "model.bin"
    write_text(target, "old")
    code = (
        "import os, signal, sys\n"
        "from lowdose.runtime import atomic_path\n"
        "with atomic_path(sys.argv[1]) as path:\n"
        "    path.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(lowdose.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code, str(target)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    assert all(".partial" in name or name == "model.bin" for name in leftovers(tmp_path))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_one_sentence(tmp_path):
    target = tmp_path / "waves.h5"
    write_text(target, "old")

    def fill():
        with atomic_path(target), open("/dev/full", "w") as full:
            full.write("x" * 100)
            full.flush()

    with pytest.raises(UserError, match=r"disk is full while writing .*waves.h5; free some space"):
        fill()
    assert target.read_text() == "old"
    assert leftovers(tmp_path) == ["waves.h5"]


def test_a_library_that_hides_the_error_number_is_understood(tmp_path):
    error = OSError("Can't write data (file write failed: No space left on device)")
    assert isinstance(translated(error, tmp_path / "a.h5"), UserError)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, number):
    sentence = str(translated(OSError(number, os.strerror(number)), tmp_path / "a.h5"))
    assert sentence.startswith(f"{tmp_path} cannot be written; make the folder writable")


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(UserError, match=r"a file or folder of that name is in the way"):
        write_text(tmp_path / "results" / "a.csv", "x")


def test_other_errors_pass_unchanged(tmp_path):
    error = OSError(errno.EIO, "Input/output error")
    assert translated(error, tmp_path) is error


def test_threads_are_fixed_for_every_library(monkeypatch):
    for name in (*THREAD_VARIABLES, "OMP_DYNAMIC", "MKL_DYNAMIC"):
        monkeypatch.setenv(name, "7")
    fix_threads(3)
    assert {os.environ[name] for name in THREAD_VARIABLES} == {"3"}
    assert os.environ["OMP_DYNAMIC"] == os.environ["MKL_DYNAMIC"] == "FALSE"
    with pytest.raises(UserError, match="--threads is 0; give 1 or more"):
        fix_threads(0)


def test_torch_is_deterministic_and_does_not_load_its_compiler():
    code = (
        "import sys, torch; from lowdose.runtime import fix_torch; fix_torch(1); "
        "print(torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(), "
        "'torch._inductor' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(lowdose.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == ["True", "1", "False"], done.stderr
