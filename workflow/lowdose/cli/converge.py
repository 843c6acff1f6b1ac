"""``lowdose converge``: the convergence study of the simulation."""

import argparse
from pathlib import Path

HELP = "measure what grid, slices, coherence, phonons and scattering factors do to the images"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--output", type=Path, default=Path("results/tables"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    from lowdose.cli import log
    from lowdose.imaging.convergence import measure
    from lowdose.imaging.convergence_page import conclusion, page, table
    from lowdose.runtime import fix_torch, write_text
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "converge")
    name, rows = measure(spec, log)
    write_text(arguments.output / "convergence.csv", table(rows))
    write_text(arguments.output / "convergence.md", page(name, rows))
    log(conclusion(rows))
