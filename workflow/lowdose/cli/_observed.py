"""Observe a command from outside, and write the records of what it has made.

No stage says what it reads, writes or loads; the process is watched: files by the audit events of
Python, results by their renaming (every result is written beside its place and then moved there,
see ``runtime.atomic_path``), code by what has been imported, random numbers by their names.  So a
record holds what happened, not what somebody has declared, and no stage's code, and with it no
stage's digest, depends on how records are made.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import importlib.abc
import importlib.metadata
import importlib.util
import os
import platform
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lowdose import checkout, machine, records
from lowdose.environments import DIRECT, ENVIRONMENT
from lowdose.provenance import (
    CARRIED_BY_THE_SPEC,
    PACKAGE,
    code_digest,
    modules_of,
    source_digest,
)

# Commands whose outputs get a record, and the environment that each one takes its libraries from.
RECORDED = {**ENVIRONMENT, "search": "figures"}

# Of a folder of results: state of unfinished jobs, logs, and the records themselves.
NOT_DATA = ("work", "logs", records.FOLDER)
MOST_ROOTS = 8


class Observer:
    """Watches this process from its start to the end of one command."""

    def __init__(self, stage: str, argv: list[str]) -> None:
        self.stage = stage
        self.arguments = _without_spec(argv)
        self.started = datetime.datetime.now(datetime.UTC)
        self._clock = time.monotonic()
        self.commit = checkout.commit_of()  # before anybody edits it while the command runs
        self.read: dict[str, tuple[int, int] | None] = {}
        self.written: dict[str, None] = {}
        self.drawn: Counter[tuple[str, int, int]] = Counter()
        self._carried = _lowdose_modules()  # what every command loads to read its specification
        self._watching = True

        def hear(event: str, words: tuple) -> None:  # called some ten thousand times: kept short
            if event == "open" or event == "os.rename":
                self._heard(event, words)

        # An audit hook cannot be taken back: this one goes deaf when the command has ended.
        sys.addaudithook(hear)
        _when_imported("h5py", self._watch_h5py)
        _when_imported("safetensors", self._watch_safetensors)
        _when_imported("pandas", self._watch_pandas)
        _when_imported("lowdose.seeds", self._watch_seeds)

    # ---- what is seen ---------------------------------------------------------------------------

    def _heard(self, event: str, words: tuple) -> None:
        if not self._watching:
            return
        # An error here would be one of the command that is watched.
        with contextlib.suppress(OSError, ValueError):
            if event == "open":
                self._opened(*words)
            else:  # os.replace, too
                self.written[os.path.abspath(os.fsdecode(words[1]))] = None

    def _opened(self, path: Any, mode: str | None, flags: int) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a file descriptor
        name = os.path.abspath(os.fsdecode(path))
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or (mode and set(mode) & set("wax+")):
            self.read.setdefault(name, None)  # its own, even if it is read later on
        elif name not in self.read:
            about = os.stat(name)
            self.read[name] = (about.st_size, about.st_mtime_ns)

    def _says(self, opened: Callable, mode_of: Callable[..., str]) -> Callable:
        """Return `opened`, which opens a file in C, made to say so as Python's own `open` does."""

        @functools.wraps(opened)
        def saying(*words: Any, **options: Any) -> Any:
            path, mode = mode_of(*words, **options)
            if isinstance(path, str | bytes | os.PathLike):
                sys.audit("open", path, mode, 0)
            return opened(*words, **options)

        return saying

    def _watch_h5py(self, h5py: Any) -> None:
        def told(_file: Any, name: Any, mode: str = "r", *_: Any, **__: Any) -> tuple:
            return name, mode.replace("-", "x")

        h5py.File.__init__ = self._says(h5py.File.__init__, told)

    def _watch_safetensors(self, safetensors: Any) -> None:
        def told(filename: Any, *_: Any, **__: Any) -> tuple:
            return filename, "r"

        # safetensors.torch, imported later, takes it from here.
        safetensors.safe_open = self._says(safetensors.safe_open, told)

    def _watch_pandas(self, pandas: Any) -> None:
        def told(path: Any, *_: Any, **__: Any) -> tuple:
            return path, "r"

        pandas.read_parquet = self._says(pandas.read_parquet, told)

    def _watch_seeds(self, seeds: Any) -> None:
        sequence = seeds.sequence

        @functools.wraps(sequence)
        def saying(root: int, *keys: str | int) -> Any:
            self.drawn[str(keys[0]) if keys else "", max(1, len(keys)), int(root)] += 1
            return sequence(root, *keys)

        seeds.sequence = saying

    # ---- what is recorded -----------------------------------------------------------------------

    def write_records(self, arguments: argparse.Namespace) -> list[Path]:
        """Write the record of every output of the command; return the outputs."""
        self._watching = False
        outputs = [path for path in map(Path, self.written) if _is_output(path)]
        if not outputs:
            return []
        spec = getattr(arguments, "resolved_spec", None)
        shared = {
            "stage": self.stage,
            "commit": self.commit,
            "spec": spec,
            "code": self._code(),
            "seeds": records.Seeds(derivation=records.DERIVATION, streams=self._streams()),
            "inputs": self._inputs(arguments, spec),
            "libraries": self._libraries(spec),
            "machine": records.Machine(
                processor=machine.processor_model(),
                threads={"asked": arguments.threads, **machine.threads_in_force()},
                gpu=machine.cuda_device(),
            ),
        }
        once = {
            "job": uuid.uuid4().hex,
            "arguments": self.arguments,
            "host": platform.node(),
            "system": platform.platform(terse=True),
            "cores": machine.usable_cores(),
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self._clock, 3),
            "drawn": self._counts(),
        }
        for output in outputs:
            modified = output.stat().st_mtime_ns
            made = records.File(
                path=records.name_of(output),
                sha256=records.file_digest(output),
                bytes=output.stat().st_size,
            )
            record = records.Record(
                compared=records.Compared(output=made, **shared),
                run=records.Run(modified_ns=modified, **once),
            )
            records.write(output, record)
        return outputs

    def _code(self) -> records.Code:
        command = f"lowdose.cli.{self.stage}"
        known = {*modules_of(command), *CARRIED_BY_THE_SPEC, *self._carried}
        loaded = {name: source_digest(name) for name in sorted(_lowdose_modules() - known)}
        return records.Code(digest=code_digest(command), loaded=loaded)

    def _streams(self) -> list[records.Stream]:
        roots: dict[tuple[str, int], set[int]] = {}
        for name, keys, root in self.drawn:
            roots.setdefault((name, keys), set()).add(root)
        return [
            records.Stream(name=name, keys=keys, roots=sorted(found)[:MOST_ROOTS])
            for (name, keys), found in sorted(roots.items())
        ]

    def _counts(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for (name, _, _), number in self.drawn.items():
            counts[name] += number
        return dict(sorted(counts.items()))

    def _inputs(self, arguments: argparse.Namespace, spec: Mapping | None) -> list[records.File]:
        named = {os.path.abspath(name) for name in _names(vars(arguments), skip=("config", "spec"))}
        named |= {os.path.abspath(name) for name in _names(spec or {})}
        found = []
        for name, seen in self.read.items():
            path = Path(name)
            if seen is None or name in self.written or not _is_data(path, named):
                continue
            if path.is_file():
                about = path.stat()
                file = records.described(path)
                if (about.st_size, about.st_mtime_ns) != seen:
                    file = file.model_copy(update={"sha256": None})
                found.append(file)
        return sorted(found, key=lambda file: (file.path, file.sha256 or ""))

    def _libraries(self, spec: Mapping | None) -> dict[str, str]:
        found = {"python": platform.python_version()}
        for name in DIRECT[RECORDED[self.stage]]:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                found[name] = importlib.metadata.version(name)
        return dict(sorted(found.items()))


def _without_spec(argv: list[str]) -> list[str]:
    """Return the command line with ``...`` for the spec, which has its own place."""
    return ["..." if argv[i - 1 : i] == ["--spec"] else word for i, word in enumerate(argv)]


def _lowdose_modules() -> set[str]:
    return {name for name in sys.modules if name.split(".")[0] == "lowdose"}


def _names(values: Any, skip: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield every path and string in nested containers."""
    if isinstance(values, str | Path):
        if str(values) not in ("", "."):
            yield str(values)
    elif isinstance(values, Mapping):
        for key, value in values.items():
            if key not in skip:
                yield from _names(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _names(value)


def _is_data(path: Path, named: set[str]) -> bool:
    """Say whether a file that was read is an input: a result, a named file, data of the package.

    Everything else that a process opens belongs to its program: modules, libraries, fonts, caches.
    """
    if path.is_relative_to(PACKAGE):
        return path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
    root = records.results_of(path)
    if root.name == records.RESULTS:
        return path.relative_to(root).parts[0] not in NOT_DATA
    return any(name in named for name in (str(path), *map(str, path.parents)))


def _is_output(path: Path) -> bool:
    root = records.results_of(path)
    inside = path.relative_to(root).parts
    return path.is_file() and inside[0] not in NOT_DATA and path.suffix != ".damaged"


class _OnImport(importlib.abc.MetaPathFinder):
    """Calls back when a module has been imported."""

    def __init__(self, name: str, then: Callable[[Any], None]) -> None:
        self.name, self.then = name, then

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def loading(module: Any) -> None:
            load(module)
            self.then(module)

        spec.loader.exec_module = loading
        return spec


def _when_imported(name: str, then: Callable[[Any], None]) -> None:
    """Call `then` with a module now, or once it will have been imported."""
    if name in sys.modules:
        then(sys.modules[name])
    else:
        sys.meta_path.insert(0, _OnImport(name, then))
