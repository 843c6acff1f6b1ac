"""``lowdose recording``: one file of the study's experiment, denoised and weighed."""

import argparse
import os
from pathlib import Path

HELP = "denoise one file of the section `experiment` and weigh its columns (what the rule calls)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--recording", default="", help="name of the file (with --config)")
    parser.add_argument("--output", type=Path, default=Path("results/experiment"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    from lowdose.cli._denoised_file import Wishes, denoise_file
    from lowdose.cli.denoise import USUAL
    from lowdose.denoisers import registry
    from lowdose.runtime import fix_torch
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "recording", recording=arguments.recording)
    recording = spec["recording"]
    denoise_file(
        Path(recording["file"]),
        registry.create(spec["denoiser"]),
        file_options_of(recording),
        Wishes(
            formats=USUAL,
            folder=arguments.output / spec["name"],
            name=spec["name"],
            overwrite=True,
            aligned=recording["align"],
            summed=recording["sum"],
            level=spec["level"],
            threads=arguments.threads or os.cpu_count() or 1,
        ),
    )


def file_options_of(recording: dict) -> dict:
    """Return what a section says of its file, as ``microscope.inspection.inspect`` takes it."""
    from lowdose.microscope.inspection import slice_of

    return {
        "pixel_size_nm": recording["pixel_size_nm"],
        "gain": recording["gain"],
        "offset": recording["offset"],
        "signal": recording["signal"],
        "frames": slice_of(recording["frames"]),
        "binning": recording["bin"],
    }
