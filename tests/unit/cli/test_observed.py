"""Records of a real stage, in a repository of its own: what changes which field, and no other.

The stage is a figure from the committed table of results, the cheapest that has a specification,
an input, a module that it loads by name, and three outputs.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lowdose import checkout, manifest, records
from lowdose.config import load
from lowdose.provenance import code_digest
from lowdose.stages import Study

ROOT = Path(__file__).resolve().parents[3]
OUTPUTS = [f"results/figures/dose.{suffix}" for suffix in ("csv", "png", "svg")]
SPEC = Study(load()).spec("figure", figure="dose")


class Project:
    """A repository with the package and a folder of results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        source = ROOT / "workflow" / "lowdose"
        no_weights = shutil.ignore_patterns("__pycache__", "*.safetensors")
        shutil.copytree(source, folder / "workflow" / "lowdose", ignore=no_weights)
        for name in ("envs/requirements.lock", "config/config.yaml", ".gitignore"):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        self.git("init", "-q")
        self.git("add", "-A")
        who = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
        self.git(*who, "commit", "-q", "-m", "The package")
        self.table = folder / "results" / "tables" / "results.csv"
        self.table.parent.mkdir(parents=True)
        shutil.copy(ROOT / "results" / "reference" / "quick" / "results.csv", self.table)

    def git(self, *words: str) -> str:
        command = ["git", "-C", str(self.folder), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def start(self, spec: dict) -> subprocess.Popen:
        words = ["-m", "lowdose", "--threads", "1", "figure", "--figure", "dose"]
        return subprocess.Popen(
            [sys.executable, *words, "--spec", json.dumps(spec)],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder / "workflow")},
            stderr=subprocess.PIPE,
            text=True,
        )

    def draw(self, spec: dict = SPEC) -> dict[str, records.Record]:
        """Draw the figure; return the records of its outputs."""
        process = self.start(spec)
        _, told = process.communicate()
        assert process.returncode == 0, told
        assert "no record" not in told
        return manifest.records_in(self.folder / "results")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    return Project(tmp_path_factory.mktemp("repository") / "project")


@pytest.fixture(scope="module")
def first(project) -> dict[str, records.Record]:
    return project.draw()


def differences(one: dict, other: dict, above: str = "") -> set[str]:
    """Return the fields, with dots, in which two nested dictionaries differ."""
    found = set()
    for key in one.keys() | other.keys():
        a, b, name = one.get(key), other.get(key), f"{above}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            found |= differences(a, b, f"{name}.")
        elif a != b:
            found.add(name)
    return found


def changed(first: dict, second: dict, output: str = "results/figures/dose.png") -> set[str]:
    return differences(first[output].compared.model_dump(), second[output].compared.model_dump())


def test_every_output_has_a_record_that_holds_the_facts(project, first):
    assert list(first) == OUTPUTS
    for name, record in first.items():
        made = record.compared
        path = project.folder / name
        assert made.stage == "figure"
        assert made.output.path == name
        assert made.output.sha256 == records.file_digest(path)
        assert made.output.bytes == path.stat().st_size
        assert made.spec == json.loads(json.dumps(SPEC))
        assert made.commit == checkout.Commit(
            id=project.git("rev-parse", "HEAD").strip(), dirty=False
        )
        assert [file.path for file in made.inputs] == ["results/tables/results.csv"]
        assert made.inputs[0].sha256 == records.file_digest(project.table)
        # The code is that of this checkout; the rule's parameter has the same two parts.
        assert made.code.digest == code_digest("lowdose.cli.figure")
        assert list(made.code.loaded) == ["lowdose.report.figure_dose"]
        assert made.machine.threads["asked"] == made.machine.threads["OMP_NUM_THREADS"] == 1
        assert made.libraries["python"] == ".".join(map(str, sys.version_info[:3]))
        assert {"matplotlib", "numpy", "pandas"} <= set(made.libraries)
        assert record.run.modified_ns == path.stat().st_mtime_ns
        assert str(project.folder) not in made.model_dump_json()
    assert len({record.run.job for record in first.values()}) == 1


def test_the_same_again_differs_in_the_run_alone(project, first):
    again = project.draw()
    for name in OUTPUTS:
        assert again[name].compared == first[name].compared
        assert again[name].run.job != first[name].run.job
        assert again[name].run.modified_ns > first[name].run.modified_ns


def test_another_specification_is_seen_in_the_specification(project, first):
    # The name of the study is in the specification of each figure; this one does not show it.
    assert changed(first, project.draw(SPEC | {"study": "another"})) == {"spec.study"}


def test_another_byte_of_an_input_is_seen_in_the_input(project, first):
    before = project.table.read_bytes()
    project.table.write_bytes(before + b"\n")  # an empty line more: the same numbers
    try:
        second = project.draw()
    finally:
        project.table.write_bytes(before)
    assert changed(first, second) == {"inputs"}
    assert second[OUTPUTS[0]].compared.inputs[0].bytes == len(before) + 1


def test_an_edited_module_is_seen_in_the_code_and_makes_the_checkout_dirty(project, first):
    package = project.folder / "workflow" / "lowdose" / "report"
    edited = {path: path.read_text() for path in (package / "style.py", package / "figure_dose.py")}
    for path, text in edited.items():
        path.write_text(text + "\n# One comment more.\n")
    try:
        second = project.draw()
    finally:
        for path, text in edited.items():
            path.write_text(text)
    loaded = "code.loaded.lowdose.report.figure_dose"
    assert changed(first, second) == {"code.digest", loaded, "commit.dirty"}
    assert second[OUTPUTS[0]].compared.commit.dirty


def test_a_killed_job_leaves_no_record(project, first):
    results = project.folder / "results"
    shutil.rmtree(results / "figures")
    shutil.rmtree(results / "provenance")
    process = project.start(SPEC)
    while not (results / "figures" / "dose.csv").exists():
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (results / "provenance").exists()
    left = manifest.make(results)
    assert "results/figures/dose.csv" in left.unexplained
