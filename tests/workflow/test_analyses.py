"""What any study can be asked by name: columns at stake, strata, risk, verdicts, filters."""

from __future__ import annotations

import pandas as pd
import pytest

TINY = ("--configfile", "config/tiny.yaml")
FIGURES = ("credibility", "strata", "risk", "verdicts", "mechanism")
TARGETS = tuple(f"results/figures/{name}.png" for name in FIGURES)


@pytest.fixture(scope="module")
def asked(finished, tmp_path_factory):
    project = finished.copy(tmp_path_factory.mktemp("asked") / "project")
    done = project.snakemake(*TARGETS, *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def test_each_has_its_tables(asked):
    tables = asked.folder / "results" / "tables"
    credibility = pd.read_csv(tables / "credibility.csv")
    networks = {f"{name}.white.seed0" for name in ("narrow", "medium", "wide")}
    assert set(credibility["denoiser"]) >= {"ideal", "clean", "raw", "gaussian", *networks}
    ideal = credibility[(credibility["denoiser"] == "ideal") & (credibility["kind"] == "all")]
    # No other is better where the dose is highest, and the clean image knows.
    assert (ideal["auc"] > 0.9).all()
    constant = credibility[credibility["denoiser"] == "constant"]
    assert (constant["auc"] == 0.5).all() and (constant["fill_in_rate"] == 0).all()
    contrasts = pd.read_csv(tables / "contrasts.csv")
    assert set(contrasts["question"]) == {"networks", "filters"}
    assert (contrasts["reference"] == "wide.white.seed0").all()
    limits = pd.read_parquet(asked.folder / "results" / "limits" / "limits.parquet")
    assert set(limits["pair"]) == set(
        pd.read_parquet(asked.folder / "results/evaluation/raw/sites.parquet")["pair"]
    )
    risk = pd.read_csv(tables / "risk.csv")
    assert set(risk["denoiser"]) >= {"raw", "gaussian", *networks}
    assert risk.groupby("denoiser")["mse"].median()["raw"] == pytest.approx(
        risk.groupby("denoiser")["true_mse"].median()["raw"], rel=0.1
    )
    verdicts = pd.read_csv(tables / "verdicts.csv")
    assert verdicts["denoiser"].unique().tolist() == ["wide.white.seed0"]
    assert (verdicts["n_frames"] <= 4).all() and verdicts["power"].between(0, 1).all()
    filters = pd.read_csv(tables / "filters.csv")
    assert set(filters["denoiser"]) == networks
    affine = filters["linear_part"] + filters["remainder"]
    assert affine.to_numpy() == pytest.approx(filters["output"].to_numpy(), abs=1e-3)


def test_there_is_nothing_left_to_do(asked):
    assert asked.planned(*TARGETS, *TINY) == set()


def test_editing_one_of_them_runs_it_alone(asked):
    with asked.edited(
        "workflow/lowdose/evaluation/verdicts.py", lambda text: text + "\nNOTHING = 0\n"
    ):
        jobs = asked.planned(*TARGETS, *TINY)
    assert jobs == {"verdicts", "figure_verdicts"}
    with asked.edited(
        "workflow/lowdose/columns/observer.py", lambda text: text + "\nNOTHING = 0\n"
    ):
        jobs = asked.planned(*TARGETS, *TINY)
    assert jobs == {"limits", "credibility", "figure_credibility"}
