"""The manifest of a folder of results: every result, its digest, and the record that explains it.

For other programs: :func:`read` gives the manifest, :func:`records_in` the records themselves.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lowdose import records
from lowdose.checkout import Commit
from lowdose.provenance import file_digest
from lowdose.records import Record, Sha256
from lowdose.runtime import UserError, write_text

FORMAT = 1
NAME = "MANIFEST.json"
SCHEMA = "workflow/schemas/manifest.schema.json"

# Folders of results that hold none of a study, and files that Snakemake or git put beside them.
OTHER_FOLDERS = {"benchmarks", "logs", "provenance", "reference", "work"}
OTHER_FILES = {NAME, "README.md", "report.html"}


class Entry(BaseModel):
    """One file of the results."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Sha256
    bytes: int = Field(ge=0)
    stage: str | None = Field(description="the command that made it; null if nothing tells")
    record: str | None = Field(description="path of its record, seen as the files are")


class Commits(BaseModel):
    """How many of the files were made by one commit of the project."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    commit: Commit | None
    files: int = Field(ge=1)


class Manifest(BaseModel):
    """All results of a folder; the lists hold paths, sorted."""

    model_config = ConfigDict(extra="forbid")

    format: int = Field(default=FORMAT, ge=FORMAT, le=FORMAT)
    files: dict[str, Entry]
    commits: list[Commits]
    unexplained: list[str] = Field(description="files without a record")
    altered: list[str] = Field(description="files that are not what their record describes")
    missing: list[str] = Field(description="files that have a record and do not exist")
    outdated: list[str] = Field(description="files made of an input that is another one by now")

    def problems(self) -> list[str]:
        """Return a sentence for every file that is not as it should be."""
        reasons = {
            "altered": "was altered after it was made; delete it and run again",
            "missing": "has a record but does not exist; run again",
            "outdated": "was made of an input that is another one by now; run again",
            "unexplained": "has no record; it was not made by the study, or before there were any",
        }
        return [f"{path} {why}." for kind, why in reasons.items() for path in getattr(self, kind)]


def records_in(results: str | Path) -> dict[str, Record]:
    """Return all records of a folder of results, by their outputs' paths, sorted.

    Raises
    ------
    UserError
        If one cannot be read.
    """
    found = [records.read_file(path) for path in _record_files(Path(results).absolute())]
    return {one.compared.output.path: one for one in sorted(found, key=_path_of_output)}


def as_recorded(results: str | Path, *, whole: bool = False) -> Manifest:
    """Return the manifest of results that are what their records say.

    Parameters
    ----------
    results : path
    whole : bool
        Refuse results that have a record and are gone, too.

    Raises
    ------
    UserError
        If one was altered, or made of an input that is another one by now.
    """
    listed = make(results)
    if wrong := [*listed.altered, *listed.outdated, *(listed.missing if whole else ())]:
        raise UserError(
            f"{wrong[0]} is not what its record says, or was made of something else than what is "
            "there (python -m lowdose manifest lists all such files); run the study again."
        )
    return listed


def make(results: str | Path, *, trusting: bool = False) -> Manifest:
    """Compare a folder of results with its records.

    Parameters
    ----------
    results : path
        The folder, usually ``results``.
    trusting : bool
        Take the digest of a file from its record where size and time are those of the record,
        instead of reading the file: a second instead of minutes for many gigabytes.

    Raises
    ------
    UserError
        If there is no such folder.
    """
    results = Path(results).absolute()
    if not results.is_dir():
        raise UserError(f"There is no folder {results}; name a folder of results.")
    known = {}
    for path in _record_files(results):
        with contextlib.suppress(UserError):  # one that cannot be read explains nothing
            record = records.read_file(path)
            known[record.compared.output.path] = record
    files, commits = {}, Counter()
    for path in _files_in(results):
        name = _seen(path, results)
        if (record := known.get(name)) is not None:
            commits[record.compared.commit] += 1
        files[name] = Entry(
            sha256=records.known_digest(path, results) if trusting else file_digest(path),
            bytes=path.stat().st_size,
            stage=record.compared.stage if record else None,
            record=_seen(records.record_path(path, results), results) if record else None,
        )
    made = {name: known[name].compared for name in files if name in known}
    return Manifest(
        files=files,
        commits=[
            Commits(commit=commit, files=number)
            for commit, number in sorted(commits.items(), key=lambda item: str(item[0]))
        ],
        unexplained=[name for name in files if name not in known],
        altered=[n for n, one in made.items() if one.output.sha256 != files[n].sha256],
        missing=sorted(name for name in known if name not in files),
        outdated=[
            name
            for name, one in made.items()
            if any(i.path in files and i.sha256 != files[i.path].sha256 for i in one.inputs)
        ],
    )


def write(results: str | Path, manifest: Manifest) -> Path:
    """Write a manifest into its folder of results; return where."""
    path = Path(results) / NAME
    write_text(path, manifest.model_dump_json(indent=1) + "\n")
    return path


def read(path: str | Path) -> Manifest:
    """Return the manifest of a folder of results, or in a file.

    Raises
    ------
    UserError
        If it is missing or no manifest.
    """
    path = Path(path)
    path = path / NAME if path.is_dir() else path
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run python -m lowdose manifest first.") from None
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} is no manifest of this version ({reason}); run python -m lowdose manifest."
        ) from error


def generated_files() -> dict[str, str]:
    """Return the JSON schema of a manifest: path from the project's root to text."""
    return {SCHEMA: records.schema_text(Manifest)}


def _record_files(results: Path) -> list[Path]:
    found = (results / records.FOLDER).rglob("*.json")
    return sorted(path for path in found if path.name[0] != ".")  # not the half-written ones


def _path_of_output(record: Record) -> str:
    return record.compared.output.path


def _seen(path: Path, results: Path) -> str:
    """Return a path as records name it, whatever the folder of results is called."""
    return (Path(records.RESULTS) / path.relative_to(results)).as_posix()


def _files_in(results: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(results):
        here = Path(folder)
        inner[:] = sorted(
            name
            for name in inner
            if name[0] != "."
            and not (here == results and name in OTHER_FOLDERS)
            # The folder of another run, such as that of the release networks.
            and not any((here / name / part).is_dir() for part in (".snakemake", records.RESULTS))
        )
        for name in sorted(names):
            if name[0] == "." or ".partial" in name or name.endswith(".damaged"):
                continue
            # A link whose file has gone (an annex, a scratch disk) is a file that does not exist.
            if not (here == results and name in OTHER_FILES) and (here / name).is_file():
                yield here / name
