"""The record of an output: what made it, of what, with which code and on which machine.

Each output of a stage has one, ``results/provenance/<its path in results>.json``.  The part
``compared`` is the same whenever the same thing is made anew in the same way on the same kind of
machine; the part ``run`` (times, host, process) is the one that differs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lowdose.checkout import ROOT, Commit
from lowdose.provenance import file_digest
from lowdose.runtime import UserError, write_text

FORMAT = 1
RESULTS, FOLDER = "results", "provenance"
SCHEMA = "workflow/schemas/record.schema.json"

DERIVATION = (
    "numpy.random.SeedSequence(entropy=root, spawn_key=words): for every key two words of 32 bits, "
    "the first 8 bytes, little-endian, of the SHA-256 of the text type:value, such as str:counts "
    "or int:3 (lowdose.seeds)"
)

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(_Part):
    """A file and what it holds."""

    path: str = Field(description="seen from the folder that holds `results`")
    sha256: Sha256 | None = Field(
        description="of its bytes; null for an input that was replaced while the job ran"
    )
    bytes: int = Field(ge=0)


class Code(_Part):
    """The code that made an output."""

    digest: str = Field(description="lowdose.provenance.code_digest of the stage's command")
    loaded: dict[str, str] = Field(
        description="modules that the stage loads by name (denoisers, networks, figures, tables): "
        "lowdose.provenance.source_digest of each"
    )


class Stream(_Part):
    """Random numbers that a job has drawn by one name."""

    name: str = Field(description="first key")
    keys: int = Field(ge=1, description="how many keys name a child, the first one included")
    roots: list[int] = Field(
        description="the root seeds, sorted: the study's, or one that was itself drawn by name; "
        "the first 8 of them"
    )


class Seeds(_Part):
    """Random numbers of a job and how they follow from root seeds."""

    derivation: str
    streams: list[Stream] = Field(description="sorted")


class Machine(_Part):
    """What of the machine may change a result's last bits."""

    processor: str
    threads: dict[str, int | str] = Field(
        description="`asked` of the command line, and what is in force: variables, libraries"
    )
    gpu: str | None = Field(description="null if none was used")


class Compared(_Part):
    """What two runs are compared by."""

    stage: str = Field(description="command: python -m lowdose <stage>")
    output: File
    commit: Commit | None = Field(description="null without git or outside of a repository")
    spec: dict[str, Any] | None = Field(
        description="the resolved specification; null of a stage that has none"
    )
    code: Code
    seeds: Seeds
    inputs: list[File] = Field(
        description="every file that the job has read, sorted by path; without the program itself"
    )
    libraries: dict[str, str] = Field(
        description="installed versions of what the stage's environment pins, and of Python"
    )
    machine: Machine


class Run(_Part):
    """Of one run only, so compared with nothing."""

    job: str = Field(description="the same in all records that one process has written")
    arguments: list[str] = Field(description="words of the command line, without the spec")
    host: str
    system: str
    cores: int = Field(description="that the process might use")
    started: str = Field(description="UTC, ISO 8601")
    seconds: float = Field(ge=0, description="from the start of the command to the record")
    drawn: dict[str, int] = Field(
        description="generators made of each stream; a job that continues another draws fewer"
    )
    modified_ns: int = Field(description="time of the output's last change, since 1970, ns")


class Record(_Part):
    """Everything that is known about how one output was made."""

    format: int = Field(default=FORMAT, ge=FORMAT, le=FORMAT)
    compared: Compared
    run: Run


def results_of(path: Path) -> Path:
    """Return the folder of results that a file belongs to.

    It is the innermost folder of its path that is called ``results``, in the project or in the
    working folder if the file is in one of these; a file outside of any belongs to its own folder.
    """
    path = Path(path).absolute()
    outermost = next((one for one in (ROOT, Path.cwd()) if path.is_relative_to(one)), None)
    for folder in path.parents:
        if folder.name == RESULTS:
            return folder
        if folder == outermost:
            break
    return path.parent


def name_of(path: Path) -> str:
    """Return a file's path for a record, e.g. ``results/tables/results.csv``.

    Files of the project are seen from its folder, others from the working folder or, where
    they are outside of both, by their name alone: no path of a machine is ever compared.
    """
    path = Path(path).absolute()
    root = results_of(path)
    if root.name == RESULTS:
        return path.relative_to(root.parent).as_posix()
    for folder in (ROOT, Path.cwd()):
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return path.name


def record_path(output: str | Path, results: Path | None = None) -> Path:
    """Return where the record of an output is, whether or not it exists.

    Parameters
    ----------
    output : path
    results : Path, optional
        The folder of results, where it is not called so (a copy of one, say).
    """
    output = Path(output).absolute()
    root = results_of(output) if results is None else results
    inside = output.relative_to(root)
    return root / FOLDER / inside.with_name(inside.name + ".json")


def read(output: str | Path) -> Record:
    """Return the record of an output.

    Parameters
    ----------
    output : path
        The output itself, e.g. ``results/tables/results.csv``; it need not exist any more.

    Raises
    ------
    UserError
        If there is no record of it, or one that cannot be read.
    """
    return read_file(record_path(output))


def read_file(path: Path) -> Record:
    """Return the record in a file of ``results/provenance``; errors as of :func:`read`."""
    try:
        return Record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(
            f"There is no record {path}; run the stage that makes its output again."
        ) from None
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"The record {path} cannot be read ({reason}); delete its output and run again."
        ) from error


def write(output: Path, record: Record) -> None:
    """Write the record of an output, atomically."""
    write_text(record_path(output), record.model_dump_json(indent=1) + "\n")


def known_digest(path: Path, results: Path | None = None) -> str:
    """Return the SHA-256 of a file, from its record if the file is as it was then.

    "As it was" is what Snakemake and make mean by it: size and time of the last change.
    Parameters are those of :func:`record_path`.
    """
    about = path.stat()
    try:
        record = json.loads(record_path(path, results).read_bytes())
        made, run = record["compared"]["output"], record["run"]
        if (made["bytes"], run["modified_ns"]) == (about.st_size, about.st_mtime_ns):
            return str(made["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return file_digest(path)


def described(path: Path) -> File:
    """Return path, size and digest of a file that exists."""
    return File(path=name_of(path), sha256=known_digest(path), bytes=path.stat().st_size)


def generated_files() -> dict[str, str]:
    """Return the JSON schema of a record: path from the project's root to text."""
    return {SCHEMA: schema_text(Record)}


def schema_text(model: type[BaseModel]) -> str:
    """Return the JSON schema of a model as text, for a file of ``workflow/schemas``."""
    schema = model.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
