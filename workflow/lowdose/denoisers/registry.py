"""Every denoiser by name.

A denoiser is loaded when it is asked for, by the module that the table names, and the table
is no import: the content digest of a stage that uses one method does not change when another
is edited or added.
"""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from lowdose.denoisers.contract import Denoiser, DenoiserInfo
from lowdose.runtime import UserError

# Name -> module and class, in the order of tables.
_KINDS = {
    "raw": ("lowdose.denoisers.classical.references", "Raw"),
    "constant": ("lowdose.denoisers.classical.references", "Constant"),
    "gaussian": ("lowdose.denoisers.classical.gaussian", "Gaussian"),
    "wiener": ("lowdose.denoisers.classical.wiener", "Wiener"),
    "nlm": ("lowdose.denoisers.classical.stabilised_nlm", "StabilisedNLM"),
    "tv": ("lowdose.denoisers.classical.stabilised_tv", "StabilisedTV"),
}


def names() -> tuple[str, ...]:
    """Return the names of all denoisers, in the order of tables."""
    return tuple(_KINDS)


def module_of(name: str) -> str:
    """Return the module of the denoiser `name`, without loading it.

    Raises
    ------
    UserError
        If there is no denoiser of that name.
    """
    if name not in _KINDS:
        near = difflib.get_close_matches(str(name), _KINDS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UserError(f"There is no denoiser {name!r}{hint}; choose from {', '.join(_KINDS)}.")
    return _KINDS[name][0]


def kind(name: str) -> type[Denoiser]:
    """Return the class behind `name` (raises as `module_of` does)."""
    return getattr(importlib.import_module(module_of(name)), _KINDS[name][1])


def info(name: str) -> DenoiserInfo:
    """Return what is known of the denoiser `name` (raises as `kind` does)."""
    return kind(name).info


def create(name: str, **parameters: Any) -> Denoiser:
    """Return a denoiser with these parameters, the others at their defaults.

    Raises
    ------
    UserError
        If the name or a parameter is unknown, or a value out of range.
    """
    return kind(name)(**parameters)
