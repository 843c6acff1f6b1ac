"""``lowdose judge``: all denoisers on frames of which no expectation is known."""

import argparse
from pathlib import Path

HELP = "compare all denoisers on one file of the section `experiment`, by its counts alone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--recording", default="", help="name of the file (with --config)")
    parser.add_argument("--networks", type=Path, default=Path("results/networks"), metavar="FOLDER")
    parser.add_argument("--baselines", type=Path, default=Path("results/baselines"),
                        metavar="FOLDER")  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("results/experiment"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    import numpy as np

    from lowdose.cli import log
    from lowdose.cli._denoised_file import prepared
    from lowdose.cli.recording import file_options_of
    from lowdose.denoisers import registry
    from lowdose.evaluation.arms import denoiser
    from lowdose.evaluation.judged import judge, write_judged
    from lowdose.microscope.gain import can_be_dealt
    from lowdose.microscope.inspection import inspect
    from lowdose.runtime import UserError, fix_torch
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "judge", recording=arguments.recording)
    recording = spec["recording"]
    path = Path(recording["file"])
    found = inspect(path, registry.info(spec["denoiser"]), **file_options_of(recording))
    found.require()
    found, _ = prepared(found, recording["align"], recording["sum"])
    counts = np.maximum(found.counts, 0)
    if not can_be_dealt(counts):
        raise UserError(
            f"{path} holds no whole electrons and less than 2 of them a pixel, so that they cannot "
            "be dealt to test denoisers; give its gain, or sum frames."
        )
    chosen = np.unique(np.linspace(0, len(counts) - 1, min(len(counts), spec["frames"])).round())
    chosen = chosen.astype(int)
    result = judge(
        np.rint(counts[chosen]), chosen, found.pixel_size_nm,
        {name: denoiser(name, arguments.networks, arguments.baselines)
         for name in spec["denoisers"]},
        spec, log,
    )  # fmt: skip
    write_judged(arguments.output / spec["name"], result, found.pixel_size_nm)
