"""Which commit of the project this is, and whether its files have been changed since."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

ROOT = Path(__file__).parents[2]
# What a run is made of: a new file here counts as a change, though git does not track it yet.
SOURCES = ("Snakefile", "study", "workflow/", "config/", "envs/")


class Commit(BaseModel):
    """A commit, and whether tracked files (or the sources) differ from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern="^([0-9a-f]{40}|[0-9a-f]{64})$", description="hash of the commit")
    dirty: bool = Field(
        description="whether a tracked file was changed, or a file added to the sources"
    )


def commit_of(root: Path = ROOT) -> Commit | None:
    """Return the commit that a checkout is at; None without git, or where it is no repository.

    Parameters
    ----------
    root : Path
        The project's own folder: a repository that merely contains it says nothing of it.
    """
    if not (root / ".git").exists():
        return None
    words = ("status", "--porcelain=v2", "--branch", "--untracked-files=normal", "-z")
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words],
            # Jobs side by side must not wait for each other's refresh of the index; and what a
            # hook of git's has set would lead elsewhere.
            env={k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
            | {"GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    if done.returncode:
        return None
    found, dirty = None, False
    for entry in done.stdout.split("\0"):
        if entry.startswith("# branch.oid "):
            found = entry.split()[2]
        elif entry[:2] in ("1 ", "2 ", "u "):
            dirty = True
        elif entry.startswith("? "):
            dirty = dirty or entry[2:].startswith(SOURCES)
    if found is None or found == "(initial)":
        return None
    return Commit(id=found, dirty=dirty)
