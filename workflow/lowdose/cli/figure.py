"""``lowdose figure``: one figure of the report, with the numbers that it shows."""

import argparse
from pathlib import Path

HELP = "draw one figure: PNG, SVG and the CSV of its numbers"
# Module lowdose.report.figure_<name>; named here only, not imported, so that editing one figure
# changes the digest of that figure alone.
FIGURES = (
    "images",
    "receptive_field",
    "dose",
    "filters",
    "learning_curves",
    "likelihood",
    "credibility",
    "strata",
    "risk",
    "verdicts",
    "mechanism",
)

# Only where the study has such a sweep; from the tables of ``lowdose compare``.
OF_SWEEPS = ("field", "field_law", "geometry")
# Only where it compares all methods; from ``lowdose contest``.
OF_COMPARISON = ("methods",)
# Only where it has files of an experiment; from ``lowdose recording`` and ``judge``.
OF_EXPERIMENT = ("experiment",)

# Only where it has films with truth; from ``lowdose movies``, ``positions``, ``dynamics`` and
# ``adaptation``.
OF_MOVIES = ("movies", "positions", "dynamics", "adaptation")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.report.paths import FILES
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument(
        "--figure",
        required=True,
        choices=FIGURES + OF_SWEEPS + OF_COMPARISON + OF_EXPERIMENT + OF_MOVIES,
        help="which one",
    )
    for name, default in FILES.items():
        parser.add_argument(f"--{name}", type=Path, default=Path(default), metavar="PATH")
    parser.add_argument("--output", type=Path, default=Path("results/figures"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    import importlib

    from lowdose.cli import log
    from lowdose.report.inputs import Inputs
    from lowdose.report.paths import FILES
    from lowdose.report.style import save, style
    from lowdose.stages import spec_from

    name = arguments.figure
    spec = spec_from(arguments, "figure", figure=name)
    inputs = Inputs(**{key: getattr(arguments, key) for key in FILES})
    module = importlib.import_module(f"lowdose.report.figure_{name}")
    with style():
        figure, table = module.draw(inputs, spec)
        save(figure, table, arguments.output, name)
    log(f"{name}: {len(table)} rows behind {arguments.output / f'{name}.png'}")
