"""The tiny study, run once in a copy of the project, for all tests of this folder."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "config", "envs", "workflow", "tests/second_code.py")
TINY = ("--configfile", "config/tiny.yaml")

_RULE = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):")
_WILDCARDS = re.compile(r"^ {4}wildcards: (.+)")


@dataclass(frozen=True)
class Project:
    """A copy of the project's workflow, with the commands of this environment."""

    folder: Path

    def environment(self) -> dict[str, str]:
        here = str(Path(sys.executable).parent)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("LOWDOSE_", "SNAKEMAKE_"))}
        path = os.pathsep.join([here, kept.get("PATH", os.defpath)])
        return kept | {"PATH": path, "PYTHONPATH": str(self.folder / "workflow")}

    def start(self, *words: str) -> subprocess.Popen:
        """Start ``python -m ...`` in this folder."""
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> subprocess.CompletedProcess:
        """Run ``python -m ...`` in this folder."""
        process = self.start(*words)
        out, err = process.communicate(timeout=600)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def snakemake(self, *words: str) -> subprocess.CompletedProcess:
        return self.run("snakemake", "--cores", "2", *words)

    def study(self, *words: str) -> subprocess.CompletedProcess:
        """What ``./study run`` calls, once it has its environment."""
        return self.run("lowdose", "run", "--cores", "2", *words)

    def planned(self, *words: str) -> set[str]:
        """Return the jobs of a dry run as ``rule wildcard,...``, without the rule `all`."""
        done = self.snakemake("--dry-run", *(words or TINY))
        assert done.returncode == 0, done.stdout + done.stderr
        jobs, rule = [], None
        for line in done.stdout.splitlines():
            if match := _RULE.match(line):
                rule = match[1]
                jobs.append(rule)
            elif rule and (match := _WILDCARDS.match(line)):
                values = [item.split("=", 1)[1] for item in match[1].split(", ")]
                jobs[-1] = f"{rule} {','.join(values)}"
                rule = None
        return set(jobs) - {"all"}

    @contextmanager
    def edited(self, path: str, change: Callable[[str], str]):
        """Change a file for the time of a `with` block."""
        file = self.folder / path
        before = file.read_bytes()
        after = change(before.decode())
        assert after != before.decode(), f"the edit of {path} changes nothing"
        file.write_text(after)
        try:
            yield
        finally:
            file.write_bytes(before)

    def copy(self, target: Path) -> Project:
        shutil.copytree(self.folder, target, symlinks=True)
        return Project(target)

    @staticmethod
    def wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
        """Wait for something that a process does before it ends."""
        end = time.monotonic() + 120
        while not condition():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.005)

    @staticmethod
    def kill(process: subprocess.Popen) -> None:
        """Kill -9 a process and all its descendants at once, as a power cut would."""
        family = [psutil.Process(process.pid)]
        family += family[0].children(recursive=True)
        for member in family:  # parents first: none of them sees its child die
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.communicate()
        psutil.wait_procs(family, timeout=10)

    def half_written(self) -> list[str]:
        """Return what an interrupted write would leave."""
        found = (self.folder / "results").rglob("*.partial*")
        return sorted(str(path.relative_to(self.folder)) for path in found)


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Project:
    """The project as it is, without results.  Not to be changed: take a copy."""
    folder = tmp_path_factory.mktemp("project") / "project"
    folder.mkdir()
    for name in PARTS:
        source = ROOT / name
        (folder / name).parent.mkdir(exist_ok=True)
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, ignore=ignore)
        else:
            shutil.copy2(source, folder / name)
    return Project(folder)


@pytest.fixture(scope="session")
def finished(project, tmp_path_factory) -> Project:
    """The tiny study, finished.  Whoever changes it puts it back."""
    base = tmp_path_factory.getbasetemp()
    # Tests side by side have a folder each in one of the whole run; the first makes it for all.
    of_all = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made = Project(of_all / "finished-once")
    with (of_all / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.folder.exists():
            working = project.copy(of_all / "finished-making")
            done = working.snakemake(*TINY)
            assert done.returncode == 0, done.stdout + done.stderr
            working.folder.rename(made.folder)
    return made.copy(tmp_path_factory.mktemp("finished") / "project")


@pytest.fixture
def fresh(project, tmp_path) -> Project:
    """A copy without results, for one test."""
    return project.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def all_jobs(project) -> set[str]:
    """Every job of the tiny study."""
    return project.planned()
