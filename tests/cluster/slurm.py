"""A SLURM of two nodes on this one machine, from Debian's packages: no systemd, no cgroups.

Nothing of a SLURM that is there already is touched: the machine must have no
/etc/slurm/slurm.conf but one with `MARK`, which is what a killed run of these tests left.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

# The Snakemake plugin starts its inner srun without SLURM_CONF, so the file must be this one.
CONFIGURATION = Path("/etc/slurm/slurm.conf")
GPUS = CONFIGURATION.with_name("gres.conf")
MARK = "# Made by tests/cluster of lowdose; its daemons and this file go when the test ends."
PACKAGES = ("slurm-wlm", "munge")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "squeue", "sinfo")
DAEMONS = ("slurmctld", "slurmd", "slurmstepd")
NODES = ("node1", "node2")
MUNGE_PID = Path("/run/munge/munged.pid")
OUR_MUNGE = "run/munge-is-ours"

# Times of the tests: a real site waits minutes before it calls a node down.
SLURM_CONF = """{mark}
# state: {folder}
ClusterName=lowdose-test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=cred_expire=20
SlurmctldPort={ports[0]}
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
# Without cgroups: limits of memory and cores are kept in the books but not enforced.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
# A GPU a node in the books, with no device behind it: who asks for one gets one, and no second.
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SlurmctldTimeout=30
SlurmdTimeout=15
# A machine that is busy with other things answers late.
MessageTimeout=60
BatchStartTimeout=120
MinJobAge=300
InactiveLimit=0
KillWait=30
Waittime=0
NodeName=DEFAULT CPUs=2 RealMemory=32000 Gres=gpu:1
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]}
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]}
PartitionName=main Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
"""


class NotHere(Exception):
    """This machine cannot hold the test; the message says why, and what would help."""


def install() -> None:
    """Install SLURM and munge from Debian's packages where they are missing.

    Raises
    ------
    NotHere
        If that takes a right or a program that is not there, or the packages cannot be had.
    """
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if not missing:
        return
    wanted = " ".join(PACKAGES)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NotHere(
            f"SLURM is not installed ({missing[0]} is missing) and cannot be installed here; as "
            f"root on Debian, say: apt-get install --no-install-recommends {wanted}."
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]
    for words in (command, ["apt-get", "update"], command):
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
        if words is command and done.returncode == 0:
            return
    raise NotHere(f"apt-get could not install {wanted}: {done.stderr.strip().splitlines()[-1]}")


def check_nobody_elses() -> None:
    """Refuse a machine that has a SLURM of its own.

    Raises
    ------
    NotHere
        If there is a configuration without our mark, or a daemon that no file of ours explains.
    """
    if os.geteuid() != 0:
        raise NotHere("Starting a SLURM takes root (a container's root is enough).")
    for path in (CONFIGURATION, GPUS):
        if path.exists() and not path.read_text().startswith(MARK):
            raise NotHere(
                f"{path} belongs to a SLURM of this machine, which the test leaves alone; run it "
                "in a container or on another machine."
            )
    if CONFIGURATION.exists():
        return
    running = sorted({p.info["name"] for p in psutil.process_iter(["name"])} & set(DAEMONS))
    if running:
        raise NotHere(f"{running[0]} is at work on this machine, which the test leaves alone.")


class Cluster:
    """Two nodes of two cores each, as SLURM sees them.

    Parameters
    ----------
    folder : Path
        For state, logs and process numbers; must not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self) -> None:
        """Start munge, the controller and two nodes; return when both nodes are idle."""
        install()
        check_nobody_elses()
        if CONFIGURATION.exists():
            _end_what_was_left()
        for name in ("state", "log", "run", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        # Before anything is started: whoever comes later finds the folder by this file.
        text = SLURM_CONF.format(
            mark=MARK, folder=self.folder, host=socket.gethostname().split(".")[0], ports=_free(3)
        )
        CONFIGURATION.parent.mkdir(exist_ok=True)
        CONFIGURATION.write_text(text)
        GPUS.write_text(f"{MARK}\nName=gpu File=/dev/null\n")
        self._start_munge()
        self._daemon("slurmctld", "-c")
        for node in NODES:
            self.start_node(node)
        self.wait_until(lambda: self.nodes("idle") == set(NODES), 120, "both nodes are idle")

    def stop(self) -> None:
        """End everything that `start` has started, and its configuration."""
        _end(self.folder)
        if CONFIGURATION.exists() and str(self.folder) in CONFIGURATION.read_text():
            CONFIGURATION.unlink()
            GPUS.unlink(missing_ok=True)

    def start_node(self, name: str) -> None:
        self._daemon("slurmd", "-N", name)

    def kill_node(self, name: str) -> list[int]:
        """Kill -9 a node's daemon and all that runs under it, as a power cut would.

        Returns
        -------
        list of int
            The SLURM numbers of the jobs that were on it.
        """
        node = _process(self.folder / "run" / f"slurmd-{name}.pid", "slurmd")
        assert node is not None, f"{name} is not alive"
        node.kill()  # first, so that no further job begins there
        jobs = self.jobs("--states=RUNNING", f"--nodelist={name}")
        # A step's daemon leaves the node's family; its work lies under it.
        spool = str(self.folder / "spool" / name)
        family = [node, *_under(_steps(jobs))]
        for process in family[1:]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(family, timeout=10)
        assert not [p for p in psutil.process_iter(["cmdline"]) if spool in str(p.info["cmdline"])]
        return jobs

    def nodes(self, state: str) -> set[str]:
        """Return the names of the nodes in a state."""
        return set(self.ask("sinfo", "-h", "-N", "-t", state, "-o", "%N").split())

    def jobs(self, *words: str) -> list[int]:
        """Return the numbers of the jobs that squeue lists."""
        return [int(n) for n in self.ask("squeue", "-h", "-o", "%A", *words).split()]

    def training_jobs(self, node: str | None = None) -> dict[int, str]:
        """Return the running trainings, of one node or all: job number to name of the training."""
        words = [
            "squeue",
            "-h",
            "-t",
            "R",
            "-o",
            "%A %k",
            *([f"--nodelist={node}"] if node else []),
        ]
        pattern = r"^(\d+) rule_train_wildcards_(.+)_(.+)_(\d+)$"
        found = re.findall(pattern, self.ask(*words), re.MULTILINE)
        return {int(n): f"{network}.{data}.seed{seed}" for n, network, data, seed in found}

    @staticmethod
    def ask(*words: str) -> str:
        """Return what a command of SLURM prints, nothing if it fails."""
        done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=60)
        return done.stdout if done.returncode == 0 else ""

    @staticmethod
    def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for something to become true.

        Raises
        ------
        AssertionError
            If it has not within so many seconds.
        """
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds:g} s in vain until {what}"
            time.sleep(0.1)

    def _start_munge(self) -> None:
        if _munge_answers():
            return  # one of the machine's own: any will do
        key = Path("/etc/munge/munge.key")
        if not key.exists():
            key.write_bytes(os.urandom(1024))
            shutil.chown(key, "munge", "munge")
            key.chmod(0o400)
        MUNGE_PID.parent.mkdir(exist_ok=True)
        shutil.chown(MUNGE_PID.parent, "munge", "munge")
        (self.folder / OUR_MUNGE).touch()
        self._daemon("runuser", "-u", "munge", "--", shutil.which("munged"))
        self.wait_until(_munge_answers, 60, "munge answers")

    def _daemon(self, *words: str) -> None:
        with open(self.folder / "log" / "start.log", "a") as log:
            done = subprocess.run(
                words, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        assert done.returncode == 0, f"{words[0]}: see {log.name}: {Path(log.name).read_text()}"


def environment() -> dict[str, str]:
    """Return this environment without what would lead SLURM elsewhere."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_", "SRUN_"))}


