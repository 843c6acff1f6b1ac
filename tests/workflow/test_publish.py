"""``lowdose publish``: what a repository holds of a finished study."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from matplotlib import image

from lowdose.verification.reference import INDEX

WORDS = ("lowdose", "publish", "published", "--config", "config/tiny.yaml")


@pytest.fixture(scope="module")
def published(finished):
    """The finished tiny study and what was made of it."""
    done = finished.run(*WORDS, "--note", "a test")
    assert done.returncode == 0, done.stderr
    return finished, finished.folder / "published"


def test_how_it_was_made(published):
    project, folder = published
    told = json.loads((folder / "run.json").read_text())
    assert told["command"] == "./study run --configfile config/tiny.yaml"
    assert told["study"] == "tiny" and told["note"] == "a test"
    # The clock and the cores, by Snakemake's own benchmarks.
    logs = list((project.folder / "results/logs").rglob("*.jsonl"))
    lines = [json.loads(path.read_text().splitlines()[-1]) for path in logs]
    assert told["jobs"] == len(lines)
    longest = max(line["s"] for line in lines)
    total = sum(line["s"] for line in lines)
    assert 0.8 * longest <= 60 * told["minutes"] + 3 and 60 * told["minutes"] - 3 <= total
    by_rule = told["core_minutes_by_rule"]
    assert sum(by_rule.values()) == pytest.approx(told["core_minutes"], abs=0.05 * len(by_rule))
    assert "train" in by_rule and "figures" in by_rule


def test_what_it_holds(published):
    project, folder = published
    results = project.folder / "results"
    for path in (results / "tables").glob("*.csv"):
        assert (folder / "tables" / path.name).read_bytes() == path.read_bytes()
    cards = sorted(path.stem for path in (folder / "networks").iterdir())
    trained = sorted(
        ".".join(path.parts[-4:-1]) for path in results.glob("networks/*/*/*/card.json")
    )
    assert cards == trained != []
    drawn = sorted(path.name for path in (results / "figures").glob("*.png"))
    assert sorted(path.name for path in (folder / "figures").iterdir()) == drawn != []
    for name in drawn:
        was, now = (image.imread(at / "figures" / name)[..., :3] for at in (results, folder))
        assert was.shape == now.shape
        assert np.abs(was - now).mean() < 0.01, name  # of white
    assert not list(project.folder.glob(".published*"))


def test_a_rerun_is_compared_with_it(published):
    project, _ = published
    same = project.run("lowdose", "verify", "results", "--reference", "published/verify")
    assert same.returncode == 0, same.stdout
    assert " 0 differ." in same.stdout.splitlines()[-1]


def test_it_is_replaced_as_a_whole(published):
    project, folder = published
    (folder / "tables" / "of-an-earlier-one.csv").write_text("a\n")
    assert project.run(*WORDS).returncode == 0
    assert not (folder / "tables" / "of-an-earlier-one.csv").exists()
    assert "note" not in json.loads((folder / "run.json").read_text())
    assert (folder / "verify" / INDEX).is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["config"], "config is there and holds no published study; give another name."),
        (["new", "--results", "nowhere"], "nowhere"),
        (["new", "--config", "config/study.yaml"], "results.csv is of another study than study"),
        (["workflow"], "workflow is there and holds no published study"),
    ],
)
def test_what_cannot_be_published_is_told(published, words, says):
    project, _ = published
    own = [] if "--config" in words else ["--config", "config/tiny.yaml"]
    done = project.run("lowdose", "publish", *words, *own)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr
    assert not (project.folder / "new").exists()
    assert (project.folder / "config" / "config.yaml").is_file()


def test_only_what_the_named_study_has_made_is_published(published):
    """Every job of the smaller study was run, and yet it is another one."""
    project, folder = published
    less = project.folder / "config" / "less.yaml"
    less.write_text("seed: 5\n")
    done = project.run("lowdose", "publish", "new", "--config", "config/tiny.yaml", str(less))
    assert done.returncode == 2 and "results.csv is of another study than tiny" in done.stderr
    own = project.folder / "results" / "tables" / "mine.csv"
    own.write_text("a\n")
    foreign = project.folder / "results/networks/other/white/seed0"
    try:
        assert project.run(*WORDS).returncode == 0
        assert not (folder / "tables" / "mine.csv").exists()
        foreign.mkdir(parents=True)
        (foreign / "card.json").write_text("{}")
        done = project.run(*WORDS)
        assert done.returncode == 2 and "another study, other.white.seed0" in done.stderr
    finally:
        own.unlink()
        shutil.rmtree(foreign.parents[1])


def test_a_job_without_a_benchmark_was_not_run(published):
    project, _ = published
    log = project.folder / "results/logs/summarise.jsonl"
    aside = log.rename(log.with_suffix(".aside"))
    try:
        done = project.run(*WORDS)
    finally:
        aside.rename(log)
    assert done.returncode == 2 and "no logs/summarise.jsonl: the study was not" in done.stderr


def test_an_altered_result_is_not_published(published):
    project, folder = published
    before = (folder / "run.json").read_bytes()
    with project.edited("results/tables/results.csv", lambda text: text + "\n"):
        done = project.run(*WORDS)
    assert done.returncode == 2 and "results/tables/results.csv is not what" in done.stderr
    assert (folder / "run.json").read_bytes() == before
