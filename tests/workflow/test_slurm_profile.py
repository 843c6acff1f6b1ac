"""workflow/profiles/slurm: what it makes of a study, without a cluster."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from lowdose import cli, config
from lowdose.cli import run as front_door
from lowdose.stages import Study

ROOT = Path(__file__).resolve().parents[2]
PROFILE = ("--profile", "workflow/profiles/slurm")


@dataclass
class Planned:
    """A job of a dry run: its rule, its group and what it asks for."""

    rule: str
    group: str = ""
    asks: dict[str, str] = field(default_factory=dict)


def planned(project, *words) -> list[Planned]:
    done = project.run("snakemake", "--dry-run", *PROFILE, *words)
    # Snakemake itself refuses a group that waits for what waits for it.
    assert done.returncode == 0, done.stdout + done.stderr
    jobs, group = [], ""
    for line in done.stdout.splitlines():
        if match := re.search(r"Group job (\w+) \(", line):
            group = match[1]
        elif match := re.match(r"( {4})?(?:local)?rule (\w+):", line):
            jobs.append(Planned(match[2], group if match[1] else ""))
        elif match := re.match(r" {4,8}resources: (.+)", line):
            jobs[-1].asks = dict(item.split("=", 1) for item in match[1].split(", "))
    return [job for job in jobs if job.rule != "all"]


@pytest.fixture(scope="module")
def paper(project):
    return planned(project, "--configfile", "config/paper.yaml")


def test_every_job_asks_for_memory_and_time_before_anything_is_there(paper):
    for job in paper:
        assert int(job.asks["mem_mb"]) >= 1000, job
        assert int(job.asks["runtime"]) >= 10, job


def test_the_paper_s_networks_ask_for_a_gpu_and_nothing_else_does(paper):
    asked: dict[str, list[str]] = {}
    for job in paper:
        asked.setdefault(job.rule, []).append(job.asks.get("gpu", "0"))
    assert set(asked.pop("train")) == {"1"}
    # Its evaluation on one core would take days; the classical denoisers need none.
    networks = len(Study(config.load([ROOT / "config" / "paper.yaml"])).networks())
    assert sorted(asked.pop("evaluate")) == ["0"] * 4 + ["1"] * networks
    assert set.union(*map(set, asked.values())) == {"0"}


def test_the_executor_asks_slurm_for_it(paper):
    """The plugin's own words to sbatch, for one GPU and for none."""
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    class Job:
        def __init__(self, **resources):
            self.resources = resources

    Resources = type("Resources", (dict,), {"__getattr__": dict.__getitem__})
    assert set_gres_string(Job(**{})) == ""
    for gpu, words in ((1, " --gpus=1"), (0, "")):
        job = Job()
        job.resources = Resources(gpu=gpu)
        assert set_gres_string(job) == words


def test_what_is_small_is_in_a_group(paper):
    groups = {job.rule: job.group for job in paper}
    assert {rule for rule, group in groups.items() if group == "tables"} >= {
        *("columns", "dataset", "mechanism", "summarise", "figure_images", "figure_dose"),
    }
    assert groups["tune"] == "tuning"
    alone = {rule for rule, group in groups.items() if not group}
    assert alone == {
        *("structures", "simulate", "frames", "shifted", "train", "evaluate", "evaluate_ready"),
    }


def test_the_groups_of_every_other_study_hold(project):
    overlays = [f"config/{name}.yaml" for name in ("study", "credibility", "movies")]
    jobs = planned(
        project,
        *("all", "results/tables/positions.csv", "results/figures/dynamics.png"),
        *("--configfile", *overlays),
    )
    groups = {job.rule: job.group for job in jobs}
    assert groups["contest"] == "contest"
    assert groups["figure_positions"] == groups["methods"] == "tables"
    assert groups["verdicts"] == ""


def test_more_memory_is_no_reason_to_run_again(finished):
    def more(text):
        return text.replace("mem_mb=grown(", "mem_mb=grown(2 * ")

    with finished.edited("workflow/rules/evaluate.smk", more):
        assert finished.planned() == set()


def commands() -> list[str]:
    text = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.+?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("command", commands())
def test_the_commands_of_the_documentation_are_understood(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    program, *words = shlex.split(command)
    if program == "python":
        assert words[:2] == ["-m", "lowdose"]
        assert words[2] in cli.commands()
    elif words[0] == "test":
        assert (ROOT / "tests" / words[1]).is_dir()
        assert re.search(
            rf"^ +(\w+ \| )+{words[1]} \| all\) part=", (ROOT / "study").read_text(), re.M
        )
    else:
        assert (program, words[0]) == ("./study", "run")
        options = front_door.parsed(words[1:])  # raises UserError
        assert options.profile == PROFILE[1] or options.profile == [PROFILE[1]]
        assert not options.targets
        rules = {rule for name in ("set_resources", "groups") for rule in getattr(options, name)}
        assert all(f"rule {rule}:" in _rules() for rule in rules)


def _rules() -> str:
    return "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))


def test_the_numbers_of_the_documentation_are_those_of_the_profile():
    profile = yaml.safe_load((ROOT / PROFILE[1] / "config.yaml").read_text(encoding="utf-8"))
    table = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    assert f"| `jobs` | {profile['jobs']} |" in table
    assert f"| `latency-wait` | {profile['latency-wait']} s |" in table
    assert f"| `retries` | {profile['retries']} |" in table
    assert profile["default-resources"]["slurm_extra"].strip("'") in table
