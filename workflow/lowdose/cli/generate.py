"""Write every generated file: conda environments, schemas, the configuration's page."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable

from lowdose.runtime import UserError, write_text

HELP = "write the generated files (conda environments, schemas, configuration page)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where a file is out of date"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write what has changed, or with ``--check`` refuse if something has."""
    from lowdose.environments import ROOT

    drifted = []
    for generator in generators():
        for name, text in generator().items():
            path = ROOT / name
            old = path.read_text(encoding="utf-8") if path.is_file() else ""
            if old == text:
                continue
            drifted.append(name)
            if arguments.check:
                both = (old.splitlines(True), text.splitlines(True))
                sys.stderr.writelines(difflib.unified_diff(*both, name, f"{name} (generated)"))
            else:
                write_text(path, text)
                print(f"wrote {name}")
    if arguments.check and drifted:
        raise UserError(
            f"{', '.join(drifted)} {'is' if len(drifted) == 1 else 'are'} out of date; run "
            "python -m lowdose generate and commit the result."
        )
    return 0


def generators() -> list[Callable[[], dict[str, str]]]:
    """Return the functions that generate files: path from the project's root to text."""
    from lowdose import config_docs, environments, manifest, records

    return [
        environments.conda_files,
        config_docs.generated_files,
        records.generated_files,
        manifest.generated_files,
    ]
