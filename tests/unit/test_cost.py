"""What a study costs, against counts and sums by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from lowdose import config, cost
from lowdose.cli import main
from lowdose.config_networks import NetworkSpec
from lowdose.cost import START_S, Job, Rates
from lowdose.denoisers.networks.build import build
from lowdose.runtime import UserError
from lowdose.stages import Study

TINY = Path(__file__).resolve().parents[2] / "config" / "tiny.yaml"
RATES = Rates({"simulate": (0.5,), "train": (2.0, 3.0), "dataset": (7.0,)}, "a machine")
JOBS = [
    Job("simulate", "simulate/shard000", "simulate", (40.0,)),
    Job("simulate", "simulate/shard001", "simulate", (10.0,)),
    Job("train", "train/wide.white.seed0", "train", (5.0, 6.0)),
    Job("dataset", "dataset", "dataset"),
    Job("figure_dose", "figures/dose", "figure"),
]


@pytest.fixture
def results(tmp_path):
    """Benchmarks of these jobs, as Snakemake writes them; of the figure no memory, no CPU time."""
    for job in JOBS:
        path = tmp_path / "logs" / f"{job.log}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        seconds = RATES.of(job)
        # It ended when it was looked at: after 15 s and twice half a minute.
        line = {"s": 1.5, "cpu_time": 0} if seconds is None else {"s": 75.0, "cpu_time": seconds}
        path.write_text(json.dumps({"s": 1e6, "cpu_time": 1e6}) + "\n" + json.dumps(line) + "\n")
    return tmp_path


@pytest.mark.parametrize(
    ("spec", "stem"),
    [
        ({"architecture": "unet", "scales": 0, "widths": [12], "convolutions": 3, "stem": 4}, 4),
        ({"architecture": "unet", "scales": 0, "widths": [12], "convolutions": 1, "stem": 1}, 1),
        ({"architecture": "dncnn", "layers": 5, "channels": 16, "norm": True}, 1),
    ],
)
def test_operations_of_one_resolution_are_two_a_weight(spec, stem):
    """Each weight of a convolution is multiplied and added once a (latent) pixel."""
    spec = TypeAdapter(NetworkSpec).validate_python(spec)
    weights = sum(p.numel() for p in build(spec, 0).parameters() if p.dim() == 4)
    flop, values = cost.work_per_pixel(spec)
    assert flop == pytest.approx(2 * weights / stem**2, rel=1e-9)
    assert values > 0


def test_a_network_that_sets_its_own_precision_is_counted_too():
    """With spectral gates there are no shapes without values; Fourier transforms count nothing."""
    spec = {
        "architecture": "resunet",
        "widths": [8, 8],
        "encoder_blocks": [1, 1],
        "decoder_blocks": [1],
    }
    plain, gated = (
        cost.work_per_pixel(TypeAdapter(NetworkSpec).validate_python(spec | {"gates": gates}))
        for gates in ([0, 0], [0, 1])
    )
    assert gated[0] >= plain[0] > 0 and gated[1] > plain[1] > 0


def test_rates_are_found_again(results):
    more = [Job("train", "", "train", (float(a), float(b))) for a, b in ((1, 9), (8, 2))]
    seconds = cost.measured(JOBS, results) | {job: RATES.of(job) for job in more}
    found = cost.fit(seconds, "here")
    for kind, rate in RATES.seconds.items():
        assert found.seconds[kind] == pytest.approx(rate, rel=1e-9)
    assert found.of(JOBS[4]) == START_S  # it took less, and no rate is below zero


def test_the_last_measurement_counts(results):
    assert list(cost.measured(JOBS, results).values()) == [
        *(RATES.of(job) for job in JOBS[:4]), 1.5
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "seen", "used"),
    [(0.4, 0.4, 0.3), (14, 14, 13), (29, 15, 15), (44.9, 15, 14), (45, 45, 40), (200, 195, 390)],
)
def test_the_time_since_the_last_look_is_added(seconds, seen, used):
    line = {"s": seconds, "cpu_time": used}
    assert cost.core_seconds(line) == pytest.approx(used * seconds / seen)


@pytest.mark.parametrize("used", [None, 0, "NA"])
def test_of_a_job_that_nobody_looked_at_the_time_is_known(used):
    assert cost.core_seconds({"s": 0.3, "cpu_time": used}) == 0.3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[1]",
        '{"cpu_time": 3}',
        '{"s": "NA"}',
        '{"s": NaN}',
        '{"s": 0, "cpu_time": 1}',
    ],
)
def test_a_benchmark_that_cannot_be_read_is_named(results, text):
    path = results / "logs" / "dataset.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=r"dataset.jsonl is no benchmark of a job; delete it"):
        cost.measured(JOBS, results)


def test_a_prediction_is_the_sum_by_hand():
    table = cost.predicted(JOBS, RATES).set_index("rule")
    assert table["jobs"].to_dict() == {"simulate": 2, "train": 1, "dataset": 1, "figures": 1}
    by_hand = {"simulate": 2 * START_S + 25, "train": START_S + 28, "dataset": START_S + 7}
    assert table["core_s"].to_dict() == {**by_hand, "figures": 0}  # of no known kind
    assert table.loc["simulate", "longest_s"] == START_S + 20


@pytest.mark.parametrize(
    ("cores", "gpus", "hours"),
    [
        (1, 0, 10 + 4 + 6 + 2),  # all work
        (1000, 0, 5 + 4 + 3 + 2),  # the longest of each level, one after the other
        (1, 1, 10 + 6 + 2),  # of the processor, without the trainings
        (1000, 1, 5 + 4 / 20 + 3 + 2),
    ],
)
def test_the_least_time(cores, gpus, hours):
    rows = [("simulate", 2, 10, 5), ("train", 1, 4, 4), ("evaluate", 2, 6, 3), ("dataset", 1, 2, 2)]
    table = pd.DataFrame(rows, columns=["rule", "jobs", "core_s", "longest_s"])
    table[["core_s", "longest_s"]] = 3600 * table[["core_s", "longest_s"]].astype(float)
    assert cost.least_hours(table, cores, gpus, 20.0) == pytest.approx(hours)


def test_work_follows_the_configuration():
    one, two = (
        {job.log: np.array(job.amounts) for job in cost.jobs_of(Study(config.load([TINY], more)))}
        for more in ({}, {"training": {"batch": 8, "crop_px": 128}, "tuning_trials": 6})
    )
    assert one.keys() == two.keys()
    assert two["train/narrow.white.seed0"] == pytest.approx(8 * one["train/narrow.white.seed0"])
    assert two["tune/nlm"] == 3 * one["tune/nlm"]
    assert one["evaluate/nlm"] == cost.evaluations(Study(config.load([TINY])))
    # Two test shapes with D0 and D1 each; two realisations at one dose and one at the other.
    assert one["evaluate/nlm"] == 2 * 2 * (2 + 1)


def test_a_network_with_pixels_of_its_own_denoises_fewer():
    coarse = {"training_sets": {"white": {"own_pixel_size_nm": 0.0244}}}
    one, two = (
        {job.log: job.amounts for job in cost.jobs_of(Study(config.load([TINY], more)))}
        for more in ({}, coarse)
    )
    name = "evaluate/narrow.white.seed0"
    assert one[name] == pytest.approx([two[name][0], *(4 * n for n in two[name][1:])])


def test_work_of_single_jobs_follows_the_configuration():
    frames = {"c1_nm": [6.0, 7.0, 8.0], "doses_e_per_px": [2, 5, 10], "realisations": 4,
              "realisations_elsewhere": 3}  # fmt: skip
    evaluation = {"analyses": ["credibility", "verdicts", "risk"], "full_grid": ["nlm"],
                  "verdict_frames": 50, "null_frames": 2, "null_draws": 5}  # fmt: skip
    study = Study(config.load([TINY], {"frames": frames, "evaluation": evaluation}))
    work = {job.log: job.amounts for job in cost.jobs_of(study)}
    models = sum(work[log][0] for log in work if log.startswith("simulate/"))
    assert work["frames"] == (3 * models,) and work["structures"] == (models,)
    # Four frames; 4 realisations at one dose and 3 at the two others, of nlm 4 there, too.
    assert work["evaluate/tv"] == (4 * (4 + 6),) and work["evaluate/nlm"] == (4 * (4 + 8),)
    assert work["limits"] == (4 * (4 + 8),)
    assert work["summarise"] == (len(study.denoisers()) * 4 * (4 + 6),)
    judged = len({study.widest(), *study.config.shipped})
    assert work["verdicts"] == (judged * (50 + cost.NULL_GROUPS * 2 * 5),)


def test_the_command(results, tmp_path, capsys):
    rates, words = tmp_path / "rates.json", ["cost", str(TINY), "--rates"]
    assert main([*words, str(rates), "--fit", str(results)]) == 0
    assert main([*words, str(rates), "--measured", str(results)]) == 0
    told = capsys.readouterr().out.splitlines()
    row = next(line.split() for line in told if line.startswith("simulate"))
    # 22 and 7 s, of two shards with as many models each: a quarter of a minute each.
    assert row[1:] == ["2", "0.008", "0.2", "0.008"]
    assert main([*words, str(rates)]) == 0
    told = capsys.readouterr().out
    assert "No rate is known of columns, " in told and "laptop, 2 cores" in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere.yaml"], "nowhere.yaml"),
        (["--rates", "nowhere.json"], "nowhere.json is no table of rates (FileNotFoundError)."),
        (["--rates", "{list}"], "is no table of rates (TypeError)."),
        (["--measured", "nowhere"], "nowhere has no benchmark of a job of this configuration"),
    ],
)
def test_bad_input_is_one_sentence(words, says, tmp_path, capsys):
    rates = tmp_path / "rates.json"
    cost.write_rates(rates, RATES)
    (tmp_path / "list.json").write_text("[1]")
    words = [word.replace("{list}", str(tmp_path / "list.json")) for word in words]
    if "--rates" not in words:
        words += ["--rates", str(rates)]
    assert main(["cost", *words]) == 2
    told = capsys.readouterr().err
    assert says in told and "Traceback" not in told
