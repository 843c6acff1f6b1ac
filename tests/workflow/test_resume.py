"""Kill -9 and Ctrl-C in the middle of real work, then the same bytes as without."""

from __future__ import annotations

import re
import signal
import time

import psutil

from lowdose import records

TINY = ("--configfile", "config/tiny.yaml")
SHARD = "results/waves/shard000.h5"
NETWORK = "results/networks/wide/white/seed0"
TRAINED = ("model.safetensors", "card.json", "history.jsonl")


def test_a_simulation_that_is_stopped_and_killed(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    whole = (project.folder / SHARD).read_bytes()
    record = records.read(project.folder / SHARD)
    (project.folder / SHARD).unlink()
    work = project.folder / "results" / "work" / "waves"

    def waves():
        # Whole ones: those that are being written have hidden names.
        return len([p for p in work.glob("shard000-*/*.npy") if not p.name.startswith(".")])

    # Ctrl-C in the middle of the shard.
    process = project.start("lowdose", "run", "--cores", "2", SHARD, *TINY)
    project.wait_until(lambda: waves() >= 1, process)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.splitlines()[-1] == "Stopped by Ctrl-C; ./study run continues from here."
    assert not (project.folder / SHARD).exists()
    assert project.half_written() == []
    kept = waves()
    assert 1 <= kept < 8

    # A power cut a little later.
    process = project.start("lowdose", "run", "--cores", "2", SHARD, *TINY)
    project.wait_until(lambda: waves() > kept, process)
    project.kill(process)
    assert not (project.folder / SHARD).exists()
    survived = waves()
    assert kept < survived < 8

    # What is left is made, and only that.
    done = project.study(SHARD, *TINY)
    assert done.returncode == 0, done.stderr
    assert (project.folder / SHARD).read_bytes() == whole
    assert records.read(project.folder / SHARD).compared == record.compared
    log = (project.folder / "results" / "logs" / "simulate" / "shard000.log").read_text()
    made = [int(n) for n in re.findall(r"(\d+) of 8 waves, about", log.split("8 waves in")[-2])]
    assert made[-1] == 8 - survived
    assert not any(work.iterdir())


def test_a_training_that_is_killed(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    folder = project.folder / NETWORK
    whole = {name: (folder / name).read_bytes() for name in TRAINED}
    before = {name: records.read(folder / name) for name in TRAINED}
    for path in folder.iterdir():
        path.unlink()
    log = project.folder / "results" / "logs" / "train" / "wide.white.seed0.log"
    log.unlink()
    target = f"{NETWORK}/model.safetensors"
    process = project.start("lowdose", "run", "--cores", "2", target, *TINY)
    project.wait_until(lambda: log.is_file() and "step 100 of 300" in log.read_text(), process)
    # From a state that was saved after the first validation.
    state = project.folder / "results" / "work" / "training" / "wide.white.seed0"
    saved = (state / "state.safetensors").stat().st_mtime_ns
    project.wait_until(lambda: (state / "state.safetensors").stat().st_mtime_ns > saved, process)
    project.kill(process)
    assert "step 300 of 300" not in log.read_text()
    assert not any((folder / name).exists() for name in TRAINED)

    done = project.study(target, *TINY)
    assert done.returncode == 0, done.stderr
    for name in TRAINED:
        assert (folder / name).read_bytes() == whole[name], name
        again = records.read(folder / name)
        assert again.compared == before[name].compared
        # Other images were drawn, since a part of them was seen before the kill.
        assert again.run.drawn["noise"] < before[name].run.drawn["noise"]
    # It went on from its state: the first hundred steps were not taken again.
    assert re.findall(r"step (\d+) of 300", log.read_text()) == ["200", "300"]
    assert not state.exists()
    # Times are in a file of their own, and add up.
    assert (folder / "timing.jsonl").is_file()


def test_a_training_that_a_cluster_ends(finished, tmp_path):
    """SIGTERM to every process of a job, as scancel and a time limit send it."""
    project = finished.copy(tmp_path / "project")
    folder = project.folder / NETWORK
    whole = {name: (folder / name).read_bytes() for name in TRAINED}
    for path in folder.iterdir():
        path.unlink()
    log = project.folder / "results" / "logs" / "train" / "wide.white.seed0.log"
    log.unlink()
    words = ("snakemake", "--cores", "1", f"{NETWORK}/model.safetensors", *TINY)
    process = project.start(*words)
    project.wait_until(lambda: log.is_file() and "step 100 of 300" in log.read_text(), process)
    family = psutil.Process(process.pid).children(recursive=True)
    training = next(p for p in family if p.name().startswith("python") and "train" in p.cmdline())
    # However long the last step and the saving take, nobody may leave before them: Snakemake is
    # the head of the job, and what outlives it is killed.
    training.suspend()
    for member in [psutil.Process(process.pid), *family]:
        member.send_signal(signal.SIGTERM)
    time.sleep(3)
    assert process.poll() is None
    assert training.is_running()
    training.resume()
    process.communicate(timeout=60)
    assert process.returncode != 0  # so that the job is sent again
    assert not training.is_running()
    assert "stopped by SIGTERM; " in log.read_text()
    assert not any((folder / name).exists() for name in TRAINED)

    done = project.snakemake(*words[3:])
    assert done.returncode == 0, done.stderr
    for name in TRAINED:
        assert (folder / name).read_bytes() == whole[name], name
    assert "continued after " in log.read_text()
    # Snakemake begins the log anew.
    assert re.findall(r"step (\d+) of 300", log.read_text()) == ["200", "300"]
