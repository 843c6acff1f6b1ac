"""The lock and what each stage takes of it: pins, digests, conda environments."""

from __future__ import annotations

import functools
import re
from importlib import metadata
from pathlib import Path

from lowdose.provenance import digest
from lowdose.runtime import UserError

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "envs" / "requirements.lock"

# The interpreter that the lock was resolved with; conda environments take the same.
PYTHON = "3.11"

_WAVES = ("abtem", "ase")
_FLOOR_0 = ("numpy", "pydantic", "pyyaml")
_DENOISERS = (
    *("h5py", "numba", "pandas", "pyarrow", "pywavelets", "safetensors", "scikit-image", "scipy"),
    "torch",
)

# Command (module of lowdose.cli) -> environment of envs/.
ENVIRONMENT = {
    "structures": "structures",
    "simulate": "simulate",
    "frames": "frames",
    "dataset": "figures",
    "shifted": "simulate",
    "converge": "simulate",
    "train": "train",
    "tune": "baselines",
    "evaluate": "evaluate",
    "contest": "evaluate",
    "methods": "evaluate",
    "summarise": "evaluate",
    "limits": "evaluate",
    "credibility": "evaluate",
    "risk": "evaluate",
    "verdicts": "evaluate",
    "columns": "evaluate",
    "mechanism": "train",
    "filters": "train",
    "compare": "evaluate",
    "recording": "recording",
    "judge": "recording",
    "film": "simulate",
    "movie": "evaluate",
    "movies": "evaluate",
    "positions": "evaluate",
    "dynamics": "evaluate",
    "adaptation": "adapt",
    "figure": "figures",
}

# What the code of a stage imports; tests/unit/test_environments.py compares it with the source.
DIRECT: dict[str, tuple[str, ...]] = {
    "structures": (*_FLOOR_0, "ase", "pandas", "pyarrow", "scipy", "wulffpack"),
    "simulate": (*_FLOOR_0, *_WAVES, "h5py", "pandas", "pyarrow", "scipy", "torch", "wulffpack"),
    "frames": (*_FLOOR_0, "h5py", "pandas", "pyarrow", "scipy", "torch"),
    "train": (*_FLOOR_0, *_DENOISERS),
    "baselines": (*_FLOOR_0, *_DENOISERS),
    "evaluate": (*_FLOOR_0, *_DENOISERS),
    "recording": (
        *_FLOOR_0,
        *_DENOISERS,
        *("ase", "imagecodecs", "mrcfile", "pillow", "psutil", "rosettasciio", "tifffile"),
    ),
    "adapt": (*_FLOOR_0, *_DENOISERS, *_WAVES, "wulffpack"),
    "figures": (*_FLOOR_0, *_DENOISERS, "matplotlib", "tifffile"),
}

# Of a CUDA build of torch; torch pins them itself, so they are in no lock of ours.
_CUDA = re.compile(r"(nvidia|cuda|triton)\b")

# Markers are read for this machine, so that the generated files are the same wherever they are
# generated.
_TARGET = {
    "python_version": PYTHON,
    "python_full_version": f"{PYTHON}.0",
    "implementation_name": "cpython",
    "implementation_version": f"{PYTHON}.0",
    "platform_python_implementation": "CPython",
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "platform_release": "",
    "platform_version": "",
}


def canonical(name: str) -> str:
    """Return the canonical form of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.cache
def lock(path: Path = LOCK) -> dict[str, str]:
    """Return the pins of the lock: canonical name to exact version.

    Raises
    ------
    UserError
        If the file is missing, or a line is not a comment or ``name==version``.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{path} cannot be read; get a complete copy of the project.") from error
    pins = {}
    for number, line in enumerate(lines, 1):
        if not (text := line.partition("#")[0].strip()):
            continue
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!]+)", text)
        if match is None:
            raise UserError(
                f"{path}, line {number}: {text!r} is not an exact pin; write name==version."
            )
        if canonical(match[1]) in pins:
            raise UserError(f"{path}, line {number}: {match[1]} is pinned twice; keep one line.")
        pins[canonical(match[1])] = match[2]
    return pins


def stage_digest(stage: str) -> str:
    """Return a digest of the pinned versions of the stage's direct dependencies.

    For the parameters of a rule: a new version of a library reruns the stages that use it,
    whether or not Snakemake manages environments; an edited comment reruns nothing.
    """
    pins = lock()
    return digest({name: _pin(pins, name) for name in _direct(stage)})


def stage_pins(stage: str) -> dict[str, str]:
    """Return all distributions that the stage needs, directly or not, with their versions.

    The closure is read from the metadata of the installed environment, offline.

    Raises
    ------
    UserError
        If a distribution is not in the lock, or not installed in the version of the lock.
    """
    from packaging.requirements import Requirement

    pins = lock()
    needed: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(name, "") for name in _direct(stage)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        needed[name] = _pin(pins, name)
        for line in _requirements(name, needed[name]):
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is not None and not marker.evaluate({**_TARGET, "extra": extra}):
                continue
            child = canonical(requirement.name)
            if not _CUDA.match(child):
                waiting += [(child, wanted) for wanted in ("", *requirement.extras)]
    return dict(sorted(needed.items()))


def conda_files() -> dict[str, str]:
    """Return the conda environment of every stage: path from the project's root to text."""
    return {f"envs/{stage}.yaml": conda_yaml(stage) for stage in DIRECT}


def conda_yaml(stage: str) -> str:
    """Return the stage's conda environment as YAML.

    Python comes from conda-forge; everything else is pinned in the pip section, so that the
    versions are those of the lock by construction.
    """
    lines = [
        "# Generated from requirements.lock by `python -m lowdose generate`; do not edit.",
        f"name: lowdose-{stage}",
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        f"  - python={PYTHON}",
        "  - pip",
        "  - pip:",
        *(f"      - {name}=={version}" for name, version in stage_pins(stage).items()),
    ]
    return "\n".join(lines) + "\n"


def _direct(stage: str) -> tuple[str, ...]:
    if stage not in DIRECT:
        raise UserError(f"There is no stage {stage!r}; the stages are {', '.join(DIRECT)}.")
    return DIRECT[stage]


def _pin(pins: dict[str, str], name: str) -> str:
    if name not in pins:
        raise UserError(f"{LOCK} does not pin {name}; add a line {name}==version.")
    return pins[name]


@functools.cache
def _requirements(name: str, version: str) -> tuple[str, ...]:
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise UserError(
            f"{name} is not installed here; run ./study shell and try there."
        ) from error
    # A local label such as +cpu names a build of the same version.
    if found.version.partition("+")[0] != version:
        raise UserError(
            f"{name} is installed in version {found.version} but the lock says {version}; run "
            "./study shell and try there."
        )
    return tuple(found.requires or ())
