"""Networks from their configuration."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import torch
from pydantic import TypeAdapter
from torch import nn

from lowdose.config_networks import ARCHITECTURES, NetworkSpec


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

    Raises
    ------
    pydantic.ValidationError
        If a key or value does not exist.
    ValueError
        If the keys contradict each other.
    """
    spec = TypeAdapter(NetworkSpec).validate_python(spec)
    if (problem := spec.problem()) is not None:
        raise ValueError(problem)
    module, name = ARCHITECTURES[spec.architecture]
    network = getattr(importlib.import_module(module), name)(spec)
    initialise(network, torch.Generator().manual_seed(seed))
    return network.to(memory_format=torch.channels_last).eval()


def parameter_count(network: nn.Module) -> int:
    """Return the number of parameters, those included that are frozen by the architecture."""
    return sum(p.numel() for p in network.parameters())


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw He-normal weights and zero biases from `generator` (He et al. 2015, ReLU gain).

    The last convolution starts at zero, so that the first output is the vacuum (bias-free:
    nothing): from a random one, whose error is a hundred times larger than the image's contrast,
    the first steps would kill the rectifiers.  So does the last one of each residual branch
    (``starts_at_zero``).  A convolution of each channel by itself is followed by no rectifier,
    and keeps the variance without its gain.
    """
    modules = list(network.modules())
    convolutions = [m for m in modules if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    zero = {getattr(m, "starts_at_zero", None) for m in modules} | {convolutions[-1]}
    for module in convolutions:
        # Values that an output pixel sums: a transposed convolution meets 1/stride^2 of its taps.
        fan_in = module.weight[0].numel()
        if isinstance(module, nn.ConvTranspose2d):
            fan_in = module.weight[:, 0].numel() // (module.stride[0] * module.stride[1])
        gain = 1 if module.groups > 1 else 2
        with torch.no_grad():
            if module in zero:
                module.weight.zero_()
            else:
                module.weight.normal_(0, (gain / fan_in) ** 0.5, generator=generator)
            if module.bias is not None:
                module.bias.zero_()
