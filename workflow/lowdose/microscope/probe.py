"""Read a file once in a process of its own, before this one does.

The HDF5 library may crash or loop for ever on a damaged file, and readers of other formats may
follow a damaged length for hours; neither can be caught as an error.  A process can be ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import lowdose
from lowdose.runtime import UserError

PATIENCE_S = 20.0
BYTES_PER_S = 10e6  # of the slowest disk that is waited for


def probe(path: Path, **choices: object) -> None:
    """Raise what reading a file would, in words.

    Parameters
    ----------
    path : Path
    **choices
        Arguments of :func:`lowdose.microscope.reading.read_recording`, JSON-safe.

    Raises
    ------
    UserError
        As `read_recording`; also if reading ends in a crash or does not end.
    """
    size = path.stat().st_size if path.is_file() else 0
    patience = PATIENCE_S + size / BYTES_PER_S
    package = str(Path(lowdose.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(
        [package, *filter(None, [os.environ.get("PYTHONPATH")])])}  # fmt: skip
    command = [sys.executable, "-m", "lowdose.microscope.probe", str(path), json.dumps(choices)]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=patience, check=False
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"{path} could not be read in {patience:.0f} s; the file is damaged, or its disk does "
            "not answer."
        ) from None
    if done.returncode == 2 and done.stdout:
        raise UserError(done.stdout.strip())
    if done.returncode != 0:
        raise UserError(
            f"Reading {path} ended in a crash of the library for its format; the file is damaged "
            "or was not copied to its end."
        )


def main() -> int:
    """Read the file that the command line names; print why it cannot be read."""
    from lowdose.microscope.reading import read_recording

    path, choices = sys.argv[1], json.loads(sys.argv[2])
    try:
        read_recording(path, probed=True, **choices)
    except UserError as error:
        print(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
