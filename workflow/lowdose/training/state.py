"""Training state on disk: saved often, atomically, and only continued if it fits."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from lowdose.runtime import UserError, atomic_path
from lowdose.training.averaging import AveragedWeights
from lowdose.training.optimiser import Optimiser


def save(path: Path, fingerprint: str, tensors: dict[str, torch.Tensor], values: dict) -> None:
    """Write tensors and JSON values with the fingerprint of what they belong to.

    Raises
    ------
    UserError
        If the disk is full or the folder cannot be written; an earlier state stays as it is.
    """
    metadata = {"fingerprint": fingerprint, "values": json.dumps(values)}
    whole = {k: v.contiguous() for k, v in tensors.items()}
    try:
        with atomic_path(path) as temporary:
            try:
                save_file(whole, temporary, metadata)
            except SafetensorError as error:
                raise _file_error(error) from error
    except OSError as error:
        raise UserError(
            f"The training state cannot be written to {path.parent} ({error.strerror}); make room "
            "or name another folder with --work, and run again."
        ) from error


def _file_error(error: SafetensorError) -> Exception:
    """Return the OSError that safetensors tells only in words, else the error itself."""
    if found := re.search(r"\(os error (\d+)\)", str(error)):
        return OSError(int(found[1]), os.strerror(int(found[1])))
    return error


def load(path: Path, fingerprint: str) -> tuple[dict[str, torch.Tensor], dict] | None:
    """Return the saved tensors and values, or None if there are none of this fingerprint.

    A state of another specification, code or data must not be continued: the training starts
    from zero instead.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("fingerprint") != fingerprint:
                return None
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, json.loads(metadata["values"])
    except (SafetensorError, OSError, json.JSONDecodeError):
        return None


def collect(
    network: nn.Module, optimiser: Optimiser, average: AveragedWeights
) -> dict[str, torch.Tensor]:
    """Return all tensors that a training consists of, by name."""
    tensors = {f"network/{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average/{k}": v for k, v in average.values.items()}
    return tensors | {f"optimiser/{k}": v for k, v in optimiser.tensors()}


def restore(
    tensors: dict[str, torch.Tensor],
    network: nn.Module,
    optimiser: Optimiser,
    average: AveragedWeights,
) -> None:
    """Put the tensors of `collect` back to where they came from."""
    network.load_state_dict(_under("network/", tensors))
    for key, value in average.values.items():
        value.copy_(tensors[f"average/{key}"])
    optimiser.restore(_under("optimiser/", tensors))


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
