"""Snakemake's messages read back, and the time left."""

from __future__ import annotations

import io
import os
import time

import pytest

from lowdose.cli._progress import (
    FIRST_GUESS,
    Display,
    Progress,
    last_lines,
    spoken,
    told_seconds_left,
)

# As printed by Snakemake 9.27.1.
START = """\
Provided cores: 2
Job stats:
job         count
--------  -------
all             1
simulate        1
train           2
total           4

Select jobs to execute...
"""
TRAIN = """\
[Sun Nov 22 14:02:56 2026]
localrule train:
    output: results/networks/{name}/model.safetensors
    log: results/logs/{name}.log, results/logs/{name}-2.log
    jobid: {number}
    reason: Missing output files: results/networks/{name}/model.safetensors
    wildcards: network={name}, seed=0
    threads: 2
    resources: tmpdir=/tmp, mem_mb=2000
"""
SIMULATE = """\
[Sun Nov 22 14:02:56 2026]
rule simulate:
    output: results/waves/0.h5
    jobid: 3
    reason: Missing output files: results/waves/0.h5
    resources: tmpdir=/tmp
"""
FINISHED = "[Sun Nov 22 14:02:57 2026]\nFinished jobid: {} (Rule: {})\n{} of 4 steps (25%) done\n"
ERROR = """\
[Sun Nov 22 14:02:57 2026]
Error in rule train:
    message: None
    jobid: 2
    output: results/networks/dncnn/model.safetensors
    log: results/logs/dncnn.log (check log file(s) for error details)
    shell:
        python -m lowdose train
        (command exited with non-zero exit code)
"""

# On a cluster: jobs of a group have an indent, and a failure may not be the last word.
REMOTE = """\
Provided remote nodes: 100
[Fri Nov 27 07:42:36 2026] Group job tables (jobs in lexicogr. order):

    [Fri Nov 27 07:42:36 2026]
    rule dose:
        output: results/figures/dose.png
        log: results/logs/dose.log
        jobid: 7
        resources: tmpdir=<TBD>, mem_mb=1500
    [Fri Nov 27 07:42:36 2026]
    rule tune:
        log: results/logs/tune/tv.log
        jobid: 8
        wildcards: baseline=tv
        resources: tmpdir=<TBD>, mem_mb=1500
"""
REMOTE_ERROR = """\
[Fri Nov 27 07:44:06 2026]
    message: SLURM-job '3' failed, SLURM status is: 'NODE_FAIL'.
    jobs:
        rule dose:
            jobid: 7
    [Fri Nov 27 07:44:06 2026]
    Error in rule dose:
        message: None
        jobid: 7
        log: results/logs/dose.log (check log file(s) for error details)
        shell:
            python -m lowdose figure dose
            (command exited with non-zero exit code)
    [Fri Nov 27 07:44:06 2026]
    Error in rule tune:
        jobid: 8
"""


def feed(progress, text, now):
    failed = [progress.read(line, now) for line in text.splitlines()]
    return [job for job in failed if job is not None]


@pytest.fixture
def begun():
    """A run that began at 100 s, with measured times from an earlier one."""
    measured = {
        "simulate": ["simulate", 40.0, 1],
        "train unet 0": ["train", 180.0, 2],
        "train dncnn 0": ["train", 60.0, 2],
        "all": ["all", 0.5, 1],
    }
    progress = Progress(measured=measured)
    feed(progress, START, 100.0)
    return progress


def test_the_jobs_are_counted(begun):
    assert begun.counts == {"all": 1, "simulate": 1, "train": 2}
    assert (begun.done, begun.total, begun.cores) == (0, 4, 2)
    assert begun.percent(100.0) == 0


def test_time_left_is_the_expected_work_shared_among_the_cores(begun):
    # (40 x 1 + 2 trainings x 120 x 2 + 0.5) core seconds on two cores
    assert begun.seconds_left(100.0) == pytest.approx((40 + 480 + 0.5) / 2)
    feed(begun, SIMULATE, 100.0)
    feed(begun, FINISHED.format(3, "simulate", 1), 140.0)
    # 40 s passed for 20 s of expected work: (40 + 30) / (20 + 30) times slower than thought
    assert begun.seconds_left(140.0) == pytest.approx((480 + 0.5) / 2 * 70 / 50)
    assert begun.percent(140.0) == int(100 * 40 / 520.5)


def test_time_left_is_never_less_than_the_longest_job_needs(begun):
    feed(begun, SIMULATE, 100.0)
    feed(begun, FINISHED.format(3, "simulate", 1), 101.0)
    feed(begun, TRAIN.format(name="dncnn", number=2), 101.0)
    feed(begun, FINISHED.format(2, "train", 2), 102.0)
    feed(begun, TRAIN.format(name="unet", number=1), 102.0)
    assert begun.seconds_left(112.0) >= 170.0


def test_a_running_job_is_named_with_its_last_message(begun, tmp_path):
    (tmp_path / "unet.log").write_text("14:02:59 step 100\n14:03:00 step 200, 29.8 dB\n\n")
    text = TRAIN.format(name="unet", number=1).replace("results/logs", str(tmp_path))
    feed(begun, text, 100.0)
    line = begun.line(100.0)
    assert line.startswith("0 of 4 jobs, 0 %, about ")
    assert line.endswith(" left: train unet 0 (step 200, 29.8 dB)")
    assert begun.running["1"].threads == 2
    assert begun.running["1"].logs == (f"{tmp_path}/unet.log", f"{tmp_path}/unet-2.log")


