"""A reference: the extract of a study's results that is published with the project."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from lowdose.provenance import file_digest
from lowdose.runtime import UserError, atomic_path, write_text
from lowdose.verification.rules import KEYS

INDEX = "reference.json"


def write_reference(
    folder: str | Path, extract: Mapping[str, pd.DataFrame], about: Mapping[str, object]
) -> None:
    """Write an extract as a reference.

    Parameters
    ----------
    folder : path
        Gets one Parquet file a kind, and ``reference.json`` with what is in them.
    extract : mapping of str to DataFrame
        See :func:`lowdose.verification.extract.extract`.
    about : mapping
        How the results were made: study, commit, machine, versions; JSON-safe.
    """
    folder = Path(folder)
    earlier, kinds = _files_of(folder), {}
    for kind, table in extract.items():
        path = folder / f"{kind.replace('/', '.')}.parquet"
        with atomic_path(path) as temporary:
            table.to_parquet(temporary, index=False, compression="zstd")
        kinds[kind] = {"file": path.name, "rows": len(table), "sha256": file_digest(path)}
    text = json.dumps({"about": dict(about), "kinds": kinds}, indent=1, sort_keys=True)
    write_text(folder / INDEX, text + "\n")
    for name in earlier - {kind["file"] for kind in kinds.values()}:
        (folder / name).unlink(missing_ok=True)


def _files_of(folder: Path) -> set[str]:
    """Return the tables of the reference in a folder: other files there are not ours."""
    try:
        kinds = json.loads((folder / INDEX).read_text(encoding="utf-8"))["kinds"]
        return {Path(entry["file"]).name for entry in kinds.values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def read_reference(folder: str | Path) -> tuple[dict[str, pd.DataFrame], dict]:
    """Read a reference; return its extract, and what it says about itself.

    Raises
    ------
    UserError
        If there is none, one of its files is missing or was changed, or another version of the
        project has made it.
    """
    folder = Path(folder)
    about, kinds = _index(folder)
    extract = {}
    for kind, (name, digest) in kinds.items():
        path = folder / name
        if not path.is_file() or file_digest(path) != digest:
            raise UserError(
                f"{path} is missing or was changed since it was published; get the project's copy "
                "of it."
            )
        try:
            table = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path} is no table ({type(error).__name__}); get the project's copy of it."
            ) from error
        # Passed over in silence, it would seem to agree.
        if not set(KEYS.get(kind, ("",))) <= set(table):
            raise UserError(
                f"{path} is of another version of the project ({kind}); take the one that has made "
                "it, or make the reference again."
            )
        extract[kind] = table
    return extract, about


def read_about(folder: str | Path) -> dict:
    """Return what a reference says about itself; UserError as :func:`read_reference`."""
    return _index(Path(folder))[0]


def _index(folder: Path) -> tuple[dict, dict[str, tuple[str, str]]]:
    """Return what a reference says about itself, and the file and digest of each kind."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        about = dict(index["about"])
        kinds = {kind: (entry["file"], entry["sha256"]) for kind, entry in index["kinds"].items()}
    except OSError as error:
        raise UserError(
            f"{folder} holds no reference ({INDEX}); results/reference/ lists those that are "
            "published, and lowdose verify RESULTS --publish FOLDER makes one."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / INDEX} is damaged; get the project's copy of it.") from error
    return about, kinds
