"""What the jobs on films with truth depend on."""

from __future__ import annotations

from lowdose import contest
from lowdose.config import Config, default_files, load
from lowdose.config_movies import Movies
from lowdose.denoisers import registry, released
from lowdose.runtime import UserError

BRIGHTEST_DENOISED = 2.0  # e/px: in brighter frames nobody needs a network to see columns
SWITCHING = "switching"  # the film whose surface layer loses and regains its order


def check(config: Config) -> None:
    """Refuse methods that do not exist, and a film that has the other one's name.

    Raises
    ------
    UserError
    """
    for name, method in config.movies.methods.items():
        try:
            known = registry.info(method.denoiser).parameters
        except UserError as error:
            raise UserError(f"movies.methods.{name}: {error}") from None
        for key in method.parameters:
            if key not in known:
                raise UserError(
                    f"movies.methods.{name}: {method.denoiser} has no parameter {key!r}; it has "
                    f"{', '.join(known) or 'none'}."
                )
    released.folder(config.movies.denoiser)
    if SWITCHING in config.movies.films:
        raise UserError(
            f"movies.films names a film {SWITCHING}, which is the name of movies.switching; give "
            "it another one."
        )


def names(config: Config) -> list[str]:
    """Return the names of all films that are simulated."""
    return [*config.movies.films, *([SWITCHING] if config.movies.switching else [])]


def film_spec(config: Config, film: str) -> dict:
    """Return what of a film's specification is its own: the world is that of the study."""
    movies = config.movies
    one = movies.switching if film == SWITCHING else movies.films[film]
    return {"film": film, "movie": one.model_dump(mode="json")}


def movie_spec(config: Config, method: str) -> dict:
    """Return the specification of the job that tries a method on all films."""
    own = config.movies.methods[method]
    doses = own.doses_e_per_px or config.movies.doses_e_per_px
    return {
        "name": method,
        "method": own.model_dump(mode="json", exclude={"doses_e_per_px", "films"}),
        **_common(config),
        "doses_e_per_px": list(doses),
        "films": list(own.films or config.movies.films),
    }


def table_spec(config: Config) -> dict:
    """Return the specification of the table of all methods."""
    return {
        "methods": {name: one.denoiser for name, one in config.movies.methods.items()},
        "doses_e_per_px": list(config.movies.doses_e_per_px),
        **_common(config),
    }


def positions_spec(config: Config) -> dict:
    """Return the specification of locating columns and counting their atoms."""
    movies = config.movies
    doses = list(movies.position_doses_e_per_px)
    return {
        "films": list(movies.films),
        "frames": movies.position_frames,
        **contest.detection(config),
        "denoiser": movies.denoiser,
        "doses_e_per_px": doses,
        "denoised_doses_e_per_px": [dose for dose in doses if dose <= BRIGHTEST_DENOISED],
        "seed": config.seed,
    }


def dynamics_spec(config: Config) -> dict:
    """Return the specification of a surface's order, rates and strain."""
    movies = config.movies
    return {
        "doses_e_per_px": list(movies.rate_doses_e_per_px),
        "summed": list(movies.rate_sums),
        "realisations": movies.rate_realisations,
        "reference_dose_e_per_px": config.frames.reference_dose_e_per_px,
        "seed": config.seed,
    }


def adaptation_spec(config: Config) -> dict:
    """Return the specification of what adapting the networks to frames gains.

    Raises
    ------
    UserError
        If there is no file of the other material.
    """
    own, material = config.adaptation, None
    if own.material:
        other = load([default_files()[0].with_name(f"{own.material}.yaml")]).model_dump(mode="json")
        keys = ("structures", "simulation", "optics", "camera", "seed")
        material = {key: other[key] for key in keys} | {"c1_nm": own.material_c1_nm}
    return {
        "networks": list(config.shipped),
        "frames": own.frames,
        "crop_px": own.crop_px,
        "steps": own.steps,
        "dose_e_per_px": config.frames.reference_dose_e_per_px,
        "shifted": bool(config.shifted.shapes),
        "material": material,
        "natural": {"training_steps": own.photographs_steps, "crop_px": own.photographs_px},
        "draws": config.evaluation.bootstrap_draws,
        "seed": config.seed,
    }


def shipped(config: Config) -> list[str]:
    """Return the networks of the package that some method uses, by itself or adapted."""
    used = {own.denoiser for own in config.movies.methods.values()}
    used |= {str(own.parameters.get("network")) for own in config.movies.methods.values()}
    used.add(config.movies.denoiser)
    return [name for name in released.names() if name in used]


def modules(config: Config, method: str) -> list[str]:
    """Return the modules that a method's result depends on, loaded by name."""
    own = config.movies.methods[method]
    networks = [own.parameters["network"]] if "network" in own.parameters else []
    if own.denoiser in released.names():
        networks.append(own.denoiser)
    found = {registry.module_of(own.denoiser)}
    return sorted(found.union(*(released.modules(name) for name in networks)))


def threads(config: Config, method: str) -> int:
    """Return the threads of a method's job: two where it works along time, which takes longest."""
    return 2 if config.movies.methods[method].denoiser in registry.TEMPORAL else 1


def _common(config: Config) -> dict:
    movies: Movies = config.movies
    return {
        "films": list(movies.films),
        "first_frames": movies.first_frames,
        "false_alarms": movies.false_alarms,
        "evaluation": contest.detection(config),
        "reference_dose_e_per_px": config.frames.reference_dose_e_per_px,
        "seed": config.seed,
    }
