"""Every denoiser by name.

A denoiser is loaded when it is asked for, by the module that the table names, and the table
is no import: the content digest of a stage that uses one method does not change when another
is edited or added.  The networks that come with the package follow the classical methods.
"""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from lowdose.denoisers import released
from lowdose.denoisers.contract import Denoiser, DenoiserInfo
from lowdose.runtime import UserError

# Name -> module and class, in the order of tables.
_KINDS = {
    "raw": ("lowdose.denoisers.classical.references", "Raw"),
    "constant": ("lowdose.denoisers.classical.references", "Constant"),
    "gaussian": ("lowdose.denoisers.classical.gaussian", "Gaussian"),
    "temporal-sum": ("lowdose.denoisers.classical.temporal_sum", "TemporalSum"),
    "butterworth": ("lowdose.denoisers.classical.butterworth", "Butterworth"),
    "wiener": ("lowdose.denoisers.classical.wiener", "Wiener"),
    "radial-wiener": ("lowdose.denoisers.classical.radial_wiener", "RadialWiener"),
    "absf": ("lowdose.denoisers.classical.radial_wiener", "ABSF"),
    "spots": ("lowdose.denoisers.classical.spots", "FourierSpots"),
    "nlm": ("lowdose.denoisers.classical.stabilised_nlm", "StabilisedNLM"),
    "tv": ("lowdose.denoisers.classical.stabilised_tv", "StabilisedTV"),
    "wavelets": ("lowdose.denoisers.classical.stabilised_wavelets", "StabilisedWavelets"),
    "bm3d": ("lowdose.denoisers.classical.stabilised_bm3d", "StabilisedBM3D"),
    "bm3d-iterative": ("lowdose.denoisers.classical.iterative_bm3d", "IterativeBM3D"),
    "purelet": ("lowdose.denoisers.classical.binned_purelet", "PureLet"),
    "bm3d-package": ("lowdose.denoisers.classical.bm3d_package", "PackageBM3D"),
    "topaz": ("lowdose.denoisers.external.topaz", "Topaz"),
    "blind-spot": ("lowdose.denoisers.unsupervised.blind_spot", "BlindSpotFrame"),
    "blind-spot-stopped": ("lowdose.denoisers.unsupervised.blind_spot", "BlindSpotStopped"),
    "gain-tuning": ("lowdose.denoisers.adaptation.gain_tuning", "GainTuned"),
    "udvd": ("lowdose.denoisers.unsupervised.udvd", "MovieDenoiser"),
}
# Those that need what envs/requirements.lock does not hold; the others are not asked.
OPTIONAL = frozenset({"bm3d-package", "topaz"})
# Those whose result for a frame depends on the others; known without loading them.
TEMPORAL = frozenset({"temporal-sum", "udvd"})


def names() -> tuple[str, ...]:
    """Return the names of all denoisers, in the order of tables."""
    return (*_KINDS, *released.names())


def missing(name: str) -> str | None:
    """Say what an optional denoiser needs that is not installed here; None if nothing is missing.

    Cheap: neither the other package nor torch is loaded.
    """
    return kind(name).missing() if name in OPTIONAL else None


def version(name: str) -> str:
    """Return the version of what an optional denoiser computes with; "" for all others."""
    return kind(name).version() if name in OPTIONAL and not missing(name) else ""


def shipped() -> list[str]:
    """Return the names of the networks that come with the package."""
    return released.names()


def module_of(name: str) -> str:
    """Return the module of the denoiser `name`, without loading it.

    A shipped network's result also depends on its architecture and its weights: see
    :func:`lowdose.denoisers.released.modules` and `released.files`.

    Raises
    ------
    UserError
        If there is no denoiser of that name.
    """
    if name in _KINDS:
        return _KINDS[name][0]
    if name in released.names():
        return released.modules(name)[0]
    near = difflib.get_close_matches(str(name), names(), n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise UserError(f"There is no denoiser {name!r}{hint}; choose from {', '.join(names())}.")


def kind(name: str) -> type[Denoiser]:
    """Return the class behind `name`, for tuning.

    Raises
    ------
    UserError
        As for `module_of`, and for a shipped network, which is no class of its own.
    """
    module = module_of(name)
    if name not in _KINDS:
        raise UserError(
            f"{name} is a trained network and has nothing to tune; choose from {', '.join(_KINDS)}."
        )
    return getattr(importlib.import_module(module), _KINDS[name][1])


def info(name: str) -> DenoiserInfo:
    """Return what is known of the denoiser `name` (raises as `module_of` does)."""
    module_of(name)
    return kind(name).info if name in _KINDS else released.info(name)


def create(name: str, **parameters: Any) -> Denoiser:
    """Return a denoiser with these parameters, the others at their defaults.

    Parameters
    ----------
    name : str
    **parameters
        For a shipped network also the options of :func:`lowdose.denoisers.released.load`.

    Raises
    ------
    UserError
        If the name or a parameter is unknown, a value out of range, or what an optional
        denoiser needs not installed.
    """
    module_of(name)
    if name not in _KINDS:
        return released.load(name, **parameters)
    return kind(name)(**parameters)
