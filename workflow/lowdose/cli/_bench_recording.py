"""A microscopist's file: seconds and memory from file to page, and whether verdicts hold."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

FRAMES = Path("results/frames/test.h5")
SIDE_PX, STACK, PIXEL_NM, DOSE = 1024, 100, 0.0061, 0.45
ONE_S, OF_DENOISING_S, STACK_S, STACK_BYTES = 10.0, 1.0, 90.0, 2 * 2**30
LEVEL, REALISATIONS, GATE_NM, SEED = 0.05, 3, 0.072, 7
DRAWS = 2000


def measure(threads: int) -> list[tuple]:
    """Return rows of (name, value, unit, upper target, at least, low, high, note)."""
    from lowdose.data.frames import read_frames
    from lowdose.microscope.calibrated_tiff import write_tiff
    from lowdose.runtime import UserError, fix_torch

    fix_torch(threads)
    if not FRAMES.is_file():
        raise UserError(f"{FRAMES} does not exist; `./study run` makes it.")
    frames = read_frames(FRAMES)
    # A frame of the size that cameras have: a test frame and its mirror images.
    clean = np.pad(frames.clean[0], [(0, max(0, SIDE_PX - n)) for n in frames.clean[0].shape],
                   mode="symmetric")[:SIDE_PX, :SIDE_PX]  # fmt: skip
    rng = np.random.default_rng(SEED)
    stack = np.stack([rng.poisson(DOSE * clean).astype(np.uint8) for _ in range(STACK)])
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, data in (("one frame", stack[0]), (f"a stack of {STACK}", stack)):
            path = folder / f"{len(rows)}.tif"
            write_tiff(path, data, PIXEL_NM, title="benchmark")
            seconds, bytes_ = _denoised(path, threads)
            limit = ONE_S if data.ndim == 2 else STACK_S
            what = f"{kind}, {SIDE_PX} x {SIDE_PX} pixels"
            rows.append((f"{what}: file to page", seconds, "s", limit, False, None, None,
                         "start of Python included; hspy, tif, csv, hdf5, html"))  # fmt: skip
            rows.append((f"{what}: memory", bytes_ / 2**30, "GiB",
                         STACK_BYTES / 2**30 if data.ndim == 3 else None))  # fmt: skip
    rows.append(_denoising(stack[:1]))
    return rows + _verdicts(frames)


def _denoised(path: Path, threads: int) -> tuple[float, int]:
    """Return the seconds of the command, and the largest memory that it took [bytes]."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    words = [sys.executable, "-m", "lowdose", "--threads", str(threads), "denoise", str(path)]
    begun = time.perf_counter()
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
    # The resources of this child alone; its own children, which read the file once, are small.
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"lowdose denoise ended with {process.returncode}")
    kilo = 1024 if sys.platform != "darwin" else 1
    return time.perf_counter() - begun, used.ru_maxrss * kilo


def _denoising(frame: np.ndarray) -> tuple:
    from lowdose.denoisers import registry

    network = registry.create("general")
    counts = frame.astype(np.float32)
    network.denoise(counts, PIXEL_NM)  # the first call allocates
    taken = []
    for _ in range(5):
        begun = time.perf_counter()
        network.denoise(counts, PIXEL_NM)
        taken.append(time.perf_counter() - begun)
    return ("of which denoising", float(np.median(taken)), "s", OF_DENOISING_S, False, None, None,
            "general, median of five")  # fmt: skip


def _verdicts(frames) -> list[tuple]:
    """Count false discoveries and power where nothing but the counts was known."""
    from lowdose.columns.matching import match
    from lowdose.columns.weighing import weigh
    from lowdose.denoisers import registry
    from lowdose.evaluation.measure import truth_of_frame
    from lowdose.evaluation.statistics import summarise

    pixel, network = frames.pixel_size_nm, registry.create("general")

    def denoise(counts: np.ndarray) -> np.ndarray:
        return network.denoise(counts[None], pixel)[0]

    rows = []
    for number, row in frames.table.iterrows():
        truth = truth_of_frame(frames.columns[frames.columns["frame"] == number])
        truth = truth[truth["n_atoms"] > 0]
        surface = truth[truth["is_surface"]]
        for realisation in range(REALISATIONS):
            counts = frames.counts(number, DOSE, realisation, SEED)
            rng = np.random.default_rng([SEED, number, realisation])
            shown = weigh(counts, denoise(counts), denoise, pixel, rng).columns
            shown = shown[shown["is_surface"]]
            kept = shown[shown["q_value"] <= LEVEL][["x_nm", "y_nm"]].to_numpy()
            real, found = (
                len(match(part[["x_nm", "y_nm"]].to_numpy(), kept, GATE_NM)[0])
                for part in (truth, surface)
            )
            rows.append({"base_shape": row["base_shape"], "n": len(kept), "found": found,
                         "share_false": 1 - real / len(kept) if len(kept) else 0.0,
                         "n_surface": len(surface)})  # fmt: skip
    table = pd.DataFrame(rows).assign(all="all")
    note = f"{len(table)} frames at {DOSE:g} e/pixel, nothing known but their counts; general"
    result = []
    for name, value, weights, limit in (
        ("false among the supported surface columns", "share_false", None, LEVEL),
        ("supported of the true surface columns", "found", "n_surface", None),
    ):
        one = summarise(
            table, value, ["all"], weights=weights, draws=DRAWS, bounds=(0, 1),
            statistic="ratio" if weights else "mean", rng=np.random.default_rng(SEED),
        ).iloc[0]  # fmt: skip
        result.append((name, float(one["estimate"]), "", limit, False, float(one["low"]),
                       float(one["high"]), note))  # fmt: skip
    return result
