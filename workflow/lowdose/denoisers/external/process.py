"""A worker that another Python runs: found, started once, asked over its pipes, ended."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lowdose.denoisers.external.framing import receive, send
from lowdose.environments import ROOT
from lowdose.runtime import THREAD_VARIABLES, UserError

PATIENCE_S = 5.0  # for a worker to end by itself, once nobody asks any more


def python_of(name: str) -> Path:
    """Return where the Python of an optional environment should be, whether or not it is there.

    Parameters
    ----------
    name : str
        Of the environment, e.g. ``"topaz"``: the variable ``LOWDOSE_TOPAZ_PYTHON`` names its
        Python; without it, that is ``.venv-topaz/bin/python`` in the project's folder, where
        ``./study optional topaz`` makes it.
    """
    named = os.environ.get(f"LOWDOSE_{name.upper()}_PYTHON")
    return Path(named) if named else ROOT / f".venv-{name}" / "bin" / "python"


def threads() -> int:
    """Return how many threads a worker gets: those of this process, one if nobody set them."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return max(int(given), 1) if given.isdecimal() else 1


class Worker:
    """A process that answers arrays with arrays, until it is closed or forgotten.

    It is started here and lives as long as this object, at most as long as this process: it ends
    when its standard input does.

    Parameters
    ----------
    name : str
        What messages call it.
    python : path
        The program that runs `script`.
    script : path
        Answers each message of `framing` that comes on its standard input with one on its
        standard output, whose header may have ``error``, a text.
    words : sequence of str
        Arguments of the script.

    Raises
    ------
    UserError
        If the program cannot be started.
    """

    def __init__(
        self, name: str, python: str | Path, script: str | Path, words: Sequence[str] = ()
    ) -> None:
        self.name = name
        # A file and not a pipe: nobody need read it for the worker to go on.
        self._told = tempfile.TemporaryFile()  # noqa: SIM115
        variables = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads()))
        try:
            # -I: neither PYTHONPATH nor the script's folder, which has modules of the same names.
            self._process = subprocess.Popen(
                [str(python), "-I", str(script), *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._told,
                env=variables,
            )
        except OSError as error:
            self._told.close()
            raise UserError(
                f"The worker of {name} cannot be started with {python} ({error.strerror}); name a "
                "Python that can be run."
            ) from None
        self.close = weakref.finalize(self, _end, self._process, self._told)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def ask(self, array: np.ndarray, **header: Any) -> np.ndarray:
        """Send an array and return the answer.

        Parameters
        ----------
        array : array
        **header
            What the script is to know besides, JSON-safe.

        Raises
        ------
        UserError
            If the worker reports an error, has ended or says what is no answer.
        """
        if not self.close.alive:
            raise UserError(f"The worker of {self.name} has been ended; create the denoiser anew.")
        try:
            send(self._process.stdin, header, array)
            answer, result = receive(self._process.stdout)
        except (OSError, EOFError, ValueError):
            raise UserError(self._why_it_ended()) from None
        except BaseException:
            # Whoever asks next must not get the answer to this question.
            self.close()
            raise
        if "error" in answer:
            raise UserError(f"The worker of {self.name} failed: {answer['error']}")
        return result

    def _why_it_ended(self) -> str:
        """End what is left of the process and return a sentence with its last words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE_S)
        code = self._process.poll()
        self._told.seek(0)
        lines = self._told.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        self.close()
        how = "sent no answer" if code is None else f"ended with code {code}"
        said = f", its last words were: {last.rstrip('.')}" if last else ", without a word"
        return f"The worker of {self.name} {how}{said}; create the denoiser anew."


def _end(process: subprocess.Popen, told: BinaryIO) -> None:
    """End a worker: by itself, since its input ends, or by force where it does not listen."""
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # what could not be sent to a dead worker
            stream.close()
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    told.close()
