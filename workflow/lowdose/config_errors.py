"""Words for a configuration that is wrong: where, what, and what would work."""

from __future__ import annotations

import difflib
import typing

from pydantic import BaseModel, ValidationError

from lowdose.config_networks import ARCHITECTURES


def sentence(error: ValidationError, root: type[BaseModel], section: str = "") -> str:
    """Describe the first problem of a validation in one sentence.

    Parameters
    ----------
    error : ValidationError
    root : type
        The model that was validated.
    section : str
        Where that model stands in the configuration, e.g. ``networks.wide.training``.
    """
    problems = error.errors(include_url=False)
    # An unknown key explains more than the missing one that it was meant to be.
    first = min(problems, key=lambda p: p["type"] != "extra_forbidden")
    path = [section] if section else []
    where = ".".join([*path, *map(str, _without_tags(first["loc"]))])
    more = f" ({len(problems) - 1} more after it)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _keys_beside(root, first["loc"])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}."
        return f"The configuration has the unknown key {where!r}{more}; {hint}"
    if first["type"] == "union_tag_not_found":
        first["type"], where = "missing", f"{where}.{_discriminator(first)}"
    if first["type"] == "missing":
        return f"The configuration lacks the key {where!r}{more}; see config/README.md."
    message = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    if first["type"] == "union_tag_invalid":
        name, given = _discriminator(first), first["ctx"]["tag"]
        where, message = f"{where}.{name}", f"choose from {first['ctx']['expected_tags']}"
    shown = "" if isinstance(given, (dict, list, BaseModel)) else f" (it is {given!r})"
    place = f" at {where}{shown}" if where else ""
    return f"The configuration is wrong{place}: {message}{more}; see config/README.md."


def _discriminator(problem: dict) -> str:
    return problem["ctx"]["discriminator"].strip("'")


def _is_tag(location: tuple, place: int) -> bool:
    """Say whether a part of a location is pydantic's own; a network may be named "unet"."""
    after_spec = place > 0 and location[place - 1] == "spec"
    return location[place] == "[key]" or (after_spec and location[place] in ARCHITECTURES)


def _without_tags(location: tuple) -> list:
    return [part for place, part in enumerate(location) if not _is_tag(location, place)]


def _keys_beside(root: type[BaseModel], location: tuple) -> list[str]:
    """Return the keys that are allowed where an unknown one was found."""
    models: list[type[BaseModel]] = [root]
    for place, part in enumerate(location[:-1]):
        if _is_tag(location, place):
            models = [m for m in models if part in _architectures_of(m)] or models
            continue
        following = []
        for model in models:
            field = model.model_fields.get(str(part))
            if field is not None:
                following += _models_in(field.annotation)
        models = following or models  # a name in a dict, a list index or a tag stays where it is
    return sorted({name for model in models for name in model.model_fields})


def _architectures_of(model: type[BaseModel]) -> tuple:
    field = model.model_fields.get("architecture")
    return typing.get_args(field.annotation) if field else ()


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for argument in typing.get_args(annotation) for m in _models_in(argument)]
