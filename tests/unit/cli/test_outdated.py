"""``lowdose outdated`` against package indexes that are folders of this machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lowdose.cli import main
from lowdose.cli.outdated import Pin, behind, direct_dependencies, newest, table
from lowdose.environments import ROOT, canonical, lock


def outdated(*words, **variables):
    """Run the command with a pip that knows nothing but `variables` (PIP_...)."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PYTHONPATH": str(ROOT / "workflow")}
    return subprocess.run(
        [sys.executable, "-m", "lowdose", "outdated", *words],
        env=environment | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def index(tmp_path):
    """An index that serves every pin of the lock, and nothing newer."""
    for name, version in lock().items():
        serve(tmp_path, name, version)
    return tmp_path


def serve(folder, name, version):
    # pip reads names and versions of wheels from their file names.
    (folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl").touch()


def test_a_newer_release_is_named_and_nothing_else(index):
    serve(index, "numpy", "99.0")
    serve(index, "click", "98.1")
    serve(index, "scipy", "0.1")  # older
    serve(index, "torch", "99.0rc1")  # no release
    serve(index, "pip", "99.0")  # not in the lock
    done = outdated("--exit-code", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index))
    assert (done.returncode, done.stderr) == (1, "")
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert rows == [
        f"| numpy | {lock()['numpy']} | 99.0 | pyproject.toml |",
        f"| click | {lock()['click']} | 98.1 | another one |",
    ]
    assert done.stdout.startswith(f"2 of the {len(lock())} pins of envs/requirements.lock")
    assert "1 of them direct" in done.stdout


def test_a_pin_behind_what_is_installed_is_found(index, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    pins = lock() | {"numpy": "1.0", "torch": lock()["torch"]}
    # The build of torch for processors has a version of its own, +cpu, and is no newer release.
    assert behind(pins, {"numpy"}, newest(pins)) == [Pin("numpy", "1.0", lock()["numpy"], True)]


def test_an_index_that_does_not_answer_is_not_an_index_without_news():
    done = outdated(PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_NO_PROXY="*")
    assert done.returncode == 2
    assert done.stdout == ""
    [sentence] = done.stderr.splitlines()
    assert sentence.startswith("lowdose: pip learned of no releases from its package index (No ")
    assert sentence.endswith("run again.")


@pytest.mark.parametrize(("of_others", "code"), [(False, 0), (True, 1)])
def test_the_exit_code_is_asked_for_and_minds_direct_dependencies(
    of_others, code, monkeypatch, capsys
):
    news = {"click": "99"} | ({"numpy": "99"} if of_others else {})
    monkeypatch.setattr("lowdose.cli.outdated.newest", lambda pins: news)
    assert main(["outdated"]) == 0
    assert main(["outdated", "--exit-code"]) == code
    monkeypatch.setattr("lowdose.cli.outdated.newest", lambda pins: {})
    assert main(["outdated", "--exit-code"]) == 0
    assert capsys.readouterr().out.endswith(
        f"All {len(lock())} pins of envs/requirements.lock are the newest release.\n"
    )


def test_the_lock_is_compared_and_not_what_is_installed():
    pins = {"a": "1.9", "b": "2.0", "c": "1.0", "d": "1.0"}
    latest = {"a": "1.10", "b": "2.0", "c": "1.1", "other": "7"}
    found = behind(pins, {"c", "d"}, latest)
    # 1.10 follows 1.9, as versions go; direct ones are first.
    assert found == [Pin("c", "1.0", "1.1", True), Pin("a", "1.9", "1.10", False)]
    assert "| a | 1.9 | 1.10 | another one |" in table(found, 4)


def test_direct_dependencies_are_pinned():
    direct = direct_dependencies()
    assert {"numpy", "torch", "mkdocs", "snakemake"} <= direct <= set(lock())
    assert {canonical(name) for name in direct} == direct
