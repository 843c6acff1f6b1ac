"""``lowdose risk``: the error of denoisers from counts alone, beside the true one."""

import argparse
from pathlib import Path

HELP = "estimate the error of denoisers without the truth, and compare it with the true one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--frames", type=Path, default=Path("results/frames/test.h5"))
    parser.add_argument("--networks", type=Path, default=Path("results/networks"), metavar="FOLDER")
    parser.add_argument("--baselines", type=Path, default=Path("results/baselines"),
                        metavar="FOLDER")  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("results/tables/risk.csv"))


def run(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from lowdose.cli import log
    from lowdose.data.frames import read_frames
    from lowdose.evaluation.arms import arm
    from lowdose.evaluation.risk import risk_table
    from lowdose.runtime import atomic_path, fix_torch
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "risk")
    frames = read_frames(arguments.frames)
    tables = []
    for name in spec["denoisers"]:
        denoise = arm(name, arguments.networks, arguments.baselines, frames.pixel_size_nm)
        table = risk_table(frames, denoise, spec)
        tables.append(table.assign(denoiser=name))
        true = table["true_gain"]
        inside = (table["gain_low"] <= true) & (true <= table["gain_high"])
        log(f"{name}: the true gain is within the interval in {inside.sum()} of {len(table)}")
    with atomic_path(arguments.output) as path:
        pd.concat(tables, ignore_index=True).to_csv(
            path, index=False, float_format="%.6g", lineterminator="\n"
        )
