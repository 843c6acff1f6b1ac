"""What each stage of the study depends on: its resolved specification, code and libraries.

A rule's parameters are made here, so that Snakemake reruns a stage exactly when its part of
the configuration, the code that it imports or the versions of its libraries change.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from lowdose import config as configuration
from lowdose import contest, environments, experiment, films, sweeps
from lowdose.config_networks import ARCHITECTURES
from lowdose.denoisers import registry, released
from lowdose.environments import ENVIRONMENT
from lowdose.long_words import Word, text_of
from lowdose.provenance import canonical_json, code_digest
from lowdose.runtime import UserError
from lowdose.structures import plan
from lowdose.study_names import Names

BUDGET = ("steps", "minutes")  # of a training: the second replaces the first where it is set
# Table and figure -> the trainings that it compares.
SWEEPS = {
    "field": sweeps.field_sweep,
    "field_law": sweeps.field_law,
    "geometry": sweeps.geometry,
}


class Study(Names):
    """A configuration with the names, paths and specifications that follow from it.

    Parameters
    ----------
    config : lowdose.config.Config
    """

    # Specifications: one JSON-safe dictionary a job.

    def spec(self, stage: str, **names: Any) -> dict:
        """Return the resolved specification of one job of a stage."""
        maker = getattr(self, f"_{stage}", None)
        if maker is None:
            raise UserError(f"There is no stage {stage!r}; there are {', '.join(ENVIRONMENT)}.")
        return maker(**names)

    # Parameters of the rules: strings, which Snakemake compares faithfully.

    def spec_of(self, stage: str, **fixed: Any) -> Callable[[Any], str]:
        """Return a function of a rule's wildcards that gives the job's spec as canonical JSON."""

        def of(wildcards: Any) -> str:
            return Word(canonical_json(self.spec(stage, **dict(wildcards.items()), **fixed)))

        return of

    def code_of(self, stage: str, *modules: str) -> str:
        """Return a digest of the code of a stage, and of modules that it loads by name."""
        names = (f"lowdose.cli.{stage}", *modules)
        return f"{stage} code " + "-".join(code_digest(name) for name in names)

    def libraries_of(self, stage: str, denoiser: str = "") -> str:
        """Return a digest of the pinned versions of the libraries that a stage uses.

        With a denoiser, also the version of what it needs beyond the lock, if it is optional.
        """
        own = registry.version(denoiser)
        return f"{stage} libraries {environments.stage_digest(ENVIRONMENT[stage])} {own}".rstrip()

    def modules_of(self, denoiser: str) -> list[str]:
        """Return the modules that a denoiser's result depends on, loaded by name."""
        if denoiser in self.config.shipped:
            return released.modules(denoiser)
        if "." not in denoiser:
            return [registry.module_of(denoiser)]
        spec = self.config.networks[denoiser.split(".")[0]].spec
        return ["lowdose.denoisers.checkpoints", ARCHITECTURES[spec.architecture][0]]

    def code_of_several(self, stage: str, denoisers: list[str]) -> str:
        """Return the digest of a stage that evaluates several denoisers in one job."""
        # Clean and constant are no modules of their own: the stage imports them.
        named = [n for n in denoisers if n not in ("clean", "constant")]
        return self.code_of(stage, *sorted({m for name in named for m in self.modules_of(name)}))

    def priority(self, network: str) -> int:
        """Rank a training by its length, those of so many minutes before those of steps."""
        training = self.config.training_of(network)
        return round(1e6 * training.minutes) if training.minutes else training.steps

    def runtime(self, network: str) -> int:
        """Return the minutes that a cluster shall allow a training."""
        return max(240, round(1.2 * (self.config.training_of(network).minutes or 0) + 30))

    def gpus(self, denoiser: str) -> int:
        """Return the GPUs that a cluster shall give a training or an evaluation.

        One where the training insists on CUDA: a network that needs it there is slow without.
        """
        network, dot, _ = denoiser.partition(".")
        return int(bool(dot) and self.config.training_of(network).device == "cuda")

    def made_by(self, denoiser: str) -> str:
        """Return the file without which a denoiser cannot be evaluated."""
        if "." in denoiser:
            return f"results/networks/{denoiser.replace('.', '/')}/model.safetensors"
        return f"results/baselines/{denoiser}/tuned.json"

    def _structures(self) -> dict:
        return {"structures": self.values["structures"], "seed": self.config.seed}

    def _simulation(self) -> dict:
        """Return what makes a wave; how many share a file is no part of it."""
        return {k: v for k, v in self.values["simulation"].items() if k != "models_per_shard"}

    def _simulate(self, shard: str) -> dict:
        models = plan.shards(self.values["structures"], self.per_shard)[int(shard[5:])]
        return {"simulation": self._simulation(), "models": [m.model_id for m in models]}

    def _imaging(self) -> dict:
        return {
            "optics": self.values["optics"],
            "camera": self.values["camera"],
            "energy_kev": self.config.simulation.energy_kev,
        }

    def _frames(self) -> dict:
        return {**self._imaging(), "frames": self.values["frames"], "seed": self.config.seed}

    def _world(self) -> dict:
        return {
            "structures": self.values["structures"],
            "simulation": self._simulation(),
            "optics": self.values["optics"],
            "camera": self.values["camera"],
            "seed": self.config.seed,
        }

    def _dataset(self) -> dict:
        sections = ("frames", "study", "training_sets")
        return {**self._world(), **{key: self.values[key] for key in sections}}

    def _shifted(self) -> dict:
        frames = {
            k: self.values["frames"][k] for k in ("doses_e_per_px", "reference_dose_e_per_px")
        }
        return {**self._world(), "shifted": self.values["shifted"], "frames": frames}

    def _converge(self) -> dict:
        return self._world()

    def _train(self, network: str, training_set: str, seed: int | str) -> dict:
        return {
            **self._imaging(),
            "name": network,
            "network": self.values["networks"][network]["spec"],
            "training": self.config.training_of(network).model_dump(mode="json"),
            "training_set": {"name": training_set, **self.values["training_sets"][training_set]},
            "reference_dose_e_per_px": self.config.frames.reference_dose_e_per_px,
            "study_seed": self.config.seed,
            "seed": int(seed),
        }

    def _tune(self, baseline: str) -> dict:
        return {
            "baseline": baseline,
            "trials": self.config.tuning_trials,
            "one_per_shape": self.config.tuning_one_per_shape,
            "fixed": (self.values["baselines"] | self.values["comparison"]["methods"])[baseline],
            "dose_e_per_px": self.config.frames.reference_dose_e_per_px,
            "seed": self.config.seed,
            **contest.of_tuning(self.config, baseline),
        }

    def _doses(self) -> dict:
        frames = self.config.frames
        return {
            "doses_e_per_px": list(frames.doses_e_per_px),
            "reference_dose_e_per_px": frames.reference_dose_e_per_px,
            "realisations": frames.realisations,
            "realisations_elsewhere": frames.realisations_elsewhere,
        }

    def _evaluate(self, denoisers: list[str] | None = None, denoiser: str = "") -> dict:
        denoisers = denoisers or [denoiser]
        return {
            "denoisers": denoisers,
            "evaluation": contest.detection(self.config),
            **self._doses(),
            "full_grid": [n for n in denoisers if n in self.config.evaluation.full_grid],
            "seed": self.config.seed,
        }

    def _contest(self, contenders: list[str] | None = None, contender: str = "") -> dict:
        return contest.spec(self.config, contenders or [contender])

    def _methods(self) -> dict:
        return contest.table_spec(self.config)

    def _limits(self) -> dict:
        doses = self._doses()
        if self.config.evaluation.full_grid:
            doses["realisations_elsewhere"] = doses["realisations"]
        return {**doses, "seed": self.config.seed}

    def _verdicts(self) -> dict:
        keys = ("verdict_frames", "null_frames", "null_draws", "bootstrap_draws")
        return {
            "denoisers": [self.widest(), *self.config.shipped],
            "evaluation": {
                **contest.detection(self.config),
                **{key: self.values["evaluation"][key] for key in keys},
            },
            "dose_e_per_px": self.config.frames.reference_dose_e_per_px,
            "seed": self.config.seed,
        }

    def _risk(self) -> dict:
        return {
            "denoisers": [n for n in self.shown() if n != "clean"],
            "dose_e_per_px": self.config.frames.reference_dose_e_per_px,
            "seed": self.config.seed,
        }

    def _recording(self, recording: str) -> dict:
        return experiment.recording_spec(self.config, recording)

    def _judge(self, recording: str) -> dict:
        return experiment.judge_spec(self.config, recording, self.judged())

    def _film(self, film: str) -> dict:
        return {**self._world(), **films.film_spec(self.config, film)}

    def _movie(self, method: str) -> dict:
        return films.movie_spec(self.config, method)

    def _movies(self) -> dict:
        return films.table_spec(self.config)

    def _positions(self) -> dict:
        return films.positions_spec(self.config)

    def _adaptation(self) -> dict:
        return films.adaptation_spec(self.config)

    def _dynamics(self) -> dict:
        return films.dynamics_spec(self.config)

    def _credibility(self) -> dict:
        return {
            "denoisers": self.denoisers(),
            "pooled": self.pooled(),
            "contrasts": self.contrasts(),
            "reference_dose_e_per_px": self.config.frames.reference_dose_e_per_px,
            "draws": self.config.evaluation.bootstrap_draws,
            "seed": self.config.seed,
        }

    def _summarise(self) -> dict:
        return {
            "denoisers": self.denoisers(),
            "baselines": list(self.config.baselines),
            "shipped": list(self.config.shipped),
            "networks": self.networks(),
            "widest": self.widest(),
            "study": self.config.study,
            "evaluation": self.values["evaluation"],
            "trainings": [
                {
                    "network": n,
                    "training_set": t,
                    "seed": k,
                    **self.values["networks"][n]["spec"],
                    **{key: getattr(self.config.training_of(n), key) for key in BUDGET},
                }
                for n, t, k in self.config.trainings()
            ],
            **self._doses(),
            "seed": self.config.seed,
        }

    def _columns(self) -> dict:
        evaluation = self.values["evaluation"]
        return {
            "denoiser": self.widest(),
            "evaluation": {
                **contest.detection(self.config),
                "false_discovery_rate": evaluation["false_discovery_rate"],
            },
            "dose_e_per_px": self.config.frames.reference_dose_e_per_px,
            "seed": self.config.seed,
        }

    def _mechanism(self) -> dict:
        # Filters are measured on the camera's pixels, which are all that most networks know.
        native = self.config.camera.pixel_size_nm
        known = sweeps.trainings(self.config)
        return {
            "networks": [t["denoiser"] for t in known if t["own_pixel_size_nm"] == native],
            "dose_e_per_px": self.config.frames.reference_dose_e_per_px,
            "seed": self.config.seed,
        }

    def _filters(self) -> dict:
        return {
            "networks": self.filtered(),
            "shapes": self.config.evaluation.filter_shapes,
            "dose_e_per_px": self.config.frames.reference_dose_e_per_px,
            "seed": self.config.seed,
        }

    def _search(self) -> dict:
        return {"networks": self.networks()}

    def sweeps(self) -> list[str]:
        """Figures of the sweeps that the study has: ``field, field_law, geometry``."""
        return [name for name, of in SWEEPS.items() if of(self.config)]

    def compared(self, table: str) -> list[str]:
        """Return the networks that a table of a sweep compares."""
        return [one["denoiser"] for one in self._compare(table)["trainings"]]

    def _compare(self, table: str) -> dict:
        return {
            "trainings": SWEEPS[table.removesuffix("_fit").removesuffix("_paper")](self.config),
            "reference_dose_e_per_px": self.config.frames.reference_dose_e_per_px,
            "draws": self.config.evaluation.bootstrap_draws,
            "seed": self.config.seed,
        }

    def _figure(self, figure: str) -> dict:
        if figure in SWEEPS:
            return {"figure": figure, "study": self.config.study, **self._compare(figure)}
        if figure == "methods":
            return {"figure": figure, "study": self.config.study, **self._methods()}
        if figure in ("movies", "positions", "dynamics", "adaptation"):
            return {"figure": figure, "study": self.config.study, **self.spec(figure)}
        if figure == "experiment":
            return experiment.figure_spec(self.config, self.judged(), self.networks())
        evaluation = self.values["evaluation"]
        own = {"pooled": self.pooled()} if figure == "credibility" else {}
        return {
            "figure": figure,
            **own,
            "denoisers": self.denoisers(),
            "baselines": list(self.config.baselines),
            "shipped": list(self.config.shipped),
            "networks": self.networks(),
            "widest": self.widest(),
            "shown": self.shown(),
            "study": self.config.study,
            "evaluation": {k: evaluation[k] for k in ("gate_nm", "false_discovery_rate")},
            **self._doses(),
            "seed": self.config.seed,
        }


def study_of(values: dict) -> Study:
    """Check the values of a merged configuration and return the study that they describe."""
    return Study(configuration.parse(values))


def add_spec_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two ways to say what a command shall do."""
    group = parser.add_argument_group("what to do")
    group.add_argument("--spec", help="resolved specification as JSON, or @FILE of it "
                       "(what the rules pass)")  # fmt: skip
    group.add_argument(
        "--config",
        nargs="+",
        default=[],
        metavar="FILE",
        help="configuration files that overlay config/config.yaml, instead of --spec",
    )


def spec_from(arguments: argparse.Namespace, stage: str, **names: Any) -> dict:
    """Return the specification that the command line asks for.

    Raises
    ------
    UserError
        If ``--spec`` is no JSON, or the configuration is wrong.
    """
    if arguments.spec:
        try:
            spec = json.loads(text_of(arguments.spec))
        except json.JSONDecodeError as error:
            raise UserError(f"--spec is no valid JSON ({error}); pass it in quotes.") from None
        if not isinstance(spec, dict):
            raise UserError("--spec is no JSON object; pass a stage's specification.")
    else:
        spec = Study(configuration.load(arguments.config)).spec(stage, **names)
    arguments.resolved_spec = spec  # for the record of what the command makes
    return spec
