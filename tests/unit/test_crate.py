"""The crate holds what it says, and the validator of the format agrees, without a network.

The validator (roc-validator 0.13) knows RO-Crate 1.3, and Workflow Run Crate 0.5, whose shapes are
written for RO-Crate 1.1.  Version 0.6 of that profile is 0.5 with the terms of 1.3: so its shapes
are read here with the names that 1.3 has changed.  Nothing else of them is touched.
"""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest
import requests
import rocrate
import rocrate_validator
import urllib3
from requests_cache import CachedSession
from rocrate.rocrate import ROCrate
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.services import validate

from lowdose.cli import main
from lowdose.crate import VERSION, pack
from lowdose.records import file_digest
from lowdose.runtime import UserError

# The version that the profiles build on, the validator's own names for its parts, the new terms.
NEWER = (
    ("isProfileOf <https://w3id.org/ro/crate/1.1>", "isProfileOf <https://w3id.org/ro/crate/1.3>"),
    (
        "isTransitiveProfileOf <https://w3id.org/ro/crate/1.1>",
        "isTransitiveProfileOf <https://w3id.org/ro/crate/1.3>, <https://w3id.org/ro/crate/1.2>",
    ),
    ("/rocrate-validator/profiles/ro-crate/>", "/rocrate-validator/profiles/ro-crate-1.2/>"),
    ("<https://bioschemas.org/ComputationalWorkflow#>", "<https://bioschemas.org/terms/>"),
    ("<https://bioschemas.org/>", "<https://bioschemas.org/terms/>"),
)
CONTEXT = f"https://w3id.org/ro/crate/{VERSION}/context"


@pytest.fixture(scope="module")
def results(record_of, tmp_path_factory):
    """Two jobs: waves, which stay outside, and a table with its figure."""
    folder = tmp_path_factory.mktemp("project") / "results"
    waves, table = folder / "waves" / "shard000.h5", folder / "tables" / "a.csv"
    record_of(waves, b"waves", stage="simulate", job="1" * 32)
    record_of(table, b"1,2\n", [waves], "summarise", job="2" * 32)
    record_of(folder / "tables" / "a.html", b"<p>1, 2</p>", [waves], "summarise", job="2" * 32)
    (folder / "notes.txt").write_text("mine")
    return folder


@pytest.fixture(scope="module")
def crate(results, tmp_path_factory):
    target = tmp_path_factory.mktemp("packed") / "crate"
    assert pack(results, target) == ["results/notes.txt"]
    return target


def graph(folder):
    found = json.loads((folder / "ro-crate-metadata.json").read_text())
    assert found["@context"] == CONTEXT
    return {entity["@id"]: entity for entity in found["@graph"]}


def ids(value):
    return [one["@id"] for one in (value if isinstance(value, list) else [value])]


def test_every_file_has_its_digest_and_its_maker(crate, results):
    known = graph(crate)
    table = known["results/tables/a.csv"]
    assert table["sha256"] == file_digest(crate / "results" / "tables" / "a.csv")
    assert (table["contentSize"], table["encodingFormat"]) == ("4", "text/csv")
    jobs = [known[name] for name in ids(known["./"]["mentions"]) if name.startswith("#job-")]
    waves, made = jobs
    assert [job["name"] for job in jobs] == [
        "simulate: results/waves/shard000.h5",
        "summarise: results/tables/a.csv and 1 more",
    ]
    assert ids(made["result"]) == ["results/tables/a.csv", "results/tables/a.html"]
    assert ids(made["object"]) == ids(waves["result"])
    assert known[made["instrument"]["@id"]]["name"] == "lowdose summarise"
    assert known[made["instrument"]["@id"]]["version"] == "a" * 40
    assert (made["startTime"], made["endTime"]) == (
        "2026-01-02T03:04:05+00:00",
        "2026-01-02T03:04:07+00:00",
    )
    record = json.loads((crate / ids(made["subjectOf"])[0]).read_text())
    assert record["compared"]["output"]["sha256"] == table["sha256"]


def test_arrays_are_named_by_their_digest_unless_they_are_asked_for(crate, results, tmp_path):
    # RFC 6920: the digest in base64url, as `openssl dgst -sha256 -binary | base64` gives it.
    name = "ni:///sha-256;64G6X_d5yiTUgEk7h7mtHGro_WIhHWs-g0TAOqVdSVs"
    digest = file_digest(results / "waves" / "shard000.h5")
    assert digest == graph(crate)[name]["sha256"]
    assert graph(crate)[name]["name"] == "results/waves/shard000.h5"
    assert not (crate / "results" / "waves").exists()
    whole = tmp_path / "whole.zip"
    pack(results, whole, with_data=True)
    with zipfile.ZipFile(whole) as archive:
        assert archive.read("results/waves/shard000.h5") == b"waves"
        names = {one["@id"] for one in json.loads(archive.read("ro-crate-metadata.json"))["@graph"]}
    assert "results/waves/shard000.h5" in names and name not in names


