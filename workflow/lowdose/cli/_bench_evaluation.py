"""Seconds a frame of the column statistics, denoising apart, and beside a plain loop."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

FRAMES = Path("results/frames/test.h5")
DOSE, SIGMA_NM, GATE_NM, THRESHOLD = 0.45, 0.049, 0.072, 0.08
AT_MOST_COLUMNS_S, AT_MOST_MAP_S = 0.05, 0.5
REPETITIONS = 7


def measure(threads: int) -> list[tuple]:
    """Return rows of (name, value, unit, upper target, at least, low, high, note)."""
    from scipy.ndimage import gaussian_filter

    from lowdose.data.frames import one_per_shape, read_frames
    from lowdose.evaluation.belief import cross_fitted
    from lowdose.evaluation.measure import Sites, candidates, per_column, surface_counts
    from lowdose.evaluation.thresholds import THRESHOLDS, best_threshold, truths
    from lowdose.runtime import UserError, fix_torch

    fix_torch(threads)
    if not FRAMES.is_file():
        raise UserError(f"{FRAMES} does not exist; `./study run` makes it.")
    frames = one_per_shape(read_frames(FRAMES))
    pixel, truth = frames.pixel_size_nm, truths(frames)
    interface = frames.table["interface_y_nm"].to_numpy()
    counts = [frames.counts(i, DOSE, 0, 1) for i in range(len(frames.table))]
    # As noisy as a low-pass leaves it: more candidates than a good denoiser shows.
    images = [gaussian_filter(c, 5.0) / DOSE for c in counts]

    def statistics_of(number: int) -> None:
        found = candidates(images[number], pixel, interface[number], SIGMA_NM)
        found = found[found["response"] >= THRESHOLD].reset_index(drop=True)
        points = found[["x_nm", "y_nm"]].to_numpy()
        Sites.of(truth[number]).compare(points, interface[number], GATE_NM)
        per_column(found, truth[number], interface[number], GATE_NM)

    def likelihood_map(number: int) -> None:
        cross_fitted(
            counts[number], frames.clean[number], lambda seen, dose, clean: images[number] * dose,
            DOSE, pixel, interface[number], SIGMA_NM, THRESHOLD, np.random.default_rng(1),
        )  # fmt: skip

    found = [(i, candidates(one, pixel, interface[i], SIGMA_NM)) for i, one in enumerate(images)]

    def plain_loop() -> None:
        for threshold in THRESHOLDS:
            for number, table in found:
                above = table[table["response"] >= threshold]
                surface_counts(above, truth[number], interface[number], GATE_NM)

    many = len(images)
    of_columns = _seconds(lambda: [statistics_of(i) for i in range(many)]) / many
    of_map = _seconds(lambda: [likelihood_map(i) for i in range(many)]) / many
    ours = _seconds(lambda: best_threshold(found, frames, truth, GATE_NM)) / many
    loop = _seconds(plain_loop) / many
    size = " x ".join(map(str, images[0].shape))
    return [
        ("columns, surface and statistics of a frame", of_columns, "s", AT_MOST_COLUMNS_S, False,
         None, None, f"{many} frames of {size} pixels, {len(found[0][1])} candidates on the first"),
        ("likelihood map of a frame", of_map, "s", AT_MOST_MAP_S, False, None, None,
         "thinning, proposing and testing; denoising and nulls apart"),
        ("threshold of a denoiser, a frame", ours, "s", None, False, None, None,
         f"{len(THRESHOLDS)} thresholds"),
        ("the same by a plain loop over thresholds", loop / ours, "times as long", None, False,
         None, None, f"{loop:.3g} s"),
    ]  # fmt: skip


def _seconds(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPETITIONS):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)
