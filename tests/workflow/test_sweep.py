"""The sweep: from the configuration alone, each training its own job."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml

TINY = ("--configfile", "config/tiny.yaml")
SLIM = {"spec": {"architecture": "dncnn", "layers": 2, "channels": 4}}


def overlay(folder, **values):
    path = folder / "overlay.yaml"
    path.write_text(yaml.safe_dump(values))
    return (*TINY, str(path))


def summaries(jobs):
    """Return what is made of all denoisers together."""
    return {"summarise", *(job for job in jobs if job.startswith("figure_"))}


def entry(networks, training_sets=("white",), seeds=(0,)):
    return {"networks": networks, "training_sets": list(training_sets), "seeds": list(seeds)}


QUICK = ["narrow", "medium", "wide"]


def test_a_further_network_adds_its_jobs_only(finished, all_jobs, tmp_path):
    words = overlay(tmp_path, networks={"slim": SLIM}, sweep=[entry([*QUICK, "slim"])])
    jobs = finished.planned(*words)
    assert jobs == {"train slim,white,0", "evaluate slim.white.seed0", "mechanism"} | summaries(
        all_jobs
    )


def test_a_further_seed_adds_its_jobs_only(finished, all_jobs, tmp_path):
    jobs = finished.planned(*overlay(tmp_path, sweep=[entry(QUICK), entry(["narrow"], seeds=[5])]))
    assert jobs == {"train narrow,white,5", "evaluate narrow.white.seed5", "mechanism"} | summaries(
        all_jobs
    )


def test_a_further_training_set_adds_its_jobs_only(finished, all_jobs, tmp_path):
    sweep = [entry(QUICK), entry(["medium"], ["only-ptnp1"])]
    sets = {"only-ptnp1": {"contrast": "white", "families": ["PtNp1"]}}
    jobs = finished.planned(*overlay(tmp_path, training_sets=sets, sweep=sweep))
    assert jobs == {
        "train medium,only-ptnp1,0",
        "evaluate medium.only-ptnp1.seed0",
        "mechanism",
        "dataset",  # the card lists the training sets
    } | summaries(all_jobs)


def test_fewer_baselines_leave_the_others_as_they_are(finished, all_jobs):
    # An overlay cannot take a key away, so the file itself is edited.  Seen from the smaller
    # study, this is the baseline that is added: no other one is tuned or evaluated again.
    def without_tv(text):
        return "\n".join(line for line in text.splitlines() if not line.startswith("  tv:")) + "\n"

    with finished.edited("config/config.yaml", without_tv):
        assert finished.planned() == summaries(all_jobs)


def test_the_index_lists_what_ran(finished):
    results = finished.folder / "results"
    index = pd.read_csv(results / "tables" / "index.csv")
    names = [f"{name}.white.seed0" for name in QUICK]
    assert list(index["denoiser"]) == names
    assert list(index["steps"]) == [20, 20, 300]
    assert list(index["scales"]) == [0, 1, 2]
    for row in index.to_dict(orient="records"):
        folder = results / "networks" / row["network"] / row["training_set"] / f"seed{row['seed']}"
        card = json.loads((folder / "card.json").read_text())
        assert row["weights_sha256"] == card["weights_sha256"]
        assert row["receptive_field_px"] == card["receptive_field_px"]
        assert row["validation_psnr_db"] == pytest.approx(card["validation_psnr_db"])
    assert index["receptive_field_px"].is_monotonic_increasing
    table = pd.read_csv(results / "tables" / "results.csv")
    assert set(names) <= set(table["denoiser"])


def test_a_typo_in_a_target_says_that_no_rule_makes_it(finished):
    for target in (
        "results/networks/wyde/white/seed0/model.safetensors",
        "results/networks/wide/white/seed-1/model.safetensors",
        "results/evaluation/gausian/frames.parquet",
        "results/waves/shard007.h5",
        "results/tables/result.csv",
    ):
        done = finished.snakemake("--dry-run", target, *TINY)
        assert done.returncode == 1
        assert f"No rule to produce {target}" in done.stdout + done.stderr, target
    told = finished.study("results/tables/result.csv", *TINY)
    assert told.returncode == 2
    assert "There is no rule or result results/tables/result.csv;" in told.stderr


def test_a_seed_outside_the_sweep_can_be_trained_by_its_name(finished):
    # A seed that the sweep does not name is a closed pattern all the same.
    target = "results/networks/narrow/white/seed7/model.safetensors"
    assert finished.planned(target, *TINY) == {"train narrow,white,7"}
