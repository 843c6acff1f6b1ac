"""``lowdose run`` on a toy workflow: report, repeat, stop, kill, fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "workflow"

SNAKEFILE = """
from lowdose.cli import refuse
from lowdose.runtime import UserError

if "sed" in config:
    refuse(UserError("config: there is no key sed; did you mean seed?"))

rule all:
    input:
        expand("results/{i}.txt", i=range(3)), "results/tables/headline.json", "results/a.svg",

rule a:
    output: "results/{i}.txt"
    log: "logs/{i}.log"
    params:
        seconds=config.get("seconds", 0), refuse=config.get("refuse"), crash=config.get("crash"),
    shell:
        "(echo begin; sleep {params.seconds}; if [ {wildcards.i} = {params.crash} ]; then"
        " echo deep trouble; exit 1; fi; if [ {wildcards.i} = {params.refuse} ]; then"
        " python -c 'from lowdose.cli import refuse; from lowdose.runtime import UserError;"
        " refuse(UserError(\\"The dose is -1; give one above 0.\\"))'; fi; echo {wildcards.i}"
        " > {output}) > {log} 2>&1"

rule headline:
    output: "results/tables/headline.json"
    log: "logs/headline.log"
    shell: "echo '{{\\"lines\\": [\\"first\\", \\"second\\", \\"third\\"]}}' > {output} 2> {log}"

rule figure:
    output: report("results/a.svg")
    log: "logs/figure.log"
    shell: "echo '<svg xmlns=\\"http://www.w3.org/2000/svg\\"></svg>' > {output} 2> {log}"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    return tmp_path


def start(folder, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "lowdose", "run", "--cores", "2", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder, *words):
    process = start(folder, *words)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def sleeping(folder):
    """Return the sleeps that jobs of this folder are in."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() == "sleep" and process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def test_run_and_run_again(folder):
    code, out, err = run(folder)
    assert code == 0, err
    report = folder / "results" / "report.html"
    lines = out.splitlines()
    assert lines[0].startswith(f"Report: {report}, made in ")
    assert lines[1:] == ["  first", "  second", "  third"]
    assert "6 of 6 jobs, 100 %" in err
    made = report.stat().st_mtime_ns

    code, out, err = run(folder)
    assert code == 0, err
    assert out.startswith("Nothing to be done")
    assert f"Report: {report}\n" in out
    assert report.stat().st_mtime_ns == made

    # A report that is older than what it shows is made anew, although no job has run.
    (folder / "results" / "tables" / "headline.json").touch()
    time.sleep(0.01)
    assert run(folder)[0] == 0
    assert report.stat().st_mtime_ns > made


def test_targets_and_dry_runs_make_no_report(folder):
    code, out, _ = run(folder, "-n")
    assert code == 0
    assert "This was a dry-run" in out
    code, out, err = run(folder, "results/1.txt", "--config", "seconds=0")
    assert (code, out) == (0, "Done: 1 of 1 jobs.\n"), err
    assert not (folder / "results" / "report.html").exists()


def test_a_refused_configuration_is_one_sentence(folder):
    sentence = "lowdose: config: there is no key sed; did you mean seed?"
    code, _, err = run(folder, "--config", "sed=3")
    assert (code, err.splitlines()) == (2, [sentence])
    code, _, err = run(folder, "-n", "--config", "sed=3")  # where Snakemake speaks for itself
    assert code == 2
    assert sentence in err.splitlines()
    assert "Traceback" not in err


def test_a_result_that_no_rule_makes_is_one_sentence(folder):
    code, _, err = run(folder, "results/9.csv")
    assert code == 2
    assert err.startswith("lowdose: There is no rule or result results/9.csv;")


def test_a_job_that_refuses_ends_with_its_sentence_and_the_rest_is_kept(folder):
    code, _, err = run(folder, "--config", "refuse=1")
    assert code == 2
    assert err.splitlines()[-1] == "lowdose: The dose is -1; give one above 0."
    assert (folder / "results" / "2.txt").read_text() == "2\n"
    assert not (folder / "results" / "1.txt").exists()


def test_a_job_that_crashes_is_named_with_the_end_of_its_log(folder):
    code, _, err = run(folder, "--config", "crash=1")
    assert code == 1
    assert "a 1 failed; the end of its log (logs/1.log):\n  | begin\n  | deep trouble\n" in err
    assert err.splitlines()[-1].startswith("lowdose: a 1 failed (logs above);")


def test_results_that_cannot_be_written_are_one_sentence(folder):
    (folder / "results").write_text("a file in the way")
    code, _, err = run(folder)
    assert code == 2
    (line,) = err.splitlines()
    assert "results cannot be written because a file or folder of that name is in the way" in line


def test_ctrl_c_waits_and_ends_with_130(folder):
    process = start(folder, "--config", "seconds=60")
    wait_until(lambda: len(sleeping(folder)) == 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "Stopped by Ctrl-C; ./study run continues from here."
    assert sleeping(folder) == []
    assert run(folder)[0] == 0


def test_one_run_at_a_time_and_a_killed_run_is_cleaned_up(folder):
    process = start(folder, "--config", "seconds=60")
    wait_until(lambda: len(sleeping(folder)) == 2)
    orphans = sleeping(folder)

    code, _, err = run(folder)
    assert code == 2
    assert f"Another run of this folder is going on (process {process.pid});" in err

    process.kill()
    process.communicate()
    code, _, err = run(folder)
    assert code == 0, err
    assert "of a run that was killed." in err
    assert not any(orphan.is_running() for orphan in orphans)
    assert sorted(path.name for path in (folder / "results").glob("*.txt")) == [
        "0.txt",
        "1.txt",
        "2.txt",
    ]
