"""``lowdose train`` on one small wave: what it writes, and what it says about damaged input."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lowdose import cli
from lowdose.cli import main
from lowdose.cli._card import effective_field, operating_range
from lowdose.columns.vacuum import false_columns, vacuum_of
from lowdose.config import Camera, Optics, Training, TrainingSet
from lowdose.data.frames import read_frames, write_frames
from lowdose.denoisers.checkpoints import load
from lowdose.imaging.store import write_shard

CELL_NM = (3.2, 2.4)
CAMERA = Camera(pixel_size_nm=0.02).model_dump(mode="json")
ROW = {"model_id": "m", "cell_y_nm": CELL_NM[0], "cell_x_nm": CELL_NM[1]}
ABOUT = {
    "model_id": "m", "base_shape": "PtNp1a", "family": "PtNp1", "defect": "D0", "layers": 16,
    "tilt_x_deg": 0.0, "tilt_y_deg": 0.0, "c1_nm": 8.0, "contrast": "white",
}  # fmt: skip
SPEC = {
    "optics": Optics().model_dump(mode="json"),
    "camera": CAMERA,
    "energy_kev": 300.0,
    "name": "small",
    "network": {"architecture": "unet", "scales": 1, "widths": [4, 4], "convolutions": 1},
    "training": Training(
        steps=6,
        batch=2,
        crop_px=32,
        pool=2,
        validate_every=2,
        save_every_s=1e-3,
        precision="fp32",
        device="cpu",
    ).model_dump(mode="json"),
    "training_set": {"name": "white", **TrainingSet().model_dump(mode="json")},
    "reference_dose_e_per_px": 0.45,
    "study_seed": 1,
    "seed": 0,
}


@pytest.fixture
def folder(tmp_path):
    """A wave, its table of classes and one validation frame."""
    rng = np.random.default_rng(2)
    phase = 0.3 * rng.standard_normal((192, 144))
    write_shard(tmp_path / "shard000.h5", [(ROW, np.exp(1j * phase).astype(np.complex64))], {})
    (tmp_path / "frames").mkdir()
    pd.DataFrame([{**ABOUT, "split": "train"}]).to_parquet(tmp_path / "frames" / "classes.parquet")
    clean = 1 + 0.1 * rng.standard_normal((100, 80))
    clean[:50] = 1  # vacuum
    columns = pd.DataFrame([{"x_nm": 1.0, "y_nm": 1.0}])
    frame = {**ABOUT, "interface_y_nm": 2.0}, clean, columns
    imaging = {k: SPEC[k] for k in ("optics", "camera", "energy_kev")}
    write_frames(tmp_path / "frames" / "validation.h5", "validation", [frame], imaging, [0.45], 1)
    return tmp_path


def words(folder, spec=SPEC, *more):
    return [
        *("--threads", "1", "train", "--spec", json.dumps(spec)),
        *("--waves", str(folder / "shard000.h5"), "--frames", str(folder / "frames")),
        *("--work", str(folder / "work"), "--output", str(folder / "out"), *more),
    ]


def test_it_writes_network_card_history_and_times(folder, capsys):
    assert main(words(folder)) == 0
    out = folder / "out"
    card = json.loads((out / "card.json").read_text())
    assert card["own_pixel_size_nm"] == 0.02
    assert card["pixel_size_nm"] == [0.019, 0.021]
    assert card["c1_nm"] == [-0.5, 20.5]
    assert card["contrast"] == "white"
    assert card["device"] == "the CPU (1 thread)"
    assert 1 <= card["effective_field_px"] <= card["receptive_field_px"]
    history, timing = (
        [json.loads(line) for line in (out / f"{name}.jsonl").read_text().splitlines()]
        for name in ("history", "timing")
    )
    assert [r["step"] for r in history] == [r["step"] for r in timing] == [2, 4, 6]
    assert card["validation_psnr_db"] == history[-1]["validation_psnr_db"]
    # By a second route: the frames as they lie, denoised by what was written.
    frames, false = read_frames(folder / "frames" / "validation.h5"), []
    for i, clean in enumerate(frames.clean):
        counts = frames.counts(i, 0.45, 0, SPEC["study_seed"])
        estimate = load(out).denoise(counts[None], 0.02, dose=0.45 / 0.2**2)[0] / 0.45
        false.append(false_columns(estimate, vacuum_of(clean, 0.02), 0.02))
    number, area = (sum(f[key] for f in false) for key in ("false_columns", "vacuum_100_nm2"))
    assert card["validation_false_per_100_nm2"] == pytest.approx(number / area, rel=1e-3)
    assert not (folder / "work" / "training" / "small.white.seed0").exists()
    assert load(out).info.receptive_field_px == card["receptive_field_px"]
    told = capsys.readouterr().err
    assert "step 4 of 6, " in told
    assert "steps/s, " in told


def test_a_network_of_another_pixel_is_trained_and_evaluated_without_shift(folder):
    """Trained on threefold pixels, ten steps; then asked about a frame of the camera's."""
    training_set = {**SPEC["training_set"], "own_pixel_size_nm": 0.06, "dose_e_per_px": (50, 50)}
    spec = {
        **SPEC,
        "network": {"architecture": "dncnn", "layers": 3, "channels": 8, "stem": 1},
        "training": {**SPEC["training"], "steps": 10, "crop_px": 16, "validate_every": 5},
        "training_set": training_set,
    }
    assert main(words(folder, spec)) == 0
    card = json.loads((folder / "out" / "card.json").read_text())
    assert card["own_pixel_size_nm"] == 0.06
    assert card["pixel_size_nm"] == [0.019, 0.021]
    assert card["receptive_field_nm"] == pytest.approx(0.06 * card["receptive_field_px"])
    assert card["dose_e_per_a2"] == pytest.approx([50 / 0.2**2] * 2)
    # Ten steps leave a kernel that points somewhere; all orientations together point nowhere.
    denoiser = load(folder / "out", orientations=8)
    y, x = np.mgrid[:150, :150]
    blob = 1 + 0.5 * np.exp(-((y - 71.3) ** 2 + (x - 64.8) ** 2) / 2 / 8**2)
    estimate = denoiser.denoise((100 * blob)[None], 0.02, dose=100 / 0.2**2)[0] - 100
    rest = (estimate - estimate[:20].mean()) * (np.hypot(y - 71.3, x - 64.8) < 30)
    assert (rest * y).sum() / rest.sum() == pytest.approx(71.3, abs=0.1)
    assert (rest * x).sum() / rest.sum() == pytest.approx(64.8, abs=0.1)


