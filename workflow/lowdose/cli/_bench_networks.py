"""The networks: quality of the shipped ones, and speed and learning beside the paper's."""

from __future__ import annotations

import json
from pathlib import Path

from lowdose.cli._bench_rows import Row

WORK = Path("results/release")  # where `lowdose release` keeps waves and frames
ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ("white", "general")
LARGEST_MB = 12
LOADING_S = 2.0
# What a user's program does, in a process of its own; the frame has the size of the README's.
SCRIPT = """
import json, sys, time
begun = time.perf_counter()
import torch
torch.set_num_threads(int(sys.argv[2]))
imported = time.perf_counter()
import numpy
from lowdose.denoisers import released
counts = numpy.random.default_rng(1).poisson(0.45, (1, 713, 869)).astype("float32")
estimate = released.load(sys.argv[1]).denoise(counts, 0.0061)
assert estimate.shape == counts.shape
print(json.dumps(time.perf_counter() - imported))
"""


def measure(threads: int, quick: bool = False) -> list[Row]:
    """Return all rows; about 25 minutes on two cores once `WORK` holds the frames.

    Parameters
    ----------
    threads : int
    quick : bool
        Leave out the trainings, take every fourth frame and one repetition.
    """
    from lowdose import config
    from lowdose.cli import log, release
    from lowdose.cli._bench_learning import equal_time
    from lowdose.cli._bench_quality import quality
    from lowdose.cli._bench_speed import inference, training_step
    from lowdose.config_networks import PaperUNetSpec
    from lowdose.denoisers import released
    from lowdose.runtime import fix_torch
    from lowdose.stages import Study

    fix_torch(threads)
    study = Study(config.load([release.CONFIG]))
    search = config.load([release.CONFIG, ROOT / "config" / "search-long.yaml"])
    small = search.networks["small"].spec
    general, paper = study.config.networks["general"].spec, PaperUNetSpec(architecture="paper-unet")
    repetitions = 1 if quick else 3
    rows: list[Row] = []
    log("speed")
    rows += inference({"general": general, "small": small}, paper, repetitions)
    rows += training_step(small, paper, repetitions)
    for name in SHIPPED:
        if name in released.names():
            rows += size(name) + loading(name, threads, repetitions)
        else:
            rows.append(not_shipped(name, "size and loading"))
    make_frames()
    sets = release.frame_sets(study, WORK, log) | {"siblings": siblings(study, log)}
    for name in SHIPPED:
        if name in released.names():
            rows += quality(name, sets, study.config, quick, log)
        else:
            rows.append(not_shipped(name, "quality"))
    if not quick:
        rows += equal_time(small, study, WORK, log)
    return rows


def make_frames() -> None:
    """Make the frames of the release study, if they are not there (minutes).

    Raises
    ------
    UserError
        If they cannot be made.
    """
    import subprocess
    import sys

    from lowdose.cli import release
    from lowdose.runtime import UserError

    files = [f"results/frames/{name}.h5" for name in ("test", "shifted")]
    if all((WORK / file).is_file() for file in files):
        return
    WORK.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "lowdose", "run", *files, "--directory", str(WORK),
               "--configfile", str(release.CONFIG)]  # fmt: skip
    if subprocess.run(command).returncode:
        raise UserError(
            f"The frames of {release.CONFIG.name} could not be made in {WORK}; mend what the "
            "lines above say and run again."
        )


def siblings(study, log):
    """Return white frames of the training shapes, one condition each; frozen at the first call."""
    from lowdose.cli import release
    from lowdose.data.frames import read_frames

    results = WORK / "results"
    path, classes = (results / "frames" / name for name in ("siblings.h5", "classes.parquet"))
    if not path.is_file() or path.stat().st_mtime < classes.stat().st_mtime:
        release.freeze(study, results, "train", {"frames_per_shape": 1}, path, log)
    return read_frames(path)


def not_shipped(name: str, what: str) -> Row:
    """Return the row that stands for what cannot be measured without a shipped network."""
    note = "this version ships no such network; `./study release` trains it"
    return Row(f"{name}: {what}", None, "", note=note)


def size(name: str) -> list[Row]:
    """Return size and receptive field of a shipped network, as its card says."""
    from lowdose.denoisers import released
    from lowdose.denoisers.cards import WEIGHTS, read_card

    folder = released.folder(name)
    card = read_card(folder)
    field, effective = card["receptive_field_px"], card.get("effective_field_px")
    own = card["own_pixel_size_nm"]
    rows = [
        Row(f"{name}: file", (folder / WEIGHTS).stat().st_size / 1e6, "MB", LARGEST_MB),
        Row(f"{name}: parameters", card["parameters"] / 1e6, "million"),
        Row(f"{name}: receptive field", field, "px",
            note="the whole frame" if field is None else f"{field * own:.3g} nm"),
    ]  # fmt: skip
    if effective is not None:
        note = f"{effective * own:.3g} nm hold 90 % of the squared gradient"
        rows.append(Row(f"{name}: effective field", effective, "px", note=note))
    return rows


def loading(name: str, threads: int, repetitions: int) -> list[Row]:
    """Return the time to load a shipped network and denoise a frame, in fresh processes."""
    import statistics
    import subprocess
    import sys
    import time

    whole, own = [], []
    for _ in range(repetitions):
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, name, str(threads)],
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        whole.append(time.perf_counter() - begun)
        own.append(json.loads(done.stdout))
    task = f"{name}: loading it and denoising one 713 x 869 frame"
    return [
        Row(task, statistics.median(whole), "s", LOADING_S,
            note="a fresh process, from the start of Python to its end"),
        Row(f"{task}, without the import of torch", statistics.median(own), "s", LOADING_S),
    ]  # fmt: skip
