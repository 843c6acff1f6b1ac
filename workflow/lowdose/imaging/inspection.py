"""Inspect the shards of the wave store before anything relies on them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from lowdose.imaging.store import (
    UNREADABLE,
    DamagedError,
    open_shard,
    read_text,
    read_wave,
    refuse_unreadable,
)


def verify_shard(
    path: Path,
    models: Sequence[str],
    library_digest: str | None = None,
    simulation: Mapping | None = None,
) -> str | None:
    """Read a whole shard and say what is wrong with it.

    Parameters
    ----------
    path : Path
        A file that exists.
    models : sequence of str
        The models that it must hold, in order.
    library_digest : str, optional
        SHA-256 of the structure library of which it must be made.
    simulation : mapping, optional
        Parameters with which it must be made; keys that the shard does not state differ.

    Returns
    -------
    str or None
        The reason, as a clause whose subject is the shard ("it ...") or one of its waves; None
        if the shard is whole and the one asked for.

    Raises
    ------
    UserError
        If the file cannot be opened for lack of permission.
    """
    name = None
    try:
        with open_shard(path) as entry:
            found = json.loads(read_text(entry.attrs["models"]))
            parameters = json.loads(read_text(entry.attrs["parameters"]))
            if reason := _foreign(found, parameters, models, library_digest, simulation):
                return reason
            for name in found:
                read_wave(entry, name)
    except DamagedError as damage:
        return f"the wave of {name} {damage}"
    except UNREADABLE as error:
        refuse_unreadable(path, error)
        return f"it is truncated, damaged or no wave file ({type(error).__name__})"
    return None


def library_of(path: Path) -> str | None:
    """Return the digest of the structure library that a shard states; None if it states none."""
    try:
        with open_shard(path) as entry:
            return json.loads(read_text(entry.attrs["parameters"])).get("library")
    except UNREADABLE:
        return None


def _foreign(
    found: Sequence[str],
    parameters: Mapping,
    models: Sequence[str],
    library_digest: str | None,
    simulation: Mapping | None,
) -> str | None:
    if list(found) != list(models):
        strange = next((name for name in found if name not in models), None)
        lacking = next((name for name in models if name not in found), None)
        if strange:
            return f"it holds the wave of {strange}, which belongs elsewhere"
        return f"it lacks the wave of {lacking}" if lacking else "its waves are in another order"
    if library_digest is not None and parameters.get("library") != library_digest:
        return "its waves are of another structure library"
    for key, value in (simulation or {}).items():
        if key not in parameters or parameters[key] != value:
            return f"its waves were simulated with another value of simulation.{key}"
    return None