def test_a_budget_in_minutes_says_how_far_it_is(folder, capsys):
    # 1.2 s: a few steps, also on a busy machine, and a card with more of them than `steps`.
    training = {**SPEC["training"], "steps": 1, "minutes": 0.02, "validate_every": 1}
    assert main(words(folder, {**SPEC, "training": training})) == 0
    assert "at 100 % of 0.02 min" in capsys.readouterr().err
    timing = (folder / "out" / "timing.jsonl").read_text().splitlines()
    assert len(timing) > 1
    assert json.loads(timing[-1])["seconds"] >= 1.15


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("shard000.h5", flip, "The wave of m in {path} is damaged (its checksum differs); it was "
         "moved aside to shard000.h5.damaged; run again, and it alone is made anew."),
        ("shard000.h5", cut, "The wave file {path} is truncated or no wave file (OSError); it was "
         "moved aside to shard000.h5.damaged; run again, and it alone is made anew."),
        ("shard000.h5", Path.unlink, "{path} does not exist; run the stage `simulate` first."),
        ("frames/validation.h5", cut,
         "The frame file {path} is damaged (OSError); delete it and run again."),
        ("frames/validation.h5", Path.unlink,
         "{path} does not exist; run the stage `frames` first."),
        ("frames/classes.parquet", Path.unlink,
         "{path} does not exist; run the stage `frames` first."),
    ],
    ids=["a bit", "a short wave file", "no wave", "short frames", "no frames", "no classes"],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_code_2(folder, capsys, name, damage, said):
    path = folder / name
    damage(path)
    assert main(words(folder)) == 2
    assert capsys.readouterr().err == f"lowdose: {said.format(path=path)}\n"
    assert not (folder / "out").exists()


