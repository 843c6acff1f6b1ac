"""The stage ``frames``: from waves to classes, splits and frozen frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lowdose.data.classes import NO_PARTICLE, ContrastMeter, contrast_class, full_columns
from lowdose.data.frames import choose, frame_renderer, write_frames
from lowdose.data.splits import split_images, split_shapes, twins
from lowdose.imaging.camera import blur
from lowdose.imaging.optics import WaveOptics
from lowdose.imaging.rendering import ImageRenderer
from lowdose.imaging.store import read_waves
from lowdose.runtime import atomic_path


def freeze(
    spec: Mapping,
    structures: Path,
    waves: Sequence[Path],
    output: Path,
    log: Callable[[str], None],
) -> None:
    """Write ``classes.parquet``, ``validation.h5`` and ``test.h5``.

    ``classes.parquet`` has one row for each image (model and C1): contrast class, mean
    contrast of the full columns and the share of them that is white, their number, split.

    Parameters
    ----------
    spec : mapping
        ``frames``, ``optics``, ``camera``, ``energy_kev``, ``seed``.
    structures, waves, output : Path
    log : callable
    """
    frames = spec["frames"]
    columns = pd.read_parquet(structures / "columns.parquet")
    classes = classify(waves, columns, spec, frames["c1_nm"])
    if frames["split"] == "shape":
        shapes = classes[classes["contrast"] != NO_PARTICLE]
        of_shape = split_shapes(
            shapes, frames["test_shapes"], frames["validation_shapes"], spec["seed"]
        )
        # Frames without a particle have no columns to find; they are for training alone.
        classes["split"] = classes["base_shape"].map(of_shape).fillna("train")
        for group in twins(columns, shapes):
            seen = {of_shape[shape] for shape in group}
            if "train" in seen and len(seen) > 1:
                again = sorted(shape for shape in group if of_shape[shape] == "train")
                classes.loc[classes["base_shape"].isin(again), "split"] = "unused"
                log(f"{', '.join(again)}: the outline of a shape held out, left unused")
    else:
        classes["split"] = split_images(len(classes), spec["seed"])
    counts = classes["contrast"].value_counts().to_dict()
    log(f"{len(classes)} images: {counts}")
    for split in ("validation", "test"):
        freeze_split(spec, classes, columns, waves, split, output / f"{split}.h5", log)
    with atomic_path(output / "classes.parquet") as path:
        classes.to_parquet(path, index=False)


def freeze_split(
    spec: Mapping,
    classes: pd.DataFrame,
    columns: pd.DataFrame,
    waves: Sequence[Path],
    split: str,
    output: Path,
    log: Callable[[str], None],
) -> None:
    """Choose, render and write the evaluation frames of one split.

    Parameters
    ----------
    spec : mapping
        ``frames``, ``optics``, ``camera``, ``energy_kev``, ``seed``.
    classes, columns : DataFrame
        ``classes.parquet`` and ``columns.parquet``.
    waves : sequence of Path
    split : str
    output : Path
        The ``.h5`` file.
    log : callable
    """
    frames, imaging = spec["frames"], {k: spec[k] for k in ("optics", "camera", "energy_kev")}
    chosen = choose(classes, split, frames["contrast"], frames["frames_per_shape"])
    wanted = {model for model, _ in chosen}
    found = {row["model_id"]: (row, wave) for row, wave in read_waves(waves, wanted)}
    of_model = dict(list(columns[columns["model_id"].isin(wanted)].groupby("model_id")))
    label = classes.set_index(["model_id", "c1_nm"])["contrast"]
    renderer: ImageRenderer | None = None
    images = []
    for model, c1 in chosen:
        row, wave = found[model]
        cell = row["cell_y_nm"], row["cell_x_nm"]
        if renderer is None or renderer.lens.cell_nm != cell:
            renderer = frame_renderer(cell, imaging)
        attributes = {**row, "c1_nm": c1, "contrast": label[model, c1]}
        image = renderer.image(renderer.lens.spectrum(wave), c1)
        images.append((attributes, image, of_model[model]))
    doses = frames["doses_e_per_px"]
    digest = write_frames(output, split, images, imaging, doses, spec["seed"])
    log(f"{len(images)} {split} frames, digest {digest[:12]}")


def classify(
    waves: Sequence[Path], columns: pd.DataFrame, imaging: Mapping, c1_nm: Sequence[float]
) -> pd.DataFrame:
    """Return the contrast class of every image of every wave."""
    rows = []
    of_model = dict(list(columns.groupby("model_id")))
    camera = imaging["camera"]
    optics: WaveOptics | None = None
    for row, wave in read_waves(waves):
        cell = row["cell_y_nm"], row["cell_x_nm"]
        if optics is None or optics.cell_nm != cell:
            optics = WaveOptics(cell, imaging["optics"], imaging["energy_kev"])
            transfer = blur(optics.grid, cell, camera, camera["pixel_size_nm"])
            meter = ContrastMeter(optics.grid, cell, transfer, camera["contrast_factor"])
        spectrum = optics.spectrum(wave)
        points = full_columns(of_model.get(row["model_id"], columns.iloc[:0]))
        keys = ("model_id", "base_shape", "family", "defect", "layers", "tilt_x_deg", "tilt_y_deg")
        for c1 in c1_nm:
            contrast = meter.contrast(optics.intensity(spectrum, c1), points)
            rows.append({**{k: row[k] for k in keys}, "c1_nm": float(c1),
                         "contrast": contrast_class(contrast),
                         "mean_contrast": float(contrast.mean()) if len(contrast) else 0.0,
                         "white_share": float(np.mean(contrast > 0)) if len(contrast) else 0.0,
                         "columns": len(contrast)})  # fmt: skip
    return pd.DataFrame(rows)
