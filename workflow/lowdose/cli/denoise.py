"""``lowdose denoise``: a microscopist's own frames, calibrated in and out."""

import argparse
import os
from pathlib import Path

HELP = "denoise microscope files: calibrated frames, columns with p-values, a page to look at"

USUAL = ("hspy", "tif", "csv", "hdf5", "html")  # formats


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.cli.inspect import add_file_arguments

    add_file_arguments(parser)
    parser.add_argument("--formats", nargs="+", default=USUAL, metavar="FORMAT",
                        help="frames: hspy, tif, mrc, npy; columns: csv, hdf5; page: html "
                        f"(default: {' '.join(USUAL)})")  # fmt: skip
    parser.add_argument("--adapt", action="store_true",
                        help="tune the gains of the network to each frame first")  # fmt: skip
    parser.add_argument("--parameters", nargs="+", default=[], metavar="NAME=VALUE",
                        help="of the denoiser, e.g. blind=3 of udvd")  # fmt: skip
    parser.add_argument("--align", action="store_true",
                        help="take out the drift of a stack, by whole pixels")  # fmt: skip
    parser.add_argument("--sum", type=int, default=1, metavar="N",
                        help="denoise running sums of N frames")  # fmt: skip
    parser.add_argument(
        "--false-discoveries",
        type=float,
        default=0.05,
        metavar="RATE",
        help="share of false ones among supported columns (default: 0.05)",
    )
    parser.add_argument("--page-frames", type=int, default=8, metavar="N",
                        help="most frames of a stack on the page (default: 8)")  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FOLDER",
                        help="where to write (default: beside the file)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that exist")


def run(arguments: argparse.Namespace) -> int:
    from lowdose.cli._denoised_file import Wishes, denoise_file
    from lowdose.cli.inspect import file_options
    from lowdose.microscope.outputs import FORMATS
    from lowdose.runtime import UserError, fix_torch

    fix_torch(arguments.threads)
    for kind in arguments.formats:
        if kind not in FORMATS:
            raise UserError(f"--formats {kind} is not possible; choose from {', '.join(FORMATS)}.")
    denoiser = _chosen(arguments)
    if not 0 < arguments.false_discoveries < 1:
        raise UserError(
            f"--false-discoveries is {arguments.false_discoveries:g}; give a rate between 0 and 1."
        )
    for name, value in (("sum", arguments.sum), ("page-frames", arguments.page_frames)):
        if value < 1:
            raise UserError(f"--{name} is {value}; give a number of frames, 1 or more.")
    _check_names(arguments.files, arguments.output)
    of_files = file_options(arguments)
    wishes = Wishes(
        formats=tuple(dict.fromkeys(arguments.formats)),
        folder=arguments.output,
        overwrite=arguments.overwrite,
        aligned=arguments.align,
        summed=arguments.sum,
        level=arguments.false_discoveries,
        page_frames=arguments.page_frames,
        threads=arguments.threads or os.cpu_count() or 1,
    )
    failed = []
    for path in arguments.files:
        try:
            denoise_file(path, denoiser, of_files, wishes)
        except UserError as error:
            if len(arguments.files) == 1:
                raise
            print(f"{path}\n  refused: {error}", flush=True)
            failed.append(path.name)
    if failed:
        raise UserError(f"{', '.join(failed)} could not be denoised; the reason is above.")
    return 0


def _check_names(files: list[Path], folder: Path | None) -> None:
    """Raise a `UserError` if the outputs of two files would have the same names."""
    from lowdose.microscope.outputs import targets
    from lowdose.runtime import UserError

    taken: dict[Path, Path] = {}
    for path in files:
        record = targets(path, (), folder)["json"].absolute()
        if (other := taken.setdefault(record, path)) is not path:
            raise UserError(
                f"{other} and {path} would both be written as {record.stem}.* in {record.parent}; "
                "denoise them one by one, each to its own --output."
            )


def _chosen(arguments: argparse.Namespace):
    """Return the denoiser that the arguments name, or the network of that name to be adapted."""
    from lowdose.denoisers import registry
    from lowdose.runtime import UserError

    parameters: dict[str, int | float | str] = {}
    for name, value in map(_parameter, arguments.parameters):
        if name in parameters:
            raise UserError(f"--parameters has {name} twice; give it once.")
        parameters[name] = value
    if not arguments.adapt:
        return registry.create(arguments.denoiser, **parameters)
    if arguments.denoiser not in registry.shipped():
        raise UserError(
            f"--adapt tunes a network of the package, but {arguments.denoiser} is none; choose "
            f"--denoiser {' or '.join(registry.shipped())}."
        )
    if "network" in parameters:
        raise UserError("--adapt tunes the network of --denoiser; leave network=... out.")
    return registry.create("gain-tuning", network=arguments.denoiser, **parameters)


def _parameter(text: str) -> tuple[str, int | float | str]:
    from lowdose.runtime import UserError

    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise UserError(f"--parameters {text} is no NAME=VALUE; write e.g. steps=300.")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value
