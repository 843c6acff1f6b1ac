"""``lowdose tune``: parameters of one baseline."""

import argparse
from pathlib import Path

HELP = "tune one classical denoiser on the validation frames"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--baseline", help="name in the registry (with --config)")
    parser.add_argument("--frames", type=Path, default=Path("results/frames"), metavar="FOLDER")
    parser.add_argument("--output", type=Path, help="default: results/baselines/NAME/tuned.json")


def run(arguments: argparse.Namespace) -> None:
    import importlib
    import json

    import numpy as np

    from lowdose import seeds
    from lowdose.cli import log
    from lowdose.data.frames import read_frames
    from lowdose.denoisers.tuning import tune
    from lowdose.runtime import atomic_path, write_text
    from lowdose.sampling import dose_e_per_a2
    from lowdose.stages import spec_from

    spec = spec_from(arguments, "tune", baseline=arguments.baseline)
    registry = importlib.import_module("lowdose.denoisers.registry")  # see evaluation.arms
    name, dose = spec["baseline"], spec["dose_e_per_px"]
    output = arguments.output or Path(f"results/baselines/{name}/tuned.json")
    frames = read_frames(arguments.frames / "validation.h5")
    clean = frames.clean * np.float32(dose)
    counts = np.stack([frames.counts(i, dose, 0, spec["seed"]) for i in range(len(clean))])
    best, trials = tune(
        registry.kind(name),
        clean,
        counts,
        frames.pixel_size_nm,
        dose_e_per_a2(dose, frames.pixel_size_nm),
        fixed=spec["fixed"],
        trials=spec["trials"],
        rng=seeds.rng(spec["seed"], "tune", name),
    )
    with atomic_path(output.parent / "trials.csv") as path:
        trials.to_csv(path, index=False, lineterminator="\n")
    result = {
        "baseline": name,
        "parameters": best,
        "validation_psnr_db": float(trials["psnr_db"].max()),
        "trials": len(trials),
        "dose_e_per_px": dose,
        "frames_digest": frames.digest,
    }
    write_text(output, json.dumps(result, indent=2, sort_keys=True) + "\n")
    log(f"{name}: {result['validation_psnr_db']:.2f} dB with {best}")
