"""The same sweep twice: on this machine alone, and on a SLURM of two nodes that lose one."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from lowdose.cli._watched import copy_of_project

HERE = Path(__file__).parent
SWEEP = ("--configfile", "config/tiny.yaml", "tests/cluster/sweep.yaml")
PROFILE = ("--profile", "workflow/profiles/slurm")
# A test is in more of a hurry than a site: look at the jobs often, and all see the same disk.
HURRY = ("--slurm-init-seconds-before-status-checks", "5", "--latency-wait", "5")
LIMIT_S = 1800  # of one run, on a machine that is busy with other things

# Beside this file; with pytest's importlib mode it is on no path.
_spec = importlib.util.spec_from_file_location("slurm_of_two_nodes", HERE / "slurm.py")
slurm = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(slurm)


def say(what: str) -> None:
    """Tell whoever waits."""
    print(f"  {time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


@dataclass
class Sweep:
    """A copy of the project, and what happened to its run.

    Attributes
    ----------
    folder : Path
    code : int
        Exit code of ``lowdose run``.
    told : str
        What it printed, both streams together.
    seconds : float
        Wall time [s].
    nodes : dict of int to str
        Number of every job that was seen to run -> its node.
    gpus : dict of str to set of str
        Rule -> what its jobs asked of generic resources.
    cancelled, lost : list of str
        Trainings that were cancelled, and those that were on the node when it went.
    last_words : str
        The log of the cancelled one, before it was sent again.
    """

    folder: Path
    code: int = -1
    told: str = ""
    seconds: float = 0.0
    nodes: dict[int, str] = field(default_factory=dict)
    gpus: dict[str, set[str]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    last_words: str = ""

    def start(self, *words: str) -> subprocess.Popen:
        """Start ``./study run``, its environment being there."""
        here = str(Path(sys.executable).parent)
        kept = {k: v for k, v in slurm.environment().items() if not k.startswith("LOWDOSE_")}
        return subprocess.Popen(
            [sys.executable, "-m", "lowdose", "run", *words],
            cwd=self.folder,
            env=kept
            | {
                "PATH": os.pathsep.join([here, kept.get("PATH", os.defpath)]),
                "PYTHONPATH": str(self.folder / "workflow"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str]:
        """Call ``./study run``; return its exit code and what it printed."""
        process = self.start(*words)
        try:
            told, _ = process.communicate(timeout=LIMIT_S)
        finally:
            self.kill(process)
        return process.returncode, told

    def start_on_slurm(self, *words: str) -> subprocess.Popen:
        """Start this sweep, or the targets among `words`, on the cluster."""
        return self.start(*words, *PROFILE, *HURRY, *SWEEP)

    def run_on_slurm(self, *words: str) -> tuple[int, str]:
        return self.run(*words, *PROFILE, *HURRY, *SWEEP)

    @staticmethod
    def kill(process: subprocess.Popen) -> None:
        """Kill a process and its descendants, if they live."""
        with suppress(psutil.Error):
            family = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for member in family:
                with suppress(psutil.Error):
                    member.kill()
        process.wait()

    def trainings(self) -> list[str]:
        """Return the trainings that are going on and have saved a state."""
        states = (self.folder / "results/work/training").glob("*/state.safetensors")
        return sorted(path.parent.name for path in states)

    def log(self, training: str) -> str:
        return (self.folder / f"results/logs/train/{training}.log").read_text()


@pytest.fixture(scope="session")
def slurm_module():
    """tests/cluster/slurm.py."""
    return slurm


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """SLURM with two nodes; ended whatever happens."""
    made = slurm.Cluster(tmp_path_factory.mktemp("slurm") / "state")
    try:
        made.start()
        say(f"SLURM is up: {', '.join(sorted(made.nodes('idle')))}")
    except slurm.NotHere as why:
        pytest.skip(str(why))
    except BaseException:
        made.stop()
        raise
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Path:
    """The project as a fresh clone would hold it."""
    return copy_of_project(tmp_path_factory.mktemp("fresh") / "project")


@pytest.fixture(scope="session")
def local(cluster, project, tmp_path_factory) -> Sweep:
    """The sweep on this machine alone."""
    sweep = Sweep(shutil.copytree(project, tmp_path_factory.mktemp("local") / "p", symlinks=True))
    began = time.monotonic()
    # Every training, evaluation and table; the figures add nothing that could differ.
    sweep.code, sweep.told = sweep.run("--cores", "2", "results/tables/headline.json", *SWEEP)
    sweep.seconds = time.monotonic() - began
    say(f"without SLURM: exit code {sweep.code} after {sweep.seconds:.0f} s")
    return sweep


@pytest.fixture(scope="session")
def clustered(cluster, project, tmp_path_factory) -> Sweep:
    """The sweep on the cluster: one training is cancelled, then a node is lost and comes back."""
    sweep = Sweep(shutil.copytree(project, tmp_path_factory.mktemp("slurm") / "p", symlinks=True))
    began = time.monotonic()
    process = sweep.start_on_slurm("--set-resources", "train:gpu=1")
    lines = (sweep.folder / "told.txt").open("w+")
    reader = _copy(process, lines)
    try:
        story = _story(cluster, sweep)
        while process.poll() is None:
            assert time.monotonic() - began < LIMIT_S, "the sweep does not end"
            _look(cluster, sweep)
            next(story, None)
            time.sleep(0.5)
        reader.join(timeout=30)
    finally:
        sweep.kill(process)
    sweep.code, sweep.seconds = process.returncode, time.monotonic() - began
    say(f"with SLURM: exit code {sweep.code} after {sweep.seconds:.0f} s")
    lines.seek(0)
    sweep.told = lines.read()
    return sweep


def _story(cluster, sweep: Sweep):
    """Do the damage, a piece at a time, while the sweep goes on."""
    while not (first := _on(cluster, sweep, "node1")):
        yield
    number, training = first
    say(f"scancel {number}: {training} on node1")
    cluster.ask("scancel", str(number))
    sweep.cancelled.append(training)
    while "stopped by SIGTERM" not in (log := sweep.log(training)):
        yield
    sweep.last_words = log  # Snakemake begins it anew
    while not _on(cluster, sweep, "node2"):
        yield
    jobs = cluster.training_jobs()
    numbers = cluster.kill_node("node2")
    sweep.lost = [jobs[number] for number in numbers if number in jobs]
    say(f"node2 is killed, and on it {numbers}: {', '.join(sweep.lost)}")
    while "node2" not in cluster.nodes("down"):
        yield
    say("SLURM has missed node2; it comes back")
    cluster.start_node("node2")


def _on(cluster, sweep: Sweep, node: str) -> tuple[int, str] | None:
    """Return job and name of a training with a saved state on a node, one not yet cancelled.

    Of the wide network: the narrow one's trainings end before they can be stopped.
    """
    for number, training in cluster.training_jobs(node).items():
        fit = training.startswith("wide.") and training not in sweep.cancelled
        if fit and training in sweep.trainings():
            return number, training
    return None


def _look(cluster, sweep: Sweep) -> None:
    """Note where jobs run, and which of them hold a GPU."""
    for line in cluster.ask("squeue", "-h", "-t", "R", "-O", "JobID:20,NodeList:20").splitlines():
        number, node = line.split()
        sweep.nodes[int(number)] = node
    for job in cluster.ask("scontrol", "-o", "show", "job").splitlines():
        rule = re.search(r"Comment=rule_([a-z]+)", job)
        if rule:
            asked = re.search(r"TresPerJob=(\S+)", job)
            sweep.gpus.setdefault(rule[1], set()).add(asked[1] if asked else "")


def _copy(process: subprocess.Popen, lines):
    import threading

    def copy() -> None:
        for line in process.stdout:
            lines.write(line)
        lines.flush()

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread
