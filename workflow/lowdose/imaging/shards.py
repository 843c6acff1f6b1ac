"""Simulate one shard of the library; continue where a killed run stopped."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import ase
import ase.io
import numpy as np
import pandas as pd

from lowdose.imaging.store import write_shard
from lowdose.provenance import code_digest, digest, file_digest
from lowdose.runtime import UserError, atomic_path


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
        If the library lacks a model.
    """
    import abtem

    from lowdose.imaging.waves import exit_waves

    simulation, names = spec["simulation"], list(spec["models"])
    library = structures / "library.extxyz"
    table = pd.read_csv(structures / "models.csv").set_index("model_id", drop=False)
    if missing := [name for name in names if name not in table.index]:
        raise UserError(
            f"{structures / 'models.csv'} has no model {missing[0]}; run `structures` with the "
            "same configuration first."
        )
    parameters = {
        **simulation,
        "library": file_digest(library),
        "abtem": abtem.__version__,
        "ase": ase.__version__,
        "numpy": np.__version__,
    }
    fingerprint = digest([parameters, names, code_digest("lowdose.imaging.waves")])
    folder = work / "waves" / f"{output.stem}-{fingerprint}"
    rows = table.loc[names]
    begun, done = time.monotonic(), 0
    for structure, group in rows.groupby("structure_index", sort=False):
        waiting = group[[not (folder / f"{name}.npy").is_file() for name in group["model_id"]]]
        if len(waiting):
            atoms = ase.io.read(library, index=int(structure))
            tilts = list(waiting[["tilt_x_deg", "tilt_y_deg"]].itertuples(index=False, name=None))
            waves = exit_waves(atoms, tilts, simulation)
            for name, wave in zip(waiting["model_id"], waves, strict=True):
                with atomic_path(folder / f"{name}.npy") as path, open(path, "wb") as stream:
                    np.save(stream, wave)
            done += len(waiting)
            left = (time.monotonic() - begun) / done * (len(names) - done)
            log(f"{done} of {len(names)} waves, about {left:.0f} s left")
    write_shard(
        output,
        [(_plain(row), np.load(folder / f"{row['model_id']}.npy")) for _, row in rows.iterrows()],
        parameters,
    )
    # Waves of other fingerprints of this shard are of no use any more either.
    for old in (work / "waves").glob(f"{output.stem}-*"):
        shutil.rmtree(old, ignore_errors=True)
    log(f"{len(names)} waves in {output}")


def _plain(row: pd.Series) -> dict:
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in row.items()}