def test_a_job_that_says_how_long_it_will_take_is_believed(begun, tmp_path):
    log = tmp_path / "unet.log"
    log.write_text("14:03:00 step 200 at 6 % of 30 min, 1.74 steps/s, 28.5 min left, loss 0.01\n")
    written = time.time() - 30
    os.utime(log, (written, written))
    text = TRAIN.format(name="unet", number=1).replace("results/logs", str(tmp_path))
    feed(begun, text, 100.0)
    # An earlier one took 180 s, of which 120 have passed; then simulation, the other training
    # of 120 s on both cores, and the end of the run.
    assert begun.seconds_left(220.0) == pytest.approx(28 * 60 + 40 / 2 + 120 + 0.5 / 2, abs=2)
    assert begun.percent(220.0) == 6
    # Said long ago, and silent since.
    os.utime(log, (written - 1e4, written - 1e4))
    assert told_seconds_left((str(log),)) == 0
    log.write_text("14:31:00 validation 31.40 dB\n")
    assert told_seconds_left((str(log),)) is None


def test_what_a_job_took_is_kept_for_the_next_run(begun):
    feed(begun, TRAIN.format(name="unet", number=1), 100.0)
    feed(begun, FINISHED.format(1, "train", 1), 250.04)
    assert begun.finished == {"train unet 0": ["train", 150.0, 2]}
    assert begun.done == 1


def test_a_failed_job_is_told_with_its_log(begun):
    feed(begun, TRAIN.format(name="dncnn", number=2), 100.0)
    (job,) = feed(begun, ERROR, 130.0)
    assert (job.label, job.logs) == ("train dncnn 0", ("results/logs/dncnn.log",))
    assert begun.failed == [job]
    assert begun.running == {}


def test_a_failed_job_that_is_sent_again_has_not_failed(begun):
    feed(begun, TRAIN.format(name="dncnn", number=2), 100.0)
    feed(begun, ERROR, 130.0)
    begun.read("Trying to restart job 2.", 130.0)
    assert begun.again == "train dncnn 0"
    assert begun.failed == []
    feed(begun, TRAIN.format(name="dncnn", number=2), 131.0)
    assert begun.again == ""
    assert begun.running["2"].started == 131.0
    # The second time for good.
    feed(begun, ERROR, 140.0)
    assert [job.label for job in begun.failed] == ["train dncnn 0"]


def test_a_group_of_a_cluster(begun):
    feed(begun, REMOTE, 100.0)
    assert (begun.remote, begun.cores) == (True, 100)
    assert [begun.running[n].label for n in "78"] == ["dose", "tune tv"]
    assert begun.running["7"].logs == ("results/logs/dose.log",)
    feed(begun, TRAIN.format(name="dncnn", number=2), 100.0)
    feed(begun, ERROR, 120.0)
    failed = feed(begun, REMOTE_ERROR, 130.0)
    assert [job.label for job in failed] == ["dose", "tune tv"]
    begun.read("Trying to restart job b46ccb2c-0ad2-56dd-96c4-b4721534d168.", 130.0)
    assert begun.again == "dose, tune tv"
    # What failed before stays so.
    assert [job.label for job in begun.failed] == ["train dncnn 0"]


def test_of_many_running_jobs_a_few_are_named(begun):
    for number in range(10, 30):
        feed(begun, TRAIN.format(name=f"n{number}", number=number), 100.0)
    named = begun.line(100.0).partition(" left: ")[2]
    assert named == "".join(f"train n{n} 0, " for n in range(10, 16))[:-2] + " and 14 more"


def test_without_a_measurement_a_first_guess_is_used():
    progress = Progress()
    feed(progress, START, 0.0)
    expected = FIRST_GUESS["simulate"] + 2 * FIRST_GUESS["train"]
    assert progress.seconds_left(0.0) == pytest.approx(expected / 2)


def test_all_done(begun):
    feed(begun, "4 of 4 steps (100%) done", 300.0)
    assert begun.line(300.0, ended=True) == "4 of 4 jobs, 100 %"


def test_nothing_to_do_is_kept():
    progress = Progress()
    text = "Nothing to be done (all requested files are present and up to date)."
    progress.read(text)
    assert progress.nothing_to_do == text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "about 10 s"), (44, "about 40 s"), (239, "about 4 min"), (4200, "1 h 10 min")],
)
def test_durations_in_words(seconds, words):
    assert spoken(seconds) == words


def test_the_end_of_a_log(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("x" * 20000 + "\none\rtwo\nthree\n")
    assert last_lines((str(tmp_path / "none"), str(log)), 2) == ["two", "three"]


def test_a_plain_stream_gets_a_line_now_and_then():
    stream = io.StringIO()
    display = Display(stream)
    display.show("early")
    display.shown_at -= Display.PERIOD_S
    display.show("due")
    display.say("said")
    assert stream.getvalue() == "due\nsaid\n"


def test_a_terminal_gets_one_line_that_is_written_over(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "20")
    stream = Terminal()
    display = Display(stream)
    display.show("a line that is longer than the terminal")
    display.say("said")
    assert stream.getvalue() == "\ra line that is lon…\x1b[K\r\x1b[Ksaid\n"
