"""Run the study with Snakemake, then make its report.

usage: ./study run [Snakemake's options] [targets]

  ./study run                                    the quick study, minutes on two cores
  ./study run --configfile config/study.yaml     another study
  ./study run --config seed=3                    one key changed
  ./study run -n                                 what would be done, and why
  ./study run --cores 1 results/tables/results.csv

Everything after "run" goes to Snakemake; added are --cores all, --rerun-incomplete and
--keep-going.  A run that was stopped or killed continues where it was.  Snakemake's own
messages are kept in .snakemake/log.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

from lowdose.cli import LAST_ERROR
from lowdose.cli._failures import last_sentence, told
from lowdose.cli._slurm import NOTE as SLURM_NOTE
from lowdose.cli._slurm import RUN as SLURM_RUN
from lowdose.cli._slurm import cancel_left_jobs
from lowdose.cli._waves import NOTICE
from lowdose.cli.verify import beside_published
from lowdose.runtime import UserError, write_text

HELP = "run the study with Snakemake and make its report"
PASSES_ON = True

REPORT = Path("results/report.html")
HEADLINE = Path("results/tables/headline.json")
SECONDS = Path(".snakemake/lowdose-seconds.json")
REPORTED = Path(".snakemake/lowdose-reported.json")

# With one of these, Snakemake does something else than run the study: it talks for itself.
OTHER_MODES = (
    *("archive", "cleanup_metadata", "cleanup_shadow", "conda_cleanup_envs"),
    *("conda_create_envs_only", "container_cleanup_images", "containerize", "d3dag", "dag"),
    *("delete_all_output", "delete_temp_output", "detailed_summary", "draft_notebook", "dryrun"),
    *("edit_notebook", "export_cwl", "filegraph", "generate_unit_tests", "lint", "list_changes"),
    *("list_conda_envs", "list_input_changes", "list_params_changes", "list_rules"),
    *("list_target_rules", "list_untracked", "print_compilation", "report", "reporter"),
    *("rulegraph", "summary", "unlock"),
)
# With one of these, only a part of the study is run, so there is no report to make.
PARTS = ("targets", "until", "omit_from", "batch", "touch", "target_jobs")
TALKATIVE = ("verbose", "printshellcmds", "debug_dag", "logger")
COUNTS_ITS_OWN_CORES = ("cores", "jobs", "profile", "workflow_profile")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the words belong to Snakemake."""


def run(arguments: argparse.Namespace) -> int:
    """Run Snakemake on this folder; return the exit code."""
    words = list(arguments.rest)
    options = parsed(words)
    folder = Path(options.directory or ".").resolve()
    command = [sys.executable, "-m", "snakemake"]
    if not any(getattr(options, name, None) for name in COUNTS_ITS_OWN_CORES):
        command += ["--cores", "all"]
    if any(getattr(options, name, None) for name in OTHER_MODES):
        return subprocess.run([*command, *words], env=_environment(folder)).returncode

    from lowdose.cli import _folder

    _folder.check_writable(folder / REPORT.parent)
    with _folder.only_run(folder):
        if number := cancel_left_jobs(folder):
            print(f"Cancelled in SLURM: {number} jobs of a run that was killed.", file=sys.stderr)
        if number := _folder.end_orphans(folder):
            print(f"Ended {number} processes of a run that was killed.", file=sys.stderr)
        if _folder.stale_lock(folder):
            unlock = [*command, "--unlock", *words]
            subprocess.run(unlock, env=_environment(folder), capture_output=True)
        return _Run(command, words, options, folder).all()


def parsed(words: list[str]) -> argparse.Namespace:
    """Return Snakemake's own reading of `words`.

    Raises
    ------
    UserError
        If Snakemake does not know an option or a value.
    """
    from snakemake.cli import get_argument_parser
    from snakemake.exceptions import CliException

    parser = get_argument_parser()

    def error(message: str):
        raise UserError(
            f"Snakemake does not understand this call: {message}; see ./study run --help, and "
            "snakemake --help for all options."
        )

    parser.error = error
    try:
        options = parser.parse_args(words)
    except (CliException, ValueError) as problem:
        error(" ".join(str(problem).split()).rstrip("."))
    for path in options.configfile or ():
        _check_configfile(Path(path))
    return options


