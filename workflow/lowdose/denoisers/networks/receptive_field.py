"""The receptive field: computed from the layers, measured by the gradient, and what counts."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from lowdose.denoisers.networks.layers import EVERYTHING, Normalise, Pool, Rectifier


def computed(network: nn.Module) -> int | None:
    """Return the side of the receptive field [pixels], from the layers.

    The field is the bounding box of the union, over all output phases (positions modulo the
    network's stride), of the input pixels on which an output pixel may depend, seen from that
    pixel.  None if a layer sees the whole frame, whatever its size.  Where windows are laid on a
    grid, the phases are those of the grid.
    """
    spans = [network.seen((phase, phase)) for phase in range(grid(network))]
    low = min(span[0] - phase for phase, span in enumerate(spans))
    high = max(span[1] - phase for phase, span in enumerate(spans))
    side = high - low + 1
    return side if side < EVERYTHING[1] else None


def grid(network: nn.Module) -> int:
    """Return the period of a network [pixels]: it treats positions alike that differ by this."""
    return getattr(network, "grid", network.stride)


def measured(network: nn.Module) -> int | None:
    """Return the side of the receptive field [pixels], from the non-zero Jacobian.

    All weights are made positive and all activations linear, so that no path cancels or dies;
    the maximum of a pool becomes a mean and normalisations (of batches, which are local) go.
    One backward pass for each output phase and axis, on a frame that is long along this axis
    and one stride wide.  None if the Jacobian fills that frame from end to end.
    """
    linear = _linearised(network)
    stride = grid(network)
    # Larger than what is claimed on either side, or a larger true field could not show.
    side = -(-2 * ((computed(network) or 4 * stride) + 2 * stride) // stride) * stride
    centre = side // (2 * stride) * stride
    low, high = 0, 0
    for axis in (0, 1):
        shape = (side, stride) if axis == 0 else (stride, side)
        # Not constant, or the parts of a spectrum or of an average would be zero.
        image = torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(0))
        output = linear(image.requires_grad_())
        for phase in range(stride):
            pixel = output[0, 0].movedim(axis, 0)[centre + phase, phase]
            (gradient,) = torch.autograd.grad(pixel, image, retain_graph=True)
            touched = torch.nonzero(gradient[0, 0].abs().sum(dim=1 - axis)).ravel()
            if touched[0] == 0 and touched[-1] == side - 1:
                return None
            low = min(low, int(touched[0]) - centre - phase)
            high = max(high, int(touched[-1]) - centre - phase)
    return high - low + 1


def effective(
    network: nn.Module,
    images: torch.Tensor,
    share: float = 0.9,
    pixels: int = 64,
    *,
    rng: np.random.Generator,
) -> float:
    """Return the side of the effective receptive field [pixels]; the idea is Luo et al. (2016).

    The squared gradient ``g_d^2 = (d output_p / d input_(p + d))^2`` is summed over output pixels
    p, drawn from all images.  Its part inside the square ``|dy|, |dx| <= r`` about the output
    pixel is known at ``r = 0, 1, 2, ...``, where the square's side is ``2 r + 1``, and is linear
    in the side in between (from 0 at the side 0).  The effective field is the side at which this
    part reaches `share` of the whole.

    Output pixels are drawn where the computed field lies inside of the frame; if there are none,
    or the field is the whole frame, from the middle of the frame, half as high and wide.  In
    frames smaller than the field, what lies outside is not counted.

    Parameters
    ----------
    network : torch.nn.Module
        In any mode; evaluated in float32.
    images : tensor (n, 1, y, x)
        Relative noisy counts (vacuum = 1), sides multiples of the network's stride.
    share : float
        Of the squared gradient, above 0 and at most 1.
    pixels : int
        Output pixels in all.
    rng : numpy.random.Generator
        Draws them.

    Returns
    -------
    float
        0 to twice the longer side; 0 for a network whose output does not depend on its input.
    """
    height, width = images.shape[-2:]
    energy = np.zeros(max(height, width))
    field, training = computed(network), network.training
    network.eval()
    try:
        for some, image in zip(
            np.array_split(np.arange(pixels), len(images)), images.split(1), strict=True
        ):
            if not len(some):
                continue
            image = image.detach().clone().requires_grad_()
            output = network(image)
            for _ in some:
                y, x = (_drawn(side, field, network.stride, rng) for side in (height, width))
                (gradient,) = torch.autograd.grad(output[0, 0, y, x], image, retain_graph=True)
                energy += _energy_by_distance(gradient[0, 0].double().numpy(), y, x, len(energy))
    finally:
        network.train(training)
    if not energy.any():
        return 0.0
    inside = np.concatenate([[0.0], np.cumsum(energy) / energy.sum()])
    sides = np.concatenate([[0.0], 2.0 * np.arange(len(energy)) + 1])
    # The first ring that reaches the share; beyond the last energy all parts are equal.
    ring = int(np.searchsorted(inside, min(share, inside[-1])))
    return float(np.interp(share, inside[ring - 1 : ring + 1], sides[ring - 1 : ring + 1]))


def _drawn(side: int, field: int | None, stride: int, rng: np.random.Generator) -> int:
    """Draw one coordinate of an output pixel."""
    margin = side // 4 if field is None or field + stride > side else field // 2
    return int(rng.integers(margin, side - margin))


def _energy_by_distance(gradient: np.ndarray, y: int, x: int, length: int) -> np.ndarray:
    """Sum squared gradients at each distance max(|dy|, |dx|) from a pixel."""
    dy = np.abs(np.arange(gradient.shape[0]) - y)[:, None]
    dx = np.abs(np.arange(gradient.shape[1]) - x)[None, :]
    return np.bincount(np.maximum(dy, dx).ravel(), (gradient**2).ravel(), length)


def _linearised(network: nn.Module) -> nn.Module:
    """Return a copy that sums what the network can see."""
    linear = copy.deepcopy(network).float()
    for module in linear.modules():
        for name, child in module.named_children():
            if isinstance(child, Rectifier | Normalise | nn.LayerNorm):
                setattr(module, name, nn.Identity())
            elif isinstance(child, Pool):
                setattr(module, name, nn.AvgPool2d(2))
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            with torch.no_grad():
                # Equal positive weights that keep the size of the signal: far paths must not
                # underflow.
                module.weight.fill_(1 / module.weight[0].numel())
                if module.bias is not None:
                    module.bias.zero_()
    return linear
