"""``lowdose methods``: the tables in which all methods are compared."""

import argparse
from pathlib import Path

HELP = "write the tables in which all methods are compared, and the paper's own rows beside them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--comparison", type=Path, default=Path("results/comparison"),
                        metavar="FOLDER")  # fmt: skip
    parser.add_argument("--networks", type=Path, default=Path("results/networks"), metavar="FOLDER")
    parser.add_argument("--baselines", type=Path, default=Path("results/baselines"),
                        metavar="FOLDER")  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("results/tables"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    from lowdose.cli import log
    from lowdose.evaluation.methods import beside_the_paper, methods_table
    from lowdose.report.methods_page import methods_html
    from lowdose.runtime import atomic_path, write_text
    from lowdose.stages import spec_from

    spec = spec_from(arguments, "methods")
    table = methods_table(spec, arguments.comparison, arguments.networks, arguments.baselines)
    paper = beside_the_paper(table, spec["reference_dose_e_per_px"])
    for name, one in (("methods", table), ("methods_paper", paper)):
        with atomic_path(arguments.output / f"{name}.csv") as path:
            one.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    write_text(arguments.output / "methods.html", methods_html(table, paper, spec))
    rivals = table[(table["kind"] == "baseline") & (table["tuned_for"] == "psnr")]
    rivals = rivals[rivals["dose_e_per_px"] == spec["reference_dose_e_per_px"]]
    best = rivals.loc[rivals["psnr_db"].idxmax()]
    log(f"{len(rivals)} methods; best of them {best['title']}, {best['psnr_db']:.2f} dB")
    for name, sentence in spec["not_run"].items():
        log(f"{name} was not run: {sentence}")
