"""``lowdose filters``: equivalent filters at each kind of site, and how they change."""

import argparse
from pathlib import Path

HELP = "describe the networks' equivalent filters at each kind of site, and how they change"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--frames", type=Path, default=Path("results/frames/test.h5"))
    parser.add_argument("--pairs", type=Path, default=Path("results/structures/pairs.csv"))
    parser.add_argument("--networks", type=Path, default=Path("results/networks"), metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=Path("results/tables"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from lowdose.cli import log
    from lowdose.data.frames import read_frames
    from lowdose.evaluation.arms import denoiser
    from lowdose.evaluation.filters_at_sites import Filters, sites_to_see
    from lowdose.evaluation.stakes import stakes
    from lowdose.runtime import atomic_path, fix_torch
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "filters")
    frames = read_frames(arguments.frames)
    sites = sites_to_see(frames, spec["shapes"])
    at_stake = stakes(pd.read_csv(arguments.pairs), frames)
    at_stake = at_stake[at_stake["base_shape"].isin(sites["base_shape"])]
    at_stake = at_stake[at_stake["kind"] != "half"]
    described, changes = [], []
    for name in spec["networks"]:
        network = denoiser(name, arguments.networks, Path()).network
        filters = Filters(network, frames, spec)
        described += [{"denoiser": name, **row} for row in filters.described(sites)]
        changes += [{"denoiser": name, **row} for row in filters.changes(at_stake)]
        log(f"{name}: {len(sites)} sites, {at_stake['pair'].nunique()} columns removed")
    for table, rows in (("filters", described), ("filter_changes", changes)):
        with atomic_path(arguments.output / f"{table}.csv") as path:
            pd.DataFrame(rows).to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
