"""Build each stage's environment from the pip section of its YAML and run the stage in it.

``./study test envs [STAGE ...]``: minutes and gigabytes, so not a part of the default tests.
The stages run in the order of the data, each one's jobs with the Python of its own environment,
on ``config/tiny.yaml`` in a copy of the project.  What conda itself would add, a solve with
Python from conda-forge, is not run here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from lowdose.cli._watched import copy_of_project
from lowdose.environments import DIRECT
from lowdose.stages import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]


def pip_section(path: Path) -> list[str]:
    """Return the pins of the pip section of a conda environment file."""
    for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]:
        if isinstance(entry, dict):
            return entry["pip"]
    raise SystemExit(f"{path} has no pip section; run python -m lowdose generate.")


def build(stage: str, folder: Path) -> Path:
    """Make the stage's environment in `folder`; return its folder of programs."""
    pins = folder / f"{stage}.txt"
    pins.write_text("\n".join(pip_section(ROOT / "envs" / f"{stage}.yaml")) + "\n")
    environment = folder / stage
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "-r", pins], check=True)
    subprocess.run([*pip, "check"], check=True)
    return environment / "bin"


def rules_of(stage: str) -> list[str]:
    """Return the names of the rules that run in a stage's environment."""
    text = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "workflow/rules").glob("*.smk"))
    names = re.findall(r"^(?:rule|use rule \w+ as) (\w+)(?::| with:)", text, re.MULTILINE)
    commands = [command for command, name in ENVIRONMENT.items() if name == stage]
    # figure_dose calls the command `figure`, evaluate_references `evaluate`.
    return [n for n in names if any(n == c or n.startswith(f"{c}_") for c in commands)]


def run_stage(stage: str, programs: Path, project: Path) -> None:
    """Run the rules of one stage in its environment, with Snakemake from this one."""
    # The rules say "python -m lowdose"; the stage's Python has to come first.
    path = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(project / "workflow")}
    environment.pop("VIRTUAL_ENV", None)
    snakemake = [sys.executable, "-m", "snakemake", "--cores", "all", "--quiet", "host", "reason"]
    snakemake += ["--configfile", "config/tiny.yaml", "--until"]
    # One at a time: of two rules, --until cuts off the one that needs the other.
    for rule in rules_of(stage):
        subprocess.run([*snakemake, rule], cwd=project, env=environment, check=True)


def main(stages: list[str]) -> int:
    """Build and run the named stages, or all."""
    if unknown := set(stages) - set(DIRECT):
        raise SystemExit(f"No stage {', '.join(sorted(unknown))}; there are {', '.join(DIRECT)}.")
    with tempfile.TemporaryDirectory(prefix="lowdose-envs-") as name:
        folder = Path(name)
        project = copy_of_project(folder / "project")
        for stage in DIRECT:
            # A stage needs the results of those before it, each made in its own environment.
            print(f"== {stage}: build", flush=True)
            programs = build(stage, folder)
            print(f"== {stage}: run", flush=True)
            run_stage(stage, programs, project)
            shutil.rmtree(programs.parent)
            if stages and stage == max(stages, key=list(DIRECT).index):
                break
    print("Every environment was built from its YAML's pip section and has run its stage.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
