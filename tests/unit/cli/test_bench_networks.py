"""``lowdose bench networks``: turns, ratios, learning in equal time, what is not there."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from lowdose import runtime
from lowdose.cli import _bench_learning, _bench_networks, _bench_speed, release
from lowdose.cli._bench_rows import Row
from lowdose.config import Training
from lowdose.config_networks import PaperUNetSpec, UNetSpec
from lowdose.data.frames import FrameSet
from lowdose.denoisers import checkpoints, released
from lowdose.denoisers.networks.build import build, parameter_count
from lowdose.runtime import UserError

TINY = UNetSpec(architecture="unet", scales=0, widths=[4], convolutions=1)


def test_jobs_take_turns_and_quick_ones_are_repeated(monkeypatch):
    now, calls = [0.0], []

    def job(name, seconds):
        def call():
            calls.append(name)
            now[0] += seconds

        return call

    monkeypatch.setattr(_bench_speed.time, "perf_counter", lambda: now[0])
    found = _bench_speed.in_turns({"a": job("a", 2.0), "b": job("b", 0.5)}, 3)
    assert "".join(calls) == "ab" + 3 * "abb"
    assert found == {"a": 2.0, "b": 0.5}


def test_ratios_are_taken_against_the_papers_best_mode(monkeypatch):
    seconds = {"paper bf16": 9.0, "paper fp32": 20.0, "general": 0.2, "small": 0.1}
    monkeypatch.setattr(_bench_speed, "in_turns", lambda jobs, n: {k: seconds[k] for k in jobs})
    monkeypatch.setattr(runtime, "has_bf16", lambda: True)
    monkeypatch.setattr(_bench_speed, "FRAME_PX", 16)
    paper = PaperUNetSpec(architecture="paper-unet", scales=2, base=1)
    rows = _bench_speed.inference({"general": TINY, "small": TINY}, paper, 1)
    found = {row.name: (pytest.approx(row.value), row.met) for row in rows}
    assert found["16 x 16 frame by `general`"] == (0.2, True)
    assert found["`general` is faster than the paper's in bf16"] == (45, True)
    assert found["`general` is faster than the paper's in fp32"] == (100, None)
    assert found["`small` is faster than the paper's in bf16"] == (90, False)


def test_a_training_step_learns():
    noisy = _bench_speed.counts(2, 16)
    network = build(TINY, 1)
    step = _bench_speed.step_of(network, noisy)
    before = [p.detach().clone() for p in network.parameters()]
    step()
    changed = [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
    assert any(changed)
    # Mean 1 and variance 1 / 0.45 in vacuum, within four standard errors.
    many = _bench_speed.counts(1, 256)
    assert many.mean().item() == pytest.approx(1, abs=4 * (1 / 0.45 / 256**2) ** 0.5)
    assert many.var().item() == pytest.approx(1 / 0.45, rel=0.05)


def history(*pairs):
    return [{"learning_s": s, "validation_psnr_db": db} for s, db in pairs]


@pytest.mark.parametrize(
    ("records", "minutes"),
    [
        (history((60, 29.0), (120, 31.0)), 1.95),  # 95 % of the way from 1 to 2
        (history((60, 30.9), (120, 31.0)), 1.0),
        (history((90, 31.0)), 1.5),
        (history((60, 29.0), (120, 28.0), (180, 30.0)), None),
        (history((60, 31.0), (120, 28.0), (180, 31.0)), 1.0),  # the first time counts
    ],
)
def test_the_minutes_to_a_level_lie_between_validations(records, minutes):
    assert _bench_learning.minutes_to(records, 30.9) == (
        None if minutes is None else pytest.approx(minutes)
    )


def test_the_shortest_budget_has_the_target_and_none_is_a_miss():
    slow, fast = history((150, 30.0)), history((60, 28.9), (180, 32.9))
    first, second = _bench_learning.level_rows({2.5: slow, 5.0: fast}, "frames")
    assert (first.value, first.target, first.met) == (None, 2.5, False)
    assert "30.00 dB at its end" in first.note
    assert second.value == pytest.approx(2.0)
    assert second.target is None


def test_the_difference_in_equal_time():
    ours, theirs = ({"step": n, "validation_psnr_db": db} for n, db in ((4000, 31.4), (300, 28.0)))
    rows = _bench_learning.equal_rows(ours, theirs, "frames")
    assert rows[-1].value == pytest.approx(3.4)
    assert rows[-1].met is False
    assert "225 s" in rows[0].name


def test_a_training_does_not_count_its_validations():
    clean = np.ones((1, 16, 16), np.float32)
    table = pd.DataFrame([{"model_id": "m", "c1_nm": 8.0}])
    frames = FrameSet(table, clean, pd.DataFrame(), 0.0061, "digest")
    settings = Training(
        minutes=0.004, validate_every=1, batch=1, crop_px=16, precision="fp32", pool=1
    ).model_dump()

    def batch(step):
        return 1.01 * torch.ones(1, 1, 16, 16), torch.ones(1, 1, 16, 16)

    records = _bench_learning.trained(TINY, batch, frames, settings, 0.45, 1)
    assert records[-1]["seconds"] >= 0.2
    for record in records:
        assert record["learning_s"] == pytest.approx(record["seconds"] - record["validating_s"])
    assert 0 < records[-1]["validating_s"] < records[-1]["seconds"] + 0.1
    assert records[-1]["validation_psnr_db"] > 40  # it starts at the vacuum, which is right


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A shipped network of four channels, `toy`."""
    network = build(TINY, 1)
    checkpoints.save(tmp_path / "toy", network, {
        "name": "toy", "architecture": TINY.model_dump(), "parameters": parameter_count(network),
        "receptive_field_px": 19, "effective_field_px": 8.2, "own_pixel_size_nm": 0.0061,
        "pixel_size_nm": [0.005, 0.007], "dose_e_per_a2": [27, 5400],
    })  # fmt: skip
    monkeypatch.setattr(released, "ROOT", tmp_path)
    return tmp_path / "toy"


