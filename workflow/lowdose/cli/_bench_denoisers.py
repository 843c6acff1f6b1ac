"""Seconds a frame of every denoiser, side by side, on one frame of 800 x 800 pixels."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np

SIDE_PX = 800
LIMITS_S = {"nlm": 10.0, "tv": 2.0, "wavelets": 2.0, "bm3d": 10.0, "purelet": 5.0}
REPETITIONS = 3
SLOW_S = 3.0  # from here on once is enough
BASELINES = Path("results/baselines")


def measure(threads: int) -> list[tuple]:
    """Return rows of (name, value, unit, upper target, at least, low, high, note)."""
    from lowdose.cli import log
    from lowdose.denoisers import registry
    from lowdose.evaluation.arms import tuned_parameters
    from lowdose.metrics import REFERENCE_DOSE_E_PER_PX
    from lowdose.runtime import fix_torch
    from lowdose.sampling import dose_e_per_a2

    fix_torch(threads)
    pixel = 0.0061
    dose = dose_e_per_a2(REFERENCE_DOSE_E_PER_PX, pixel)
    counts = _lattice_counts(REFERENCE_DOSE_E_PER_PX, pixel)
    seconds: dict[str, float] = {}
    rows = []
    for name in registry.names():
        if sentence := registry.missing(name):
            rows.append((name, None, "s", None, False, None, None, sentence))
            continue
        chosen, note = {}, "default parameters"
        if (BASELINES / name / "tuned.json").is_file():
            chosen = tuned_parameters(BASELINES, name)
            note = "as tuned: " + ", ".join(f"{k} {v}" for k, v in chosen.items())
        denoiser = registry.create(name, **chosen)
        denoiser.denoise(counts[:, :64, :64], pixel, dose=dose)  # what is compiled once
        taken = []
        while not taken or (len(taken) < REPETITIONS and taken[0] < SLOW_S):
            begun = time.perf_counter()
            denoiser.denoise(counts, pixel, dose=dose)
            taken.append(time.perf_counter() - begun)
        seconds[name] = statistics.median(taken)
        log(f"{name}: {seconds[name]:.3g} s")
        ratio = ""
        if "gaussian" in seconds:  # it follows the references
            ratio = f"{seconds[name] / seconds['gaussian']:.3g} times the Gaussian"
        notes = "; ".join(part for part in (ratio, note) if part)
        limit = LIMITS_S.get(name)
        rows.append((name, seconds[name], "s", limit, False, None, None, notes))
    return rows


def _lattice_counts(dose_e_per_px: float, pixel_size_nm: float) -> np.ndarray:
    """Return counts (1, y, x) of a lattice below vacuum: methods that search find something."""
    y, x = (pixel_size_nm * np.arange(SIDE_PX) for _ in range(2))
    wave = np.cos(2 * np.pi * y[:, None] / 0.39) * np.cos(2 * np.pi * x / 0.277)
    particle = (y > 0.4 * y[-1])[:, None]
    expected = dose_e_per_px * (1 + 0.3 * wave * particle)
    rng = np.random.default_rng(1)
    return rng.poisson(expected).astype(np.float32)[None]
