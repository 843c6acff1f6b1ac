"""Say why Snakemake has failed: the jobs' own sentences, else what its last lines mean."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lowdose.runtime import UserError

if TYPE_CHECKING:
    from lowdose.cli._progress import Job


def told(folder: Path, code: int, failed: Sequence[Job], tail: list[str], errors: Path) -> int:
    """Say why a run has ended with an exit code other than 0; return that of the whole command.

    Parameters
    ----------
    folder : Path
        Where the study was run.
    code : int
        Exit code of Snakemake, below 0 if a signal has ended it, 130 after Ctrl-C.
    failed : sequence of Job
        The jobs that have failed.
    tail : list of str
        The last lines that Snakemake has printed.
    errors : Path
        Where the jobs leave the sentences of their refusals, one a line.

    Raises
    ------
    UserError
        If it was a mistake that the user can mend.
    """
    if code == 130:
        print("Stopped by Ctrl-C; ./study run continues from here.", file=sys.stderr)
        return 130
    if sentences := _sentences(errors):
        for sentence in sentences[:-1]:
            print(f"lowdose: {sentence}", file=sys.stderr)
        raise UserError(sentences[-1])
    text = "\n".join(tail)
    if match := re.search(r"^No rule to produce (\S+)", text, re.MULTILINE):
        raise UserError(
            f"There is no rule or result {match[1]}; ./study run --list-target-rules and "
            "results/README.md name what there is."
        )
    if "No space left on device" in text or "Disk quota exceeded" in text:
        raise UserError(
            "The disk is full; free some space and run again (finished results are kept)."
        )
    if match := re.search(r"NotADirectoryError: .*'(.+?)'", text):
        raise UserError(
            f"{match[1]} cannot be written because a file is in the way where one of its "
            "folders should be; move it aside and run again."
        )
    if "Read-only file system" in text or "Permission denied" in text:
        raise UserError(
            f"{folder} or a folder in it cannot be written ({last_sentence(tail)}); "
            "make it writable, or run in a copy of the project that you own."
        )
    if code < 0:
        from lowdose.cli import _folder

        _folder.end_orphans(folder)
        print(
            f"lowdose: Snakemake was killed (signal {-code}; 9 may mean that memory ran out); "
            "./study run continues from what is finished.",
            file=sys.stderr,
        )
        return 1
    _show_failed_jobs(folder, failed, tail)
    return 1


def last_sentence(tail: Iterable[str]) -> str:
    """Return the last line that says something, without its full stop."""
    lines = [line.strip() for line in tail if line.strip()]
    lines = [line for line in lines if not line.startswith(("Complete log", "Elapsed", "At le"))]
    return lines[-1].rstrip(".") if lines else "it said nothing"


def _show_failed_jobs(folder: Path, failed: Sequence[Job], tail: list[str]) -> None:
    from lowdose.cli._progress import last_lines

    if not failed:
        print("\n".join(tail), file=sys.stderr)
        print(f"lowdose: Snakemake failed: {last_sentence(tail)}.", file=sys.stderr)
        return
    for job in failed:
        where = ", ".join(job.logs) or "no log"
        print(f"\n{job.label} failed; the end of its log ({where}):", file=sys.stderr)
        paths = tuple(str(folder / log) for log in job.logs)
        print("\n".join(f"  | {line}" for line in last_lines(paths, 15)), file=sys.stderr)
    names = ", ".join(job.label for job in failed)
    print(
        f"lowdose: {names} failed (logs above); the finished results are kept, and "
        "./study run continues from them.",
        file=sys.stderr,
    )


def _sentences(errors: Path) -> list[str]:
    """Return what the jobs of this run have refused, each sentence once."""
    try:
        lines = errors.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return list(dict.fromkeys(line for line in lines if line))
