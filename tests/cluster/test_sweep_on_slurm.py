"""Twelve trainings and their evaluation on SLURM, with a node lost in the middle."""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

TRAININGS = 2 * 2 * 3
# What must be the same to the byte; timing, logs and pictures with a date in them are not results.
EXACT = (".safetensors", ".csv", ".parquet", ".h5", ".extxyz", ".html", "card.json")
EXACT += ("history.jsonl", "tuned.json", "headline.json")
NO_RESULT = ("logs", "work", "report.html", "reference")


# What tables say of time is true of one run.
TIMES = ("seconds", "seconds_per_frame")
READERS = {".parquet": pd.read_parquet, ".csv": pd.read_csv}


def content(path: Path) -> bytes:
    """Return what of a file must be the same: all of it, of a table with times all but these."""
    if path.suffix in READERS:
        table = READERS[path.suffix](path)
        if {*TIMES} & {*table.columns}:
            return table.drop(columns=[*TIMES], errors="ignore").to_csv().encode()
    if path.suffix == ".h5":
        return stored(path)
    return path.read_bytes()


def stored(path: Path) -> bytes:
    """Return what an HDF5 file holds: equal values are not always compressed to equal bytes."""
    parts: list[bytes] = []
    with h5py.File(path) as file:
        items = [("", file)]
        file.visititems(lambda name, item: items.append((name, item)))
        for name, item in sorted(items, key=lambda pair: pair[0]):
            said = [f"{k}={item.attrs[k]!r}" for k in sorted(item.attrs)]
            parts += [word.encode() for word in (name, *said)]
            if isinstance(item, h5py.Dataset):
                values = np.asarray(item[()])
                parts.append(f"{values.dtype} {values.shape}".encode())
                texts = values.dtype.hasobject
                parts.append(repr(values.tolist()).encode() if texts else values.tobytes())
    return b"\n".join(parts)


def results(folder: Path) -> dict[str, bytes]:
    """Return the files of a run's results that do not depend on when and where it was run."""
    root = folder / "results"
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if path.is_file() and name.parts[0] not in NO_RESULT and path.name.endswith(EXACT):
            found[name.as_posix()] = content(path)
    return found


def test_a_slurm_of_the_machine_is_left_alone(slurm_module, tmp_path, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("Only root would touch it.")
    theirs = tmp_path / "slurm.conf"
    theirs.write_text("ClusterName=theirs\n")
    monkeypatch.setattr(slurm_module, "CONFIGURATION", theirs)
    with pytest.raises(slurm_module.NotHere, match="belongs to a SLURM of this machine"):
        slurm_module.check_nobody_elses()
    assert theirs.read_text() == "ClusterName=theirs\n"


@pytest.fixture(scope="session")
def both(local, clustered):
    assert local.code == 0, local.told
    assert clustered.code == 0, clustered.told
    return results(local.folder), results(clustered.folder)


def test_every_result_equals_the_local_one(both):
    here, there = both
    assert sum(name.endswith("model.safetensors") for name in here) == TRAININGS
    assert sum(name.endswith("frames.parquet") for name in here) >= TRAININGS
    assert here.keys() <= there.keys()
    assert [name for name in here if here[name] != there[name]] == []
    # The seeds are seeds: no two trainings have the same weights.
    assert len({here[name] for name in here if name.endswith("model.safetensors")}) == TRAININGS


def test_the_tables_are_of_these_trainings(both, clustered):
    table = pd.read_csv(clustered.folder / "results/tables/results.csv")
    assert sum("." in name for name in table["denoiser"].unique()) == TRAININGS
    assert table["psnr_db"].notna().all()


def test_both_nodes_worked_and_one_was_lost(clustered):
    assert set(clustered.nodes.values()) == {"node1", "node2"}
    assert len(clustered.cancelled) == 1
    assert len(clustered.lost) == 1


def test_what_was_cancelled_had_saved_itself(clustered):
    (training,) = clustered.cancelled
    assert "stopped by SIGTERM; " in clustered.last_words
    assert "continued after " not in clustered.last_words
    assert "continued after " in clustered.log(training)


def test_what_was_lost_went_on_from_its_state(clustered):
    (training,) = clustered.lost
    assert "continued after " in clustered.log(training)


def test_a_training_that_asks_for_a_gpu_has_one_and_nothing_else_does(clustered):
    assert clustered.gpus.pop("train") == {"gres:gpu:1"}
    assert clustered.gpus
    assert set.union(*clustered.gpus.values()) == {""}


def test_the_front_door_tells_what_happened(clustered):
    told = clustered.told
    (training,) = clustered.cancelled
    label = " ".join(["train", *training.replace(".seed", ".").split(".")])
    assert f"failed: {label}; the others go on\nsent again: {label}\n" in told
    assert " jobs, 100 %" in told
    assert f"Report: {clustered.folder / 'results/report.html'}, made in" in told
    lines = json.loads((clustered.folder / "results/tables/headline.json").read_text())["lines"]
    assert all(f"  {line}\n" in told for line in lines)


def test_small_work_shared_its_jobs(clustered):
    # Trainings, evaluations, shards; frames, references, tunings and tables, one each; and what
    # was sent again.
    submitted = set(clustered.nodes)
    again = len(clustered.cancelled) + len(clustered.lost)
    assert len(submitted) <= TRAININGS + (TRAININGS + 4) + 2 + 1 + 1 + 1 + 1 + again


def test_a_mistake_is_told_once_and_in_words(clustered):
    """The jobs of every node tell their errors to the front door."""
    bad = clustered.folder / "results/frames/validation.h5"
    good, times = bad.read_bytes(), (bad.stat().st_atime_ns, bad.stat().st_mtime_ns)
    bad.write_bytes(b"not HDF5" * 100)
    try:
        target = "results/baselines/gaussian/tuned.json"
        code, told = clustered.run_on_slurm(target, "--force", "--retries", "0")
    finally:
        bad.write_bytes(good)
        os.utime(bad, ns=times)
    assert code == 2, told
    # The lines on the progress may quote the job's log.
    said = [line for line in told.splitlines() if line.startswith("lowdose: ")]
    assert said == told.splitlines()[-1:]
    assert said[0].startswith("lowdose: The frame file results/frames/validation.h5 is damaged")
    assert "Traceback" not in told


def test_a_front_door_that_is_killed_leaves_nothing_behind(cluster, clustered):
    """Its jobs in SLURM go when the run is started again, which ends with the same weights."""
    folder = clustered.folder / "results/networks/wide/white/seed0"
    whole = (folder / "model.safetensors").read_bytes()
    for path in folder.iterdir():
        path.unlink()
    target = "results/networks/wide/white/seed0/model.safetensors"
    process = clustered.start_on_slurm(target)
    try:
        cluster.wait_until(lambda: "wide.white.seed0" in clustered.trainings(), 120, "it trains")
    finally:
        clustered.kill(process)
    (left,) = cluster.jobs("--states=RUNNING")
    code, told = clustered.run_on_slurm(target)
    assert code == 0, told
    assert "Cancelled in SLURM: 1 jobs of a run that was killed.\n" in told
    assert (folder / "model.safetensors").read_bytes() == whole
    assert left not in cluster.jobs("--states=RUNNING,PENDING")
