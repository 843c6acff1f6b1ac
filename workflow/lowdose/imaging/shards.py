"""Simulate one shard of the library; continue where a killed run stopped."""

from __future__ import annotations

import io
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import ase
import ase.io
import numpy as np
import pandas as pd

from lowdose.imaging.inspection import verify_shard
from lowdose.imaging.store import write_shard
from lowdose.provenance import code_digest, digest, file_digest
from lowdose.runtime import UserError, atomic_path

TRIES = 10


def simulate_shard(
    spec: Mapping,
    structures: Path,
    output: Path,
    work: Path,
    log: Callable[[str], None],
) -> None:
    """Simulate the waves of `spec` and write them as one shard.

    Each finished wave is kept in `work` until the shard is written, under a fingerprint of
    parameters, structures and code: a killed run loses the structure in
    progress at most, and never continues with waves of other parameters.

    Any number of processes may work at once, also on the same shard (a job that a cluster has
    lost sight of): they share finished waves, and each of them ends with the same bytes.

    Parameters
    ----------
    spec : mapping
        ``simulation`` (section of the configuration) and ``models`` (names).
    structures : Path
        Folder of ``library.extxyz`` and ``models.csv``.
    output, work : Path
        The shard, and the folder for unfinished work.
    log : callable
        Receives a line of progress now and then.

    Raises
    ------
    UserError
        If the library is missing or lacks a model.
    """
    simulation, names = spec["simulation"], list(spec["models"])
    library = structures / "library.extxyz"
    for path in (library, structures / "models.csv"):
        if not path.is_file():
            raise UserError(f"{path} does not exist; run `structures` first.")
    table = pd.read_csv(structures / "models.csv").set_index("model_id", drop=False)
    if missing := [name for name in names if name not in table.index]:
        raise UserError(
            f"{structures / 'models.csv'} has no model {missing[0]}; run `structures` with the "
            "same configuration first."
        )
    packages = {"abtem": "abTEM", "ase": "ase", "numpy": "numpy", "torch": "torch"}
    parameters = {
        **simulation,
        "library": file_digest(library),
        "versions": {name: version(package) for name, package in packages.items()},
    }
    fingerprint = digest([parameters, names, code_digest("lowdose.imaging.waves")])
    parameters["fingerprint"] = fingerprint
    folder = work / "waves" / f"{output.stem}-{fingerprint}"
    rows = table.loc[names]
    for attempt in range(TRIES):
        try:
            _simulate_missing(rows, library, simulation, folder, log)
            write_shard(output, _kept(rows, folder), parameters)
            break
        except FileNotFoundError:
            # Another job of this shard has finished and cleared the folder of work.
            asked = {key: parameters[key] for key in ("fingerprint", "library")}
            if output.is_file() and verify_shard(output, names, simulation=asked) is None:
                log(f"another job has finished {output}")
                break
            if attempt == TRIES - 1:
                raise
    # Waves of other fingerprints of this shard are of no use any more either.
    for old in folder.parent.glob(f"{output.stem}-*"):
        if re.fullmatch("[0-9a-f]{12}", old.name.removeprefix(f"{output.stem}-")):
            shutil.rmtree(old, ignore_errors=True)
    log(f"{len(names)} waves in {output}")


def _simulate_missing(
    rows: pd.DataFrame,
    library: Path,
    simulation: Mapping,
    folder: Path,
    log: Callable[[str], None],
) -> None:
    from lowdose.imaging.waves import exit_waves

    begun, done, present = time.monotonic(), 0, 0
    frames = _Frames(library)
    for structure, group in rows.groupby("structure_index", sort=False):
        waiting = group[[not (folder / f"{name}.npy").is_file() for name in group["model_id"]]]
        present += len(group) - len(waiting)
        if len(waiting):
            tilts = list(waiting[["tilt_x_deg", "tilt_y_deg"]].itertuples(index=False, name=None))
            waves = exit_waves(frames.atoms(int(structure)), tilts, simulation)
            for name, wave in zip(waiting["model_id"], waves, strict=True):
                with atomic_path(folder / f"{name}.npy") as path, open(path, "wb") as stream:
                    np.save(stream, wave)
            done += len(waiting)
            left = (time.monotonic() - begun) / done * (len(rows) - done - present)
            log(f"{done} of {len(rows)} waves, about {left:.0f} s left")


def _kept(rows: pd.DataFrame, folder: Path) -> Iterator[tuple[dict, np.ndarray]]:
    for _, row in rows.iterrows():
        yield _plain(row), np.load(folder / f"{row['model_id']}.npy")


class _Frames:
    """Reads single frames of an extended XYZ file without parsing those before them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places = self._index()

    def _index(self) -> Sequence[tuple[int, int]]:
        places, begin = [], 0
        with open(self._path, "rb") as stream:
            while line := stream.readline():
                end = begin + len(line)
                for _ in range(int(line) + 1):
                    end += len(stream.readline())
                places.append((begin, end))
                begin = end
        return places

    def atoms(self, index: int) -> ase.Atoms:
        begin, end = self._places[index]
        with open(self._path, "rb") as stream:
            stream.seek(begin)
            text = stream.read(end - begin).decode()
        return ase.io.read(io.StringIO(text), format="extxyz")


def _plain(row: pd.Series) -> dict:
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in row.items()}
