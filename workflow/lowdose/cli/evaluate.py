"""``lowdose evaluate``: denoisers on the frozen test frames."""

import argparse
from pathlib import Path

HELP = "evaluate denoisers on the frozen test frames: image metrics, columns, surface, vacancies"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--denoisers", nargs="+", default=[], help="names (with --config)")
    parser.add_argument("--frames", type=Path, default=Path("results/frames"), metavar="FOLDER")
    parser.add_argument("--networks", type=Path, default=Path("results/networks"), metavar="FOLDER")
    parser.add_argument("--baselines", type=Path, default=Path("results/baselines"),
                        metavar="FOLDER")  # fmt: skip
    parser.add_argument("--pairs", type=Path, default=Path("results/structures/pairs.csv"))
    parser.add_argument("--output", type=Path, default=Path("results/evaluation"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from lowdose.cli import log
    from lowdose.data.frames import read_frames
    from lowdose.evaluation.arms import arm
    from lowdose.evaluation.evaluate import Evaluation
    from lowdose.evaluation.stakes import stakes
    from lowdose.evaluation.stored import write_images
    from lowdose.runtime import atomic_path, fix_torch
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "evaluate", denoisers=arguments.denoisers)
    test = read_frames(arguments.frames / "test.h5")
    at_stake = stakes(pd.read_csv(arguments.pairs), test)
    validation = read_frames(arguments.frames / "validation.h5")
    evaluation = Evaluation(validation, test, spec, at_stake)
    for name in spec["denoisers"]:
        denoise = arm(name, arguments.networks, arguments.baselines, test.pixel_size_nm)
        result = evaluation.run(
            denoise,
            lambda line, n=name: log(f"{n}: {line}"),
            full_grid=name in spec["full_grid"],
        )
        folder = arguments.output / name
        for kind in ("columns", "sites"):
            with atomic_path(folder / f"{kind}.parquet") as path:
                getattr(result, kind).assign(denoiser=name).to_parquet(path, index=False)
        write_images(folder / "images.h5", result.images, test.pixel_size_nm)
        # Last: a rule's job counts as done when its table is there.
        with atomic_path(folder / "frames.parquet") as path:
            table = result.frames.assign(denoiser=name, frames_digest=test.digest)
            table.to_parquet(path, index=False)
