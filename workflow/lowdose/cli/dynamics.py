"""``lowdose dynamics``: order, switching and strain of a surface, from a film with truth."""

import argparse
from pathlib import Path

HELP = "recover the order, the rates of switching and the strain of a surface from a film"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--movies", type=Path, default=Path("results/movies"), metavar="FOLDER")
    parser.add_argument("--tables", type=Path, default=Path("results/tables"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    from lowdose.cli import log
    from lowdose.data.movies import read_movie
    from lowdose.evaluation.dynamics import rates, strain, trace
    from lowdose.runtime import atomic_path
    from lowdose.stages import spec_from

    spec = spec_from(arguments, "dynamics")
    movie = read_movie(arguments.movies / "switching.h5")
    tables = {
        "dynamics_trace": trace(movie, spec),
        "strain": strain(movie, spec),
        "dynamics": rates(movie, spec, log),
    }
    for name, table in tables.items():
        with atomic_path(arguments.tables / f"{name}.csv") as path:
            table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    known = tables["dynamics"]["inside"].dropna()
    log(f"the true rate is within the interval in {int(known.sum())} of {len(known)} recoveries")
