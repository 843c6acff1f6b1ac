"""``lowdose structures``: build the model library."""

import argparse
from pathlib import Path

HELP = "build the atomic models, check them, and write the library with its true columns"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--output", type=Path, default=Path("results/structures"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    from lowdose.cli import log
    from lowdose.stages import spec_from
    from lowdose.structures.library import write_library

    spec = spec_from(arguments, "structures")
    count = write_library(spec["structures"], spec["seed"], arguments.output)
    log(f"{count} models pass the geometric checks: {arguments.output}")
