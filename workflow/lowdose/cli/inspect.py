"""``lowdose inspect``: what a microscope file holds, and whether it can be denoised."""

import argparse
from pathlib import Path

HELP = "say what microscope files hold, in nm and electrons, and what is in the way of denoising"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file_arguments(parser)


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the files, and what they may not say themselves."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE",
                        help="dm3, dm4, emd, ser, mrc, tif, hspy, zspy or npy")  # fmt: skip
    parser.add_argument("--pixel-size", type=float, metavar="NM",
                        help="pixel size [nm], instead of what the file says")  # fmt: skip
    parser.add_argument(
        "--gain",
        type=float,
        metavar="ELECTRONS",
        help="electrons per stored unit (default: the file's, or estimated)",
    )
    parser.add_argument("--offset", type=float, help="stored value of no electrons")
    parser.add_argument("--signal", type=int, metavar="N",
                        help="which of several images of a file, from 1")  # fmt: skip
    parser.add_argument("--bin", type=int, default=1, metavar="N", help="sum N x N pixels first")
    parser.add_argument("--frames", metavar="START:STOP", help="which frames of a stack, from 0")
    parser.add_argument("--denoiser", default="general", help="what it is to be denoised by")


def file_options(arguments: argparse.Namespace) -> dict:
    """Return what the arguments say of the files, as :func:`inspect` takes it."""
    from lowdose.microscope.inspection import slice_of

    return {
        "pixel_size_nm": arguments.pixel_size,
        "gain": arguments.gain,
        "offset": arguments.offset,
        "signal": arguments.signal,
        "frames": slice_of(arguments.frames),
        "binning": arguments.bin,
    }


def run(arguments: argparse.Namespace) -> int:
    from lowdose.denoisers import registry
    from lowdose.microscope.inspection import inspect, lines
    from lowdose.runtime import UserError

    info = registry.create(arguments.denoiser).info
    options = file_options(arguments)
    refused = []
    for path in arguments.files:
        try:
            found = inspect(path, info, **options)
        except UserError as error:
            if len(arguments.files) == 1:
                raise
            print(f"{path}\n  refused: {error}")
            refused.append(path)
            continue
        print("\n".join(lines(found)))
        if found.refused:
            refused.append(path)
        else:
            print("  can be denoised")
    if refused:
        named = ", ".join(path.name for path in refused)
        raise UserError(f"{named} cannot be denoised by {info.name} as it is; the reason is above.")
    return 0
