"""Generated pages of the configuration: the JSON schema and the table of keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lowdose import config as configuration
from lowdose import config_experiment, config_movies, config_networks

INTRODUCTION = """\
# The configuration

`config.yaml` is the quick study, the default. Other files overlay it, key by key:

```bash
./study run --configfile config/study.yaml      # the results that we publish
./study run --configfile config/paper.yaml      # the paper's full design (cluster, GPU)
./study run --configfile config/my-own.yaml     # yours: only the keys that differ
./study run --config seed=3                     # one key
```

| file | what | cost on two cores |
|---|---|---|
| `config.yaml` | the whole chain, three networks, four baselines | about 8 minutes |
| `study.yaml` | the published study: 855 models, receptive fields, all methods, belief, films | \
80 minutes, resumable |
| `paper.yaml` | 101 shapes, 855 models, 17,955 images, the paper's networks | a cluster with GPUs |
| `field.yaml` | what a wider receptive field gains; nanometres of context or pixels of network | \
110 minutes, resumable |
| `credibility.yaml` | over `study.yaml`: may a column be believed? three fields, eight doses | \
two hours, resumable |
| `movies.yaml` | over `study.yaml`: films with truth; supervised, adapted and unsupervised \
denoisers, columns in time | an hour, resumable |
| `geometry.yaml` | trained on one kind of images, tested on every kind | half an hour, resumable |
| `search.yaml` | the architectures that were tried, in equal time | 45 minutes, resumable |
| `search-long.yaml` | the same over `release.yaml`, at a quarter of the release networks' \
training | 3.5 hours, resumable; minutes on a GPU |
| `release.yaml` | the networks that come with the package, for `./study release` | \
3.5 hours, resumable; minutes on a GPU |
| `au-tio2.yaml` | another system: gold on rutile, by elements and lattice constants alone | \
seconds (its structures) |
| `tiny.yaml` | the same job graph on toy sizes, for tests; meaningless results | about a minute |

Your own recordings become part of a study by their names:

```yaml
experiment:
  files:
    ceria-tilt: {file: data/movie.dm4, align: true, sum: 4}
```

A **training** is one network on one training set from one seed. `sweep` lists which: each entry
is the product of its networks, training sets and seeds. Adding a network adds its jobs only;
`results/tables/index.csv` says what ran.

Unknown keys are refused, and so are values out of range. The tables below are generated from
the code (`python -m lowdose generate`), as is `workflow/schemas/config.schema.json`, which
editors can use for completion. Conda environments (`--sdm conda`) pin the same versions as
`envs/requirements.lock`; a conda solve has not been run so far.
"""

COST = {
    "structures.thickness_quota": "0.3 s a model on two cores",
    "simulation.grid": "grows as its square",
    "simulation.slice_thickness_nm": "with abtem, grows as its inverse",
    "simulation.phonon_configurations": "grows with it",
    "optics.focal_points": "0.007 s of one core an image for 1, 0.05 s for 7",
    "shifted.shapes": "about a minute of one core each",
    "frames.realisations": "0.2 s a frame and denoiser",
    "frames.doses_e_per_px": "0.2 s a frame, realisation and denoiser",
    "training.steps": "0.15 to 0.4 s of one core a step (batch 4, crop 256)",
    "training.crop_px": "grows as its square",
    "training.batch": "grows with it",
    "tuning_trials": "up to 1 s a trial",
    "evaluation.bootstrap_draws": "milliseconds",
}

ARCHITECTURES = {
    get_args(spec.model_fields["architecture"].annotation)[0]: spec
    for spec in get_args(config_networks.NetworkSpec)
}

SECTIONS = (
    ("structures", configuration.Structures),
    ("simulation", configuration.Simulation),
    ("optics", configuration.Optics),
    ("camera", configuration.Camera),
    ("frames", configuration.Frames),
    ("shifted", configuration.Shifted),
    ("training_sets.NAME", configuration.TrainingSet),
    ("training", configuration.Training),
    ("networks.NAME", configuration.Network),
    *((f"networks.NAME.spec, architecture: {name}", spec) for name, spec in ARCHITECTURES.items()),
    ("sweep, each entry", configuration.SweepEntry),
    ("comparison", configuration.Comparison),
    ("evaluation", configuration.Evaluation),
    ("experiment", configuration.Experiment),
    ("experiment.files.NAME", config_experiment.Recording),
    ("movies", configuration.Movies),
    ("movies.films.NAME", config_movies.MovieSpec),
    ("movies.films.NAME.processes, each entry", config_movies.MovieProcess),
    ("movies.methods.NAME", config_movies.MovieMethod),
    ("adaptation", configuration.Adaptation),
)


def generated_files() -> dict[str, str]:
    """Return the generated files of the configuration: path from the root to text."""
    schema = configuration.Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return {
        "workflow/schemas/config.schema.json": json.dumps(schema, indent=2) + "\n",
        "config/README.md": "\n".join([INTRODUCTION, *_tables()]) + "\n",
    }


def _tables() -> Iterator[str]:
    yield "## Top level\n"
    yield from _table("", configuration.Config, skip=[name for name, _ in SECTIONS])
    for title, model in SECTIONS:
        section = f"`{title}`" if "," not in title else "`{}`, {}".format(*title.split(", ", 1))
        yield f"\n## {section}\n"
        yield f"{(model.__doc__ or '').strip().splitlines()[0]}\n"
        yield from _table(f"{title.split(',')[0]}.", model)


def _table(prefix: str, model: type[BaseModel], skip: list[str] = ()) -> Iterator[str]:
    yield "| key | default | meaning | cost |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        if name in skip or name == "architecture":
            continue
        cost = COST.get(f"{prefix}{name}", "")
        yield f"| `{name}` | {_default(field, prefix)} | {field.description or ''} | {cost} |"


def _default(field: FieldInfo, prefix: str = "") -> str:
    if field.is_required():
        return "required" if prefix.startswith(("experiment", "movies")) else "in `config.yaml`"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "below"
    if value is None:
        return "none"
    return f"`{json.dumps(value)}`"
