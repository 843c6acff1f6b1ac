"""``lowdose release``: train the release networks, measure them, and put them in the package."""

import argparse
from pathlib import Path

HELP = "train the networks that come with the package (hours; resumes), measure and publish them"
CONFIG = Path(__file__).resolve().parents[3] / "config" / "release.yaml"
REALISATIONS = 1  # of each of some 500 frames; base shapes make the interval
# Further frames of the test shapes: the focal series as it is, nine tenths of which are white,
# and its dark end, C1 up to 3 nm, for the other two classes.
FURTHER = {"all": (6, (0, 20)), "dark": (4, (0, 3))}  # conditions a shape, range of C1 [nm]
ANY_C1 = (float("-inf"), float("inf"))
# Where else a network is measured, as far as its card claims: doses on its own pixels, and other
# detector pixels (another magnification of the same camera) at the reference fluence.
DOSES = (0.1, 0.25, 0.45, 1.0, 2.0, 5.0, 20.0)
PIXELS_NM = (0.004, 0.005, 0.008, 0.012)
# What a user of the networks must know, beside the numbers.
LIMITS = (
    "Trained on simulations of Pt particles on CeO2 along [110] alone: on another material it "
    "draws what it knows. Check every column that matters against the counts.",
    "Detector pixels other than the network's own were trained with the transfer of a camera of "
    "its own pixels, and the estimate is sharper than the counts by what such a pixel averages.",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks (default: all)")
    parser.add_argument(
        "--work", type=Path, default=Path("results/release"), metavar="FOLDER",
        help="where waves, frames and the state of the trainings are kept (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--trained", type=Path, default=None, metavar="FOLDER",
        help="measure and publish FOLDER/NAME, trained elsewhere by this configuration (on a "
             "GPU, by `lowdose train`), instead of training here",
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
    folders = {name: work / "results" / "networks" / name / name / "seed0" for name in names}
    if arguments.trained is not None:
        folders = {name: arguments.trained / name for name in names}
        for name, folder in folders.items():
            check_recipe(study, name, folder)
        weights = []
    work.mkdir(parents=True, exist_ok=True)
    code = subprocess.run(
        [sys.executable, "-m", "lowdose", "run", *weights, *frames, "--directory", str(work),
         "--configfile", str(CONFIG)]
    ).returncode  # fmt: skip
    if code:
        return code
    fix_torch(arguments.threads)
    sets = frame_sets(study, work, log)
    magnified = magnified_sets(study, work, log)
    for name, folder in folders.items():
        output = (arguments.output or released.ROOT) / name
        draft = work / "drafts" / name
        _publish(name, folder, draft, output, sets, magnified, study.config, log)
    return 0


def check_recipe(study, name: str, folder: Path) -> None:
    """Refuse a network that was not trained as the configuration says, or cannot be loaded."""
    from lowdose.denoisers import checkpoints
    from lowdose.denoisers.cards import read_card
    from lowdose.runtime import UserError

    checkpoints.load(folder)
    card, spec = read_card(folder), study.spec("train", network=name, training_set=name, seed=0)
    wanted = {"architecture": spec["network"], "training": spec["training"],
              "training_set": spec["training_set"], "study_seed": spec["study_seed"]}  # fmt: skip
    for key, value in wanted.items():
        if card.get(key) != value:
            raise UserError(
                f"{folder} was trained with another {key} than {CONFIG.name} gives {name}; train "
                f"it with `lowdose train --config {CONFIG} --network {name} --training-set {name}`."
            )


def frame_sets(study, work: Path, log) -> dict:
    """Return the frames of the test shapes by name: white, every contrast, dark, shifted."""
    from lowdose.data.frames import read_frames

    results = work / "results"
    files = {"white": results / "frames" / "test.h5", "shifted": results / "frames" / "shifted.h5"}
    for name, (per_shape, c1_nm) in FURTHER.items():
        # Anew each time, which takes seconds: no file of an older choice survives.
        files[name] = results / "frames" / f"{name}.h5"
        chosen = {"contrast": "all", "frames_per_shape": per_shape}
        freeze(study, results, "test", chosen, files[name], log, c1_nm)
    return {name: read_frames(files[name]) for name in ("white", *FURTHER, "shifted")}


def magnified_sets(study, work: Path, log) -> list:
    """Return the frames of the test shapes, of every contrast, at other pixel sizes."""
    from lowdose.data.frames import read_frames

    results, chosen = work / "results", {"contrast": "all", "frames_per_shape": FURTHER["all"][0]}
    files = {pixel: results / "frames" / f"all-{1000 * pixel:g}pm.h5" for pixel in PIXELS_NM}
    for pixel, file in files.items():
        camera = {"pixel_size_nm": pixel}
        freeze(study, results, "test", chosen, file, log, FURTHER["all"][1], camera)
    return [read_frames(file) for file in files.values()]


def freeze(
    study, results: Path, split: str, chosen: dict, output: Path, log, c1_nm=ANY_C1, camera=None
):
    """Freeze further frames of a split.

    `chosen` and `camera` are the keys of ``frames`` and of ``camera`` that differ.
    """
    import pandas as pd

    from lowdose.data.freeze import freeze_split

    spec = study.spec("frames")
    classes = pd.read_parquet(results / "frames" / "classes.parquet")
    freeze_split(
        {
            **spec,
            "frames": {**spec["frames"], **chosen},
            "camera": {**spec["camera"], **(camera or {})},
        },
        classes[classes["c1_nm"].between(*c1_nm)],
        pd.read_parquet(results / "structures" / "columns.parquet"),
        [results / "waves" / f"{shard}.h5" for shard in study.shards],
        split,
        output,
        log,
    )


def _publish(
    name: str, folder: Path, draft: Path, output: Path, sets, magnified, config, log
) -> None:
    """Measure a trained network on all sets and write it, with its card, to `output`."""
    import json
    import shutil

    from lowdose.denoisers import checkpoints
    from lowdose.denoisers.cards import CARD, WEIGHTS, read_card
    from lowdose.denoisers.model_card import describe
    from lowdose.evaluation.release_metrics import (
        HOME,
        at_conditions,
        for_card,
        measured,
        of_frame,
        part,
        summary,
    )
    from lowdose.runtime import atomic_path, write_text
    from lowdose.sampling import dose_e_per_px

    # Measured as it will be loaded, rounded, and published when all is known.
    checkpoints.save(draft, checkpoints.load(folder).network, read_card(folder), half=True)
    network = checkpoints.load(draft, name)
    dose, seed = config.frames.reference_dose_e_per_px, config.seed
    draws = config.evaluation.bootstrap_draws
    metrics, shifts = [], []
    for label, frames in sets.items():
        denoise = of_frame(network, frames.pixel_size_nm)
        rows = measured(denoise, frames, dose, REALISATIONS, seed).assign(set=label)
        tables = [summary(rows, ["set"], draws, seed)]
        if label == "dark":  # and each class by itself
            named = rows.assign(set="dark, " + rows["contrast"])
            tables.append(summary(named, ["set"], draws, seed))
        for table in tables:
            metrics += for_card(table, frames.digest)
        if "shift" in rows:
            shifts = for_card(summary(rows, ["shift"], draws, seed), frames.digest)
        score = tables[0].iloc[0]
        log(
            f"{name} on {len(frames.clean)} frames {label}: {score['psnr_db']:.2f} dB "
            f"[{score['psnr_db_low']:.2f} to {score['psnr_db_high']:.2f}], "
            f"{score['contrast_psnr_db']:.2f} above a constant, SSIM {score['ssim']:.4f}"
        )
    card = read_card(draft)
    own = sets[HOME[name]]
    # What the card claims is rounded.
    low, high = (dose_e_per_px(d, own.pixel_size_nm) for d in card["dose_e_per_a2"])
    doses = [d for d in DOSES if low / 1.001 <= d <= high * 1.001]
    low, high = card["pixel_size_nm"]
    others = [frames for frames in magnified if low <= frames.pixel_size_nm <= high]
    perfect = [part(frames, (frames.table["defect"] == "D0").to_numpy())
               for frames in (own, *others)]  # fmt: skip
    log(f"{name} at {len(doses)} doses and {len(others)} other pixel sizes")
    conditions = at_conditions(network, perfect, doses, dose, draws, seed)
    card |= {
        "name": name,
        "denoiser": name,
        "metrics_at_e_per_px": dose,
        "metrics": metrics,
        "shifts": shifts,
        "conditions": conditions,
        "limits": list(LIMITS),
    }
    with atomic_path(output / WEIGHTS) as path:
        shutil.copyfile(draft / WEIGHTS, path)
    write_text(output / CARD, json.dumps(card, indent=2, sort_keys=True) + "\n")
    write_text(output / "README.md", describe(card))
    log(f"published {output}")
