"""Pack a folder of results as an RO-Crate: files, what made them, and how they may be cited.

One CreateAction is the run of the whole workflow, one more is each job, with the command as its
instrument, what it read as its objects and what it made as its results (profile Workflow Run
Crate).  Everything comes from the records of the results (:mod:`lowdose.records`).
"""

from __future__ import annotations

import base64
import datetime
import mimetypes
import os
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from rocrate.model import ComputationalWorkflow, ContextEntity
from rocrate.rocrate import ROCrate

from lowdose import manifest, records
from lowdose.checkout import ROOT
from lowdose.environments import lock
from lowdose.records import Record
from lowdose.runtime import UserError, atomic_path, translated

# The version whose context the library brings along, and the profiles that go with it.
VERSION = "1.3"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.6": ("Process Run Crate", "0.6"),
    "https://w3id.org/ro/wfrun/workflow/0.6": ("Workflow Run Crate", "0.6"),
}
LICENCE = "https://spdx.org/licenses/GPL-3.0-or-later"

# Tables, figures, cards and texts are put in; arrays and weights are named by their digest.
PUT_IN = {".csv", ".html", ".json", ".jsonl", ".md", ".png", ".svg"}
TYPES = {
    ".extxyz": "chemical/x-xyz",
    ".h5": "application/x-hdf5",
    ".hdf5": "application/x-hdf5",
    ".hspy": "application/x-hdf5",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".safetensors": "application/octet-stream",
    ".smk": "text/plain",
    ".yaml": "application/yaml",
}
# Of the project itself: files, and folders with what each of them holds.
SOURCES = ("CITATION.cff", "LICENSE", "README.md", "envs/requirements.lock")
SOURCE_FOLDERS = {
    "config": "the configuration: the quick study, and overlays of it",
    "workflow/rules": "the rules of the workflow, a file a stage",
}


