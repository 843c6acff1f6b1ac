"""The classes of all images, from real waves in a shard."""

import numpy as np
import pytest

from lowdose.data.freeze import classify
from lowdose.imaging.store import write_shard
from lowdose.structures.library import true_columns


@pytest.fixture
def shard(tmp_path, tilted_waves, particle_model):
    """A model and a vacuum of the same cell."""
    width, height, depth = particle_model.cell.lengths() / 10
    wave = tilted_waves[0.0, 0.0]
    shared = {
        "defect": "D0", "layers": 16, "tilt_x_deg": 0.0, "tilt_y_deg": 0.0,
        "cell_x_nm": width, "cell_y_nm": height, "cell_z_nm": depth,
    }  # fmt: skip
    rows = [
        {"model_id": "PtNp1c-D0-16L-x0y0", "base_shape": "PtNp1c", "family": "PtNp1", **shared},
        {"model_id": "vacuum", "base_shape": "vacuum", "family": "vacuum", **shared},
    ]
    waves = list(zip(rows, [wave, np.ones_like(wave)], strict=True))
    write_shard(tmp_path / "shard000.h5", waves, {"energy_kev": 300.0})
    return tmp_path / "shard000.h5"


def test_columns_turn_from_black_to_white_and_vacuum_has_none(
    shard, particle_model, model, optics, camera
):
    columns = true_columns(particle_model, model("PtNp1c"))
    imaging = {"optics": optics, "camera": camera, "energy_kev": 300.0}
    found = classify([shard], columns, imaging, [0.0, 9.0, 14.0])
    of = found.set_index(["base_shape", "c1_nm"])
    assert list(of.loc["PtNp1c", "contrast"]) == ["black", "white", "white"]
    assert list(of.loc["vacuum", "contrast"]) == ["none"] * 3
    full = columns["is_particle"] & (columns["n_atoms"] >= 3)
    assert set(of.loc["PtNp1c", "columns"]) == {full.sum()}
    assert set(of.loc["vacuum", "columns"]) == {0}
    assert of.loc[("PtNp1c", 0.0), "white_share"] <= 0.1
    assert of.loc[("PtNp1c", 9.0), "white_share"] >= 0.9
    assert of.loc[("PtNp1c", 0.0), "mean_contrast"] < 0 < of.loc[("PtNp1c", 9.0), "mean_contrast"]
