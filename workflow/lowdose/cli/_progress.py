"""What a running Snakemake is doing, read from its own messages, and the time that is left."""

from __future__ import annotations

import itertools
import re
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

# Seconds of one job on two cores, for a folder that has not measured its own yet.
FIRST_GUESS = {
    "structures": 5,
    "simulate": 57,
    "frames": 12,
    "train": 170,
    "tune": 15,
    "evaluate": 25,
    "columns": 15,
    "mechanism": 15,
    "all": 0,
}
GUESS_FOR_OTHERS = 8
SHOWN = 6  # jobs that are named; a cluster has many at once

# Jobs that a cluster runs as a group are told with an indent.
_STARTED = re.compile(r"^( {4})?(?:local)?(?:rule|checkpoint) (\S+):$")
_FAILED = re.compile(r"^( {4})?Error in (?:rule|group) (\S+?)[:,]")
_FIELD = re.compile(r"^( {4}| {8})([a-z-]+): (.*)$")
_RESTARTED = re.compile(r"^Trying to restart job (\S+)\.$")
_FINISHED = re.compile(r"^Finished jobid: (\d+) \(Rule: (.+)\)$")
_STEPS = re.compile(r"^(\d+) of (\d+) steps \(")
_CORES = re.compile(r"^Provided (cores|remote nodes): (\d+)")
_COUNT = re.compile(r"^(\S+) +(\d+)$")
_TOLD = re.compile(r"\b([0-9.]+) (s|min) left\b")


@dataclass
class Job:
    """One job of the run."""

    rule: str
    number: str = ""
    wildcards: str = ""
    logs: tuple[str, ...] = ()
    threads: int = 1
    started: float = 0.0
    grouped: bool = False

    @property
    def label(self) -> str:
        """The rule and the values of its wildcards, e.g. ``train unet-wide 0``."""
        values = [pair.partition("=")[2] for pair in self.wildcards.split(", ") if pair]
        return " ".join([self.rule, *values])


@dataclass
class Progress:
    """The state of a run, fed line by line with what Snakemake prints.

    Parameters
    ----------
    measured : dict of str to list
        Job label to (rule, seconds, threads), as measured in an earlier run of this folder.
    """

    measured: dict[str, list] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    cores: int = 1
    remote: bool = False  # on a cluster, where a job's time includes its waiting
    counts: dict[str, int] = field(default_factory=dict)
    running: dict[str, Job] = field(default_factory=dict)
    finished: dict[str, list] = field(default_factory=dict)
    failed: list[Job] = field(default_factory=list)
    again: str = ""  # the failed job that the last line has sent again
    nothing_to_do: str = ""
    began: float = field(default_factory=time.monotonic)
    _block: Job | None = None
    _block_failed: bool = False
    _block_indent: str = ""
    _in_table: bool = False

    def read(self, line: str, now: float | None = None) -> Job | None:
        """Take in one line; return the job if the line says that one has failed.

        Parameters
        ----------
        line : str
            A line of Snakemake's output.
        now : float, optional
            The time [s] on a monotonic clock.
        """
        now = time.monotonic() if now is None else now
        line, self.again = line.rstrip(), ""
        if self._block is not None:
            indent = self._block_indent + "    "
            if (match := _FIELD.match(line)) and match[1] == indent:
                return self._read_field(match[2], match[3], now)
            if not line.startswith(indent):
                self._block = None
        if match := (started := _STARTED.match(line)) or _FAILED.match(line):
            self._block, self._block_failed = Job(match[2]), started is None
            self._block.grouped, self._block_indent = bool(match[1]), match[1] or ""
        elif match := _RESTARTED.match(line):
            self._restart(match[1])
        elif match := _FINISHED.match(line):
            self._finish(*match.groups(), now)
        elif match := _STEPS.match(line):
            self.done, self.total = int(match[1]), int(match[2])
        elif match := _CORES.match(line):
            self.cores, self.remote = max(1, int(match[2])), match[1] != "cores"
        elif line.startswith("Nothing to be done"):
            self.nothing_to_do = line
        elif line == "Job stats:":
            self._in_table, self.began = True, now
            self.counts.clear()
        elif self._in_table and (match := _COUNT.match(line)):
            if match[1] == "total":
                self.total, self._in_table = int(match[2]), False
            else:
                self.counts[match[1]] = int(match[2])
        return None

    def seconds_left(self, now: float) -> float:
        """Return the estimate of the time left [s].

        Expected seconds of the jobs, shared among the cores and scaled by how this run has
        kept to the expectation so far; never less than the longest running job still needs.
        """
        done, left, longest = self._work(now)
        # Half a minute of trust in the expectation keeps the first jobs from swinging it.
        scale = (now - self.began + 30) / (done / self.cores + 30)
        return max(left / self.cores * min(max(scale, 0.3), 5.0), longest)

    def percent(self, now: float) -> int:
        """Return the share of the work that is done [%], 100 only when every job is."""
        done, left, _ = self._work(now)
        if self.total and self.done == self.total:
            return 100
        return min(99, int(100 * done / (done + left))) if done + left else 0

    def line(self, now: float, ended: bool = False) -> str:
        """Return one line for a person: jobs, share, time left and what is going on."""
        if not self.total:
            return "preparing"
        text = f"{self.done} of {self.total} jobs, {self.percent(now)} %"
        if ended or self.done == self.total:
            return text
        text += f", {spoken(self.seconds_left(now))} left"
        labels = [label for _, label in sorted((j.started, j.label) for j in self.running.values())]
        if labels:
            text += ": " + ", ".join(labels[:SHOWN])
        if len(labels) > SHOWN:
            text += f" and {len(labels) - SHOWN} more"
        oldest = min(self.running.values(), key=lambda job: job.started, default=None)
        if oldest is not None and (last := last_lines(oldest.logs, 1)):
            text += f" ({re.sub(r'^[0-9:]{8} ', '', last[0])})"
        return text

    def _read_field(self, name: str, value: str, now: float) -> Job | None:
        job = self._block
        if name == "jobid":
            job.number, job.started = value, now
            if self._block_failed:
                started = self.running.pop(value, None)
                job.wildcards = started.wildcards if started else ""
                self.failed.append(job)
                return job
            self.running[value] = job
        elif name == "log":
            job.logs = tuple(value.partition(" (check")[0].split(", "))
        elif name == "wildcards":
            job.wildcards = value
        elif name == "threads" and value.isdigit():
            job.threads = int(value)
        return None

    def _restart(self, number: str) -> None:
        """Forget a failure that is not the last word: a job by its number, a group by its name."""
        if number.isdigit():
            again = [job for job in self.failed if job.number == number]
        else:
            again = list(itertools.takewhile(lambda job: job.grouped, reversed(self.failed)))
        self.failed = [job for job in self.failed if job not in again]
        self.again = ", ".join(job.label for job in reversed(again))

    def _finish(self, number: str, rule: str, now: float) -> None:
        job = self.running.pop(number, Job(rule, number, started=now))
        self.finished[job.label] = [job.rule, max(0.5, round(now - job.started, 1)), job.threads]

    def _expected(self, rule: str, label: str | None = None) -> tuple[float, int]:
        """Return the expected wall time [s] and threads of a job."""
        for table in (self.finished, self.measured):
            if label in table:
                return table[label][1], table[label][2]
        # A job that has not started has no name yet: take its rule's others.
        for table in (self.measured, self.finished):
            known = [
                row for key, row in table.items() if row[0] == rule and key not in self.finished
            ] or [row for row in table.values() if row[0] == rule]
            if known:
                return sum(row[1] for row in known) / len(known), known[0][2]
        return FIRST_GUESS.get(rule, GUESS_FOR_OTHERS), 1

    def _work(self, now: float) -> tuple[float, float, float]:
        """Return work done and left [core s] and what the longest running job needs [s]."""
        waiting = dict(self.counts)
        done = left = longest = 0.0
        for label, (rule, *_) in self.finished.items():
            waiting[rule] = waiting.get(rule, 1) - 1
            seconds, threads = self._expected(rule, label)
            if label in self.measured:  # what was expected of it, not what it took
                seconds = self.measured[label][1]
            done += seconds * threads
        for job in self.running.values():
            waiting[job.rule] = waiting.get(job.rule, 1) - 1
            seconds, _ = self._expected(job.rule, job.label)
            elapsed = now - job.started
            rest = told_seconds_left(job.logs)
            if rest is None:
                rest = max(seconds - elapsed, 0.1 * seconds)
            else:
                seconds = elapsed + rest
            done += min(elapsed, seconds) * job.threads
            left += rest * job.threads
            longest = max(longest, rest)
        for job in self.failed:
            waiting[job.rule] = waiting.get(job.rule, 1) - 1
        for rule, number in waiting.items():
            if number > 0:
                seconds, threads = self._expected(rule)
                left += number * seconds * threads
        return done, left, longest


