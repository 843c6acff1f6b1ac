"""Job graphs of large studies: jobs, seconds and memory of a dry run."""

from __future__ import annotations

import re
import resource
import tempfile
from pathlib import Path

# A sweep of so many networks, training sets and seeds.
SWEEP = (100, 10, 10)


def measure(threads: int) -> list[tuple]:
    """Return rows of (name, value, unit)."""
    import yaml

    from lowdose.cli._watched import copy_of_project

    rows: list[tuple] = []
    with tempfile.TemporaryDirectory(prefix="lowdose-bench-") as folder:
        project = copy_of_project(Path(folder) / "project")
        (project / "config" / "sweep.yaml").write_text(yaml.safe_dump(sweep(*SWEEP)))
        networks, sets, seeds = SWEEP
        rows += _planned(project, "paper", "the paper's full design")
        rows += _planned(
            project, "sweep", f"a sweep of {networks} networks x {sets} sets x {seeds} seeds"
        )
    return rows


def sweep(networks: int, training_sets: int, seeds: int) -> dict:
    """Return a configuration of so many small networks, training sets and seeds."""
    nets = {
        f"net{i}": {"spec": {"architecture": "unet", "scales": 2, "widths": [8 + i, 16, 24],
                             "stem": 4}, "training": {"steps": 100}}
        for i in range(networks)
    }  # fmt: skip
    sets = {
        f"set{i}": {"contrast": "white", "dose_e_per_px": [0.1 * (i + 1), 5.0]}
        for i in range(training_sets)
    }
    asked = {"networks": [*nets], "training_sets": [*sets], "seeds": [*range(seeds)]}
    return {"study": "sweep", "networks": nets, "training_sets": sets, "sweep": [asked]}


def _planned(project: Path, name: str, title: str) -> list[tuple]:
    """Return the rows of one dry run."""
    from lowdose.cli._watched import study_run
    from lowdose.runtime import UserError

    before = _cpu_s()
    run = study_run(project, "-n", "--quiet", "all", "--configfile", f"config/{name}.yaml")
    total = re.search(r"^total +(\d+)$", run.out + run.err, re.MULTILINE)
    if run.code or total is None:
        raise UserError(f"The dry run of {title} failed: {(run.err or run.out)[-300:]}")
    trained = re.search(r"^train +(\d+)$", run.out + run.err, re.MULTILINE)
    return [
        (f"jobs of {title}", float(total[1]), "", None, False, None, None,
         f"{trained[1]} trainings"),
        (f"dry run of {title}", _cpu_s() - before, "core s", None, False, None, None,
         f"{run.seconds:.0f} s by the clock"),
        (f"memory of the dry run of {title}", run.peak_bytes / 2**30, "GiB", None),
    ]  # fmt: skip


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
