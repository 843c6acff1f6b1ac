"""The data of one training: renderer and validation frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pydantic import TypeAdapter

from lowdose import seeds
from lowdose.config_networks import NetworkSpec
from lowdose.data.augmentation import Augmentation
from lowdose.data.classes import NO_PARTICLE
from lowdose.data.frames import read_frames, region
from lowdose.data.renderer import TrainingRenderer
from lowdose.imaging.optics import WaveOptics
from lowdose.imaging.store import read_waves
from lowdose.runtime import UserError


def allowed_images(classes: pd.DataFrame, training_set: Mapping) -> pd.DataFrame:
    """Return the training images that a training set admits.

    Parameters
    ----------
    classes : DataFrame
        ``classes.parquet``: one row an image.
    training_set : mapping
        One entry of ``training_sets``; None admits all.  Images without a particle, where the
        library has them, belong to every contrast, family and defect.
    """
    keep = classes["split"] == "train"
    blank = classes["contrast"] == NO_PARTICLE
    if training_set["contrast"] != "all":
        keep &= blank | (classes["contrast"] == training_set["contrast"])
    for key, column in (("families", "family"), ("defects", "defect"), ("layers", "layers")):
        if training_set[key] is not None:
            keep &= classes[column].isin(training_set[key]) | (blank & (column != "layers"))
    if training_set["largest_tilt_deg"] is not None:
        tilt = classes[["tilt_x_deg", "tilt_y_deg"]].abs().max(axis=1)
        keep &= tilt <= training_set["largest_tilt_deg"]
    keep &= classes["c1_nm"].between(*training_set["c1_nm"])
    if not (keep & ~blank).any():
        raise UserError(
            f"The training set {training_set['name']!r} admits no image of the training split; "
            "widen its contrast, families, defects, layers, tilt or C1."
        )
    return classes[keep]


def renderer(
    spec: Mapping, waves: Sequence[Path], classes: Path, device: torch.device | str = "cpu"
) -> TrainingRenderer:
    """Build the renderer of a training from its specification and the wave shards.

    It keeps the waves, and renders, on `device`.
    """
    training_set, settings = spec["training_set"], spec["training"]
    try:
        table = pd.read_parquet(classes)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{classes} is damaged ({type(error).__name__}); delete it and run again."
        ) from error
    images = allowed_images(table, training_set)
    spectra, index = [], {}
    optics: WaveOptics | None = None
    for row, wave in read_waves(waves, set(images["model_id"])):
        cell = row["cell_y_nm"], row["cell_x_nm"]
        if optics is None:
            # One lens that holds the band of all that are drawn.
            augmentation = Augmentation(spec["optics"], spec["camera"], training_set)
            optics = WaveOptics(cell, augmentation.strongest_optics, spec["energy_kev"])
        elif optics.cell_nm != cell:
            raise UserError(
                f"The wave of {row['model_id']} has another cell than the others of the training "
                "set; simulate all models of a study with one structures.periods and "
                "structures.cell_height_nm."
            )
        index[row["model_id"]] = len(spectra)
        spectra.append(optics.spectrum(wave).to(device))
    if missing := set(images["model_id"]) - set(index):
        raise UserError(f"No shard holds the wave of {min(missing)}; give all shards to --waves.")
    pairs = np.column_stack([images["model_id"].map(index), images["c1_nm"]]).astype(float)
    data_seed = seeds.torch_seed(spec["study_seed"], "data", training_set["name"], spec["seed"])
    return TrainingRenderer(
        spectra,
        pairs,
        optics,
        augmentation,
        region(optics.cell_nm[0]),
        crop_px=settings["crop_px"],
        batch=settings["batch"],
        pool=settings["pool"],
        seed=data_seed,
        stride=TypeAdapter(NetworkSpec).validate_python(spec["network"]).stride,
    )


def validation(path: Path, dose_e_per_px: float, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the validation frames: (counts, their expectation), both (y, x) [e/pixel]."""
    frames = read_frames(path)
    return [
        (frames.counts(i, dose_e_per_px, 0, seed), frames.clean[i] * dose_e_per_px)
        for i in range(len(frames.clean))
    ]
