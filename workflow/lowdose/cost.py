"""What a study costs: the work in each of its jobs, and the seconds that such work took.

A job's work is counted (models simulated, floating-point operations of a training, frames
denoised); the time of a unit is fitted to jobs that were measured.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from lowdose import contest
from lowdose.config_networks import NetworkSpec
from lowdose.runtime import UserError, write_text
from lowdose.stages import Study
from lowdose.structures import plan

START_S = 2.0  # of a core, to start a job: Python, libraries, reading
TRAINED = 3.0  # operations of a training step over those of a forward pass: both gradients
WIDTH_NM = 5.3  # of a cell, to a few per cent: seven periods of the support
SIDE_PX = 256  # at which operations are counted
# Analyses that the study may ask for, with their jobs beside the figure.
ANALYSES = {"credibility": ("limits", "credibility"), "strata": ()}
# One after the other: a study takes no less than the longest job of each.
LEVELS = (("structures",), ("simulate",), ("frames", "film"), ("train", "tune", "shifted"),
          ("evaluate", "evaluate_ready", "contest", "movie"))  # fmt: skip
# Release networks, white and general: minutes of two cores over minutes of an H100 (README).
CORE_SECONDS_OF_H100 = 2 * (82 + 107) / (7 + 11)


@dataclass(frozen=True)
class Job:
    """One job of a study.

    Attributes
    ----------
    rule : str
    log : str
        Its benchmark, below ``results/logs`` and without ``.jsonl``.
    kind : str
        Jobs of one kind take as long for the same work.
    amounts : tuple of float
        The work, in the units of its kind.
    """

    rule: str
    log: str
    kind: str = ""
    amounts: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Rates:
    """Seconds of a core for a unit of work.

    Attributes
    ----------
    seconds : dict of str to tuple of float
        By kind, for each of its units.
    source : str
        What they were fitted to.
    """

    seconds: dict[str, tuple[float, ...]] = field(default_factory=dict)
    source: str = ""

    def of(self, job: Job) -> float | None:
        """Return the seconds of a job, None where no such job was measured."""
        rate = self.seconds.get(job.kind)
        if rate is None or len(rate) != len(job.amounts):
            return None
        return START_S + float(np.dot(rate, job.amounts))


def jobs_of(study: Study) -> list[Job]:
    """Return every job that ``./study run`` does for a configuration.

    Parameters
    ----------
    study : lowdose.stages.Study
    """
    config = study.config
    per_denoiser = float(evaluations(study))
    shards = plan.shards(study.values["structures"], study.per_shard)
    jobs = [Job(rule, rule, rule) for rule in single(study)]
    jobs += [
        Job("simulate", f"simulate/{name}", "simulate", (float(len(models)),))
        for name, models in zip(study.shards, shards, strict=True)
    ]
    for n, t, k in config.trainings():
        spec, settings = config.networks[n].spec, config.training_of(n)
        pixels = settings.steps * settings.batch * settings.crop_px**2
        flop, values = work_per_pixel(spec)
        work = (TRAINED * flop * pixels / 1e12, TRAINED * values * pixels / 1e9)
        jobs.append(Job("train", f"train/{n}.{t}.seed{k}", "train", work))
        denoised = per_denoiser * frame_px(study)
        work = (per_denoiser, flop * denoised / 1e12, values * denoised / 1e9)
        jobs.append(Job("evaluate", f"evaluate/{n}.{t}.seed{k}", "evaluate network", work))
    jobs += [
        Job("tune", f"tune/{name}", f"tune {name}", (float(config.tuning_trials),))
        for name in study.tuned()
    ]
    jobs += [
        Job("evaluate", f"evaluate/{name}", f"evaluate {name}", (per_denoiser,))
        for name in config.baselines
    ]
    ready = per_denoiser * len(study.ready())
    jobs.append(Job("evaluate_ready", "evaluate/ready", "evaluate_ready", (ready,)))
    if methods := contest.methods(config):
        names = [*methods, *contest.networks(config)]
        jobs += [Job("contest", f"contest/{name}", f"contest {name}") for name in names]
        jobs.append(Job("contest_ready", "contest/ready", "contest_ready"))
    jobs += [Job("film", f"film/{name}", "film") for name in config.movies.films]
    if config.movies.films:
        jobs += [Job("movie", f"movie/{name}", f"movie {name}") for name in config.movies.methods]
    for name in config.experiment.files:
        jobs.append(Job("recording", f"experiment/{name}", "recording"))
        jobs.append(Job("judge", f"experiment/{name}.judge", "judge"))
    jobs += [Job(f"figure_{name}", f"figures/{name}", "figure") for name in figures(study)]
    return jobs


def single(study: Study) -> list[str]:
    """Return the rules, figures apart, of which a study has one job."""
    config = study.config
    rules = ["structures", "frames", "dataset", "summarise", "columns", "mechanism"]
    rules += ["shifted"] * bool(config.shifted.shapes)
    rules += ["methods"] * bool(contest.methods(config))
    for name in config.evaluation.analyses:
        rules += ANALYSES.get(name, (name,))
    rules += ["adaptation"] * bool(config.adaptation.frames)
    rules += ["positions"] * (len(config.movies.films) > 1)
    rules += ["movies"] * bool(config.movies.films and config.movies.methods)
    return rules + ["dynamics"] * bool(config.movies.switching)


def figures(study: Study) -> list[str]:
    """Return the names of a study's figures that are rules of their own."""
    config = study.config
    names = ["images", "receptive_field", "dose", "filters", "learning_curves", "likelihood"]
    analyses = [{"filters": "mechanism"}.get(name, name) for name in config.evaluation.analyses]
    names += [*analyses, *study.sweeps()]
    asked = {"methods": contest.methods(config), "experiment": config.experiment.files,
             "movies": config.movies.films and config.movies.methods,
             "positions": len(config.movies.films) > 1, "dynamics": config.movies.switching,
             "adaptation": config.adaptation.frames}  # fmt: skip
    return names + [name for name, given in asked.items() if given]


