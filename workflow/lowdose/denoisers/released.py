"""The networks that come with the package, trained and ready to use.

Each is a folder of weights and card (see :mod:`lowdose.denoisers.checkpoints`).  What computes
is loaded by name, when it is needed: listing the networks needs no torch.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from pathlib import Path
from typing import Any

from lowdose.config_networks import ARCHITECTURES
from lowdose.denoisers.cards import CARD, WEIGHTS, network_info, read_card
from lowdose.denoisers.contract import Denoiser, DenoiserInfo
from lowdose.runtime import UserError

ROOT = Path(__file__).with_suffix("")


def names() -> list[str]:
    """Return the names of the shipped networks, sorted."""
    return sorted(path.parent.name for path in ROOT.glob(f"*/{WEIGHTS}"))


def folder(name: str) -> Path:
    """Return the folder of a shipped network.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    known = names()
    if name in known:
        return ROOT / name
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    listed = f"choose from {', '.join(known)}" if known else "this version comes with none"
    raise UserError(f"There is no shipped network {name!r}{hint}; {listed}.")


def info(name: str) -> DenoiserInfo:
    """Return what the card of a shipped network says (raises as `folder` does)."""
    # Fitted already: nothing is left to do before it is used.
    return dataclasses.replace(network_info(name, read_card(folder(name))), needs_fit=False)


def load(name: str, **options: Any) -> Denoiser:
    """Return a shipped network as a denoiser.

    Parameters
    ----------
    name : str
        E.g. ``"general"``.
    **options
        ``device``, ``bf16``, ``tile_px`` and ``orientations`` of
        :func:`lowdose.denoisers.checkpoints.load`.

    Raises
    ------
    UserError
        If there is none of that name, or an option is not possible.
    """
    checkpoints = importlib.import_module("lowdose.denoisers.checkpoints")
    denoiser = checkpoints.load(folder(name), name, **options)
    denoiser.info = dataclasses.replace(denoiser.info, needs_fit=False)
    return denoiser


def modules(name: str) -> list[str]:
    """Return the modules that compute a shipped network's result (raises as `folder` does)."""
    architecture = read_card(folder(name))["architecture"]["architecture"]
    return ["lowdose.denoisers.checkpoints", ARCHITECTURES[architecture][0]]


def files(name: str) -> list[Path]:
    """Return card and weights of a shipped network (raises as `folder` does)."""
    return [folder(name) / CARD, folder(name) / WEIGHTS]
