"""Run the study in a fresh copy of the project and watch its time and memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Run:
    """One call of ``./study run``.

    Attributes
    ----------
    folder : Path
        The copy of the project.
    code : int
        Exit code.
    out, err : str
        What it printed.
    seconds : float
        Wall time [s].
    peak_bytes : int
        Largest memory of all its processes together, shared pages counted once.
    """

    folder: Path
    code: int
    out: str
    err: str
    seconds: float
    peak_bytes: int


def copy_of_project(target: Path) -> Path:
    """Copy what a fresh clone would hold, and what git would add to it, into `target`.

    The environment is shared by a link; its stamp agrees, since the lock is the same.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # not one that is deleted but still in the index
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    (target / ".venv").symlink_to((ROOT / ".venv").resolve(), target_is_directory=True)
    return target


def study_run(folder: Path, *words: str) -> Run:
    """Call ``./study run`` and watch its memory."""
    began = time.monotonic()
    process = subprocess.Popen(
        ["./study", "run", *words],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.5):
            try:
                peak = max(peak, memory(psutil.Process(process.pid)))
            except psutil.Error:
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, err = process.communicate()
    ended.set()
    watcher.join()
    return Run(folder, process.returncode, out, err, time.monotonic() - began, peak)


def memory(process: psutil.Process) -> int:
    """Return the memory of a process and its descendants [bytes]."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            full = member.memory_full_info()
            total += getattr(full, "pss", 0) or full.uss
        except psutil.Error:
            continue
    return total
