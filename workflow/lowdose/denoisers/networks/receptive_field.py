"""The receptive field, computed from the definition and measured by the gradient."""

from __future__ import annotations

import copy

import torch
from torch import nn

from lowdose.denoisers.networks.layers import Pool, Rectifier


def computed(network: nn.Module) -> int:
    """Return the side of the receptive field [pixels], from the layers.

    The field is the bounding box of the union, over all output phases (positions modulo the
    network's stride), of the input pixels on which an output pixel may depend, seen from that
    pixel.
    """
    spans = [network.seen((phase, phase)) for phase in range(network.stride)]
    low = min(span[0] - phase for phase, span in enumerate(spans))
    high = max(span[1] - phase for phase, span in enumerate(spans))
    return high - low + 1


def measured(network: nn.Module) -> int:
    """Return the side of the receptive field [pixels], from the non-zero Jacobian.

    All weights are made positive and all activations linear, so that no path cancels or dies;
    the maximum of a pool becomes a mean.  One backward pass for each output phase.
    """
    linear = _linearised(network)
    stride, field = network.stride, computed(network)
    # Larger than what is claimed on either side, or a larger true field could not show.
    side = -(-2 * (field + 2 * stride) // stride) * stride
    centre = side // (2 * stride) * stride
    image = torch.ones(1, 1, side, side, requires_grad=True)
    output = linear(image)
    low, high = 0, 0
    for phase in range(stride):
        # All layers treat y and x alike, so that the diagonal meets every phase of either.
        pixel = output[0, 0, centre + phase, centre + phase]
        (gradient,) = torch.autograd.grad(pixel, image, retain_graph=True)
        for axis in (0, 1):
            touched = torch.nonzero(gradient[0, 0].abs().sum(dim=1 - axis)).ravel()
            low = min(low, int(touched[0]) - centre - phase)
            high = max(high, int(touched[-1]) - centre - phase)
    return high - low + 1


def _linearised(network: nn.Module) -> nn.Module:
    linear = copy.deepcopy(network).float()
    for module in linear.modules():
        for name, child in module.named_children():
            if isinstance(child, Rectifier):
                setattr(module, name, nn.Identity())
            elif isinstance(child, Pool):
                setattr(module, name, nn.AvgPool2d(2))
        if isinstance(module, nn.Conv2d):
            with torch.no_grad():
                # Equal positive weights that keep the size of the signal: far paths must not
                # underflow.
                fan_in = module.in_channels * module.kernel_size[0] * module.kernel_size[1]
                module.weight.fill_(1 / fan_in)
                module.bias.zero_()
    return linear
