"""``lowdose release``: train the release networks, measure them, and put them in the package."""

import argparse
from pathlib import Path

HELP = "train the networks that come with the package (hours; resumes), measure and publish them"
CONFIG = Path(__file__).resolve().parents[3] / "config" / "release.yaml"
REALISATIONS = 3
ALL_PER_SHAPE = 6  # conditions a shape of the test frames of every contrast
# What a user of the networks must know, beside the numbers.
LIMITS = (
    "Trained on simulations of Pt particles on CeO2 along [110] alone: on another material it "
    "draws what it knows. Check every column that matters against the counts.",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks (default: all)")
    parser.add_argument(
        "--work", type=Path, default=Path("results/release"), metavar="FOLDER",
        help="where waves, frames and the state of the trainings are kept (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=None, metavar="FOLDER",
        help="where the networks are published (default: in the package)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    import subprocess
    import sys

    from lowdose import config
    from lowdose.cli import log
    from lowdose.denoisers import released
    from lowdose.runtime import UserError, fix_torch
    from lowdose.stages import Study

    study = Study(config.load([CONFIG]))
    known = [name.split(".")[0] for name in study.networks()]
    names = arguments.names or known
    for name in names:
        if name not in known:
            raise UserError(
                f"{CONFIG.name} names no network {name!r}; choose from {', '.join(known)}."
            )
    work = arguments.work
    frames = ["results/frames/test.h5", "results/frames/shifted.h5"]
    weights = [study.made_by(f"{name}.{name}.seed0") for name in names]
    work.mkdir(parents=True, exist_ok=True)
    code = subprocess.run(
        [sys.executable, "-m", "lowdose", "run", *weights, *frames, "--directory", str(work),
         "--configfile", str(CONFIG)]
    ).returncode  # fmt: skip
    if code:
        return code
    fix_torch(arguments.threads)
    sets = _frame_sets(study, work, log)
    for name in names:
        folder = work / "results" / "networks" / name / name / "seed0"
        output = (arguments.output or released.ROOT) / name
        _publish(name, folder, output, sets, study.config, log)
    return 0


def _frame_sets(study, work: Path, log) -> dict:
    """Return the frames of the test shapes by name: white, every contrast, shifted."""
    import pandas as pd

    from lowdose.data.frames import read_frames
    from lowdose.data.freeze import freeze_split

    results = work / "results"
    every = results / "frames" / "all.h5"
    if not every.is_file():
        spec = study.spec("frames")
        chosen = {"contrast": "all", "frames_per_shape": ALL_PER_SHAPE}
        freeze_split(
            {**spec, "frames": {**spec["frames"], **chosen}},
            pd.read_parquet(results / "frames" / "classes.parquet"),
            pd.read_parquet(results / "structures" / "columns.parquet"),
            [results / "waves" / f"{shard}.h5" for shard in study.shards],
            "test",
            every,
            log,
        )
    files = {"white": "test.h5", "all": "all.h5", "shifted": "shifted.h5"}
    return {name: read_frames(results / "frames" / file) for name, file in files.items()}


def _publish(name: str, folder: Path, output: Path, sets, config, log) -> None:
    """Measure a trained network on all sets and write it, with its card, to `output`."""
    import shutil

    from lowdose.denoisers import checkpoints
    from lowdose.evaluation.release_metrics import for_card, measured, summary
    from lowdose.runtime import atomic_path
    from lowdose.sampling import dose_e_per_a2

    network = checkpoints.load(folder, name)
    dose, seed = config.frames.reference_dose_e_per_px, config.seed
    draws = config.evaluation.bootstrap_draws
    metrics, shifts = [], []
    for label, frames in sets.items():
        pixel = frames.pixel_size_nm

        def denoise(counts, dose_e_per_px, pixel=pixel):
            return network.denoise(
                counts[None], pixel, dose=dose_e_per_a2(dose_e_per_px, pixel)
            )[0]  # fmt: skip

        rows = measured(denoise, frames, dose, REALISATIONS, seed).assign(set=label)
        digests = {label: frames.digest}
        if "shift" in rows:
            shifts = summary(rows, ["shift"], draws, seed)
            shifts = for_card(shifts, "shift", dict.fromkeys(shifts["shift"], frames.digest))
        metrics += for_card(summary(rows, ["set"], draws, seed), "set", digests)
        if label == "all":
            by_class = summary(rows, ["contrast"], draws, seed).to_dict("records")
            metrics += [
                {**row, "set": f"all, {row['contrast']}"} | {"frames_sha256": frames.digest}
                for row in by_class
            ]
        best = metrics[-1] if label != "all" else metrics[1]
        log(f"{name} on {label}: {best['psnr_db']:.2f} dB, {best['contrast_psnr_db']:.2f} above "
            "a constant")  # fmt: skip
    card = checkpoints.read_card(folder) | {
        "name": name,
        "denoiser": name,
        "metrics_at_e_per_px": dose,
        "metrics": metrics,
        "shifts": shifts,
        "limits": list(LIMITS),
    }
    with atomic_path(output / checkpoints.WEIGHTS) as path:
        shutil.copyfile(folder / checkpoints.WEIGHTS, path)
    checkpoints.write_card(output, card)
    log(f"published {output}")
