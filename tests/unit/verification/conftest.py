"""A small folder of results: two real models, their waves and frames, two networks' cards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lowdose.data.frames import render, write_frames
from lowdose.imaging.store import write_shard

PIXEL_NM = 0.02
DOSES = (0.45, 2.0)
NETWORKS = ("wide.white.seed0", "narrow.white.seed0")


class Results:
    """A folder of results and what it was made from."""

    def __init__(self, folder: Path, waves, imaging) -> None:
        self.folder, self.waves, self.imaging = folder, waves, imaging
        self.cell_nm = (5.0, 5.3)

    def copy(self, target: Path) -> Results:
        """Return a copy that a test may change."""
        shutil.copytree(self.folder, target)
        return Results(target, self.waves, self.imaging)

    def write_frames(self, c1_nm: float = 8.0, noise_seed: int = 1, **of_optics) -> None:
        """Freeze a frame of each model."""
        imaging = {**self.imaging, "optics": {**self.imaging["optics"], **of_optics}}
        rows = []
        for model, wave in self.waves.items():
            row = {"model_id": model, "base_shape": model[:7], "c1_nm": c1_nm,
                   "contrast": "white", "interface_y_nm": 3.2}  # fmt: skip
            image = render(wave, self.cell_nm, c1_nm, imaging)
            rows.append((row, image, pd.DataFrame({"x_nm": [1.0], "y_nm": [2.0]})))
        path = self.folder / "frames" / "test.h5"
        write_frames(path, "test", rows, imaging, DOSES, noise_seed)

    def edit(self, path: str, change) -> None:
        """Replace a table by what a function makes of it."""
        path = self.folder / path
        if path.suffix == ".csv":
            change(pd.read_csv(path)).to_csv(path, index=False)
        else:
            change(pd.read_parquet(path)).to_parquet(path)

    def edit_card(self, denoiser: str, change) -> None:
        """Replace a network's card by what a function makes of it."""
        path = self.folder / "networks" / denoiser.replace(".", "/") / "card.json"
        path.write_text(json.dumps(change(json.loads(path.read_text()))))


@pytest.fixture(scope="session")
def results(tmp_path_factory, particle_model, tilted_waves, simulation, optics, camera) -> Results:
    """Results that tests copy, never change."""
    folder = tmp_path_factory.mktemp("verified") / "results"
    for name in ("structures", "waves", "frames", "evaluation", "tables"):
        (folder / name).mkdir(parents=True)
    waves = {
        f"PtNp1c-D0-16L-x{x:g}y{y:g}": tilted_waves[x, y].astype(np.complex64)
        for x, y in ((0.0, 0.0), (4.0, 0.0))
    }
    imaging = {"optics": optics, "camera": {**camera, "pixel_size_nm": PIXEL_NM},
               "energy_kev": 300.0}  # fmt: skip
    made = Results(folder, waves, imaging)
    rows = [
        {"model_id": name, "base_shape": "PtNp1c", "layers": 16, "tilt_x_deg": 4.0 * k,
         "n_columns": 57, "cell_y_nm": 5.0, "cell_x_nm": 5.3}
        for k, name in enumerate(waves)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "structures" / "models.csv", index=False)
    x, y, _ = particle_model.positions.T / 10
    platinum = np.array(particle_model.get_chemical_symbols()) == "Pt"
    places = np.unique(np.stack([x, y], axis=1)[platinum].round(4), axis=0)
    columns = pd.concat(
        pd.DataFrame({
            "model_id": name, "column": np.arange(len(places)), "x_nm": places[:, 0],
            "y_nm": places[:, 1], "element": "Pt", "n_atoms": 5, "is_particle": True,
            "is_surface": False, "site": "bulk",
        }) for name in waves
    )  # fmt: skip
    columns.to_parquet(folder / "structures" / "columns.parquet")
    write_shard(
        folder / "waves" / "shard000.h5",
        ((row, waves[row["model_id"]]) for row in rows),
        {"energy_kev": 300.0, "slice_thickness_nm": 0.2, "parametrization": "lobato"},
    )
    made.write_frames()
    for name in NETWORKS:
        card = {
            "denoiser": name, "architecture": {"architecture": "unet", "widths": [48, 64]},
            "training": {"learning_rate": 0.002, "steps": 2200}, "parameters": 750500,
            "training_set": {"contrast": "white"}, "receptive_field_px": 871, "seed": 0,
        }  # fmt: skip
        path = folder / "networks" / name.replace(".", "/") / "card.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(card))
    return made