def pack(results: Path, target: Path, *, with_data: bool = False) -> list[str]:
    """Write the RO-Crate of a folder of results.

    Parameters
    ----------
    results : Path
        The folder, usually ``results``.
    target : Path
        A folder that does not exist yet, or a file that ends in ``.zip``.
    with_data : bool
        Put in every result, arrays and weights too; else these are named by their SHA-256.

    Returns
    -------
    list of str
        Files that no record explains; they are left out.

    Raises
    ------
    UserError
        If the folder has no records or a result is not what its record says, or if `target`
        exists.
    """
    listed = manifest.as_recorded(results)
    known = manifest.records_in(results)
    made = {name: record for name, record in known.items() if name in listed.files}
    if not made:
        raise UserError(f"{results} holds no result with a record; run the study first.")
    if target.exists():
        raise UserError(f"{target} exists; move it aside or give another name.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files that have no source, which is meant
        crate = _Crate(Path(results).absolute(), made, with_data).crate
        if target.suffix == ".zip":
            with atomic_path(target) as path:
                path.unlink()  # the library adds the suffix itself, and asks about a file there
                crate.write_zip(path)
        else:
            _write_folder(crate, target)
    return listed.unexplained


def _write_folder(crate: ROCrate, target: Path) -> None:
    """Write a crate as a folder, which appears when all of it is there."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{target.name}.", suffix=".partial", dir=target.parent
        ) as made:
            crate.write(Path(made) / "crate")
            os.rename(Path(made) / "crate", target)
    except OSError as error:
        raise translated(error, target) from error


class _Crate:
    """Fills a crate from records."""

    def __init__(self, results: Path, made: Mapping[str, Record], with_data: bool) -> None:
        self.results, self.made, self.with_data = results, made, with_data
        self.crate = ROCrate(version=VERSION)
        self.files: dict[tuple[str, str | None], Any] = {}
        self.commands: dict[str, Any] = {}
        self._describe()
        workflow = self._workflow()
        for name in made:
            self._file(made[name].compared.output)
        actions = [self._job(job) for job in self._jobs()]
        self.crate.root_dataset["mentions"] = [self._whole(workflow), *actions]

    def _describe(self) -> None:
        crate = self.crate
        cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
        crate.name = f"Results of {cited['title']}"
        crate.description = (
            "Simulated frames, trained networks, baselines, tables and figures of one run of the "
            "Snakemake workflow lowdose, with a record of how each file was made."
        )
        crate.datePublished = datetime.datetime.fromisoformat(max(map(_end, self.made.values())))
        crate.license = crate.add(
            _thing(crate, LICENCE, "CreativeWork", name=str(cited["license"]), url=LICENCE)
        )
        authors = [
            crate.add(_agent(crate, f"#author-{i}", author))
            for i, author in enumerate(cited["authors"], 1)
        ]
        crate.root_dataset["author"] = self.authors = authors
        crate.root_dataset["keywords"] = ", ".join(cited["keywords"])
        crate.root_dataset["citation"] = [
            self._citation(work) for work in cited["references"] if _address(work)
        ]
        for identifier, (name, version) in PROFILES.items():
            kind = ["CreativeWork", "Profile"]
            profile = crate.add(_thing(crate, identifier, kind, name=name, version=version))
            crate.root_dataset.append_to("conformsTo", profile)

    def _citation(self, work: Mapping) -> Any:
        identifier = _address(work)
        people = [
            self.crate.add(_agent(self.crate, f"#author-{i}-of-{identifier}", author))
            for i, author in enumerate(work["authors"], 1)
        ]
        found = {"name": work["title"], "author": people, "datePublished": str(work["year"])}
        if where := work.get("journal") or work.get("collection-title"):
            found["publisher"] = where
        return self.crate.add(_thing(self.crate, identifier, "ScholarlyArticle", **found))

    def _workflow(self) -> Any:
        workflow = self.crate.add_workflow(
            ROOT / "Snakefile",
            "Snakefile",
            main=True,
            lang="snakemake",
            lang_version=lock().get("snakemake"),
            cls=ComputationalWorkflow,
            properties={
                "name": "lowdose",
                "description": "From atoms to a report: structures, exit waves, frames, networks "
                "and baselines, evaluation, figures.",
                "license": {"@id": LICENCE},
                "creator": [{"@id": author.id} for author in self.authors],
                "encodingFormat": "text/plain",
            },
        )
        for inside in SOURCES:
            about = {"name": inside, "encodingFormat": _type_of(Path(inside))}
            part = self.crate.add_file(ROOT / inside, inside, properties=about, record_size=True)
            workflow.append_to("hasPart", part)
        for inside, what in SOURCE_FOLDERS.items():
            about = {"name": inside, "description": what}
            part = self.crate.add_dataset(ROOT / inside, inside, properties=about)
            workflow.append_to("hasPart", part)
        return workflow

    # ---- files ----------------------------------------------------------------------------------

    def _file(self, file: records.File) -> Any:
        """Return the entity of a file: put in, or known by its digest alone."""
        key = (file.path, file.sha256)
        if key not in self.files:
            self.files[key] = self._add_file(file)
        return self.files[key]

    def _add_file(self, file: records.File) -> Any:
        about = {
            "name": file.path,
            "contentSize": str(file.bytes),
            "encodingFormat": _type_of(Path(file.path)),
        }
        if file.sha256:
            about["sha256"] = file.sha256
        record = self.made.get(file.path)
        ours = record is not None and record.compared.output.sha256 == file.sha256
        if ours and (self.with_data or Path(file.path).suffix in PUT_IN):
            source = self.results / Path(file.path).relative_to(records.RESULTS)
            return self.crate.add_file(source, file.path, properties=about)
        return self.crate.add(_thing(self.crate, _name_by_digest(file), "CreativeWork", **about))

    # ---- actions --------------------------------------------------------------------------------

    def _jobs(self) -> Iterable[list[Record]]:
        """Return the records of each process, in the order of their starts."""
        jobs: dict[str, list[Record]] = {}
        for record in self.made.values():
            jobs.setdefault(record.run.job, []).append(record)
        return sorted(jobs.values(), key=lambda job: (job[0].run.started, _label(job)))

    def _job(self, job: list[Record]) -> Any:
        first, crate = job[0], self.crate
        action = crate.add_action(
            self._command(first),
            f"#job-{first.run.job}",
            object=[self._file(file) for file in first.compared.inputs],
            result=[self._file(record.compared.output) for record in job],
            properties={
                "name": _label(job),
                "startTime": first.run.started,
                "endTime": max(map(_end, job)),
                "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
            },
        )
        for record in job:
            path = records.record_path(
                self.results / Path(record.compared.output.path).relative_to(records.RESULTS),
                self.results,
            )
            inside = Path(records.RESULTS) / path.relative_to(self.results)
            about = {
                "name": f"record of {record.compared.output.path}",
                "encodingFormat": "application/json",
                "about": {"@id": action.id},
            }
            entity = crate.add_file(path, inside.as_posix(), properties=about, record_size=True)
            action.append_to("subjectOf", entity)
        return action

    def _command(self, record: Record) -> Any:
        """Return the program of a stage, as it was at one commit."""
        made = record.compared
        version = made.commit.id if made.commit else "unknown commit"
        if made.commit and made.commit.dirty:
            version += " with changes"
        key = f"#{made.stage}-{version.replace(' ', '-')}-{made.code.digest}"
        if key not in self.commands:
            self.commands[key] = self.crate.add(
                _thing(
                    self.crate,
                    key,
                    "SoftwareApplication",
                    name=f"lowdose {made.stage}",
                    description=f"python -m lowdose {made.stage}, code digest {made.code.digest}",
                    version=version,
                    license={"@id": LICENCE},
                    url={"@id": "README.md"},
                    softwareRequirements=[f"{name} {v}" for name, v in made.libraries.items()],
                )
            )
        return self.commands[key]

    def _whole(self, workflow: Any) -> Any:
        """Return the run of the whole workflow."""
        outside = {
            (file.path, file.sha256): file
            for record in self.made.values()
            for file in record.compared.inputs
            if file.path not in self.made
        }
        put_in = [r.compared.output for r in self.made.values()]
        action = self.crate.add_action(
            workflow,
            "#run",
            object=[self._file(outside[key]) for key in sorted(outside, key=str)],
            result=[self._file(file) for file in put_in],
            properties={
                "name": "run of the workflow lowdose",
                "startTime": min(record.run.started for record in self.made.values()),
                "endTime": max(map(_end, self.made.values())),
                "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
            },
        )
        action["agent"] = self.authors
        return action


def _thing(crate: ROCrate, identifier: str, kind: str | list[str], **properties: Any) -> Any:
    return ContextEntity(crate, identifier, properties={"@type": kind, **properties})


def _address(work: Mapping) -> str | None:
    """Return the absolute URI by which a work is cited, which the format asks for."""
    return f"https://doi.org/{work['doi']}" if "doi" in work else work.get("url")


def _agent(crate: ROCrate, identifier: str, author: Mapping) -> Any:
    """Return a person, or the group that an entry of CITATION.cff names."""
    if family := author.get("family-names"):
        name = f"{author.get('given-names', '')} {family}".strip()
        identifier = author.get("orcid", identifier)
        return _thing(crate, identifier, "Person", name=name, familyName=family)
    return _thing(crate, identifier, "Organization", name=author["name"])


def _type_of(path: Path) -> str:
    guess, _ = mimetypes.guess_type(path.name)
    return TYPES.get(path.suffix) or guess or "text/plain"


def _name_by_digest(file: records.File) -> str:
    """Return the name of a file that is not in the crate: its digest as a URI (RFC 6920)."""
    if file.sha256 is None:
        return f"#{file.path}"
    value = base64.urlsafe_b64encode(bytes.fromhex(file.sha256)).decode().rstrip("=")
    return f"ni:///sha-256;{value}"


def _label(job: list[Record]) -> str:
    outputs = sorted(record.compared.output.path for record in job)
    more = f" and {len(outputs) - 1} more" if len(outputs) > 1 else ""
    return f"{job[0].compared.stage}: {outputs[0]}{more}"


def _end(record: Record) -> str:
    started = datetime.datetime.fromisoformat(record.run.started)
    return (started + datetime.timedelta(seconds=round(record.run.seconds))).isoformat()
