"""What a worker process and its owner say to each other over a pipe: a header and an array.

Only the standard library and NumPy: the Python of an optional environment runs it as well.

A message is one line of JSON, whose ``bytes`` says how many bytes follow, and these bytes: a .npy
file, or nothing.
"""

from __future__ import annotations

import io
import json
from typing import Any, BinaryIO

import numpy as np


def send(stream: BinaryIO, header: dict[str, Any], array: np.ndarray | None = None) -> None:
    """Write one message.

    Parameters
    ----------
    stream : binary file
    header : dict
        JSON-safe; the key ``bytes`` is added.
    array : array, optional
        Numbers of any shape.

    Raises
    ------
    BrokenPipeError
        If nobody reads the other end any more.
    """
    blob = io.BytesIO()
    if array is not None:
        np.save(blob, array, allow_pickle=False)
    line = json.dumps({**header, "bytes": blob.tell()})
    stream.write(line.encode("ascii") + b"\n" + blob.getvalue())
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], np.ndarray | None]:
    """Read one message; wait for it.

    Parameters
    ----------
    stream : binary file

    Returns
    -------
    header : dict
    array : array or None

    Raises
    ------
    EOFError
        If the other end is closed, before the message or in the midst of it.
    ValueError
        If what came is no message.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError("the pipe is closed")
    header = json.loads(line)
    if not (isinstance(header, dict) and isinstance(header.get("bytes"), int)):
        raise ValueError(f"{line[:80]!r} is no header of a message")
    size = header["bytes"]
    blob = stream.read(size)
    if len(blob) < size:
        raise EOFError(f"the pipe was closed after {len(blob)} of {size} bytes")
    return header, np.load(io.BytesIO(blob), allow_pickle=False) if size else None
