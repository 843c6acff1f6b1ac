"""The job graphs of the committed studies, built but not run."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import yaml

from lowdose import config, contest
from lowdose.cli._bench_scale import sweep
from lowdose.cost import jobs_of
from lowdose.stages import Study


def expected(study):
    """Return how many jobs of each stage a study must have."""
    networks, baselines = len(study.networks()), len(study.config.baselines)
    methods = contest.methods(study.config)
    compared = {
        "contest": len(methods) + len(contest.networks(study.config)),
        "contest_ready": 1,
        "methods": 1,
    }
    return {
        "structures": 1,
        "simulate": len(study.shards),
        "frames": 1,
        "dataset": 1,
        **({"shifted": 1} if study.config.shifted.shapes else {}),
        "train": networks,
        "tune": len({*study.config.baselines, *methods}),
        **(compared if methods else {}),
        "evaluate": networks + baselines,
        "evaluate_ready": 1,
        "summarise": 1,
        "columns": 1,
        "mechanism": 1,
        **analyses(study.config.evaluation.analyses),
        **in_time(study.config),
    }


def analyses(chosen):
    """Return the jobs of what a study also asks, figures apart."""
    # The table of the strata is one of the summary's.
    jobs = {"credibility": ("limits", "credibility"), "strata": ()}
    return {job: 1 for name in chosen for job in jobs.get(name, (name,))}


def in_time(config):
    """Return the jobs of films and of what adapting to frames gains."""
    jobs = {"adaptation": 1} if config.adaptation.frames else {}
    if config.movies.films:
        made = {"film": len(config.movies.films), "movie": len(config.movies.methods)}
        jobs |= made | {"movies": 1}
    # Atoms are counted on one film after learning on others.
    return jobs | ({"positions": 1} if len(config.movies.films) > 1 else {})


def test_a_single_film_asks_for_nothing_that_takes_two(project, tmp_path):
    movies = {
        "films": {"one": {"base_shape": "PtNp1a", "frames": 48}},
        "methods": {"raw": {"denoiser": "raw"}},
    }
    (tmp_path / "one.yaml").write_text(yaml.safe_dump({"movies": movies}))
    jobs = project.planned("--configfile", "config/tiny.yaml", str(tmp_path / "one.yaml"))
    assert {"film one", "movie raw", "movies"} <= jobs
    assert "positions" not in jobs


@pytest.mark.parametrize("name", [None, "tiny", "study", "paper"])
def test_the_graph_is_complete(project, name, monkeypatch):
    # As in the copy of the project, where it is not installed.
    monkeypatch.setenv("LOWDOSE_TOPAZ_PYTHON", "/nowhere/python")
    files = [] if name is None else [project.folder / "config" / f"{name}.yaml"]
    study = Study(config.load(files))
    # Without a file of its own, a study is the quick one.
    words = ["--configfile", f"config/{name}.yaml"] if name else ["--config", "study=quick"]
    jobs = project.planned(*words)
    counts = Counter(job.split()[0] for job in jobs)
    figures = {rule: n for rule, n in counts.items() if rule.startswith("figure_")}
    assert set(figures.values()) == {1}
    assert {rule: n for rule, n in counts.items() if rule not in figures} == expected(study)
    assert Counter(job.rule for job in jobs_of(study)) == counts  # figures by name
    # Nothing is left in a folder where nothing was run.
    assert not (project.folder / "results").exists()
    if name is None:
        assert len(jobs) + 1 <= 30


def test_a_sweep_of_the_benchmark_trains_each_of_its_products_once(fresh):
    path = fresh.folder / "config" / "sweep.yaml"
    path.write_text(yaml.safe_dump(sweep(3, 2, 2)))
    jobs = fresh.planned("--configfile", "config/sweep.yaml")
    trained = {job for job in jobs if job.startswith("train ")}
    names = itertools.product(["net0", "net1", "net2"], ["set0", "set1"], [0, 1])
    assert trained == {f"train {network},{of},{seed}" for network, of, seed in names}
    evaluated = {job for job in jobs if job.startswith("evaluate ")}
    assert len(evaluated) == 3 * 2 * 2 + len(config.load([]).baselines)


@pytest.mark.parametrize(
    "target",
    [
        "results/evaluation/net0.set0.seed2/frames.parquet",  # one seed more than the sweep has
        "results/evaluation/net0.set3.seed1/frames.parquet",  # a network that it has elsewhere
        "results/evaluation/net0xset0.seed1/frames.parquet",
        "results/networks/net00/set0/seed0/model.safetensors",
        "results/waves/shard0.h5",
    ],
)
def test_a_typo_in_a_large_sweep_says_that_no_rule_makes_it(fresh, target):
    asked = sweep(4, 4, 2)
    asked["sweep"] = [
        {"networks": ["net0", "net1"], "training_sets": ["set0", "set1"], "seeds": [0, 1]},
        {"networks": ["net2", "net3"], "training_sets": ["set3"], "seeds": [0, 1]},
    ]
    (fresh.folder / "config" / "sweep.yaml").write_text(yaml.safe_dump(asked))
    done = fresh.snakemake("--dry-run", target, "--configfile", "config/sweep.yaml")
    assert done.returncode == 1
    assert f"No rule to produce {target}" in done.stdout + done.stderr


def test_the_studies_of_many_seeds_train_each_once(project):
    jobs = project.planned("--configfile", "config/paper.yaml")
    trained = {job for job in jobs if job.startswith("train ")}
    assert {f"train paper-6,white,{seed}" for seed in (0, 1, 2)} <= trained
    assert "train wide,black,0" in trained


def test_what_a_study_costs_is_counted_by_job(finished):
    """Every job of a run has left its benchmark where the model of the costs looks for it."""
    study = Study(config.load([finished.folder / "config" / "tiny.yaml"]))
    logs = finished.folder / "results" / "logs"
    written = {path.relative_to(logs).with_suffix("").as_posix() for path in logs.rglob("*.jsonl")}
    assert {job.log for job in jobs_of(study)} == written
