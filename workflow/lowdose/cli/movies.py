"""``lowdose movies``: the table of all ways to denoise a movie."""

import argparse
from pathlib import Path

HELP = "compare all methods on films: PSNR, surface, shortest event that is seen, seconds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--movies", type=Path, default=Path("results/movies"), metavar="FOLDER")
    parser.add_argument("--tables", type=Path, default=Path("results/tables"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from lowdose.cli import log
    from lowdose.data.movies import read_movie
    from lowdose.evaluation.movies import IDEAL, ideal_events, table_of
    from lowdose.runtime import atomic_path
    from lowdose.stages import spec_from

    spec = spec_from(arguments, "movies")

    def every(kind: str) -> pd.DataFrame:
        files = [arguments.movies / name / f"{kind}.parquet" for name in spec["methods"]]
        return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)

    ideal = [
        ideal_events(film, read_movie(arguments.movies / f"{film}.h5"), dose, spec)
        for film in spec["films"]
        for dose in spec["doses_e_per_px"]
    ]
    known = pd.concat(ideal, ignore_index=True).assign(method=IDEAL)
    events = pd.concat([known, every("events")], ignore_index=True)
    table = table_of(every("frames"), events, sorted(events["length"].unique().tolist()))
    for name, one in (("movies", table), ("movie_events", events), ("movie_risk", every("risk"))):
        with atomic_path(arguments.tables / f"{name}.csv") as path:
            one.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    log(f"{len(table)} rows for {len(spec['methods'])} methods")
