"""``lowdose simulate``: exit waves of one shard."""

import argparse
from pathlib import Path

HELP = "simulate the exit waves of one shard of the library (resumes in the middle of it)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--shard", default="shard000", help="name of the shard (with --config)")
    parser.add_argument("--structures", type=Path, default=Path("results/structures"))
    parser.add_argument("--work", type=Path, default=Path("results/work"), metavar="FOLDER",
                        help="where unfinished work is kept")  # fmt: skip
    parser.add_argument("--output", type=Path, help="the shard (default: results/waves/NAME.h5)")


def run(arguments: argparse.Namespace) -> None:
    from lowdose.cli import log
    from lowdose.imaging.shards import simulate_shard
    from lowdose.stages import spec_from

    spec = spec_from(arguments, "simulate", shard=arguments.shard)
    output = arguments.output or Path(f"results/waves/{arguments.shard}.h5")
    simulate_shard(spec, arguments.structures, output, arguments.work, log)
