# The study, from atoms to the report: table of contents.
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.14")


configfile: str(Path(workflow.current_basedir) / "config" / "config.yaml")


report: "workflow/report/workflow.rst"


PACKAGE = str(Path(workflow.current_basedir) / "workflow")
sys.path.insert(0, PACKAGE)

from lowdose import closed_sets
from lowdose.cli import refuse
from lowdose.denoisers import released
from lowdose.resources import grown
from lowdose.runtime import UserError
from lowdose.stages import study_of

try:
    study = study_of(config)
    config.update(study.values)  # with every default, for the captions
except UserError as error:
    refuse(error)

# The rules call the package of this checkout.  A cluster sends SIGTERM to every process of a job: with a
# trap the shell outlives its command, which has the time to save; else the node kills what is left.
shell.prefix(f"set -euo pipefail; trap : TERM; export PYTHONPATH='{PACKAGE}'; ")


wildcard_constraints:
    **closed_sets.wildcards(study),


STAGES = "structures simulate frames train baselines evaluate figures credibility strata risk verdicts mechanism sweeps methods dataset world experiment movies columns_in_time adaptation search"
for stage in STAGES.split():

    include: f"workflow/rules/{stage}.smk"


rule all:
    default_target: True
    input:
        # Also for themselves: Snakemake makes no missing file whose consumers are up to date.
        expand("results/waves/{shard}.h5", shard=study.shards),
        "results/tables/headline.json",
        "results/tables/index.csv",
        "results/tables/results.html",
        expand("results/figures/{figure}.png", figure=FIGURES),
        METHODS,
        WORLD,
        EXPERIMENT,
        MOVIES,
