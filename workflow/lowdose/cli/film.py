"""``lowdose film``: a simulated movie of a changing surface, with its truth."""

import argparse
from pathlib import Path

HELP = "simulate a film of a changing surface, with its truth"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--film", default="", metavar="NAME", help="which (with --config)")
    parser.add_argument("--output", type=Path, default=Path("results/movies"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    from lowdose.cli import log
    from lowdose.data.movies import write_movie
    from lowdose.data.simulated_movies import simulate_movie
    from lowdose.runtime import fix_torch
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "film", film=arguments.film)
    movie = simulate_movie(spec, spec["movie"], spec["seed"])
    digest = write_movie(arguments.output / f"{spec['film']}.h5", movie)
    frames, height, width = movie.clean.shape
    log(f"{spec['film']}: {frames} frames of {height} x {width}, digest {digest[:12]}")
