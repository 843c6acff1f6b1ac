"""Trained on one kind of images, tested on every kind: the matrices of training geometry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from lowdose import seeds
from lowdose.evaluation.field_sweep import frames_of
from lowdose.evaluation.statistics import bootstrap_interval, interval_method

AXES = ("all", "contrast", "family", "defect", "layers", "tilt")


def table(spec: Mapping, evaluation: Path, networks: Path) -> pd.DataFrame:
    """Return the contrast PSNR of every training on every kind of test frame.

    Parameters
    ----------
    spec : mapping
        ``trainings`` with ``shown`` (from :func:`lowdose.sweeps.geometry`),
        ``reference_dose_e_per_px``, ``draws``, ``seed``.
    evaluation, networks : Path
        Folders of those stages.

    Returns
    -------
    DataFrame
        ``trained_on`` (training set), ``trained_axis`` (what restricts it, "all" if nothing
        does), ``tested_axis, tested_on``, ``matched`` (frames of a kind that it was trained on),
        ``contrast_psnr_db`` with ``_low`` and ``_high`` at 95 % over base shapes, ``n_frames``,
        ``n_shapes, method``.
    """
    rows = []
    for one in spec["trainings"]:
        frames = frames_of([one], evaluation, spec["reference_dose_e_per_px"])
        frames = frames.assign(all="all", tilt=tilt_of(frames))
        for axis in AXES:
            for value, part in frames.groupby(axis, sort=True):
                rng = seeds.rng(spec["seed"], "geometry", axis, str(value))
                found = bootstrap_interval(part, "contrast_psnr", draws=spec["draws"], rng=rng)
                n_shapes = part["base_shape"].nunique()
                rows.append(
                    {
                        "trained_on": one["training_set"],
                        "trained_axis": next(iter(one["shown"]), "all"),
                        "tested_axis": axis,
                        "tested_on": str(value),
                        "matched": value in one["shown"].get(axis, [value]),
                        "contrast_psnr_db": found.estimate,
                        "contrast_psnr_db_low": found.low,
                        "contrast_psnr_db_high": found.high,
                        "n_frames": len(part),
                        "n_shapes": n_shapes,
                        "method": interval_method(n_shapes),
                    }
                )
    return pd.DataFrame(rows)


def tilt_of(frames: pd.DataFrame) -> np.ndarray:
    """Say of each frame whether its model is tilted: "none" or "tilted"."""
    tilt = frames[["tilt_x_deg", "tilt_y_deg"]].abs().max(axis=1)
    return np.where(tilt > 0, "tilted", "none")