def test_sizes_are_those_of_file_and_card(shipped):
    file, parameters, field, effective = _bench_networks.size("toy")
    assert file.value == (shipped / "model.safetensors").stat().st_size / 1e6
    assert file.met
    assert parameters.value == parameter_count(build(TINY, 1)) / 1e6
    assert (field.value, field.note) == (19, "0.116 nm")
    assert (effective.value, effective.note.split(" hold")[0]) == (8.2, "0.05 nm")


def test_what_is_timed_loads_a_network_and_denoises(shipped, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["-c", "toy", "1"])
    exec(_bench_networks.SCRIPT, {})
    assert 0 < json.loads(capsys.readouterr().out) < 60


def test_a_network_that_is_not_shipped_is_named():
    row = _bench_networks.not_shipped("white", "quality")
    assert (row.name, row.value, row.met) == ("white: quality", None, None)
    assert "./study release" in row.note


def test_frames_are_made_once(tmp_path, monkeypatch):
    calls = []

    def run(command):
        calls.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(_bench_networks, "WORK", tmp_path / "work")
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(UserError, match=r"release.yaml could not be made in .*work; mend"):
        _bench_networks.make_frames()
    at = calls[0].index("run")
    assert calls[0][at + 1 : at + 3] == ["results/frames/test.h5", "results/frames/shifted.h5"]
    frames = tmp_path / "work" / "results" / "frames"
    frames.mkdir(parents=True)
    for name in ("test.h5", "shifted.h5"):
        (frames / name).touch()
    _bench_networks.make_frames()
    assert len(calls) == 1


def test_the_whole_benchmark_says_what_is_not_shipped(monkeypatch):
    given = {}

    def speed(specs, paper, repetitions):
        given.update(specs, paper=paper, repetitions=repetitions)
        return [Row("speed", 1.0, "s")]

    def equal(small, *_):
        given["learns"] = small
        return [Row("learning", 2.0, "dB")]

    monkeypatch.setattr(released, "names", list)
    monkeypatch.setattr(released, "folder", lambda name: None)  # of the configuration's own
    monkeypatch.setattr(_bench_speed, "inference", speed)
    monkeypatch.setattr(_bench_speed, "training_step", lambda small, paper, n: [])
    monkeypatch.setattr(_bench_learning, "equal_time", equal)
    monkeypatch.setattr(_bench_networks, "make_frames", lambda: None)
    monkeypatch.setattr(release, "frame_sets", lambda *_: {})
    monkeypatch.setattr(_bench_networks, "siblings", lambda *_: None)
    missing = [f"{name}: {what}" for what in ("size and loading", "quality")
               for name in ("white", "general")]  # fmt: skip
    rows = _bench_networks.measure(1)
    assert [row.name for row in rows] == ["speed", *missing, "learning"]
    # The paper's own network, and one that is learned and timed alike.
    assert parameter_count(build(given["paper"], 1)) == 5_613_441
    assert given["small"] == given["learns"]
    assert given["repetitions"] == 3
    assert [row.name for row in _bench_networks.measure(1, quick=True)] == ["speed", *missing]
    assert given["repetitions"] == 1
