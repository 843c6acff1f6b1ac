"""Checkpoints: weights as safetensors, everything else in ``card.json``; never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from lowdose.denoisers.learned import LearnedDenoiser, network_info
from lowdose.denoisers.networks.build import build
from lowdose.provenance import file_digest
from lowdose.runtime import UserError, atomic_path, has_bf16, write_text

WEIGHTS, CARD = "model.safetensors", "card.json"
NEEDED = (
    *("name", "architecture", "weights_sha256", "receptive_field_px"),
    *("pixel_size_nm", "dose_e_per_a2"),
)


def save(folder: Path, network: nn.Module, card: Mapping[str, Any]) -> None:
    """Write weights and card; the card names the digest of the weights."""
    tensors = {k: v.contiguous() for k, v in network.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as path:
        save_file(tensors, path)
    full = {**card, "weights_sha256": file_digest(folder / WEIGHTS)}
    write_text(folder / CARD, json.dumps(full, indent=2, sort_keys=True) + "\n")


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of a checkpoint.

    Raises
    ------
    UserError
        If there is none, it is no JSON, or it lacks what a network cannot be used without.
    """
    path = Path(folder) / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{folder} holds no {CARD}; name the folder of a trained network."
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise UserError(f"{path} is no valid JSON; train the network anew.") from None
    missing = [key for key in NEEDED if not isinstance(card, dict) or key not in card]
    if missing:
        raise UserError(f"{path} lacks {missing[0]!r}; train the network anew.")
    return card


def load(folder: Path, name: str | None = None, *, bf16: bool | None = None) -> LearnedDenoiser:
    """Load a trained network.

    Parameters
    ----------
    folder : Path
        With ``model.safetensors`` and ``card.json``.
    name : str, optional
        Under which it appears in tables; by default that of its card.
    bf16 : bool, optional
        Compute in bfloat16; by default where the processor has it.

    Raises
    ------
    UserError
        If a file is missing, the weights are not those that the card names, or they do not
        fit the architecture.
    """
    folder = Path(folder)
    card = read_card(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise UserError(f"{folder} holds no {WEIGHTS}; a pickle (.pt, .pth) is never loaded.")
    if file_digest(weights) != card["weights_sha256"]:
        raise UserError(f"{weights} is not the file that its card names; train the network anew.")
    try:
        network = build(card["architecture"], seed=0)
    except ValidationError:
        raise UserError(
            f"{folder / CARD} names an architecture that this version does not have; use the "
            "version that it was trained with."
        ) from None
    try:
        network.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError):
        raise UserError(f"{weights} does not fit the architecture of its card.") from None
    bf16 = has_bf16() if bf16 is None else bf16
    return LearnedDenoiser(network, network_info(name or card["name"], card), bf16=bf16)
