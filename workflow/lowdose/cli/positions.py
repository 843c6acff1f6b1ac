"""``lowdose positions``: how precisely columns of films are located, and their atoms counted."""

import argparse
from pathlib import Path

HELP = "locate columns in simulated films, count their atoms, and compare both with the truth"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--movies", type=Path, default=Path("results/movies"), metavar="FOLDER")
    parser.add_argument("--tables", type=Path, default=Path("results/tables"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    from lowdose.cli import log
    from lowdose.data.movies import read_movie
    from lowdose.evaluation.counted_atoms import counted
    from lowdose.evaluation.positions import positions
    from lowdose.runtime import atomic_path, fix_torch
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "positions")
    films = {name: read_movie(arguments.movies / f"{name}.h5") for name in spec["films"]}
    located = positions(films, spec, log)
    atoms = counted(films, spec)
    log(f"atoms counted in {len(films)} films")
    for name, table in (("positions", located), ("atom_counts", atoms)):
        with atomic_path(arguments.tables / f"{name}.csv") as path:
            table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
