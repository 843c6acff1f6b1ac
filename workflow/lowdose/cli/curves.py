"""``lowdose curves``: learning curves of trained networks as one page."""

import argparse
from pathlib import Path

HELP = "draw the learning curves of trained networks as one self-contained HTML page"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folders", type=Path, nargs="+", metavar="FOLDER", help="of a trained network"
    )
    parser.add_argument("--output", type=Path, default=Path("curves.html"), metavar="FILE")


def run(arguments: argparse.Namespace) -> None:
    from lowdose.report.learning_curve_page import page, read
    from lowdose.runtime import write_text

    write_text(arguments.output, page(read(arguments.folders)))
