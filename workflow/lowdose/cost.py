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
# Groups of columns whose null is drawn, a frame of the verdicts: from two runs with other draws.
NULL_GROUPS = 16
# Analyses that the study may ask for, with their jobs beside the figure.
ANALYSES = {"credibility": ("limits", "credibility"), "strata": ()}
# One after the other: a study takes no less than the longest job of each.
LEVELS = (("structures",), ("simulate",), ("frames", "film"), ("train", "tune", "shifted"),
          ("evaluate", "evaluate_ready", "contest", "movie"))  # fmt: skip
# Snakemake looks at a job's processor time twice a second at first, then every so often: what is
# used after the last look is in no benchmark [s].
LOOKED_OFTEN, LOOKED_EVERY = 15.0, 30.0
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
    asked = {name: float(evaluations(study, name in config.evaluation.full_grid))
             for name in study.denoisers()}  # fmt: skip
    shards = plan.shards(study.values["structures"], study.per_shard)
    jobs = [Job(rule, rule, rule, (amount(study, rule),)) for rule in single(study)]
    jobs += [
        Job("simulate", f"simulate/{name}", "simulate", (float(len(models)),))
        for name, models in zip(study.shards, shards, strict=True)
    ]
    for n, t, k in config.trainings():
        spec, settings = config.networks[n].spec, config.training_of(n)
        pixels = settings.steps * settings.batch * settings.crop_px**2
        flop, values = work_per_pixel(spec)
        work = (TRAINED * flop * pixels / 1e12, TRAINED * values * pixels / 1e9)
        name = f"{n}.{t}.seed{k}"
        jobs.append(Job("train", f"train/{name}", "train", work))
        denoised = asked[name] * frame_px(study, config.training_sets[t].own_pixel_size_nm)
        work = (asked[name], flop * denoised / 1e12, values * denoised / 1e9)
        jobs.append(Job("evaluate", f"evaluate/{name}", "evaluate network", work))
    shapes = config.frames.validation_shapes
    tried = config.tuning_trials * (
        float(shapes) if config.tuning_one_per_shape else frozen(study, shapes)
    )
    jobs += [Job("tune", f"tune/{name}", f"tune {name}", (tried,)) for name in study.tuned()]
    jobs += [
        Job("evaluate", f"evaluate/{name}", f"evaluate {name}", (asked[name],))
        for name in config.baselines
    ]
    ready = sum(asked[name] for name in study.ready())
    jobs.append(Job("evaluate_ready", "evaluate/ready", "evaluate_ready", (ready,)))
    if methods := contest.methods(config):
        names = [*methods, *contest.networks(config)]
        noisy = float(len(config.comparison.doses_e_per_px) * config.comparison.realisations)
        one = (noisy * config.frames.test_shapes,)
        jobs += [Job("contest", f"contest/{name}", f"contest {name}", one) for name in names]
        all_ready = (one[0] * len(study.ready()),)
        jobs.append(Job("contest_ready", "contest/ready", "contest_ready", all_ready))
    filmed = {name: float(film.frames) for name, film in config.movies.films.items()}
    jobs += [Job("film", f"film/{name}", "film", (frames,)) for name, frames in filmed.items()]
    if filmed:
        for name, own in config.movies.methods.items():
            doses = own.doses_e_per_px or config.movies.doses_e_per_px
            seen = len(doses) * sum(filmed[film] for film in own.films or filmed)
            jobs.append(Job("movie", f"movie/{name}", f"movie {name}", (seen,)))
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


def amount(study: Study, rule: str) -> float:
    """Return the work of a rule that has one job: models, frames or networks; 1 of small ones."""
    config = study.config
    models = float(sum(map(len, plan.shards(study.values["structures"], study.per_shard))))
    own, tested = config.evaluation, frozen(study, config.frames.test_shapes)
    weighed = own.verdict_frames + NULL_GROUPS * own.null_frames * own.null_draws
    amounts = {
        "structures": models,
        "frames": models * len(config.frames.c1_nm),
        # Waves of a perfect and a vacant model: seven shifts of one each, and frozen phonons.
        "shifted": 2.0 * config.shifted.shapes * (7 + config.shifted.phonon_configurations),
        "columns": tested,
        "mechanism": float(len(study.spec("mechanism")["networks"])),
        "summarise": float(len(study.denoisers()) * evaluations(study)),
        "credibility": float(len(study.denoisers()) * evaluations(study)),
        "limits": float(evaluations(study, full=bool(own.full_grid))),
        "risk": tested * len(study.spec("risk")["denoisers"]),
        "filters": float(own.filter_shapes * len(study.filtered())),
        "verdicts": float(weighed * len(study.spec("verdicts")["denoisers"])),
        "adaptation": float(config.adaptation.frames * len(config.shipped)),
    }
    return amounts.get(rule, 1.0)


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


def frozen(study: Study, shapes: int) -> float:
    """Return about how many frames are frozen of so many base shapes, with all their defects."""
    structures = study.config.structures
    every = sum(structures.base_shapes.values())
    kinds = sum(n * len(structures.defects[f]) for f, n in structures.base_shapes.items())
    return float(round(shapes * study.config.frames.frames_per_shape * kinds / every))


def evaluations(study: Study, full: bool = False) -> int:
    """Return how many frames a study has each denoiser denoise: frames, doses and realisations.

    Of a denoiser that is evaluated in full, with all realisations at every dose.
    """
    frames = study.config.frames
    more = frames.realisations if full else frames.realisations_elsewhere
    noisy = frames.realisations + (len(frames.doses_e_per_px) - 1) * more
    return round(frozen(study, frames.test_shapes)) * noisy


def frame_px(study: Study, pixel_size_nm: float | None = None) -> float:
    """Return about how many pixels a frame has, the camera's or those of a network's own."""
    pixel = pixel_size_nm or study.config.camera.pixel_size_nm
    return WIDTH_NM * study.config.structures.cell_height_nm / pixel**2


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
            try:
                line = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
                found[job] = core_seconds(line)
            except (ValueError, KeyError, TypeError, IndexError):
                raise UserError(
                    f"{path} is no benchmark of a job; delete it and run again."
                ) from None
    if not found:
        raise UserError(
            f"{results} has no benchmark of a job of this configuration (logs/**.jsonl); name the "
            "results of its run."
        )
    return found


def core_seconds(line: Mapping) -> float:
    """Return the processor time of a job from a line of Snakemake's benchmark [s].

    Its ``cpu_time`` is that of the last look at the job: up to half a minute before the end, a
    third of the time of the jobs that simulate.  The rest is taken to be as busy as what was seen.
    """
    seconds, used = float(line["s"]), line.get("cpu_time")
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{seconds} s is no time")
    if used in (None, "NA", 0):
        return seconds  # it ended before Snakemake looked: the time alone is known
    looks = max(0.0, (seconds - LOOKED_OFTEN) // LOOKED_EVERY)
    seen = seconds if seconds <= LOOKED_OFTEN else LOOKED_OFTEN + LOOKED_EVERY * looks
    return float(used) * seconds / seen


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
