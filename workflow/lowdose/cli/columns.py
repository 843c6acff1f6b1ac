"""``lowdose columns``: the likelihood ratio of every detected surface column."""

import argparse
from pathlib import Path

HELP = "weigh every detected surface column of the test frames against vacuum"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--frames", type=Path, default=Path("results/frames"), metavar="FOLDER")
    parser.add_argument("--networks", type=Path, default=Path("results/networks"), metavar="FOLDER")
    parser.add_argument("--baselines", type=Path, default=Path("results/baselines"),
                        metavar="FOLDER")  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("results/columns/likelihood.parquet"))


def run(arguments: argparse.Namespace) -> None:
    from lowdose.cli import log
    from lowdose.data.frames import read_frames
    from lowdose.evaluation.arms import arm
    from lowdose.evaluation.belief import SHARE, column_table
    from lowdose.evaluation.evaluate import Evaluation
    from lowdose.runtime import atomic_path, fix_torch
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "columns")
    test = read_frames(arguments.frames / "test.h5")
    name, dose = spec["denoiser"], spec["dose_e_per_px"]
    denoise = arm(name, arguments.networks, arguments.baselines, test.pixel_size_nm)
    chooser = Evaluation(read_frames(arguments.frames / "validation.h5"), test, spec)
    table = column_table(
        test, denoise, spec, chooser.threshold(denoise, dose),
        chooser.threshold(denoise, SHARE * dose),
    )  # fmt: skip
    with atomic_path(arguments.output) as path:
        table.assign(denoiser=name).to_parquet(path, index=False)
    log(f"{int(table['supported'].sum())} of {len(table)} surface columns of {name} are supported")