def test_it_says_what_it_is_and_whom_to_cite(crate):
    known = graph(crate)
    root = known["./"]
    assert root["license"] == {"@id": "https://spdx.org/licenses/GPL-3.0-or-later"}
    assert known[ids(root["author"])[0]]["name"] == "The lowdose developers"
    assert "https://doi.org/10.1017/S1431927621012678" in ids(root["citation"])
    assert len(root["citation"]) == 4  # all that CITATION.cff names
    workflow = known[root["mainEntity"]["@id"]]
    assert workflow["@type"] == ["File", "SoftwareSourceCode", "ComputationalWorkflow"]
    assert known[workflow["programmingLanguage"]["@id"]]["name"] == "Snakemake"
    assert known["#run"]["instrument"] == {"@id": "Snakefile"}
    for name in ("Snakefile", "LICENSE", "CITATION.cff", "config/study.yaml",
                 "envs/requirements.lock", "workflow/rules/train.smk"):  # fmt: skip
        assert (crate / name).is_file()


def test_what_it_refuses(crate, results, tmp_path, capsys):
    with pytest.raises(UserError, match="exists; move it aside"):
        pack(results, crate)
    with pytest.raises(UserError, match="holds no result with a record"):
        pack(results / "waves", tmp_path / "none")
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    (copy / "tables" / "a.csv").write_text("1,3\n")
    assert main(["crate", str(tmp_path / "a.zip"), "--results", str(copy)]) == 2
    assert "results/tables/a.csv is not what its record says" in capsys.readouterr().err
    assert list(tmp_path.glob("*.zip")) == []
    assert main(["crate", str(tmp_path / "b.zip"), "--results", str(results)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        str(tmp_path / "b.zip"),
        "left out, since no record explains them: results/notes.txt",
    ]


# ---- the validator ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """What the validator needs to know: its cache with the context that rocrate ships, profiles."""
    folder = tmp_path_factory.mktemp("validator")
    body = (Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_bytes()
    assert json.loads(body)["@id"] == CONTEXT
    kind = {"Content-Type": "application/ld+json"}
    answer = requests.Response()
    answer.status_code, answer.url, answer.headers = 200, CONTEXT, kind
    answer.request = requests.Request("GET", CONTEXT).prepare()
    answer.raw = urllib3.HTTPResponse(io.BytesIO(body), kind, 200, preload_content=False)
    answer._content = body
    with CachedSession(str(folder / "http"), backend="sqlite", expire_after=-1) as session:
        session.cache.save_response(answer)
    profiles = folder / "profiles"
    shutil.copytree(Path(rocrate_validator.__file__).parent / "profiles", profiles)
    for name in ("process-run-crate", "workflow-ro-crate", "workflow-run-crate"):
        for path in (profiles / name).rglob("*.ttl"):
            text = path.read_text()
            for old, new in NEWER:
                text = text.replace(old, new)
            path.write_text(text)
    return {"cache_path": folder / "http", "profiles_path": profiles, "offline": True}


def issues(folder, offline, **options):
    """Return (number of checks, what the validator has against a crate)."""
    result = validate(
        ValidationSettings(
            rocrate_uri=str(folder),
            profile_identifier="workflow-run-crate-0.5",
            requirement_severity=Severity.REQUIRED,
            **offline,
            **options,
        )
    )
    found = {(issue.check.identifier, issue.message) for issue in result.get_issues()}
    assert result.passed() == (not found)
    return len(result.executed_checks), found


def test_the_validator_agrees(crate, offline):
    checks, found = issues(crate, offline)
    assert found == set()
    assert checks >= 85  # of RO-Crate 1.3, Process, Workflow and Workflow Run Crate


def broken(crate, target, change):
    """Copy a crate with other metadata, its entities by their names being changed in place."""
    shutil.copytree(crate, target)
    path = target / "ro-crate-metadata.json"
    content = json.loads(path.read_text())
    change({entity["@id"]: entity for entity in content["@graph"]})
    path.write_text(json.dumps(content))
    return target


def test_the_validator_sees_a_fault_of_the_last_specification(crate, offline, tmp_path):
    """Only Workflow Run Crate asks that some action has run the workflow: all else is checked."""

    def change(known):
        known["#run"]["instrument"] = known["#job-" + "2" * 32]["instrument"]

    _, found = issues(broken(crate, tmp_path / "broken", change), offline)
    assert len(found) == 1
    assert "MUST reference the root data entity's mainEntity as its instrument" in found.pop()[1]


def test_the_validator_sees_a_fault_of_the_first_specification(crate, offline, tmp_path):
    """Of the crate itself: a file that is not there."""
    target = broken(crate, tmp_path / "broken", lambda known: None)
    (target / "results" / "tables" / "a.csv").unlink()
    _, found = issues(target, offline, abort_on_first=True)
    assert any("results/tables/a.csv" in message for _, message in found)


def test_half_a_folder_is_no_crate(results, tmp_path, monkeypatch):
    write = ROCrate.write

    def fill_the_disk(crate, target):
        write(crate, target)
        raise OSError(28, "No space left on device", str(target))

    with monkeypatch.context() as patch:
        patch.setattr(ROCrate, "write", fill_the_disk)
        with pytest.raises(UserError, match=r"The disk is full while writing .*out of it;"):
            pack(results, tmp_path / "new" / "out of it")
    assert list((tmp_path / "new").iterdir()) == []
    pack(results, tmp_path / "new" / "out of it")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out of it"]
    assert (tmp_path / "new" / "out of it" / "ro-crate-metadata.json").is_file()
