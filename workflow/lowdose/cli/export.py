"""``lowdose export``: a trained network for other programs."""

import argparse
from pathlib import Path

HELP = "write a trained network as ONNX and compare it with the original"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="of a trained network, or a shipped one's name"
    )
    parser.add_argument("output", type=Path, metavar="OUT.onnx", help="the file to write")


def run(arguments: argparse.Namespace) -> None:
    from lowdose.cli import log
    from lowdose.denoisers import released
    from lowdose.denoisers.exchange import SIZES, export
    from lowdose.runtime import fix_torch

    fix_torch(arguments.threads)
    folder = arguments.folder
    if not folder.exists() and str(folder) in released.names():
        folder = released.folder(str(folder))
    difference = export(folder, arguments.output)
    log(
        f"{arguments.output}: at most {difference:.1g} of the vacuum from the original at "
        f"{len(SIZES)} sizes"
    )
