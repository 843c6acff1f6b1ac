"""``lowdose verdicts``: do the verdicts on columns keep what they promise?"""

import argparse
from pathlib import Path

HELP = "count false discoveries and power of the column verdicts on many frames"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--frames", type=Path, default=Path("results/frames"), metavar="FOLDER")
    parser.add_argument("--networks", type=Path, default=Path("results/networks"), metavar="FOLDER")
    parser.add_argument("--baselines", type=Path, default=Path("results/baselines"),
                        metavar="FOLDER")  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("results/columns/verdicts.parquet"))
    parser.add_argument("--table", type=Path, default=Path("results/tables/verdicts.csv"))


def run(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from lowdose import seeds
    from lowdose.cli import log
    from lowdose.data.frames import read_frames
    from lowdose.evaluation.arms import arm
    from lowdose.evaluation.belief import SHARE
    from lowdose.evaluation.evaluate import Evaluation
    from lowdose.evaluation.verdicts import Verdicts, achieved, counted, schedule
    from lowdose.runtime import atomic_path, fix_torch
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "verdicts")
    test = read_frames(arguments.frames / "test.h5")
    chooser = Evaluation(read_frames(arguments.frames / "validation.h5"), test, spec)
    dose, settings = spec["dose_e_per_px"], spec["evaluation"]
    every, tables = [], []
    for name in spec["denoisers"]:
        denoise = arm(name, arguments.networks, arguments.baselines, test.pixel_size_nm)
        verdicts = Verdicts(
            test, denoise, spec, chooser.threshold(denoise, dose),
            chooser.threshold(denoise, SHARE * dose),
        )  # fmt: skip
        frames = []
        for k, (number, realisation) in enumerate(schedule(test, settings["verdict_frames"])):
            draws = settings["null_draws"] if k < settings["null_frames"] else 0
            frames.append(verdicts.table(number, realisation, draws))
            if (k + 1) % 50 == 0 or (draws and (k + 1) % 5 == 0):
                log(f"{name}: {k + 1} of {settings['verdict_frames']} frames")
        own = pd.concat(frames, ignore_index=True)
        every.append(own.assign(denoiser=name))
        table = achieved(
            counted(own), settings["bootstrap_draws"], lambda: seeds.rng(spec["seed"], "verdicts")
        )
        table.insert(0, "denoiser", name)
        tables.append(table)
    with atomic_path(arguments.output) as path:
        pd.concat(every, ignore_index=True).to_parquet(path, index=False)
    with atomic_path(arguments.table) as path:
        pd.concat(tables, ignore_index=True).to_csv(
            path, index=False, float_format="%.6g", lineterminator="\n"
        )
