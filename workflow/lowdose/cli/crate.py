"""``lowdose crate``: the results as an RO-Crate, for an archive."""

import argparse
from pathlib import Path

HELP = "pack the results, and how each one was made, as an RO-Crate (a folder or a .zip)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", nargs="?", type=Path, default=Path("lowdose-crate.zip"),
                        help="folder or file that ends in .zip (default: %(default)s)")  # fmt: skip
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER")
    parser.add_argument("--with-data", action="store_true",
                        help="put in waves, frames and weights, else their digests")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    from lowdose.crate import pack

    left_out = pack(arguments.results, arguments.target, with_data=arguments.with_data)
    print(arguments.target)
    if left_out:
        print(f"left out, since no record explains them: {', '.join(left_out)}")
