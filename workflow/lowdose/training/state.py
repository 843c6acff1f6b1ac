"""Training state on disk: saved often, atomically, and only continued if it fits."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from lowdose.runtime import atomic_path


def save(path: Path, fingerprint: str, tensors: dict[str, torch.Tensor], values: dict) -> None:
    """Write tensors and JSON values with the fingerprint of what they belong to."""
    metadata = {"fingerprint": fingerprint, "values": json.dumps(values)}
    with atomic_path(path) as temporary:
        save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, metadata)


def load(path: Path, fingerprint: str) -> tuple[dict[str, torch.Tensor], dict] | None:
    """Return the saved tensors and values, or None if there are none of this fingerprint.

    A state of another specification, code or data must not be continued: the training starts
    from zero instead.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            if metadata.get("fingerprint") != fingerprint:
                return None
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, json.loads(metadata["values"])
    except (SafetensorError, OSError, json.JSONDecodeError):
        return None