def evaluations(study: Study) -> int:
    """Return how many frames a study has each denoiser denoise: frames, doses and realisations."""
    frames, structures = study.config.frames, study.config.structures
    shapes = sum(structures.base_shapes.values())
    kinds = sum(n * len(structures.defects[f]) for f, n in structures.base_shapes.items())
    of_test = round(frames.test_shapes * frames.frames_per_shape * kinds / shapes)
    elsewhere = (len(frames.doses_e_per_px) - 1) * frames.realisations_elsewhere
    return of_test * (frames.realisations + elsewhere)


def frame_px(study: Study) -> float:
    """Return about how many pixels a frame has."""
    height, pixel = study.config.structures.cell_height_nm, study.config.camera.pixel_size_nm
    return WIDTH_NM * height / pixel**2


def work_per_pixel(spec: NetworkSpec) -> tuple[float, float]:
    """Return the work of a network's forward pass, per pixel.

    Returns
    -------
    flop : float
        Floating-point operations as torch counts them: two for each product that is added up.
    values : float
        Values that its layers write, which narrow layers wait for.
    """
    return _work_per_pixel(spec.model_dump_json())


@functools.cache
def _work_per_pixel(spec: str) -> tuple[float, float]:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from lowdose.denoisers.networks.build import build

    network = build(json.loads(spec), 0)
    values = 0

    def written(_module, _inputs, output) -> None:
        nonlocal values
        values += output.numel()

    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(written)
    # Shapes are enough, but a network that sets its own precision runs on no shapes alone.
    for device in ("meta", "cpu"):
        values, counter = 0, FlopCounterMode(display=False)
        try:
            with torch.no_grad(), counter:
                network.to(device=device)(torch.empty(1, 1, SIDE_PX, SIDE_PX, device=device))
            break
        except RuntimeError:
            if device == "cpu":
                raise
            network = network.to_empty(device="cpu")
    return counter.get_total_flops() / SIDE_PX**2, values / SIDE_PX**2


