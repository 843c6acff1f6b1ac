"""The wave store: NeXus (HDF5) shards with units, parameters and a checksum for each wave.

A shard has one NXentry, ``waves``, with one NXdata group for each model: ``wave`` and its axes,
the model's row of ``models.csv`` and the parameters of the simulation as attributes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from lowdose.runtime import UserError, atomic_path, translated

ENTRY = "waves"
UNREADABLE = (OSError, KeyError, ValueError, RuntimeError, TypeError)  # h5py's, for broken files
# The file format of HDF5 1.10: its structures carry checksums of their own, and every HDF5
# library since 2016 reads it, which is not so for "latest".
FORMAT = ("v110", "v110")


def write_shard(
    path: Path, waves: Iterable[tuple[Mapping, np.ndarray]], parameters: Mapping
) -> None:
    """Write a shard atomically, one wave after the other; equal waves give equal bytes.

    Parameters
    ----------
    path : Path
        The ``.h5`` file.
    waves : iterable of (row of models.csv, wave)
        Waves are complex64, (y, x) or, for frozen phonons, (configuration, y, x); only one is
        held in memory at a time if the iterable makes them one by one.
    parameters : mapping
        What holds for all of them: energy, slice, parametrisation, versions, ...
    """
    with (
        atomic_path(path) as temporary,
        h5py.File(temporary, "w", libver=FORMAT) as file,
    ):
        entry = file.create_group(ENTRY)
        models = [_write_wave(entry, row, wave, parameters) for row, wave in waves]
        file.attrs.update({"NX_class": _fixed("NXroot"), "default": _fixed(ENTRY)})
        entry["title"] = _fixed("Exit waves")
        entry.attrs.update({
            "NX_class": _fixed("NXentry"),
            **({"default": _fixed(models[0])} if models else {}),
            "models": _fixed(json.dumps(models)),
            "parameters": _fixed(json.dumps(dict(parameters), sort_keys=True)),
        })  # fmt: skip
        entry.attrs["sha256"] = _fixed(_digest(entry.attrs, {}))


def _write_wave(entry: h5py.Group, row: Mapping, wave: np.ndarray, parameters: Mapping) -> str:
    cell = {"y": row["cell_y_nm"], "x": row["cell_x_nm"]}
    group = entry.create_group(row["model_id"])
    axes = [*(["configuration"] if wave.ndim == 3 else []), "y", "x"]
    data = group.create_dataset("wave", data=np.asarray(wave, dtype=np.complex64))
    data.attrs.update({
        "long_name": _fixed("exit wave"),
        "units": _fixed("1"),  # relative to the vacuum
        "interpretation": _fixed("image"),
    })  # fmt: skip
    for place, (axis, n) in enumerate(zip(axes, wave.shape, strict=True)):
        if axis in cell:
            positions = group.create_dataset(axis, data=np.arange(n) * (cell[axis] / n))
            positions.attrs["units"] = _fixed("nm")
            long_name = {"y": "y, downwards (nm)", "x": "x (nm)"}[axis]
        else:
            positions = group.create_dataset(axis, data=np.arange(n))
            long_name = "frozen-phonon configuration"
        positions.attrs["long_name"] = _fixed(long_name)
        group.attrs[f"{axis}_indices"] = place
    group.attrs.update({
        "NX_class": _fixed("NXdata"),
        "signal": _fixed("wave"),
        "axes": np.array(axes, dtype="S"),
        "interpretation": _fixed("image"),
        "title": str(row["model_id"]),
    })  # fmt: skip
    physical = {f"sampling_{axis}_nm": cell[axis] / wave.shape[axes.index(axis)] for axis in cell}
    if "cell_z_nm" in row:
        physical["thickness_nm"] = row["cell_z_nm"]
    # Sorted, since HDF5 keeps the order, and equal parameters shall give equal bytes.
    for key, value in sorted((physical | dict(parameters) | dict(row)).items()):
        if isinstance(value, Mapping | list | tuple):
            value = json.dumps(value, sort_keys=True)
        if value is not None:
            group.attrs[key] = _fixed(value) if isinstance(value, str) else value
    group.attrs["sha256"] = _fixed(_digest(group.attrs, group))
    return row["model_id"]


def read_waves(
    paths: Sequence[Path], wanted: set[str] | None = None
) -> Iterator[tuple[dict, np.ndarray]]:
    """Yield (attributes, wave) of the wanted models, each checked against its checksum.

    The attributes are the model's row of ``models.csv``, ``sampling_y_nm``, ``sampling_x_nm``,
    the parameters of the simulation (nested ones as JSON), and ``sha256``.

    Raises
    ------
    UserError
        For a shard that is missing, truncated, foreign or damaged.  A bad shard is moved aside,
        so that running again makes it anew.
    """
    found = set()
    for path in map(Path, paths):
        opened = _identity(path)
        if opened is None:
            raise UserError(f"The wave file {path} does not exist; run the simulation first.")
        name = None
        try:
            with open_shard(path) as entry:
                for name in json.loads(read_text(entry.attrs["models"])):
                    if wanted is None or name in wanted:
                        attributes, wave = read_wave(entry, name)
                        found.add(name)
                        yield attributes, wave
        except DamagedError as damage:
            raise _refused(path, opened, f"The wave of {name} in {path} {damage}") from None
        except UNREADABLE as error:
            refuse_unreadable(path, error)
            what = f"The wave file {path} is truncated or no wave file ({type(error).__name__})"
            raise _refused(path, opened, what) from error
    if missing := sorted((wanted or set()) - found):
        raise UserError(
            f"None of the {len(paths)} wave files has the wave of {missing[0]}; run again with one "
            "configuration for all stages."
        )


class DamagedError(Exception):
    """What is wrong with one wave, as the end of a sentence about it."""


@contextlib.contextmanager
def open_shard(path: Path) -> Iterator[h5py.Group]:
    """Yield the entry of a shard, whose attributes (models, parameters) are checked.

    Shards are replaced as a whole and never written in place, so that readers need no lock,
    which some network folders cannot give.
    """
    with h5py.File(path, "r", locking=False) as file:
        entry = file[ENTRY]
        if read_text(entry.attrs["sha256"]) != _digest(entry.attrs, {}):
            raise ValueError("the list of waves is damaged")
        yield entry


def read_wave(entry: h5py.Group, name: str) -> tuple[dict, np.ndarray]:
    """Return attributes and wave of a model, (y, x) or (configuration, y, x), complex64.

    Raises
    ------
    DamagedError
        If the checksum of values, axes and attributes differs, or they cannot be read.
    """
    try:
        group = entry[name]
        content = {key: group[key] for key in group}
        values: dict[str, np.ndarray] = {}
        found = dict(group.attrs)
        total = _digest(found, content, values)
        if read_text(found["sha256"]) != total or read_text(found["title"]) != name:
            raise DamagedError("is damaged (its checksum differs)")
        markup = {"NX_class", "signal", "axes", "interpretation", "title"}
        markup |= {f"{axis}_indices" for axis in content}
        attributes = {k: _plain(v) for k, v in found.items() if k not in markup}
        return attributes, values["wave"]
    except UNREADABLE as error:
        raise DamagedError(f"is damaged ({type(error).__name__} while reading it)") from error


def set_aside(path: Path, opened: tuple | None = None) -> Path:
    """Rename a bad shard to ``<name>.damaged`` (the last one of a name is kept).

    Parameters
    ----------
    path : Path
    opened : tuple, optional
        Identity of the file that was found bad: what another job has put there since stays.
    """
    target = path.with_name(path.name + ".damaged")
    if opened is None or opened == _identity(path):
        try:
            os.replace(path, target)
        except FileNotFoundError:  # another job was faster
            pass
        except OSError as error:
            raise translated(error, target) from error
    return target


def refuse_unreadable(path: Path, error: Exception) -> None:
    """Raise a UserError if a shard cannot be opened for want of rights: it may be whole."""
    if isinstance(error, PermissionError):
        raise UserError(
            f"The wave file {path} cannot be read for lack of permission; make it readable."
        ) from error


def _refused(path: Path, opened: tuple, what: str) -> UserError:
    try:
        aside = set_aside(path, opened)
    except (UserError, OSError):
        remedy = f"delete it and run again: {path} alone is then made anew"
    else:
        remedy = f"it was moved aside to {aside.name}; run again, and it alone is made anew"
    return UserError(f"{what}; {remedy}.")


def _identity(path: Path) -> tuple | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _digest(
    attributes: Mapping, content: Mapping[str, h5py.Dataset], values: dict | None = None
) -> str:
    """Return the SHA-256 of attributes (but ``sha256``) and datasets with theirs.

    The values that are read on the way are put into `values`.
    """
    total = hashlib.sha256(_listing(attributes))
    for name in sorted(content):
        value = np.ascontiguousarray(content[name][()])
        total.update(json.dumps([name, value.dtype.str, value.shape]).encode())
        total.update(_listing(content[name].attrs))
        total.update(value.view(np.uint8).data)
        if values is not None:
            values[name] = value
    return total.hexdigest()


def _listing(attributes: Mapping) -> bytes:
    items = sorted((key, _plain(attributes[key])) for key in attributes if key != "sha256")
    return json.dumps(items).encode()


def _fixed(text: str) -> np.bytes_:
    # Text of fixed length stands where HDF5's own checksums cover it; the other kind does not.
    return np.bytes_(text.encode())


def read_text(value: bytes | str) -> str:
    """Return a text attribute."""
    return value.decode() if isinstance(value, bytes) else value


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value
