"""``lowdose summarise``: the table of results with its intervals."""

import argparse
from pathlib import Path

HELP = "write the table of results, paired comparisons, the index of trainings, the headline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--evaluation", type=Path, default=Path("results/evaluation"),
                        metavar="FOLDER")  # fmt: skip
    parser.add_argument("--networks", type=Path, default=Path("results/networks"), metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=Path("results/tables"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    import json

    import pandas as pd

    from lowdose.cli import log
    from lowdose.evaluation.described import described, index_of
    from lowdose.evaluation.strata import strata_table
    from lowdose.evaluation.summary import comparisons, headline, results_table
    from lowdose.report.table import results_html
    from lowdose.runtime import atomic_path, write_text
    from lowdose.stages import spec_from

    spec = spec_from(arguments, "summarise")
    frames = pd.concat(
        [
            pd.read_parquet(arguments.evaluation / name / "frames.parquet")
            for name in spec["denoisers"]
        ],
        ignore_index=True,
    )
    draws = spec["evaluation"]["bootstrap_draws"]
    table = results_table(frames, spec["denoisers"], draws, spec["seed"])
    table = described(spec, arguments.networks).merge(table, on="denoiser", validate="one_to_many")
    others = [name for name in spec["denoisers"] if name not in (spec["widest"], "clean")]
    compared = comparisons(
        frames, spec["widest"], others, spec["reference_dose_e_per_px"], draws, spec["seed"]
    )
    strata = [
        strata_table(
            frames[frames["denoiser"] == name],
            pd.read_parquet(arguments.evaluation / name / "columns.parquet"),
            spec,
        ).assign(denoiser=name)
        for name in spec["denoisers"]
    ]
    tables = {"results": table, "comparisons": compared, "strata": pd.concat(strata)}
    for name, one in tables.items():
        with atomic_path(arguments.output / f"{name}.csv") as path:
            one.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    with atomic_path(arguments.output / "index.csv") as path:
        index_of(spec["trainings"], arguments.networks).to_csv(
            path, index=False, lineterminator="\n"
        )
    write_text(arguments.output / "results.html", results_html(table))
    lines = headline(table, spec)
    write_text(
        arguments.output / "headline.json",
        json.dumps({"study": spec["study"], "lines": lines}, indent=2) + "\n",
    )
    for line in lines:
        log(line)