class Display:
    """Show the progress: one live line on a terminal, else a plain line every 10 s."""

    PERIOD_S = 10.0

    def __init__(self, stream) -> None:
        self.stream = stream
        self.live = stream.isatty()
        self.shown_at = time.monotonic()
        self.width = 0

    def show(self, text: str) -> None:
        """Show the present state."""
        if self.live:
            columns = shutil.get_terminal_size().columns - 1
            text = text if len(text) <= columns else text[: columns - 1] + "…"
            self.stream.write(f"\r{text}\x1b[K")
            self.width = len(text)
        elif time.monotonic() - self.shown_at >= self.PERIOD_S:
            self.stream.write(text + "\n")
            self.shown_at = time.monotonic()
        self.stream.flush()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self.live and self.width:
            self.stream.write("\r\x1b[K")
            self.width = 0
        self.stream.write(text + "\n")
        self.stream.flush()


def spoken(seconds: float) -> str:
    """Return a duration in words, e.g. ``about 4 min`` or ``1 h 10 min``."""
    if seconds < 60:
        return f"about {max(10, 10 * round(seconds / 10))} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def told_seconds_left(logs: tuple[str, ...]) -> float | None:
    """Return the seconds that a job itself still needs [s], None if its last message does not say.

    Parameters
    ----------
    logs : tuple of str
        Its log files; the time that has passed since the message is taken off.
    """
    found = _TOLD.search("".join(last_lines(logs, 1)))
    if not found:
        return None
    seconds = float(found[1]) * {"s": 1, "min": 60}[found[2]]
    written = max((Path(log).stat().st_mtime for log in logs if Path(log).exists()), default=0.0)
    return max(seconds - (time.time() - written), 0.0)


def last_lines(paths: tuple[str, ...], number: int) -> list[str]:
    """Return the last lines, without empty ones, of the first of `paths` that has any."""
    for path in paths:
        try:
            with Path(path).open("rb") as stream:
                stream.seek(max(0, stream.seek(0, 2) - 8192))
                text = stream.read().decode("utf-8", "replace")
        except OSError:
            continue
        if lines := [line for line in re.split(r"[\r\n]+", text) if line.strip()]:
            return lines[-number:]
    return []
