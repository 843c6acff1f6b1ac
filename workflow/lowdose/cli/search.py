"""``lowdose search``: the table of the networks that were tried."""

import argparse
from pathlib import Path

HELP = "tabulate trained networks: what differs, size, field, speed, quality (see search.yaml)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    parser.add_argument(
        "folders", type=Path, nargs="*", metavar="FOLDER",
        help="of trained networks, instead of those of a study (below); the others are compared "
        "with the first",
    )  # fmt: skip
    add_spec_arguments(parser)
    parser.add_argument("--networks", type=Path, default=Path("results/networks"), metavar="FOLDER",
                        help="where those of a study are")  # fmt: skip
    parser.add_argument(
        "--frames", type=Path, default=Path("results/frames/validation.h5"), metavar="FILE",
        help="the frames that the trainings were validated on",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("results/tables"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    from lowdose.cli import log
    from lowdose.data.frames import read_frames
    from lowdose.evaluation.arms import network_folder
    from lowdose.report.search_table import constant_psnr_db, page, search_table
    from lowdose.runtime import UserError, atomic_path, write_text
    from lowdose.stages import spec_from

    folders = arguments.folders
    if folders and (arguments.spec or arguments.config):
        raise UserError("Folders are given, and a study by --spec or --config; give one of them.")
    if not folders:
        names = spec_from(arguments, "search").get("networks")
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names) or not names:
            raise UserError("The study has no networks to compare; name folders, or another study.")
        folders = [network_folder(arguments.networks, name) for name in names]
    clean = read_frames(arguments.frames).clean
    constant = constant_psnr_db(clean)
    table = search_table(folders, constant)
    with atomic_path(arguments.output / "search.csv") as path:
        table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    write_text(arguments.output / "search.md", page(table, constant, len(clean)))
    best = table.iloc[0]
    log(f"{len(table)} networks, best {best['network']} with {best['psnr_db']:.2f} dB: "
        f"{arguments.output / 'search.md'}")  # fmt: skip
