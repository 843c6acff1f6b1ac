"""The records of a whole study against what Snakemake knows of it."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from lowdose import config, environments, manifest
from lowdose.environments import ENVIRONMENT
from lowdose.provenance import modules_of
from lowdose.stages import Study

TINY = Path(__file__).resolve().parents[2] / "config" / "tiny.yaml"


@pytest.fixture(scope="module")
def known(finished):
    """Return (record, Snakemake's metadata) of every output of a job, by the output's path."""
    records = manifest.records_in(finished.folder / "results")
    found = {}
    for path in (finished.folder / ".snakemake" / "metadata").rglob("*"):
        if path.is_file():
            output = base64.urlsafe_b64decode(path.name).decode()
            found[output] = (records.pop(output, None), json.loads(path.read_text()))
    assert records == {}
    return found


def stage_of(rule):
    rule = "figure" if rule.startswith("figure_") else rule
    return rule.removesuffix("_ready")


def seen(path, folder):
    """Return an input of a rule as records name it."""
    return str(Path(path).relative_to(folder) if Path(path).is_absolute() else path)


def test_every_output_of_every_job_has_a_record(known):
    assert len(known) > 90
    assert {stage_of(about["rule"]) for _, about in known.values()} <= set(ENVIRONMENT)
    for output, (record, about) in known.items():
        assert record is not None, output
        assert record.compared.output.path == output
        assert record.compared.stage == stage_of(about["rule"])
        assert json.loads(parameter(about, "{")) == record.compared.spec
        assert record.compared.commit is None  # this copy of the project is no repository


def parameter(about, begin):
    """Return the parameter of a job that begins so; Snakemake keeps the `repr` of each."""
    values = [value.strip("'") for value in about["params"]]
    return next(value for value in values if value.startswith(begin))


def test_a_job_has_read_what_its_rule_declares(known, finished):
    """No more, or a change would be missed; and no less, or it would run too often."""
    jobs = {}
    for output, (record, _) in known.items():
        jobs.setdefault(record.run.job, set()).add(output)
    siblings = {output: jobs[record.run.job] for output, (record, _) in known.items()}
    for output, (record, about) in known.items():
        read = {file.path for file in record.compared.inputs}
        declared = {seen(path, finished.folder) for path in about["input"]}
        # A network is declared by its weights; its card is of the same job.
        made_together = set().union(*(siblings.get(path, ()) for path in declared))
        assert read <= declared | made_together, output
        # Figures wait for whole folders, and draw a part of them.
        assert read & declared or not declared, output
        if stage_of(about["rule"]) != "figure":
            assert declared <= read, output


def test_inputs_are_the_outputs_of_other_jobs(known):
    made = {output: record.compared.output for output, (record, _) in known.items()}
    chained = 0
    for record, _ in known.values():
        for file in record.compared.inputs:
            if file.path.startswith("results/"):
                assert file == made[file.path]
                chained += 1
            else:
                assert file.path.startswith("workflow/lowdose/")
    assert chained > 300


def test_the_code_of_a_record_is_that_of_the_rule(known):
    study = Study(config.load([TINY]))
    for output, (record, about) in known.items():
        code = parameter(about, f"{record.compared.stage} code ")
        assert code.split()[2].split("-")[0] == record.compared.code.digest
        covered = {
            *modules_of(f"lowdose.cli.{record.compared.stage}"),
            *record.compared.code.loaded,
        }
        if record.compared.stage == "evaluate":
            for name in record.compared.spec["denoisers"]:
                if name not in ("clean", "constant"):
                    assert set(study.modules_of(name)) <= covered, output
        if record.compared.stage == "figure":
            assert f"lowdose.report.figure_{Path(output).stem}" in covered


def test_libraries_are_those_of_the_lock(known):
    pins = environments.lock()
    for record, _ in known.values():
        own = dict(record.compared.libraries)
        assert own.pop("python")
        environment = ENVIRONMENT[record.compared.stage]
        assert set(own) == set(environments.DIRECT[environment])
        assert {n: v.partition("+")[0] for n, v in own.items()} == {n: pins[n] for n in own}


def test_seeds_are_the_study_s_or_drawn_by_name(known):
    root = config.load([TINY]).seed
    roots = {}
    for record, _ in known.values():
        for stream in record.compared.seeds.streams:
            roots.setdefault(record.compared.stage, set()).update(stream.roots)
    assert roots["structures"] == roots["frames"] == roots["tune"] == roots["evaluate"] == {root}
    # Images of a training set are drawn from a seed of its own, which is drawn by its name.
    assert len(roots["train"]) == 2 and root in roots["train"]
    assert "simulate" not in roots


def test_the_manifest_explains_the_whole_study(known, finished):
    results = finished.folder / "results"
    found = manifest.make(results)
    assert set(found.files) == set(known)
    assert found.problems() == []
    table = results / "tables" / "results.csv"
    before, about = table.read_bytes(), table.stat()
    table.write_bytes(before.replace(b"gaussian", b"gaussiaN", 1))
    try:
        found = manifest.make(results)
        assert found.altered == ["results/tables/results.csv"]
        drawn = {f"results/figures/{name}.png" for name in ("dose", "receptive_field")}
        assert drawn <= set(found.outdated)
        assert found.unexplained == found.missing == []
    finally:
        table.write_bytes(before)
        os.utime(table, ns=(about.st_atime_ns, about.st_mtime_ns))
