"""``lowdose contest``: methods on the few frames on which all are compared."""

import argparse
from pathlib import Path

HELP = "evaluate methods, slow ones too, on the few test frames on which all are compared"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--contenders", nargs="+", default=[], help="names (with --config)")
    parser.add_argument("--frames", type=Path, default=Path("results/frames"), metavar="FOLDER")
    parser.add_argument("--networks", type=Path, default=Path("results/networks"), metavar="FOLDER")
    parser.add_argument("--baselines", type=Path, default=Path("results/baselines"),
                        metavar="FOLDER")  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("results/comparison"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from lowdose.cli import log
    from lowdose.data.frames import one_per_shape, read_frames
    from lowdose.evaluation.arms import arm, known_thresholds, tuning
    from lowdose.evaluation.evaluate import Evaluation
    from lowdose.evaluation.stored import write_images
    from lowdose.runtime import atomic_path, fix_torch
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "contest", contenders=arguments.contenders)
    validation, test = (
        one_per_shape(read_frames(arguments.frames / f"{split}.h5"))
        for split in ("validation", "test")
    )
    reference = spec["reference_dose_e_per_px"]
    for name in spec["denoisers"]:
        tables, known = [], {}
        # What was tuned for the surface is looked at where it was tuned.
        doses = {"psnr": spec["doses_e_per_px"], "f1": [reference]}
        tuned = tuning(arguments.baselines, name) if name in spec["tuned"] else None
        for objective in ("psnr", "f1") if tuned else ("psnr",):
            if tuned:
                known = known_thresholds(
                    tuned, objective, validation.digest, spec["validation_realisations"]
                )
                found = tuned["objectives"]
                if objective == "f1" and found["f1"]["parameters"] == found["psnr"]["parameters"]:
                    at_reference = tables[0]["dose_e_per_px"] == reference
                    tables.append(tables[0][at_reference].assign(tuned_for="f1"))
                    continue
            denoise = arm(
                name, arguments.networks, arguments.baselines, test.pixel_size_nm, objective
            )
            evaluation = Evaluation(validation, test, {**spec, "doses_e_per_px": doses[objective]})
            result = evaluation.run(
                denoise,
                lambda line, what=f"{name}, for {objective}": log(f"{what}: {line}"),
                known,
            )
            tables.append(result.frames.assign(tuned_for=objective))
            if objective == "psnr":
                write_images(
                    arguments.output / name / "images.h5", result.images, test.pixel_size_nm
                )
        table = pd.concat(tables, ignore_index=True)
        # Last: a rule's job counts as done when its table is there.
        with atomic_path(arguments.output / name / "frames.parquet") as path:
            table.assign(denoiser=name, frames_digest=test.digest).to_parquet(path, index=False)
