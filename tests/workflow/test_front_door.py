"""``./study`` on machines that lack something: one sentence, exit code 2."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEW_ENOUGH = "3.11 or newer"


@pytest.fixture
def project(tmp_path):
    """A copy of the front door with a lock that pins nothing: its environment takes seconds."""
    folder = tmp_path / "a project"
    (folder / "envs").mkdir(parents=True)
    shutil.copy2(ROOT / "study", folder / "study")
    shutil.copytree(
        ROOT / "workflow" / "lowdose",
        folder / "workflow" / "lowdose",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (folder / "envs" / "requirements.lock").write_text("# nothing\n")
    return folder


@pytest.fixture
def programs(tmp_path):
    """A folder that comes first on PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    return folder


def program(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def study(project, *words, programs=None, **variables):
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("VIRTUAL_ENV", "PYTHONPATH") and not name.startswith("PIP_")
    }
    # A pip that reads no configuration of this machine.
    environment |= {"PYTHON": sys.executable, "PIP_CONFIG_FILE": os.devnull, **variables}
    if programs is not None:
        environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    environment = {name: value for name, value in environment.items() if value}
    return subprocess.run(
        [str(project / "study"), *words],
        cwd=project.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def refused(done, part):
    """Check for exit code 2 and one sentence that ends the output and holds `part`."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("study: "), done.stderr
    assert last.endswith("."), last
    assert part in last
    return last


def test_help_needs_nothing(project):
    done = study(project, "--help", PYTHON="/nowhere")
    assert done.returncode == 0
    for command in ("run", "test", "bench", "release", "denoise", "inspect", "example", "view",
                    "optional", "docs", "shell", "clean"):  # fmt: skip
        assert f"\n  {command} " in done.stdout
    assert not (project / ".venv").exists()
    assert study(project, "run", "--help", PYTHON="/nowhere").stdout == done.stdout
    assert study(project).stdout == done.stdout


def test_an_unknown_command_or_part(project):
    refused(study(project, "runn"), 'there is no command "runn"; ./study --help lists them')
    refused(study(project, "test", "units"), 'there is no part "units" of the tests')
    refused(study(project, "optional", "bm3d"), 'nothing optional called "bm3d"; choose topaz')
    refused(study(project, "clean", "--all"), "clean knows only --yes, not --all")
    refused(study(project, "docs", "serve"), "docs takes no arguments, not serve")


@pytest.mark.parametrize("command", ["denoise", "inspect", "example", "view"])
def test_a_users_own_files_are_found_from_where_she_is(project, command):
    """Paths start in the caller's folder, not in the project's."""
    (project / "workflow" / "lowdose" / "__main__.py").write_text(
        "import os, sys\nprint(os.getcwd(), *sys.argv[1:], sep='|')\n"
    )
    done = study(project, command, "my movie.dm4", "--bin", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{project.parent}|{command}|my movie.dm4|--bin|2"


def test_an_old_python(project, programs):
    for name in ("python3.11", "python3.12", "python3.13", "python3.14", "python3", "python"):
        program(programs, name, 'case "$2" in *platform*) echo 3.9.2 ;; *) exit 1 ;; esac')
    last = refused(study(project, "run", programs=programs, PYTHON=""), NEW_ENOUGH)
    assert "(python3 here: 3.9.2)" in last
    refused(study(project, "run", PYTHON=str(programs / "python3")), "name another one")
    assert not (project / ".venv").exists()


def test_too_little_disk_is_told_before_the_work(project, programs):
    program(programs, "df", "echo Filesystem 1024-blocks Used Available; echo /d 9 9 2048000 1% /")
    last = refused(study(project, "run", programs=programs), "needs about 4000 MB of disk")
    assert "has 2000 MB left" in last
    assert not (project / ".venv").exists()


def test_no_network(project):
    (project / "envs" / "requirements.lock").write_text("numpy==2.4.6\n")
    done = study(
        project,
        *("test", "unit"),
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
        PIP_RETRIES="0",
        PIP_NO_CACHE_DIR="1",
    )
    refused(done, "no network: pip could not reach its package index")
    assert not (project / ".venv" / "study-stamp").exists()


def test_a_version_that_does_not_exist(project, tmp_path):
    (project / "envs" / "requirements.lock").write_text("numpy==999\n")
    empty = tmp_path / "wheels"
    empty.mkdir()
    done = study(project, "test", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(empty))
    refused(done, "pip could not install envs/requirements.lock; see the end of .venv-install.log")
    assert "numpy==999" in (project / ".venv-install.log").read_text()


def test_a_folder_that_cannot_be_written(project, programs):
    # Root may write everywhere, so root takes the part of another user, in a folder and with a
    # Python that everyone may see.
    other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "envs").mkdir()
        shutil.copy2(project / "study", folder)
        shutil.copy2(project / "envs" / "requirements.lock", folder / "envs")
        program(folder, "python", "exit 0")
        folder.chmod(0o555)
        done = subprocess.run(
            [folder / "study", "run"],
            cwd="/",
            env={**os.environ, "PYTHON": str(folder / "python")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            **other,
        )
        folder.chmod(0o755)
    refused(done, f"{folder.resolve()} cannot be written; make it writable")


def test_the_environment_is_made_once_and_anew_for_another_lock(project, programs):
    say = "import lowdose, sys; print(lowdose.__file__, sys.prefix)"
    first = study(project, "shell", "-c", f"python -c '{say}'; echo still heard >&2")
    assert first.returncode == 0, first.stderr
    assert "Installing the environment, once" in first.stderr
    # The installation must not take the run's messages with it.
    assert first.stderr.endswith("still heard\n")
    package = project / "workflow" / "lowdose" / "__init__.py"
    assert first.stdout == f"{package} {project / '.venv'}\n"
    # Without the front door, in an activated environment, the package is found as well.
    plain = [str(project / ".venv" / "bin" / "python"), "-I", "-c", say]
    assert subprocess.run(plain, capture_output=True, text=True).stdout == first.stdout

    # Now neither network nor disk is asked for, so neither is looked at.
    program(programs, "df", "exit 1")
    second = study(project, "shell", "-c", "true", programs=programs, PYTHON="")
    assert (second.returncode, second.stderr) == (0, "")

    (project / "envs" / "requirements.lock").write_text("# another\n")
    assert "Installing" in study(project, "shell", "-c", "true").stderr
    # An installation that was interrupted has left no stamp.
    (project / ".venv" / "study-stamp").unlink()
    assert "Installing" in study(project, "shell", "-c", "true").stderr


def test_two_at_once_install_once(project):
    command = [str(project / "study"), "shell", "-c", "true"]
    environment = {**os.environ, "PYTHON": sys.executable}
    both = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sorted("Installing" in text for text in told) == [False, True]


def test_clean_keeps_what_is_committed(project):
    for name in ("README.md", "reference/a.json", "tables/a.csv", "report.html", ".state/x"):
        (project / "results" / name).parent.mkdir(parents=True, exist_ok=True)
        (project / "results" / name).write_text("x")
    (project / ".snakemake").mkdir()
    refused(study(project, "clean"), "say ./study clean --yes")
    assert (project / "results" / "report.html").exists()
    assert study(project, "clean", "--yes").returncode == 0
    left = sorted(path.name for path in (project / "results").iterdir())
    assert left == ["README.md", "reference"]
    assert not (project / ".snakemake").exists()
