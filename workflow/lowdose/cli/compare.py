"""``lowdose compare``: one table that compares the trainings of a sweep."""

import argparse
from pathlib import Path

HELP = "write one table of a sweep: of fields, of pixels and fields, or of training geometries"
# Table -> module of lowdose.evaluation and its function; named, not imported, so that each table
# depends on its own code.
TABLES = {
    "field": ("field_sweep", "table"),
    "field_law": ("field_sweep", "table"),
    "field_law_fit": ("field_law", "fits"),
    "geometry": ("geometry", "table"),
    "geometry_paper": ("geometry_paper", "table"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--table", required=True, choices=TABLES, help="which one")
    parser.add_argument("--evaluation", type=Path, default=Path("results/evaluation"),
                        metavar="FOLDER")  # fmt: skip
    parser.add_argument("--networks", type=Path, default=Path("results/networks"), metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=Path("results/tables"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    import importlib

    from lowdose.cli import log
    from lowdose.runtime import UserError, atomic_path
    from lowdose.stages import spec_from

    name = arguments.table
    spec = spec_from(arguments, "compare", table=name)
    if not spec["trainings"]:
        raise UserError(
            f"The configuration has no sweep for the table {name!r}; config/field.yaml and "
            "config/geometry.yaml have."
        )
    for one in spec["trainings"]:
        path = arguments.evaluation / one["denoiser"] / "frames.parquet"
        if not path.is_file():
            raise UserError(f"{path} does not exist; run the stage `evaluate` first.")
    module, function = TABLES[name]
    made = getattr(importlib.import_module(f"lowdose.evaluation.{module}"), function)(
        spec, arguments.evaluation, arguments.networks
    )
    output = arguments.output / f"{name}.csv"
    with atomic_path(output) as path:
        made.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    log(f"{len(made)} rows: {output}")
