# The study, from atoms to the report: table of contents.
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.14")


configfile: str(Path(workflow.current_basedir) / "config" / "config.yaml")


report: "workflow/report/workflow.rst"


PACKAGE = str(Path(workflow.current_basedir) / "workflow")
sys.path.insert(0, PACKAGE)

from lowdose.cli import refuse
from lowdose.runtime import UserError
from lowdose.stages import REFERENCES, study_of

try:
    study = study_of(config)
    config.update(study.values)  # with every default, for the captions
except UserError as error:
    refuse(error)

# The rules call the package of this checkout, in whatever environment they run.
shell.prefix(f"set -euo pipefail; export PYTHONPATH='{PACKAGE}'; ")


wildcard_constraints:
    shard="|".join(study.shards),
    network="|".join(study.config.networks),
    training_set="|".join(study.config.training_sets),
    seed=r"\d+",
    baseline="|".join(study.config.baselines),
    denoiser="|".join([*study.config.baselines, *study.networks()]).replace(".", r"\."),


include: "workflow/rules/structures.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/frames.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/baselines.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/figures.smk"


rule all:
    default_target: True
    input:
        "results/tables/headline.json",
        "results/tables/index.csv",
        "results/tables/results.html",
        expand("results/figures/{figure}.png", figure=FIGURES),
