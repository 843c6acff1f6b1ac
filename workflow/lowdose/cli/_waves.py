"""Find bad wave files before a run relies on them, so that Snakemake makes them anew.

Snakemake looks at names and times of files only: a shard with a flipped byte, or one that was
copied from elsewhere, is up to date in its eyes.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lowdose.cli import refuse
from lowdose.provenance import file_digest
from lowdose.runtime import UserError

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

    from lowdose.stages import Study

NOTICE = "lowdose: note: "

# With one of these words, Snakemake makes nothing.  (A dry run says so itself.)
WITHOUT_WORK = (
    *("--archive", "--cleanup-metadata", "--cleanup-shadow", "--conda-cleanup-envs"),
    *("--conda-create-envs-only", "--containerize", "--d3dag", "--dag"),
    *("--delete-all-output", "--delete-temp-output", "--detailed-summary", "--filegraph"),
    *("--generate-unit-tests", "--lint", "--list", "--list-changes"),
    *("--list-conda-envs", "--list-input-changes", "--list-params-changes", "--list-rules"),
    *("--list-target-rules", "--list-untracked", "--print-compilation", "--report"),
    *("--rulegraph", "--summary", "--touch", "--unlock", "-D", "-S", "-l", "-t"),
)


def verify_before_a_run(workflow: Workflow, study: Study) -> None:
    """Set bad shards aside when Snakemake parses, unless it makes nothing this time.

    Ends the process with a sentence if it is the structure library that is bad.
    """
    if not makes_files(workflow, sys.argv[1:]):
        return

    def parameters(shard: str) -> list[str]:
        spec = study.spec_of("simulate", shard=shard)({})
        return [spec, study.code_of("simulate"), study.libraries_of("simulate")]

    shards = [Path(f"results/waves/{shard}.h5") for shard in study.shards]
    try:
        set_bad_shards_aside(shards, parameters, Path("results/structures/library.extxyz"))
    except UserError as error:
        refuse(error)


def makes_files(workflow: Workflow, words: Sequence[str]) -> bool:
    """Say whether this process of Snakemake will plan jobs and have them done.

    Parameters
    ----------
    workflow : Workflow
        Snakemake's own.
    words : sequence of str
        The command line, without the program.
    """
    if not workflow.is_main_process or workflow.output_settings.dryrun:
        return False
    return not any(word.split("=")[0] in WITHOUT_WORK for word in words)


def set_bad_shards_aside(
    shards: Sequence[Path],
    parameters: Callable[[str], Sequence[str]],
    library: Path,
    metadata: Path = Path(".snakemake/metadata"),
) -> None:
    """Verify every shard that exists; rename each bad one and say so on stderr.

    A shard that Snakemake makes anew in any case, since its parameters differ from those on
    record or the library is younger, is left alone.

    Parameters
    ----------
    shards : sequence of Path
    parameters : callable
        Returns the parameters of a shard's job, given its name; the first one is the spec.
    library : Path
        The structure library, if it exists.
    metadata : Path
        Snakemake's records of what it made.

    Raises
    ------
    UserError
        If several shards agree with each other and none with the library: it is the library
        that is damaged or foreign.
    """
    there = [path for path in shards if path.is_file()]
    if not there:
        return
    from lowdose.imaging.inspection import library_of, verify_shard
    from lowdose.imaging.store import set_aside

    digest, made = None, float("-inf")
    if library.is_file():
        digest, made = file_digest(library), library.stat().st_mtime
    checked = []
    for path in there:
        wanted = parameters(path.stem)
        if made <= path.stat().st_mtime and not _is_outdated(path, wanted, metadata):
            checked.append((path, json.loads(wanted[0])))
    if digest is not None and len(checked) > 1:
        stated = {library_of(path) for path, _ in checked}
        if len(stated) == 1 and not stated & {digest, None}:
            raise UserError(
                f"{library} is not the library that the {len(checked)} wave files were made of; "
                "put that one back, or delete it to make the library and the waves anew."
            )
    for path, spec in checked:
        reason = verify_shard(path, spec["models"], digest, spec["simulation"])
        if reason is not None:
            aside = set_aside(path)
            print(
                f"{NOTICE}{path} is set aside as {aside.name} because {reason}; of the wave files, "
                "it alone is made anew, by a run of the whole study.",
                file=sys.stderr,
                flush=True,
            )


def _is_outdated(path: Path, wanted: Sequence[str], metadata: Path) -> bool:
    """Say whether Snakemake has made a file with other parameters than the wanted ones.

    Its records are one JSON file for each output, named by the output's path in Base64.
    """
    record = metadata / base64.urlsafe_b64encode(str(path).encode()).decode()
    try:
        recorded = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    found = recorded.get("params") if isinstance(recorded, Mapping) else None
    return isinstance(found, list) and not {repr(value) for value in wanted} <= set(found)
