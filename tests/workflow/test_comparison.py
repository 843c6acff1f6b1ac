"""The comparison of all methods: its jobs, its tables, its figure."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml

TINY = ("--configfile", "config/tiny.yaml")
TARGETS = ("results/tables/methods.html", "results/figures/methods.png")
METHODS = {"purelet": {}, "bm3d": {"binning": 4}}


def words(folder, methods):
    path = folder / "comparison.yaml"
    values = {"methods": methods, "doses_e_per_px": [2, 10], "networks": ["narrow.white.seed0"]}
    path.write_text(yaml.safe_dump({"comparison": values, "tuning_one_per_shape": True}))
    return (*TARGETS, *TINY, str(path))


@pytest.fixture(scope="module")
def compared(finished, tmp_path_factory):
    project = finished.copy(tmp_path_factory.mktemp("compared") / "project")
    done = project.snakemake(*words(project.folder, METHODS))
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def test_every_method_is_tuned_twice_and_compared_at_each_dose(compared):
    results = compared.folder / "results"
    table = pd.read_csv(results / "tables" / "methods.csv")
    assert set(table["denoiser"]) >= {"clean", "raw", *METHODS, "narrow.white.seed0"}
    of = table[table["denoiser"] == "purelet"]
    assert sorted(zip(of["tuned_for"], of["dose_e_per_px"], strict=True)) == [
        ("f1", 10), ("psnr", 2), ("psnr", 10),
    ]  # fmt: skip
    tuned = json.loads((results / "baselines" / "bm3d" / "tuned.json").read_text())
    assert set(tuned["objectives"]) == {"psnr", "f1"}
    assert tuned["objectives"]["psnr"]["parameters"]["binning"] == 4  # as the configuration fixed
    trials = pd.read_csv(results / "baselines" / "bm3d" / "trials.csv")
    for objective, score in (("psnr", "psnr_db"), ("f1", "f1")):
        own = trials[trials["objective"] == objective]
        assert own[score].max() == pytest.approx(tuned["objectives"][objective][score])
    panels = pd.read_csv(results / "figures" / "methods.csv")
    assert set(panels["denoiser"]) == set(table["denoiser"])


def test_there_is_nothing_left_to_do(compared):
    assert compared.planned(*words(compared.folder, METHODS)) == set()


def test_a_further_method_adds_its_jobs_only(compared):
    jobs = compared.planned(*words(compared.folder, {**METHODS, "wavelets": {}}))
    assert jobs == {"tune wavelets", "contest wavelets", "methods", "figure_methods"}


def test_editing_a_method_runs_it_alone(compared):
    with compared.edited(
        "workflow/lowdose/denoisers/classical/purelet.py", lambda text: text + "\nNOTHING = 0\n"
    ):
        jobs = compared.planned(*words(compared.folder, METHODS))
    assert jobs == {"tune purelet", "contest purelet", "methods", "figure_methods"}
