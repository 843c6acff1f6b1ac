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
    from lowdose.evaluation.contrasts import contrasts
    from lowdose.evaluation.credibility import credibility_table, decisions, localisation
    from lowdose.evaluation.equal_doses import doses_needed
    from lowdose.runtime import atomic_path
    from lowdose.stages import spec_from

    spec = spec_from(arguments, "credibility")
    limits = pd.read_parquet(arguments.limits / "limits.parquet")
    tables = [pd.read_parquet(arguments.limits / "sites.parquet")]
    for name in spec["denoisers"]:
        tables.append(pd.read_parquet(arguments.evaluation / name / "sites.parquet"))
    sites = pd.concat(tables, ignore_index=True)
    rows = decisions(sites, spec["denoisers"], spec["pooled"])
    over_all = credibility_table(rows, limits, spec).assign(kind="all")
    by_kind = credibility_table(rows, limits, spec, ("kind",))
    needed = doses_needed(rows, spec)
    written = {
        "credibility": pd.concat([over_all, by_kind], ignore_index=True),
        "doses_needed": needed,
        "localisation": localisation(sites, limits, spec),
        "contrasts": contrasts(rows, spec),
    }
    for name, one in written.items():
        with atomic_path(arguments.output / f"{name}.csv") as path:
            one.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    for row in needed.itertuples():
        log(f"{row.denoiser}: 95 % right from {row.dose_e_per_px:.3g} e/px on")
