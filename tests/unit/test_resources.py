"""What every rule asks of a cluster, against what its jobs were measured to take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from lowdose import config
from lowdose.cli import main, peaks
from lowdose.resources import grown
from lowdose.stages import Study

ROOT = Path(__file__).resolve().parents[2]
MEASURED = peaks.read(ROOT / peaks.TABLE)
# Not run yet at a size that would tell; the day they are, they leave this list.
UNMEASURED = {
    *("converge", "dynamics", "judge", "recording", "search"),
    *("figure_dynamics", "figure_experiment", "figure_field", "figure_field_law"),
}
ROOM_MB, ROOM_S = 1.5, 2.0  # times the largest measured one
SHORT_S = 120
STEP_S = 6  # to start one job of a group
PROFILE = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())


def rules() -> dict[str, dict]:
    """Return every rule with its memory [MB], minutes and whether it says its threads."""
    own, of = {}, {}
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        for block in re.split(r"^ *(?=(?:use )?rule )", path.read_text(), flags=re.MULTILINE)[1:]:
            head = re.match(r"(?:use rule (\w+) as|rule) (\w+)", block)
            resources = dict(
                re.findall(r"^ +(mem_mb|runtime)=grown\((\d+)\),", block, re.MULTILINE)
            )
            own[head[2]] = {name: int(value) for name, value in resources.items()}
            if re.search(r"^ +threads: ", block, re.MULTILINE):
                own[head[2]]["threads"] = True
            of[head[2]] = head[1]
    # A training's minutes follow its configuration.
    own["train"]["runtime"] = Study(config.load([])).runtime("wide")
    return {rule: own.get(of[rule], {}) | row for rule, row in own.items()}


RULES = rules()


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_says_its_memory_time_and_threads(rule):
    row = RULES[rule]
    assert row["mem_mb"] >= 1000
    assert row["runtime"] >= 10
    assert row["threads"]


@pytest.mark.parametrize("rule", MEASURED)
def test_what_a_rule_asks_for_covers_what_was_measured(rule):
    _, _, longest, peak = MEASURED[rule]
    assert RULES[rule]["mem_mb"] >= ROOM_MB * peak
    assert 60 * RULES[rule]["runtime"] >= ROOM_S * longest


def test_what_is_not_measured_is_known():
    assert set(RULES) - set(MEASURED) == UNMEASURED
    assert set(MEASURED) <= set(RULES)


def test_a_further_attempt_gets_more():
    assert [grown(1500)(None, attempt=n) for n in (1, 2, 3)] == [1500, 3000, 4500]


def test_small_work_is_grouped_and_every_group_is_a_rule_s():
    groups = PROFILE["groups"]
    assert set(groups) <= set(RULES)
    assert {rule for rule in RULES if rule.startswith("figure_")} <= set(groups)
    assert set(groups.values()) == set(PROFILE["group-components"])
    alone = set(RULES) - set(groups) - UNMEASURED - {"structures"}  # this is no cluster's job
    short = {rule for rule in alone if MEASURED[rule][2] < SHORT_S}
    # Measured with 50 models in a file; config/paper.yaml puts 100 into one.
    assert short <= {"simulate"}
    assert 2 * MEASURED["simulate"][2] >= SHORT_S


def test_the_groups_are_worth_a_job():
    """The members of a group, one after another, take two minutes or more."""
    groups, most = PROFILE["groups"], PROFILE["group-components"]
    for group in most:
        rows = [MEASURED[rule] for rule in groups if groups[rule] == group and rule in MEASURED]
        seconds = [row[2] + STEP_S for row in rows for _ in range(row[0])]
        assert sum(sorted(seconds)[-most[group] :]) >= SHORT_S, group


def test_the_table_is_gathered_from_the_benchmarks_of_runs(tmp_path):
    def job(name: str, seconds: float, memory: float) -> None:
        path = tmp_path / "results" / "logs" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"s": {seconds}, "max_rss": {memory}}}\n')

    job("evaluate/wide.white.seed0", 10, 500)
    job("evaluate/tv", 30, 400)
    job("evaluate/ready", 99, 900)  # a rule of its own
    job("figures/dose", 2, 100)
    table = tmp_path / "rules.csv"
    table.write_text("rule,jobs,shortest_s,longest_s,peak_mb\nevaluate,9,20.0,25.0,700\n")
    assert main(["peaks", str(tmp_path / "results"), "--table", str(table)]) == 0
    assert peaks.read(table) == {
        "evaluate": (9, 10.0, 30.0, 700.0),
        "evaluate_ready": (1, 99.0, 99.0, 900.0),
        "figure_dose": (1, 2.0, 2.0, 100.0),
    }
