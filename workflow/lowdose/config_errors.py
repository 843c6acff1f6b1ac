"""Words for a configuration that is wrong: where, what, and what would work."""

from __future__ import annotations

import difflib
import typing

from pydantic import BaseModel, ValidationError


def sentence(error: ValidationError, root: type[BaseModel]) -> str:
    """Describe the first problem of a validation in one sentence."""
    problems = error.errors(include_url=False)
    # An unknown key explains more than the missing one that it was meant to be.
    first = min(problems, key=lambda p: p["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"] if not _is_tag(part))
    more = f" ({len(problems) - 1} more after it)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _keys_beside(root, first["loc"])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}."
        return f"The configuration has the unknown key {where!r}{more}; {hint}"
    if first["type"] == "missing":
        return f"The configuration lacks the key {where!r}{more}; see config/README.md."
    message = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    shown = "" if isinstance(given, (dict, list, BaseModel)) else f" (it is {given!r})"
    prefix = f"{where}{shown}: " if where else ""
    return (
        f"The configuration is wrong at {prefix}{message}{more}; see config/README.md."
        if where
        else f"The configuration is wrong: {message}{more}; see config/README.md."
    )


def _is_tag(part: object) -> bool:
    return part in ("unet", "dncnn", "[key]")


def _keys_beside(root: type[BaseModel], location: tuple) -> list[str]:
    """Return the keys that are allowed where an unknown one was found."""
    models: list[type[BaseModel]] = [root]
    for part in location[:-1]:
        following = []
        for model in models:
            field = model.model_fields.get(str(part))
            if field is not None:
                following += _models_in(field.annotation)
        models = following or models  # a name in a dict, a list index or a tag stays where it is
    return sorted({name for model in models for name in model.model_fields})


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for argument in typing.get_args(annotation) for m in _models_in(argument)]