def _check_configfile(path: Path) -> None:
    """Refuse a configuration file that Snakemake would answer with a traceback."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"--configfile {path} cannot be read; give the path of a YAML file as seen from "
            f"{Path.cwd()}."
        ) from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise UserError(
            f"{path}{line}: not valid YAML ({getattr(error, 'problem', None) or 'unreadable'}); "
            "mend that line."
        ) from error
    if not isinstance(found, dict | None):
        raise UserError(f"{path} is no table of keys and values; see config/README.md.")


def _published(options: argparse.Namespace) -> str | None:
    """Return the name of the published study that is run, if it is one and unchanged."""
    files = [Path(path).resolve() for path in options.configfile or ()]
    if options.config or len(files) > 1:
        return None
    if not files:
        return "quick"
    ours = Path(__file__).parents[3] / "config" / "study.yaml"
    return "study" if files[0] == ours else None


class _Run:
    """One run: Snakemake under watch, the report, the last words."""

    def __init__(self, command, words, options, folder: Path) -> None:
        from lowdose.cli._progress import Display, Progress

        self.command = [*command, "--rerun-incomplete", "--keep-going", *words]
        # The report takes the same configuration and profile.
        self.report_command = [*command, *words, "--report", str(REPORT)]
        self.words = words
        self.whole = not any(getattr(options, name, None) for name in PARTS)
        self.published = _published(options)
        self.echo = any(getattr(options, name, None) for name in TALKATIVE)
        self.folder = folder
        self.errors = folder / ".snakemake" / f"lowdose-errors-{os.getpid()}.txt"
        self.progress = Progress(measured=_json(folder / SECONDS))
        self.display = Display(sys.stderr)
        self.tail: deque[str] = deque(maxlen=200)

    def all(self) -> int:
        began = time.monotonic()
        try:
            code = self._snakemake()
            if self.progress.finished and not self.progress.remote:
                seconds = self.progress.measured | self.progress.finished
                write_text(self.folder / SECONDS, json.dumps(seconds, indent=0))
            if code:
                return told(self.folder, code, self.progress.failed, list(self.tail), self.errors)
            if self.progress.nothing_to_do:
                print(self.progress.nothing_to_do)
            if self.whole:
                self._report()
                self._manifest()
                if self.published and not self.progress.nothing_to_do:
                    self.display.say("comparing with the published results")
                    for line in beside_published(self.folder / "results", self.published):
                        print(line)
                self._headline(time.monotonic() - began)
            elif not self.progress.nothing_to_do:
                print(f"Done: {self.progress.done} of {self.progress.total} jobs.")
            return 0
        finally:
            self.errors.unlink(missing_ok=True)

    def _snakemake(self) -> int:
        """Run Snakemake, show its progress; return its exit code, 130 after Ctrl-C."""
        self.errors.unlink(missing_ok=True)
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):  # also where a shell has made a background job ignore it
                signal.signal(getattr(signal, name), _interrupt)
        process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(self.folder, self.errors),
            text=True,
            errors="replace",
            # A group of its own: Ctrl-C reaches it once, through us, and never the report.
            process_group=0,
            preexec_fn=_die_with_parent(),
        )
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
        stops = 0
        while True:
            try:
                line = lines.get(timeout=0.5)
                if line is None:
                    code = process.wait()
                    break
                self._take(line.rstrip("\n"), stopping=stops > 0)
            except queue.Empty:
                if (code := process.poll()) is not None:
                    break  # its orphans hold the pipe open
                if not stops:
                    self.display.show(self.progress.line(time.monotonic()))
            except KeyboardInterrupt:
                stops += 1
                self.display.say("Stopping; what is finished is kept.")
                with contextlib.suppress(ProcessLookupError):
                    kill = signal.SIGINT if stops == 1 else signal.SIGKILL
                    os.killpg(process.pid, kill)
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.default_int_handler)
        if self.progress.total:
            self.display.say(self.progress.line(time.monotonic(), ended=True))
        return 130 if stops else code

    def _take(self, line: str, stopping: bool) -> None:
        self.tail.append(line)
        if self.echo or line.startswith(NOTICE):
            self.display.say(line)
        if (failed := self.progress.read(line)) is not None and not stopping:
            self.display.say(f"failed: {failed.label}; the others go on")
        elif self.progress.again and not stopping:
            self.display.say(f"sent again: {self.progress.again}")
        elif line.startswith(SLURM_RUN):
            write_text(self.folder / SLURM_NOTE, line.removeprefix(SLURM_RUN))

    def _report(self) -> None:
        """Make the report, unless the one that is there shows just these results."""
        state = {"words": self.words}
        if (
            self.progress.nothing_to_do
            and _json(self.folder / REPORTED) == state
            and _newer_than_its_inputs(self.folder)
        ):
            return
        self.display.say("making the report")
        done = subprocess.run(
            self.report_command,
            env=_environment(self.folder, self.errors),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode or not (self.folder / REPORT).is_file():
            self.tail = deque(done.stdout.splitlines(), maxlen=200)
            raise UserError(
                f"Snakemake could not make {REPORT}: {last_sentence(self.tail)}; the results "
                "themselves are finished, so mend that and run again."
            )
        write_text(self.folder / REPORTED, json.dumps(state))

    def _headline(self, seconds: float) -> None:
        made = "" if self.progress.nothing_to_do else f", made in {seconds / 60:.1f} min"
        print(f"Report: {self.folder / REPORT}{made}")
        for line in _json(self.folder / HEADLINE).get("lines", []):
            print(f"  {line}")

    def _manifest(self) -> None:
        """List all results; say what is not as it should be, which is no failure of this run."""
        from lowdose import manifest
        from lowdose.cli.manifest import told as told_of

        results = self.folder / REPORT.parent
        made = manifest.make(results, trusting=True)
        lines = told_of(made, manifest.write(results, made))
        if len(lines) > 1:
            self.display.say("\n".join(lines))


def _environment(folder: Path, errors: Path | None = None) -> dict[str, str]:
    """Return the environment of Snakemake: this Python first, for the rules' commands."""
    from lowdose.cli._folder import RUN_FOLDER

    found = dict(os.environ)
    here = str(Path(sys.executable).parent)
    if found.get("PATH", "").split(os.pathsep)[0] != here:
        found["PATH"] = os.pathsep.join([here, found.get("PATH", os.defpath)])
    if errors is not None:
        found |= {LAST_ERROR: str(errors), RUN_FOLDER: str(folder)}
    return found


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _die_with_parent():
    """Return what makes a child end when this process is killed (Linux), else None."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl  # looked up before the fork
    return lambda: prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG


def _read(stream, lines: queue.SimpleQueue) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _json(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _newer_than_its_inputs(folder: Path) -> bool:
    try:
        made = (folder / REPORT).stat().st_mtime
    except OSError:
        return False
    inputs = [folder / "Snakefile"]
    for name in ("results/figures", "results/tables", "workflow/report", "workflow/rules"):
        inputs += (folder / name).rglob("*")
    return all(made >= path.stat().st_mtime for path in inputs if path.is_file())
