"""``lowdose outdated``: which pins of the lock have a newer release."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import NamedTuple

from lowdose.runtime import UserError

HELP = "list the pins of envs/requirements.lock that have a newer release"
# Of one connection; pip's own five tries of a host that is not there take a quarter of a minute.
ONE_TRY = ("--retries", "1", "--timeout", "15")


class Pin(NamedTuple):
    """A pin that is behind.

    Attributes
    ----------
    name, locked, latest : str
        Canonical name of the distribution, its version in the lock, the newest release that
        this Python can install.
    direct : bool
        Whether pyproject.toml asks for it; else something else does.
    """

    name: str
    locked: str
    latest: str
    direct: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--exit-code",
        action="store_true",
        help="exit with 1 if a direct dependency has a newer release, for a scheduled job",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print a Markdown table of the pins that are behind."""
    from lowdose import environments

    pins = environments.lock()
    found = behind(pins, direct_dependencies(), newest(pins))
    print(table(found, len(pins)))
    return int(arguments.exit_code and any(pin.direct for pin in found))


def direct_dependencies() -> set[str]:
    """Return the canonical names of what pyproject.toml asks for, the tests' tools included.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    import re
    import tomllib

    from lowdose.environments import ROOT, canonical

    path = ROOT / "pyproject.toml"
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path} cannot be read; get a complete copy of the project.") from error
    lines = project["dependencies"] + project["optional-dependencies"]["test"]
    return {canonical(re.match(r"[A-Za-z0-9._-]+", line)[0]) for line in lines}


def newest(pins: dict[str, str]) -> dict[str, str]:
    """Return, by canonical name, the newest release of what is installed.

    Asked is the pip of this environment, and so whatever index it is configured for.

    Raises
    ------
    UserError
        If the index does not answer.
    """
    from lowdose.environments import canonical

    # `pip list` says "nothing is outdated" where it reaches no index, and exits with 0.  So pip is
    # asked for the versions of one distribution, which fails there: before, not to wait in vain,
    # and after, lest the connection was lost in between.
    probe = ("index", "versions", next(iter(pins)), *ONE_TRY)
    _pip(*probe)
    rows = json.loads(_pip("list", "--outdated", "--format", "json"))
    _pip(*probe)
    # What is installed in its newest release is no row, and may be newer than the lock.
    return _installed(pins) | {canonical(row["name"]): row["latest_version"] for row in rows}


def _installed(pins: dict[str, str]) -> dict[str, str]:
    """Return the installed versions of pins, without what a build adds to them (``+cpu``)."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.version import InvalidVersion, Version

    found = {}
    for name in pins:
        try:
            found[name] = Version(version(name)).public
        except (PackageNotFoundError, InvalidVersion, TypeError):
            continue  # nothing can be said of it
    return found


def behind(pins: dict[str, str], direct: set[str], latest: dict[str, str]) -> list[Pin]:
    """Return the pins that are older than the newest release, direct dependencies first.

    Compared is the lock, not what is installed.
    """
    from packaging.version import Version

    found = [
        Pin(name, locked, latest[name], name in direct)
        for name, locked in pins.items()
        if name in latest and Version(latest[name]) > Version(locked)
    ]
    return sorted(found, key=lambda pin: (not pin.direct, pin.name))


def table(found: list[Pin], number: int) -> str:
    """Return what was found as Markdown; `number` is that of all pins."""
    if not found:
        return f"All {number} pins of envs/requirements.lock are the newest release."
    direct = sum(pin.direct for pin in found)
    lines = [
        f"{len(found)} of the {number} pins of envs/requirements.lock have a newer release, "
        f"{direct} of them direct dependencies; docs/upgrade.md says how to move.",
        "",
        "| distribution | lock | newest | asked for by |",
        "|---|---|---|---|",
    ]
    for pin in found:
        by = "pyproject.toml" if pin.direct else "another one"
        lines.append(f"| {pin.name} | {pin.locked} | {pin.latest} | {by} |")
    return "\n".join(lines)


def _pip(*words: str) -> str:
    """Return what pip prints.

    Raises
    ------
    UserError
        If pip ends with an error.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
    reason = (errors or done.stderr.splitlines() or ["no reason given"])[-1]
    raise UserError(
        "pip learned of no releases from its package index "
        f"({reason.removeprefix('ERROR:').strip().rstrip('.')}); connect this machine, or "
        "configure pip for an index that it reaches, and run again."
    )
