"""The jobs that a killed run has left in SLURM."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from lowdose.runtime import UserError

# What the executor plugin says of a run; the number that follows is the name of all its jobs.
RUN = "SLURM run ID: "
NOTE = Path(".snakemake/lowdose-slurm-run.txt")
PATIENCE_S = 90  # longer than SLURM's KillWait, in which a training saves itself


def cancel_left_jobs(folder: Path) -> int:
    """Cancel the jobs of this folder's last run that are still in SLURM; return their number.

    Call it while no run of the folder is alive.  Snakemake would send the same jobs a second time;
    two of one kind do no harm, since every file is written in one step, but waste.

    Raises
    ------
    UserError
        If they do not end.
    """
    note = folder / NOTE
    if not note.is_file() or shutil.which("scancel") is None:
        return 0
    name = note.read_text(encoding="utf-8").strip()
    if left := _jobs(name):
        subprocess.run(["scancel", f"--name={name}"], capture_output=True)
        end = time.monotonic() + PATIENCE_S
        while _jobs(name):
            if time.monotonic() > end:
                raise UserError(
                    f"The jobs of an earlier run do not end (squeue --name={name} lists them); "
                    "wait for them or cancel them, then run again."
                )
            time.sleep(1)
    note.unlink()
    return len(left)


def _jobs(name: str) -> list[str]:
    """Return the numbers of the jobs of a run that wait, run or end; none if SLURM is silent."""
    command = ["squeue", "--noheader", f"--name={name}", "--format=%A"]
    return subprocess.run(command, capture_output=True, text=True).stdout.split()