def measured(jobs: Iterable[Job], results: str | Path) -> dict[Job, float]:
    """Return the core-seconds that the jobs of a finished run took, by its benchmarks.

    Raises
    ------
    UserError
        If no job of these was measured there.
    """
    found = {}
    for job in jobs:
        path = Path(results) / "logs" / f"{job.log}.jsonl"
        if path.is_file():
            line = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
            # Of a job that ended before Snakemake looked, the time alone is known.
            found[job] = float(line.get("cpu_time") or line["s"])
    if not found:
        raise UserError(
            f"{results} has no benchmark of a job of this configuration (logs/**.jsonl); name the "
            "results of its run."
        )
    return found


def fit(seconds: Mapping[Job, float], source: str) -> Rates:
    """Fit the rates: least squares of what is above the start, none below zero, by kind."""
    from scipy.optimize import nnls

    kinds: dict[str, list[tuple[Job, float]]] = {}
    for job, value in seconds.items():
        kinds.setdefault(job.kind, []).append((job, max(value - START_S, 0.0)))
    rates = {}
    for kind, rows in sorted(kinds.items()):
        work = np.array([job.amounts for job, _ in rows])
        rates[kind] = tuple(float(r) for r in nnls(work, np.array([s for _, s in rows]))[0])
    return Rates(rates, source)


def write_rates(path: str | Path, rates: Rates) -> None:
    """Write rates as JSON."""
    rounded = {kind: [float(f"{r:.4g}") for r in rate] for kind, rate in rates.seconds.items()}
    text = json.dumps({"source": rates.source, "start_s": START_S, "seconds": rounded}, indent=1)
    write_text(path, text + "\n")


def read_rates(path: str | Path) -> Rates:
    """Read rates that :func:`write_rates` has written; UserError if that cannot be done."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        rates = {kind: tuple(map(float, rate)) for kind, rate in content["seconds"].items()}
        return Rates(rates, str(content["source"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no table of rates ({type(error).__name__}).") from None


def predicted(jobs: Iterable[Job], rates: Rates) -> pd.DataFrame:
    """Return the cost of a study by rule, of jobs of unknown kinds nothing.

    Returns
    -------
    DataFrame
        ``rule`` (figures as one), ``jobs, core_s`` and ``longest_s`` [s].
    """
    return by_rule({job: rates.of(job) or 0.0 for job in jobs})


def by_rule(seconds: Mapping[Job, float]) -> pd.DataFrame:
    """Return core-seconds by rule, as :func:`predicted`."""
    rows: dict[str, list[float]] = {}
    for job, value in seconds.items():
        rule = "figures" if job.rule.startswith("figure_") else job.rule
        rows.setdefault(rule, []).append(value)
    return pd.DataFrame(
        [
            {"rule": rule, "jobs": len(one), "core_s": sum(one), "longest_s": max(one)}
            for rule, one in rows.items()
        ]
    )


def least_hours(table: pd.DataFrame, cores: int, gpus: int = 0, speed: float = 0.0) -> float:
    """Return the hours that a study takes at the least.

    Parameters
    ----------
    table : DataFrame
        Of :func:`predicted`.
    cores, gpus : int
        Of the machine.  With a GPU, the trainings are there.
    speed : float
        Core-seconds of training that a GPU does in a second.

    Returns
    -------
    float
        All work over all cores, or the trainings over the GPUs, or the longest job of each level
        one after the other, whichever is most.
    """
    own = table.set_index("rule")
    core_s, longest = own["core_s"].copy(), own["longest_s"].copy()
    on_gpu = 0.0
    if gpus and "train" in own.index:
        on_gpu = core_s["train"] / speed / gpus
        longest["train"] /= speed
        core_s["train"] = 0.0
    leveled = {rule for level in LEVELS for rule in level}
    rest = [rule for rule in own.index if rule not in leveled]
    chain = longest[rest].max() if rest else 0.0
    for level in LEVELS:
        there = [rule for rule in level if rule in own.index]
        chain += longest[there].max() if there else 0.0
    return max(core_s.sum() / cores, on_gpu, chain) / 3600
