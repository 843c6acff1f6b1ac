"""One run at a time in a folder, and a clean start after a run that was killed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from lowdose.runtime import UserError, translated

# In the environment of every process of a run, so that what a killed run left behind is found.
RUN_FOLDER = "LOWDOSE_RUN_FOLDER"


@contextlib.contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold this folder for one run; the lock goes with the process, however it ends.

    Raises
    ------
    UserError
        If another run of this folder is alive, or the folder cannot be written.
    """
    path = folder / ".snakemake" / "lowdose.lock"
    try:
        path.parent.mkdir(exist_ok=True)
        stream = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (held for the run)
    except OSError as error:
        raise translated(error, path) from error
    with stream:
        if not _locked(stream):
            stream.seek(0)
            raise UserError(
                f"Another run of this folder is going on (process {stream.read().strip()}); "
                "wait for its end or stop it with Ctrl-C."
            )
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield


def _locked(stream) -> bool:
    try:
        import fcntl
    except ImportError:  # no such lock on this system
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def end_orphans(folder: Path) -> int:
    """End the processes that a killed run of this folder left behind; return their number.

    Only processes that a run has marked with this folder are touched.  Call it while holding
    :func:`only_run`, which means that no run they could belong to is alive.
    """
    family = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    orphans = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid not in family and process.environ().get(RUN_FOLDER) == str(folder):
                process.terminate()
                orphans.append(process)
    for process in psutil.wait_procs(orphans, timeout=3)[1]:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(orphans, timeout=3)
    return len(orphans)


def stale_lock(folder: Path) -> bool:
    """Return whether Snakemake's own lock of this folder is left from a killed run.

    Raises
    ------
    UserError
        If the Snakemake that holds it is alive.
    """
    locks = folder / ".snakemake" / "locks"
    if not (locks.is_dir() and any(locks.iterdir())):
        return False
    if alive := snakemakes(folder):
        raise UserError(
            f"Snakemake is at work in this folder (process {alive[0]}); wait for its end or "
            "stop it, then run again."
        )
    return True


def snakemakes(folder: Path) -> list[int]:
    """Return the process numbers of all Snakemakes that work in `folder`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            words = [Path(word).name for word in process.cmdline()[:3]]
            if "snakemake" in words and Path(process.cwd()) == folder:
                found.append(process.pid)
    return found


def check_writable(folder: Path) -> None:
    """Refuse to start in a folder that cannot take results.

    Raises
    ------
    UserError
        If a file cannot be made in `folder`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".writable.", dir=folder):
            pass
    except OSError as error:
        raise translated(error, folder / "a result" if folder.is_dir() else folder) from error
