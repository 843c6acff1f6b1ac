"""The comparison of all methods: who takes part, and what each job of it depends on."""

from __future__ import annotations

from lowdose.config import Config
from lowdose.denoisers import registry, released
from lowdose.runtime import UserError
from lowdose.sweeps import first_of_each

REFERENCES = ("clean", "constant", "raw")


def check(config: Config) -> None:
    """Refuse names that are no denoisers which can be tuned on single frames.

    Raises
    ------
    UserError
    """
    for key, named in (
        ("baselines", config.baselines),
        ("comparison.methods", config.comparison.methods),
    ):
        for name in named:
            registry.module_of(name)  # names the nearest one if there is none
            if name in released.names():
                raise UserError(
                    f"{key} names {name}, a network that comes with the package and has nothing "
                    "to tune; name it under `shipped`."
                )
            if name in registry.TEMPORAL:
                raise UserError(
                    f"{key} names {name}, which works along time, but the study's frames are "
                    "single ones; leave it out."
                )
            if name in REFERENCES:
                raise UserError(
                    f"{key} names {name}, a reference that is always there and has nothing to "
                    "tune; leave it out."
                )


def methods(config: Config) -> list[str]:
    """Return the denoisers that are tuned for the comparison, in the order of the registry.

    None if the study compares none; without optional ones that are not installed here.
    """
    if not config.comparison.methods:
        return []
    chosen = {*config.baselines, *config.comparison.methods}
    return [n for n in registry.names() if n in chosen and not registry.missing(n)]


def not_run(config: Config) -> dict[str, str]:
    """Return the methods of the comparison that cannot be run here, and what they need."""
    needs = {n: registry.missing(n) for n in registry.names() if n in config.comparison.methods}
    return {name: sentence for name, sentence in needs.items() if sentence}


def networks(config: Config) -> list[str]:
    """Return the trained networks of the comparison: those named, or the first of each."""
    if (chosen := config.comparison.networks) is not None:
        return list(chosen)
    return first_of_each(config.training_names())


def contenders(config: Config) -> list[str]:
    """Return everything in the comparison, in the order of its tables."""
    return [*REFERENCES, *methods(config), *networks(config), *config.shipped]


def of_tuning(config: Config, baseline: str) -> dict:
    """Return what a baseline is tuned for: also for the surface if all methods are compared."""
    if baseline not in methods(config):
        return {"objectives": ["psnr"]}
    return {"objectives": ["psnr", "f1"], "evaluation": detection(config)}


def detection(config: Config) -> dict:
    """Return scale and gate of the column detector."""
    return {key: getattr(config.evaluation, key) for key in ("sigma_nm", "gate_nm")}


def spec(config: Config, chosen: list[str]) -> dict:
    """Return the specification of a job that evaluates some of them."""
    comparison = config.comparison
    tuned = methods(config)
    return {
        "denoisers": chosen,
        "tuned": [name for name in chosen if name in tuned],
        "evaluation": detection(config),
        "doses_e_per_px": list(comparison.doses_e_per_px),
        "reference_dose_e_per_px": config.frames.reference_dose_e_per_px,
        "realisations": comparison.realisations,
        "realisations_elsewhere": comparison.realisations,
        "validation_realisations": 1,
        "seed": config.seed,
    }


def table_spec(config: Config) -> dict:
    """Return the specification of the tables and the figure."""
    return {
        **spec(config, contenders(config)),
        "baselines": methods(config),
        "shipped": list(config.shipped),
        "networks": networks(config),
        "not_run": not_run(config),
        "trials": config.tuning_trials,
        "draws": config.evaluation.bootstrap_draws,
        "pixel_size_nm": config.camera.pixel_size_nm,
    }
