"""``lowdose credibility``: denoisers at the columns at stake, beside the ideal observer."""

import argparse
from pathlib import Path

HELP = "say how often each denoiser is right about a column at stake, and at what dose"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--evaluation", type=Path, default=Path("results/evaluation"),
                        metavar="FOLDER")  # fmt: skip
    parser.add_argument("--limits", type=Path, default=Path("results/limits"), metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=Path("results/tables"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from lowdose.cli import log
    from lowdose.evaluation.credibility import credibility_table, doses_needed, localisation
    from lowdose.runtime import atomic_path
    from lowdose.stages import spec_from

    spec = spec_from(arguments, "credibility")
    limits = pd.read_parquet(arguments.limits / "limits.parquet")
    sites = pd.concat(
        [
            pd.read_parquet(arguments.limits / "sites.parquet"),
            *(
                pd.read_parquet(arguments.evaluation / name / "sites.parquet")
                for name in spec["denoisers"]
            ),
        ],
        ignore_index=True,
    )
    tables = [credibility_table(sites, limits, spec).assign(kind="all")]
    tables.append(credibility_table(sites, limits, spec, ("kind",)))
    table = pd.concat(tables, ignore_index=True)
    needed = doses_needed(sites, spec)
    written = {"credibility": table, "doses_needed": needed}
    written["localisation"] = localisation(sites, limits, spec)
    for name, one in written.items():
        with atomic_path(arguments.output / f"{name}.csv") as path:
            one.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    for row in needed.itertuples():
        log(f"{row.denoiser}: 95 % right from {row.dose_e_per_px:.3g} e/px on")
