"""What the small network and the paper's learn in equal time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from lowdose.cli._bench_rows import Row
from lowdose.config_networks import NetworkSpec, PaperUNetSpec
from lowdose.data.frames import FrameSet, read_frames
from lowdose.evaluation.release_metrics import part

EQUAL_MIN = 3.75
BUDGETS_MIN = (2.5, 5.0)
LEVEL_DB = 30.9  # of the paper's small-field networks
LEVEL_MIN = 2.5
GAIN_DB = 3.5
VALIDATE_EVERY = 300
PAPER_RATE = 1e-3  # config/paper.yaml trains its networks so
AVERAGE = 0.99  # a hundred steps, a few percent of these short trainings


def equal_time(small: NetworkSpec, study, work: Path, log: Callable[[str], None]) -> list[Row]:
    """Train `small` and the paper's U-Net of 16 channels on the white training set.

    Both are measured on every second white test frame: nothing is chosen by it, and its constant
    image is that of the paper's frames, on which its small-field networks reached `LEVEL_DB`.

    Parameters
    ----------
    small : NetworkSpec
    study : lowdose.stages.Study
        Of the release networks.
    work : Path
        With its waves and frames under ``results``.
    log : callable
    """
    from lowdose.data.training_data import renderer
    from lowdose.report.search_table import constant_psnr_db

    spec = study.spec("train", network="white", training_set="white", seed=0)
    results = work / "results"
    waves = [results / "waves" / f"{shard}.h5" for shard in study.shards]
    data = renderer(spec, waves, results / "frames" / "classes.parquet")
    frames = read_frames(results / "frames" / "test.h5")
    frames = part(frames, np.arange(len(frames.clean)) % 2 == 0)
    dose = spec["reference_dose_e_per_px"]
    paper = PaperUNetSpec(architecture="paper-unet", scales=4, base=16)

    def learned(network: NetworkSpec, minutes: float, every: int, **other):
        settings = spec["training"] | {
            "minutes": minutes, "average": AVERAGE, "validate_every": every,
            "save_every_s": 60.0 * minutes, **other,
        }  # fmt: skip
        history = trained(network, data.batch, frames, settings, dose, spec["study_seed"])
        last = history[-1]
        log(f"{network.architecture}, {minutes:g} min: {last['step']} steps, "
            f"{last['validation_psnr_db']:.2f} dB")  # fmt: skip
        return history

    never = 10**9  # validated at the end alone: all the time is for learning
    ours = learned(small, EQUAL_MIN, never)[-1]
    theirs = learned(paper, EQUAL_MIN, never, optimiser="adamw", learning_rate=PAPER_RATE)[-1]
    histories = {minutes: learned(small, minutes, VALIDATE_EVERY) for minutes in BUDGETS_MIN}
    constant = constant_psnr_db(frames.clean)
    about = f"{len(frames.clean)} white test frames, constant image {constant:.2f} dB"
    return [*equal_rows(ours, theirs, about), *level_rows(histories, about)]


def trained(
    network: NetworkSpec,
    batch: Callable,
    frames: FrameSet,
    settings: Mapping,
    dose_e_per_px: float,
    seed: int,
) -> list[dict]:
    """Train a network; return its history with ``learning_s``, the time without validations.

    Parameters
    ----------
    network : NetworkSpec
    batch : callable
        Step number -> (noisy, clean).
    frames : FrameSet
        For validation, in realisation 0.
    settings : mapping
        Section ``training``.
    dose_e_per_px : float
        Of the validation frames.
    seed : int
        Root seed, of counts and weights.
    """
    import torch

    from lowdose import seeds
    from lowdose.denoisers.networks.build import build
    from lowdose.denoisers.tiles import apply
    from lowdose.metrics import psnr
    from lowdose.training.loop import train, use_bf16

    bf16, validating = use_bf16(settings["precision"]), 0.0
    shown = [
        (clean * np.float32(dose_e_per_px), frames.counts(number, dose_e_per_px, 0, seed))
        for number, clean in enumerate(frames.clean)
    ]

    def estimate(candidate, counts: np.ndarray) -> np.ndarray:
        relative = torch.from_numpy(counts / np.float32(dose_e_per_px))[None, None]
        return apply(candidate, relative, bf16=bf16)[0, 0].numpy() * dose_e_per_px

    def validate(candidate) -> dict[str, float]:
        nonlocal validating
        begun = time.monotonic()
        scores = [
            psnr(clean, estimate(candidate, counts), dose_e_per_px=dose_e_per_px)
            for clean, counts in shown
        ]
        validating += time.monotonic() - begun
        return {"validation_psnr_db": float(np.mean(scores)), "validating_s": validating}

    with tempfile.TemporaryDirectory(prefix="lowdose-bench-") as folder:
        history = train(
            build(network, seeds.torch_seed(seed, "weights", 0)), batch, settings,
            validate=validate, state_path=Path(folder) / "state.safetensors", fingerprint="bench",
        )  # fmt: skip
    return [{**r, "learning_s": r["seconds"] - r["validating_s"]} for r in history]


def minutes_to(history: Sequence[Mapping], level_db: float) -> float | None:
    """Return the minutes of learning at which the validation first reaches a level.

    Parameters
    ----------
    history : sequence of mapping
        ``learning_s`` and ``validation_psnr_db``, in order.
    level_db : float

    Returns
    -------
    float or None
        Between two validations it is interpolated linearly; the first one is taken as it is.
        None if the level is never reached.
    """
    before = None
    for record in history:
        now, value = record["learning_s"] / 60, record["validation_psnr_db"]
        if value >= level_db:
            if before is None:
                return now
            share = (level_db - before[1]) / (value - before[1])
            return before[0] + share * (now - before[0])
        before = now, value
    return None


def equal_rows(ours: Mapping, theirs: Mapping, about: str) -> list[Row]:
    """Return the lines of two trainings of equal time, from the last records of both."""
    seconds = 60 * EQUAL_MIN
    dB = "validation_psnr_db"
    return [
        Row(f"`small` after {seconds:.0f} s of training", ours[dB], "dB",
            note=f"{ours['step']} steps; {about}"),
        Row(f"the paper's U-Net with 16 channels after {seconds:.0f} s", theirs[dB], "dB",
            note=f"{theirs['step']} steps of the same batch"),
        Row("difference", ours[dB] - theirs[dB], "dB", GAIN_DB, at_least=True),
    ]  # fmt: skip


def level_rows(histories: Mapping[float, Sequence[Mapping]], about: str) -> list[Row]:
    """Return the lines of `small` on its way to `LEVEL_DB`; the shortest budget has the target.

    Parameters
    ----------
    histories : mapping of float to history
        By budget [minutes]: with the learning rate's cosine to its end, a short training is at
        its best when it ends, and a longer one passes the level later.
    about : str
        What was validated.
    """
    rows = []
    for budget, history in histories.items():
        end = history[-1]["validation_psnr_db"]
        note = (f"first crossing in a training of {budget:g} min, validations ({about}) not "
                f"counted; {end:.2f} dB at its end")  # fmt: skip
        value = minutes_to(history, LEVEL_DB)
        target = LEVEL_MIN if budget == min(histories) else None
        rows.append(Row(f"`small`: minutes to {LEVEL_DB} dB, budget {budget:g}", value, "min",
                        target, note=note))  # fmt: skip
    return rows
