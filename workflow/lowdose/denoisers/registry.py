"""Every denoiser by name.

This module imports all of them (each only when asked for).  A workflow stage that needs one
classical method alone depends on ``lowdose.denoisers.classical.<module>``, so that editing
another method does not rerun it; ``kind(name).__module__`` says which.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from lowdose.denoisers.contract import Denoiser, DenoiserInfo
from lowdose.runtime import UserError


def _raw() -> type[Denoiser]:
    from lowdose.denoisers.classical.references import Raw

    return Raw


def _constant() -> type[Denoiser]:
    from lowdose.denoisers.classical.references import Constant

    return Constant


def _gaussian() -> type[Denoiser]:
    from lowdose.denoisers.classical.gaussian import Gaussian

    return Gaussian


def _wiener() -> type[Denoiser]:
    from lowdose.denoisers.classical.wiener import Wiener

    return Wiener


def _nlm() -> type[Denoiser]:
    from lowdose.denoisers.classical.stabilised_nlm import StabilisedNLM

    return StabilisedNLM


def _tv() -> type[Denoiser]:
    from lowdose.denoisers.classical.stabilised_tv import StabilisedTV

    return StabilisedTV


_KINDS: dict[str, Callable[[], type[Denoiser]]] = {
    "raw": _raw,
    "constant": _constant,
    "gaussian": _gaussian,
    "wiener": _wiener,
    "nlm": _nlm,
    "tv": _tv,
}


def names() -> tuple[str, ...]:
    """Return the names of all denoisers, in the order of tables."""
    return tuple(_KINDS)


def kind(name: str) -> type[Denoiser]:
    """Return the class behind `name`.

    Raises
    ------
    UserError
        If there is no denoiser of that name.
    """
    if name not in _KINDS:
        near = difflib.get_close_matches(str(name), _KINDS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UserError(f"There is no denoiser {name!r}{hint}; choose from {', '.join(_KINDS)}.")
    return _KINDS[name]()


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
