"""The threshold above which a response counts as a column: chosen where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lowdose.data.frames import FrameSet
from lowdose.evaluation.measure import Sites, mark_partners, pooled_f1, truth_of_frame

# In units of vacuum.
THRESHOLDS = np.geomspace(0.005, 0.4, 45)
NAMES = ("n_true", "n_found", "n_matched")


def truths(frames: FrameSet) -> list[pd.DataFrame]:
    """Return the true platinum columns of each frame."""
    marked = mark_partners(frames.columns, frames.table)
    return [truth_of_frame(of_frame) for _, of_frame in marked.groupby("frame")]


def best_threshold(
    found: Sequence[tuple[int, pd.DataFrame]],
    frames: FrameSet,
    truth: Sequence[pd.DataFrame],
    gate_nm: float,
) -> tuple[float, float]:
    """Choose the threshold with the best surface F1; return it and that F1.

    Of equal scores the highest threshold is taken, which invents the least.

    Parameters
    ----------
    found : sequence of (frame, candidates)
        Every response of each frame, with ``response``.
    frames : FrameSet
    truth : sequence of DataFrame
        From :func:`truths`.
    gate_nm : float
        Matching gate [nm].
    """
    interface = frames.table["interface_y_nm"].to_numpy()
    sums = np.zeros((len(THRESHOLDS), 3))
    for number, table in found:
        sites = Sites.of(truth[number])
        points, response = table[["x_nm", "y_nm"]].to_numpy(), table["response"].to_numpy()
        # Many thresholds leave the same columns.
        known: dict[int, tuple[float, ...]] = {}
        for i, threshold in enumerate(THRESHOLDS):
            kept = response >= threshold
            if (key := int(kept.sum())) not in known:
                counts = sites.compare(points[kept], interface[number], gate_nm)
                known[key] = tuple(counts[name] for name in NAMES)
            sums[i] += known[key]
    scores = np.array([pooled_f1(dict(zip(NAMES, row, strict=True))) for row in sums])
    best = np.flatnonzero(scores == scores.max())[-1]
    return float(THRESHOLDS[best]), float(scores[best])
