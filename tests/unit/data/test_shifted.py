"""The shifted set: each shift changes one thing, and the truth follows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lowdose import config
from lowdose.data.frames import FrameSet, read_frames
from lowdose.data.shifted import MEANINGS, chosen_models, second_code, write_shifted
from lowdose.runtime import UserError
from lowdose.stages import Study
from lowdose.structures.library import write_library

CODE = Path(__file__).parents[2] / "second_code.py"
SMALL = {
    "structures": {
        "base_shapes": {"PtNp1": 1, "PtNp2": 1, "PtNp3": 1, "PtNp4": 1},
        "size_nm": [1.5, 2.0], "thickness_quota": {16: 8, 21: 2, 26: 2}, "periods": 4,
        "trilayers": 2, "cell_height_nm": 4.6, "tilts_deg": [[0, 0], [2, 0]],
    },
    "simulation": {"grid": 432}, "camera": {"pixel_size_nm": 0.0122},
    "frames": {"test_shapes": 1, "validation_shapes": 1},
    "shifted": {"shapes": 1, "phonon_configurations": 3, "drift_nm": 0.06},
}  # fmt: skip


@pytest.fixture(scope="module")
def study() -> Study:
    return Study(config.load([], SMALL))


@pytest.fixture(scope="module")
def folder(study, tmp_path_factory) -> Path:
    """A library whose twin is the test shape."""
    place = tmp_path_factory.mktemp("shifted")
    write_library(study.values["structures"], 1, place)
    models = pd.read_csv(place / "models.csv")
    split = np.where(models["family"] == "PtNp4", "test", "train")
    models.assign(split=split).to_parquet(place / "classes.parquet")
    return place


@pytest.fixture(scope="module")
def made(study, folder) -> tuple[FrameSet, pd.DataFrame]:
    table = write_shifted(study.spec("shifted"), folder, folder / "classes.parquet", CODE,
                          folder / "shifted.h5", lambda line: None)  # fmt: skip
    return read_frames(folder / "shifted.h5"), table


def of(made, shift: str, defect: str = "D0") -> tuple[np.ndarray, pd.DataFrame]:
    frames, _ = made
    chosen = frames.table[(frames.table["shift"] == shift) & (frames.table["defect"] == defect)]
    number = int(chosen["frame"].iloc[0])
    truth = frames.columns[frames.columns["frame"] == number]
    return frames.clean[number], truth[truth["is_particle"]]


def test_every_shift_shows_the_same_pair(made):
    frames, table = made
    assert list(frames.table["shift"].unique()) == list(MEANINGS)
    assert set(frames.table["base_shape"]) == {"PtNp4a"}
    assert (frames.table.groupby("shift")["defect"].agg(list).map(tuple) == ("D0", "D1")).all()
    assert table["psnr_to_none_db"].iloc[:2].tolist() == [np.inf, np.inf]
    assert table["psnr_to_none_db"].iloc[2:].between(20, 75).all()


def test_the_second_code_agrees_better_than_any_shift_of_the_world(made):
    _, table = made
    by = table.groupby("shift")["psnr_to_none_db"].min()
    assert by["second-code"] > by.drop(["none", "second-code"]).max()


def test_drift_is_the_unshifted_image_moved_and_averaged(made, study):
    # A second route: the clean image itself, shifted by Fourier ramps and averaged.
    clean, drifted = of(made, "none")[0], of(made, "drift")[0]
    from lowdose import seeds

    rng = seeds.rng(study.config.seed, "shifted", "drift", "PtNp4a")
    angle = np.deg2rad(rng.uniform(0, 360, 3)[0])
    move = 0.06 * np.array([np.sin(angle), np.cos(angle)]) / 0.0122
    ky, kx = np.fft.fftfreq(clean.shape[0]), np.fft.rfftfreq(clean.shape[1])
    series = np.fft.rfft2(clean)
    steps = np.linspace(-0.5, 0.5, 201)
    ramps = [np.exp(-2j * np.pi * t * (move[0] * ky[:, None] + move[1] * kx)) for t in steps]
    expected = np.fft.irfft2(series * np.mean(ramps, axis=0), s=clean.shape)
    inner = (slice(60, 260), slice(None, -20))  # the frame is a cut of the periodic cell
    assert np.abs(drifted - clean)[inner].max() > 0.02
    assert np.abs(drifted - expected)[inner].max() < 0.004


def test_truth_follows_the_registry_and_nothing_else(made):
    _, still = of(made, "none")
    for shift in MEANINGS:
        _, truth = of(made, shift)
        moved = np.abs(truth[["x_nm", "y_nm"]].to_numpy() - still[["x_nm", "y_nm"]].to_numpy())
        if shift == "registry":
            assert 0.005 < moved[:, 0].max() < 0.3
            assert moved[:, 1].max() < 1e-6
        else:
            assert moved.max() < 1e-9


def test_contamination_adds_a_veil_beside_the_particle_alone(made):
    clean, covered = of(made, "none")[0], of(made, "contamination")[0]
    change = np.abs(covered - clean)
    _, truth = of(made, "none")
    y, x = (np.arange(n) * 0.0122 for n in clean.shape)
    distance = np.min(
        [np.hypot(y[:, None] - t.y_nm, x[None, :] - t.x_nm) for t in truth.itertuples()], axis=0
    )
    # Carbon reaches 1.0 + 0.2 nm from the atoms, and its fringes some tenths farther.
    away = distance[: int(1.5 / 0.0122)] > 1.5
    assert away.sum() > 500
    assert change[: int(1.5 / 0.0122)][away].max() < 0.02
    assert change.max() > 0.05


def test_the_set_is_frozen(study, folder, made):
    again = folder / "again.h5"
    write_shifted(study.spec("shifted"), folder, folder / "classes.parquet", CODE, again,
                  lambda line: None)  # fmt: skip
    assert read_frames(again).digest == made[0].digest


def test_more_shapes_than_the_test_set_has_are_refused(folder):
    models = pd.read_csv(folder / "models.csv")
    classes = pd.read_parquet(folder / "classes.parquet")
    for wrong in (0, 2):
        with pytest.raises(UserError, match="set it between 1 and 1"):
            chosen_models(models, classes, wrong)


def test_a_second_code_that_is_none_is_refused(tmp_path):
    with pytest.raises(UserError, match="There is no second code"):
        second_code(tmp_path / "code.py")
    (tmp_path / "code.py").write_text("x = 1\n")
    with pytest.raises(UserError, match="no function `exit_wave`"):
        second_code(tmp_path / "code.py")