def _free(number: int) -> list[int]:
    """Return port numbers that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _munge_answers() -> bool:
    done = subprocess.run("munge -n | unmunge", shell=True, capture_output=True)
    return done.returncode == 0


def _process(file: Path, name: str) -> psutil.Process | None:
    """Return the living process of a file with its number, if it has that name."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int(file.read_text()))
        if process.name() == name:
            return process
    return None


def _steps(jobs: list[int]) -> list[psutil.Process]:
    """Return the daemons of the steps of some jobs."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        match = re.search(r"\[(\d+)\.\w+\]", " ".join(process.info["cmdline"] or ()))
        if match and int(match[1]) in jobs and "slurmstepd" in process.info["cmdline"][0]:
            found.append(process)
    return found


def _under(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return processes and all their descendants, each before its children."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            found += [process, *process.children(recursive=True)]
    return found


def _end(folder: Path) -> None:
    """End the daemons whose state is in `folder`, and all that runs under them."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        jobs = [int(n) for n in Cluster.ask("squeue", "-h", "-o", "%A").split()]
        steps = _under(_steps(jobs))
        _terminate(steps, signal.SIGKILL)
    names = [("slurmd", f"slurmd-{node}") for node in NODES] + [("slurmctld", "slurmctld")]
    _terminate([_process(folder / "run" / f"{file}.pid", name) for name, file in names])
    if (folder / OUR_MUNGE).exists():
        _terminate([_process(MUNGE_PID, "munged")])


def _terminate(processes: list, number: int = signal.SIGTERM) -> None:
    alive = [process for process in processes if process is not None]
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
    for process in psutil.wait_procs(alive, timeout=10)[1]:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _end_what_was_left() -> None:
    """End a cluster of a killed test, found by its configuration."""
    if match := re.search(r"^# state: (.+)$", CONFIGURATION.read_text(), re.MULTILINE):
        _end(Path(match[1]))
    CONFIGURATION.unlink()
    GPUS.unlink(missing_ok=True)
