"""The wave store: HDF5 shards with units, parameters and a checksum for each wave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from lowdose.runtime import UserError, atomic_path


def checksum(wave: np.ndarray) -> str:
    """Return the SHA-256 of a wave's values and shape."""
    content = hashlib.sha256(str(wave.shape).encode())
    content.update(np.ascontiguousarray(wave, dtype=np.complex64).tobytes())
    return content.hexdigest()


def write_shard(
    path: Path, waves: Sequence[tuple[Mapping, np.ndarray]], parameters: Mapping
) -> None:
    """Write a shard atomically; equal waves give equal bytes.

    Parameters
    ----------
    path : Path
        The ``.h5`` file.
    waves : sequence of (row of models.csv, wave (y, x) complex64)
    parameters : mapping
        What holds for all of them: energy, slice, parametrisation, versions, ...
    """
    with (
        atomic_path(path) as temporary,
        h5py.File(temporary, "w", libver="latest") as file,
    ):
        file.attrs["parameters"] = json.dumps(dict(parameters), sort_keys=True)
        file.attrs["models"] = json.dumps([row["model_id"] for row, _ in waves])
        for row, wave in waves:
            group = file.create_group(row["model_id"])
            group.attrs.update({"NX_class": "NXdata", "signal": "wave", "axes": ["y", "x"]})
            group.attrs.update({k: v for k, v in row.items()})
            group.attrs["sha256"] = checksum(wave)
            group.create_dataset("wave", data=wave)
            for axis, length, n in (
                ("y", row["cell_y_nm"], wave.shape[0]),
                ("x", row["cell_x_nm"], wave.shape[1]),
            ):
                positions = group.create_dataset(axis, data=np.arange(n) * (length / n))
                positions.attrs["units"] = "nm"


def read_waves(
    paths: Sequence[Path], wanted: set[str] | None = None
) -> Iterator[tuple[dict, np.ndarray]]:
    """Yield (attributes, wave) of the wanted models, each checked against its checksum.

    Raises
    ------
    UserError
        For a shard that is missing, truncated, foreign or damaged; it names the file and says
        how to make it again.
    """
    for path in paths:
        remedy = f"delete it and run again: {path} alone is then made anew"
        if not Path(path).is_file():
            raise UserError(f"The wave file {path} does not exist; run the simulation first.")
        try:
            with h5py.File(path, "r") as file:
                for name in json.loads(file.attrs["models"]):
                    if wanted is not None and name not in wanted:
                        continue
                    wave = file[name]["wave"][...]
                    attributes = {
                        key: value.item() if isinstance(value, np.generic) else value
                        for key, value in file[name].attrs.items()
                    }
                    if checksum(wave) != attributes["sha256"]:
                        raise UserError(
                            f"The wave of {name} in {path} is damaged (its checksum differs); "
                            f"{remedy}."
                        )
                    yield attributes, wave
        except (OSError, KeyError, ValueError) as error:
            raise UserError(
                f"The wave file {path} is truncated or no wave file ({type(error).__name__}); "
                f"{remedy}."
            ) from error
