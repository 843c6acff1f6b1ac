"""Networks from their configuration."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import torch
from pydantic import TypeAdapter
from torch import nn

from lowdose.config_networks import ARCHITECTURES, NetworkSpec
from lowdose.denoisers.networks.layers import initialise


def build(spec: Mapping | NetworkSpec, seed: int) -> nn.Module:
    """Build a network and draw its weights.

    Parameters
    ----------
    spec : mapping or spec
        ``architecture`` and its keys (section ``networks`` of the configuration).
    seed : int
        Of the initial weights alone.

    Returns
    -------
    torch.nn.Module
        float32, in evaluation mode, channels last in memory.
    """
    spec = TypeAdapter(NetworkSpec).validate_python(spec)
    module, name = ARCHITECTURES[spec.architecture]
    network = getattr(importlib.import_module(module), name)(spec)
    initialise(network, torch.Generator().manual_seed(seed))
    return network.to(memory_format=torch.channels_last).eval()


def parameter_count(network: nn.Module) -> int:
    """Return the number of trainable values."""
    return sum(p.numel() for p in network.parameters())