def test_sigterm_keeps_the_state_and_ends_with_143(folder, monkeypatch):
    said = []

    def log(message):
        said.append(message)
        if message.startswith("step 2 of 6"):
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(cli, "log", log)
    with pytest.raises(SystemExit) as ended:
        main(words(folder))
    assert ended.value.code == 143
    state = folder / "work" / "training" / "small.white.seed0" / "state.safetensors"
    assert said[-1] == f"stopped by SIGTERM; {state} is kept, run again to continue"
    assert state.is_file()
    said.clear()
    assert main(words(folder)) == 0
    assert any(message.startswith("continued after") for message in said)
    assert next(m for m in said if m.startswith("step")).startswith("step 4 of 6")


def test_without_tensorboard_the_option_is_one_sentence(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert main(words(folder, SPEC, "--tensorboard", str(folder / "events"))) == 2
    told = capsys.readouterr().err
    assert told.startswith("lowdose: --tensorboard needs the package tensorboard")
    assert "pip install tensorboard" in told
    assert told.count("\n") == 1


def test_the_ranges_of_the_card():
    training_set = TrainingSet(
        contrast="all", dose_e_per_px=(0.1, 20), scale_jitter=0.05, pixel_size_nm=(0.004, 0.012),
        contrast_factor=(0.4, 0.9), c1_nm=(0, 20), c1_jitter_nm=0.25,
    ).model_dump(mode="json")  # fmt: skip
    camera = Camera(pixel_size_nm=0.0061, contrast_factor=0.5).model_dump(mode="json")
    assert operating_range(camera, training_set) == {
        "own_pixel_size_nm": 0.0061,
        "pixel_size_nm": [0.004, 0.012],
        # 0.1 and 20 electrons on 0.061 Å x 0.061 Å
        "dose_e_per_a2": pytest.approx([0.1 / 0.003721, 20 / 0.003721], abs=1e-3),
        "contrast": "all",
        "contrast_factor": [0.4, 0.9],
        "c1_nm": [-0.25, 20.25],
    }
    plain = TrainingSet(scale_jitter=0.1, contrast_factor_jitter=0.2).model_dump(mode="json")
    ranges = operating_range(camera, plain)
    assert ranges["pixel_size_nm"] == [0.00549, 0.00671]
    assert ranges["contrast_factor"] == [0.4, 0.6]
    # Another own pixel: the frames and their dose stay those of the camera.
    other = operating_range(camera, {**plain, "own_pixel_size_nm": 0.0183})
    assert other == {**ranges, "own_pixel_size_nm": 0.0183}


class Mean(torch.nn.Module):
    """Each output is the mean of the block of two by two pixels that it lies in."""

    stride = 2

    def seen(self, span):
        return span[0] // 2 * 2, span[1] // 2 * 2 + 1

    def forward(self, x):
        pooled = torch.nn.functional.avg_pool2d(x, 2)
        return torch.nn.functional.interpolate(pooled, scale_factor=2)


def test_the_effective_field_of_images_of_any_size():
    images = [torch.rand(1, 1, 41, 35, generator=torch.Generator().manual_seed(1))]
    # A quarter of the energy on the pixel itself, the rest one pixel away: 90 % of it lies within
    # a side of 1 + 2 (0.9 - 0.25) / 0.75.
    side = effective_field(Mean(), images, np.random.default_rng(0))
    assert side == pytest.approx(1 + 2 * 0.65 / 0.75, abs=0.05)
    assert effective_field(Mean(), [torch.rand(1, 1, 1, 35)], np.random.default_rng(0)) is None


def test_tensorboard_files_hold_the_history(folder):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="the optional package tensorboard is not installed",
    )
    assert main(words(folder, SPEC, "--tensorboard", str(folder / "events"))) == 0
    found = accumulator.EventAccumulator(str(folder / "events" / "small.white.seed0"))
    found.Reload()
    lines = (folder / "out" / "history.jsonl").read_text().splitlines()
    for name in ("loss", "learning_rate", "validation_psnr_db", "validation_false_per_100_nm2"):
        expected = [(r["step"], r[name]) for r in map(json.loads, lines)]
        assert [s.step for s in found.Scalars(name)] == [step for step, _ in expected]
        values = [s.value for s in found.Scalars(name)]
        assert values == pytest.approx([value for _, value in expected], rel=1e-6)
