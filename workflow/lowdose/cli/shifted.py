"""``lowdose shifted``: the frozen frames that leave the training set."""

import argparse
from pathlib import Path

HELP = "simulate and freeze the shifted set: the stand-in for experiment"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--structures", type=Path, default=Path("results/structures"))
    parser.add_argument("--classes", type=Path, default=Path("results/frames/classes.parquet"),
                        help="says which shapes are of the test set")  # fmt: skip
    parser.add_argument("--second-code", type=Path, default=Path("tests/second_code.py"),
                        metavar="FILE", help="an independent multislice, as Python")  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("results/frames/shifted.h5"))
    parser.add_argument("--table", type=Path, default=Path("results/tables/shifted.csv"))


def run(arguments: argparse.Namespace) -> None:
    from lowdose.cli import log
    from lowdose.data.shifted import write_shifted
    from lowdose.runtime import atomic_path, fix_torch
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "shifted")
    table = write_shifted(
        spec, arguments.structures, arguments.classes, arguments.second_code, arguments.output, log
    )
    with atomic_path(arguments.table) as path:
        table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
