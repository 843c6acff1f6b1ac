"""Estimates of the denoisers of this package, for the benchmark's own rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lowdose.evaluation.arms import arm
from lowdose.evaluation.benchmark_files import Benchmark
from lowdose.evaluation.estimates import Source


def own_estimates(name: str, benchmark: Benchmark, networks: Path, baselines: Path) -> Source:
    """Return what denoises a benchmark's counts with a denoiser of this package.

    Parameters
    ----------
    name : str
        ``clean`` is the expectation itself: the ceiling of metrics and detector.
    benchmark : Benchmark
    networks, baselines : Path
        Folders of trained networks and of ``NAME/tuned.json``.
    """
    denoise = arm(name, networks, baselines, benchmark.manifest["pixel_size_nm"])

    def estimates(kind: str, dose: float) -> np.ndarray:
        clean = benchmark.frames(kind).clean
        counts = benchmark.counts(kind, dose)
        return np.stack([
            denoise(one.astype(np.float32), dose, clean[i % len(clean)] * np.float32(dose))
            for i, one in enumerate(counts)
        ])  # fmt: skip

    return estimates
