"""Speed of the simulated world: all waves, all frames, one focal series, training crops."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

Row = tuple[str, float, str, float | None]
LIBRARY = Path("config/paper.yaml")
SHAPE = (820, 868)  # pixels of the paper's frames, about


def measure(threads: int) -> list[Row]:
    """Return rows of (name, value, unit, upper target)."""
    from lowdose import config
    from lowdose.cli._bench_rendering import crops, focal_series
    from lowdose.runtime import fix_torch
    from lowdose.stages import Study
    from lowdose.structures.library import write_library

    fix_torch(threads)
    root = Path(__file__).resolve().parents[3]
    study = Study(config.load([root / LIBRARY]))
    with tempfile.TemporaryDirectory(prefix="lowdose-bench-") as folder:
        place = Path(folder)
        begun = time.perf_counter()
        count = write_library(study.values["structures"], study.config.seed, place / "structures")
        rows: list[Row] = [(f"{count} models built and checked", _since(begun), "s", None)]
        rows += _waves(study.spec("simulate", shard="shard000"), place, threads)
        shards = sorted(place.glob("*.h5"))
        rows += _frames(shards, study)
        rows += focal_series(shards[0], study.values, SHAPE)
        rows += crops(shards[:1], study.values)
    return rows


def _waves(spec: Mapping, place: Path, threads: int) -> list[Row]:
    """Simulate all models in jobs of one thread, as the workflow does, first every other one."""
    import pandas as pd

    names = list(pd.read_csv(place / "structures" / "models.csv")["model_id"])
    halves = [names[0::2], names[1::2]]
    per_job = 60
    seconds, peak = [], 0
    for half, models in enumerate(halves):
        jobs = [
            {"name": f"half{half}-{i:04d}", "models": models[i : i + per_job]}
            for i in range(0, len(models), per_job)
        ]
        begun = time.perf_counter()
        peak = max(peak, _run(jobs, spec, place, threads))
        seconds.append(_since(begun))
    per_model = [s / len(half) for s, half in zip(seconds, halves, strict=True)]
    total = sum(seconds)
    return [
        (f"exit waves of all {len(names)} models", total / 60, "min", 12),
        ("peak memory of all processes", peak / 2**30, "GiB", 3),
        ("one exit wave", total / len(names), "s", None),
        ("departure from linear: time a model of all over half",
         abs(total / len(names) / per_model[0] - 1), "", 0.1),
    ]  # fmt: skip


def _run(jobs: list[dict], spec: Mapping, place: Path, threads: int) -> int:
    """Run simulations side by side; return the largest memory of all of them together."""
    import os

    import psutil

    from lowdose.cli._watched import memory
    from lowdose.runtime import UserError

    package = str(Path(__file__).resolve().parents[2])
    waiting, running, peak = list(jobs), [], 0
    while waiting or running:
        while waiting and len(running) < threads:
            job = waiting.pop(0)
            command = [
                sys.executable, "-m", "lowdose", "--threads", "1", "simulate",
                "--spec", json.dumps({**spec, "models": job["models"]}),
                "--structures", str(place / "structures"), "--work", str(place / "work"),
                "--output", str(place / f"{job['name']}.h5"),
            ]  # fmt: skip
            running.append(
                subprocess.Popen(
                    command, env={**os.environ, "PYTHONPATH": package},
                    stderr=subprocess.PIPE, text=True,
                )
            )  # fmt: skip
        peak = max(peak, memory(psutil.Process()))
        time.sleep(0.2)
        for process in [p for p in running if p.poll() is not None]:
            running.remove(process)
            if process.returncode:
                raise UserError(f"A simulation failed: {process.stderr.read().strip()[-300:]}")
    return peak


def _frames(shards: list[Path], study) -> list[Row]:
    """Render every image of every wave, and keep none."""
    from lowdose.cli._bench_rendering import series_renderer
    from lowdose.imaging.store import read_waves

    c1 = study.values["frames"]["c1_nm"]
    begun, count, render = time.perf_counter(), 0, None
    for row, wave in read_waves(shards):
        render = render or series_renderer(
            (row["cell_y_nm"], row["cell_x_nm"]), study.values, SHAPE
        )
        for start in range(0, len(c1), 7):
            count += len(render(wave, c1[start : start + 7]))
    seconds = _since(begun)
    return [
        (f"all {count} frames rendered, none stored", seconds / 60, "min", 15),
        ("one of them, reading the wave and its checksum included", seconds / count, "s", None),
    ]


def _since(begun: float) -> float:
    return time.perf_counter() - begun
