"""``lowdose limits``: what the electrons allow at the columns at stake."""

import argparse
from pathlib import Path

HELP = "ask the ideal observer about the columns at stake, and bound their positions"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--frames", type=Path, default=Path("results/frames/test.h5"))
    parser.add_argument("--pairs", type=Path, default=Path("results/structures/pairs.csv"))
    parser.add_argument("--output", type=Path, default=Path("results/limits"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from lowdose.cli import log
    from lowdose.data.frames import read_frames
    from lowdose.evaluation.limits import ideal_sites, limits_table
    from lowdose.evaluation.stakes import stakes
    from lowdose.runtime import atomic_path
    from lowdose.stages import spec_from

    spec = spec_from(arguments, "limits")
    frames = read_frames(arguments.frames)
    at_stake = stakes(pd.read_csv(arguments.pairs), frames)
    sites = ideal_sites(frames, at_stake, spec, log)
    with atomic_path(arguments.output / "sites.parquet") as path:
        sites.assign(denoiser="ideal").to_parquet(path, index=False)
    limits = limits_table(frames, at_stake, spec)
    with atomic_path(arguments.output / "limits.parquet") as path:
        limits.to_parquet(path, index=False)
    needed = limits.groupby("pair")["dose_for_5_percent"].first()
    log(
        f"{len(needed)} columns at stake; to err in 5 % the ideal observer needs "
        f"{needed.min():.3g} to {needed.max():.3g} e/px"
    )
