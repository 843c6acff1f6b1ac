"""Digests: what a result depends on, in a form that a workflow can compare."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from pathlib import Path

PACKAGE = Path(__file__).parent

# A stage depends on the configuration through its resolved spec, which is a parameter of its
# rule already; were these files part of the digest, a new key for a figure would retrain
# every network.
CARRIED_BY_THE_SPEC = frozenset(
    {
        "lowdose",
        "lowdose.cli",
        "lowdose.config",
        "lowdose.config_errors",
        "lowdose.config_networks",
        "lowdose.config_world",
        "lowdose.environments",
        "lowdose.provenance",
        "lowdose.stages",
    }
)


def canonical_json(value: object) -> str:
    """Serialise `value` with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: object, length: int = 12) -> str:
    """Return the first `length` hexadecimal digits of the SHA-256 of `value`'s canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def modules_of(module: str) -> dict[str, Path]:
    """Return every module of this package that `module` imports, directly or not.

    The imports are read from the source (also those inside functions), so nothing is run.

    Parameters
    ----------
    module : str
        Dotted name, e.g. ``"lowdose.cli.simulate"``.

    Returns
    -------
    dict of str to Path
        Dotted name to file, `module` included, sorted by name.
    """
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or (path := _path_of(name)) is None:
            continue
        found[name] = path
        if name in CARRIED_BY_THE_SPEC and name != module:
            continue
        waiting.extend(_imports_of(path))
        # Importing a module runs the __init__ of each package above it.
        waiting.extend(name[:i] for i, letter in enumerate(name) if letter == ".")
    return dict(sorted(found.items()))


@functools.cache
def code_digest(module: str) -> str:
    """Return a digest of the source of `module` and of all that it imports from this package.

    Only contents count: touching a file, moving the project or checking it out again changes
    nothing; editing a module changes the digest of exactly those stages that import it.
    """
    total = hashlib.sha256()
    for name, path in modules_of(module).items():
        if name not in CARRIED_BY_THE_SPEC:
            total.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:12]


def source_digest(module: str) -> str:
    """Return a digest of the source of one module of this package, without what it imports."""
    if (path := _path_of(module)) is None:
        raise ValueError(f"{module} is no module of this package")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _path_of(name: str) -> Path | None:
    parts = name.split(".")
    if parts[0] != "lowdose":
        return None
    base = PACKAGE.joinpath(*parts[1:])
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@functools.cache
def _imports_of(path: Path) -> tuple[str, ...]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            # "from lowdose.imaging import optics" names a module or a name in a package.
            names += [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(name for name in names if name.split(".")[0] == "lowdose")
