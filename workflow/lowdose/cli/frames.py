"""``lowdose frames``: contrast classes, splits, frozen evaluation frames."""

import argparse
from pathlib import Path

HELP = "classify all images by contrast, split by base shape, freeze the evaluation frames"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--structures", type=Path, default=Path("results/structures"))
    parser.add_argument("--waves", type=Path, nargs="+", required=True, metavar="SHARD")
    parser.add_argument("--output", type=Path, default=Path("results/frames"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    from lowdose.cli import log
    from lowdose.data.freeze import freeze
    from lowdose.runtime import fix_torch
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "frames")
    freeze(spec, arguments.structures, arguments.waves, arguments.output, log)
