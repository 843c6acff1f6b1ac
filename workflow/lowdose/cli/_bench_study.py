"""Time and memory of the quick study, in a fresh copy of the project."""

from __future__ import annotations

import tempfile
from pathlib import Path


def measure(threads: int) -> list[tuple[str, float, str, float | None]]:
    """Return rows of (name, value, unit, upper target)."""
    from lowdose.cli._watched import copy_of_project, study_run
    from lowdose.runtime import UserError

    with tempfile.TemporaryDirectory(prefix="lowdose-bench-") as folder:
        run = study_run(copy_of_project(Path(folder) / "project"), "--cores", str(threads))
        if run.code:
            raise UserError(f"The quick study failed: {run.err.strip().splitlines()[-1]}")
        again = study_run(run.folder, "--cores", str(threads))
    return [
        ("quick study, after installation", run.seconds / 60, "min", 10),
        ("peak memory of all its processes", run.peak_bytes / 2**30, "GiB", 4),
        ("a second run, nothing to be done", again.seconds, "s", None),
    ]
