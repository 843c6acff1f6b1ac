"""``lowdose example``: a simulated recording with its truth, to try the tools on."""

import argparse
from pathlib import Path

HELP = "simulate a short recording of a Pt particle, as hspy and tif, with its true columns"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", type=Path, default=Path("example"), metavar="FOLDER",
                        help="where to write (default: example)")  # fmt: skip
    parser.add_argument("--dose", type=float, default=0.45, metavar="ELECTRONS",
                        help="a pixel of 6.1 pm and frame, in vacuum (default: 0.45)")  # fmt: skip
    parser.add_argument("--frame-count", type=int, default=8, metavar="N",
                        help="in their second half one column is gone (default: 8)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def run(arguments: argparse.Namespace) -> None:
    import math

    from lowdose import config, seeds
    from lowdose.data.example import movie
    from lowdose.microscope.calibrated_tiff import write_tiff
    from lowdose.microscope.outputs import write_signal
    from lowdose.runtime import UserError, atomic_path, fix_torch
    from lowdose.stages import Study

    if not (math.isfinite(arguments.dose) and 0 < arguments.dose <= 100):
        raise UserError(f"--dose is {arguments.dose:g}; give electrons a pixel, up to 100.")
    if not 1 <= arguments.frame_count <= 200:
        raise UserError(f"--frame-count is {arguments.frame_count}; give 1 to 200 frames.")
    paths = {kind: arguments.folder / f"example.{kind}" for kind in ("hspy", "tif", "truth.csv")}
    for path in paths.values():
        if path.exists() and not arguments.overwrite:
            raise UserError(f"{path} exists; replace it by --overwrite, or name another FOLDER.")
    fix_torch(arguments.threads)
    world = Study(config.load([])).spec("converge")
    made = movie(
        world, seeds.rng(arguments.seed, "example"), frames=arguments.frame_count,
        dose_e_per_px=arguments.dose,
    )  # fmt: skip
    title = "simulated Pt particle on CeO2"
    stack = made.counts if arguments.frame_count > 1 else made.counts[0]
    metadata = {
        "General": {"title": title},
        "Acquisition_instrument": {
            "TEM": {"beam_energy": made.energy_kev, "Camera": {"exposure": 0.025}}
        },
    }
    with atomic_path(paths["hspy"]) as path:
        write_signal(path, stack, made.pixel_size_nm, metadata, {}, frame_interval_s=0.025)
    write_tiff(paths["tif"], stack, made.pixel_size_nm, title=title,
               frame_interval_s=0.025 if stack.ndim == 3 else None)  # fmt: skip
    with atomic_path(paths["truth.csv"]) as path:
        made.truth.to_csv(path, index=False, float_format="%.5f", lineterminator="\n")
    height, width = stack.shape[-2:]
    print(f"{arguments.frame_count} frames of {height} x {width} pixels, {arguments.dose:g} "
          f"electrons a pixel: {', '.join(str(path) for path in paths.values())}")  # fmt: skip
