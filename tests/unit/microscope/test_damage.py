"""Truncated and corrupt files: a sentence or frames, never another error, never for ever."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lowdose.microscope import probe
from lowdose.microscope.reading import read_recording
from lowdose.runtime import UserError

ROOT = Path(__file__).parents[3]
CASES = 24  # of each file
PATIENCE_S = 15

# Reads file after file of its standard input, a line of answer each.
READER = """
import sys
from lowdose.microscope.reading import read_recording
from lowdose.runtime import UserError
for line in sys.stdin:
    try:
        recording = read_recording(line.strip(), probed=True)
        said = "frames" if recording.frames.ndim == 3 and recording.frames.size else "NOTHING"
    except UserError as error:
        said = "sentence" if len(str(error)) < 600 and "\\n" not in str(error) else "LONG"
    except BaseException as error:
        said = f"ERROR {type(error).__name__} {error}"[:200].replace("\\n", " ")
    print(said, flush=True)
"""


class Reader:
    """A process that reads one file after another, started anew where one ends or hangs it."""

    def __init__(self):
        self.process = None

    def read(self, path: Path) -> str:
        if self.process is None:
            environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
            self.process = subprocess.Popen(
                [sys.executable, "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True, env=environment,
            )  # fmt: skip
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if ready.select(PATIENCE_S) else ""
        if not line:
            self.close()
            return "ended"
        return line.strip()

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout):
                stream.close()
            self.process = None


@pytest.fixture(scope="module")
def reader():
    one = Reader()
    yield one
    one.close()


def damaged(raw: bytes, case: int, rng: np.random.Generator) -> bytes:
    """Cut, change the beginning, or change bytes anywhere."""
    if case % 3 == 0:
        return raw[: rng.integers(1, len(raw))]
    whole = np.frombuffer(raw, np.uint8).copy()
    first = min(len(raw), 3000) if case % 3 == 1 else len(raw)
    places = rng.integers(0, first, rng.integers(1, 20 if case % 3 == 1 else 200))
    whole[places] = rng.integers(0, 256, len(places))
    return whole.tobytes()


KINDS = ("hspy", "emd", "mrc", "tif", "npy")


def test_damaged_files_end_in_a_sentence_or_frames(tmp_path, counts, reader, made, real):
    rng = np.random.default_rng(11)
    said = Counter()
    sources = [made.write(tmp_path / f"made.{kind}", counts) for kind in KINDS]
    sources += sorted(path for path in real.iterdir() if path.suffix != ".md")
    for source in sources:
        raw = source.read_bytes()
        for case in range(CASES):
            path = tmp_path / f"damaged{source.suffix}"
            path.write_bytes(damaged(raw, case, rng))
            answer = reader.read(path)
            said[answer.split()[0]] += 1
            if answer == "ended":
                # The shelter turns a crash and an endless loop into sentences too.
                said["ended"] -= 1
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(probe, "PATIENCE_S", 3.0)
                    with pytest.raises(UserError, match=r"could not be read in|ended in a crash"):
                        read_recording(path)
                said["sheltered"] += 1
            assert answer in ("frames", "sentence", "ended"), (
                f"{source.name}, case {case}: {answer}"
            )
    assert sum(said.values()) >= 200
    assert said["sentence"] > 50 and said["frames"] > 20


def test_a_cut_file_is_never_half_read(tmp_path, counts, reader, made):
    """Cut at any place, frames are those that were written, or there is a sentence."""
    for kind in KINDS:
        source = made.write(tmp_path / f"made.{kind}", counts)
        raw = source.read_bytes()
        for share in (0.1, 0.5, 0.9, 0.99):
            path = tmp_path / f"cut.{kind}"
            path.write_bytes(raw[: int(share * len(raw))])
            answer = reader.read(path)
            if answer == "frames":
                np.testing.assert_array_equal(read_recording(path).frames, counts)
            else:
                assert answer == "sentence", f"{kind} at {share}: {answer}"


def test_a_crash_and_an_endless_loop_are_told(tmp_path, counts, monkeypatch, made):
    path = made.write(tmp_path / "a.hspy", counts)
    monkeypatch.setattr(probe, "PATIENCE_S", 2.0)
    for code, message in (("import os; os.abort()", "ended in a crash"),
                          ("import time; time.sleep(60)", "could not be read in 2 s")):  # fmt: skip
        shadow = tmp_path / "shadow"
        (shadow / "rsciio").mkdir(parents=True, exist_ok=True)
        (shadow / "sitecustomize.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(shadow))
        with pytest.raises(UserError, match=message):
            read_recording(path)
