"""The threshold above which a response counts as a column: chosen where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lowdose.data.frames import FrameSet
from lowdose.evaluation.measure import mark_partners, pooled_f1, surface_counts, truth_of_frame

# In units of vacuum.
THRESHOLDS = np.geomspace(0.005, 0.4, 45)


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
    scores = np.zeros(len(THRESHOLDS))
    for i, threshold in enumerate(THRESHOLDS):
        rows = [
            surface_counts(
                table[table["response"] >= threshold], truth[number], interface[number], gate_nm
            )
            for number, table in found
        ]
        scores[i] = pooled_f1(pd.DataFrame(rows))
    best = np.flatnonzero(scores == scores.max())[-1]
    return float(THRESHOLDS[best]), float(scores[best])
