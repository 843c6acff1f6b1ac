"""``lowdose denoise``: a microscopist's own frames, calibrated in and out."""

import argparse
from pathlib import Path

HELP = "denoise microscope files; writes NAME.denoised.hspy and .tif with the calibration kept"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.cli.inspect import add_file_arguments

    add_file_arguments(parser)
    parser.add_argument("--formats", nargs="+", default=["hspy", "tif"], metavar="FORMAT",
                        help="of hspy, tif, mrc, npy (default: hspy tif)")  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FOLDER",
                        help="where to write (default: beside the file)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that exist")


def run(arguments: argparse.Namespace) -> int:
    from lowdose.cli.inspect import file_options
    from lowdose.denoisers import registry
    from lowdose.microscope.outputs import FORMATS
    from lowdose.runtime import UserError, fix_torch

    fix_torch(arguments.threads)
    for kind in arguments.formats:
        if kind not in FORMATS:
            raise UserError(f"--formats {kind} is not possible; choose from {', '.join(FORMATS)}.")
    denoiser = registry.create(arguments.denoiser)
    of_files = file_options(arguments)
    failed = []
    for path in arguments.files:
        try:
            _denoise(path, denoiser, of_files, arguments)
        except UserError as error:
            if len(arguments.files) == 1:
                raise
            print(f"{path}\n  refused: {error}", flush=True)
            failed.append(path.name)
    if failed:
        raise UserError(f"{', '.join(failed)} could not be denoised; the reason is above.")
    return 0


def _denoise(path: Path, denoiser, of_files: dict, arguments: argparse.Namespace) -> None:
    import time

    import numpy as np

    import lowdose
    from lowdose.cli import log
    from lowdose.microscope.denoising import Partial, denoise_frames
    from lowdose.microscope.inspection import inspect, lines
    from lowdose.microscope.outputs import check_room, targets, write_outputs
    from lowdose.provenance import digest, file_digest
    from lowdose.runtime import UserError

    begun = time.monotonic()
    found = inspect(path, denoiser.info, **of_files)
    print("\n".join(lines(found)), flush=True)
    if found.refused:
        reason = next(one.what for one in found.findings if one.kind == "refusal")
        raise UserError(f"{path} cannot be denoised: {reason}")
    paths = targets(path, arguments.formats, arguments.output)
    size = check_room(paths, found.counts.shape, arguments.overwrite)
    names = ", ".join(one.name for kind, one in paths.items() if kind != "json")
    print(f"  writes {names} ({size / 1e6:.1f} MB)", flush=True)
    options = {
        "source": path.name,
        # A zspy file is a folder of files.
        "source_sha256": file_digest(path) if path.is_file() else None,
        "pixel_size_nm": found.pixel_size_nm,
        "electrons_per_unit": found.gain.electrons_per_unit,
        "electrons_per_unit_from": found.gain.source,
        "offset": found.gain.offset,
        "frames": of_files["frames"],
        "signal": of_files["signal"],
        "pixels_summed": of_files["binning"],
        "denoiser": denoiser.info.name,
        "parameters": denoiser.parameters,
        "citation": denoiser.info.citation,
        "lowdose": lowdose.__version__,
    }
    history = {
        **options,
        "mean_electrons_per_px": float(found.counts.mean(dtype=np.float64)),
        "said": [f"{one.kind}: {one.what}" for one in found.findings],
    }
    partial = Partial(paths["json"].with_suffix(".partial"), digest(options), found.counts.shape)
    # Less than no electrons is readout noise, which was warned of above.
    counts = np.maximum(found.counts, 0, out=found.counts)
    denoise_frames(
        counts, found.pixel_size_nm, denoiser, partial, log, temporal=denoiser.info.temporal
    )
    write_outputs(paths, partial.frames, found, history)
    partial.remove()
    print(f"  done in {time.monotonic() - begun:.1f} s", flush=True)
