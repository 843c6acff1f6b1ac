"""Layers that know which input pixels they see."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

Interval = tuple[int, int]
Padding = Literal["replicate", "zeros"]

# What a span of outputs depends on where the whole frame is seen.
EVERYTHING: Interval = (-(2**40), 2**40)


def precise(x: torch.Tensor) -> torch.Tensor:
    """Return `x` in float32 at least: bfloat16 has steps of 0.008 at 1, where the vacuum is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def in_pieces() -> bool:
    """Say whether large images may go through a layer in pieces, to save memory.

    Not where a gradient needs all of them, nor where the layer is compiled or exported.
    """
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling())


class Convolution(nn.Conv2d):
    """A k x k convolution, k odd, whose output has the input's sides (or 1/stride of them).

    Where the image's vacuum is 1, zeros beyond the border darken it, and the network then spends
    weights on where the border is; repeated edge pixels look like more of the same vacuum, but
    cost a copy of the input.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    size : int
        Side of the kernel, odd [pixels].
    groups, bias, stride, dilation
        As in `torch.nn.Conv2d`.
    padding : {"replicate", "zeros"}
        What lies beyond the border.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int = 3,
        *,
        groups: int = 1,
        bias: bool = True,
        stride: int = 1,
        dilation: int = 1,
        padding: Padding = "replicate",
    ) -> None:
        reach = size // 2 * dilation
        super().__init__(
            inputs, outputs, size, groups=groups, bias=bias, stride=stride, dilation=dilation,
            padding=reach if padding == "zeros" else 0,
        )  # fmt: skip
        self.reach, self.repeats_edges = reach, padding == "replicate" and reach > 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.repeats_edges:
            x = functional.pad(x, (self.reach,) * 4, mode="replicate")
        return super().forward(x)

    def seen(self, span: Interval) -> Interval:
        """Return the span of inputs that a span of outputs depends on (one axis)."""
        return span[0] * self.stride[0] - self.reach, span[1] * self.stride[0] + self.reach


class Normalise(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015), local in evaluation mode.

    Unlike `torch.nn.BatchNorm2d` it counts no batches, so that all its state is floating-point.
    Bias-free (Mohan et al. 2020), it divides by the standard deviation without subtracting the
    mean and adds nothing; its `bias` is then a frozen zero, which is there because the published
    counts of parameters include it.

    Parameters
    ----------
    width : int
        Channels.
    bias_free : bool
        Scale alone.
    """

    momentum, epsilon = 0.1, 1e-5

    def __init__(self, width: int, *, bias_free: bool = False) -> None:
        super().__init__()
        self.bias_free = bias_free
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width), requires_grad=not bias_free)
        self.register_buffer("variance", torch.ones(width))
        if not bias_free:
            self.register_buffer("mean", torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.bias_free:
            return functional.batch_norm(
                x, self.mean, self.variance, self.weight, self.bias, self.training,
                self.momentum, self.epsilon,
            )  # fmt: skip
        variance = self.variance
        if self.training:
            variance = precise(x).var(dim=(0, 2, 3), correction=0)
            with torch.no_grad():
                self.variance.lerp_(variance, self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.epsilon)
        return x * scale.to(x.dtype)[:, None, None]

    def seen(self, span: Interval) -> Interval:
        return span


class Unshuffle(nn.PixelUnshuffle):
    """Space to depth: s x s pixels become channels of one latent pixel; nothing is lost."""

    def seen(self, span: Interval) -> Interval:
        s = self.downscale_factor
        return span[0] * s, span[1] * s + s - 1


class Shuffle(nn.PixelShuffle):
    """Depth to space, the inverse of `Unshuffle`."""

    def seen(self, span: Interval) -> Interval:
        s = self.upscale_factor
        return span[0] // s, span[1] // s


class Pool(nn.MaxPool2d):
    """2 x 2 maximum."""

    def __init__(self) -> None:
        super().__init__(2)

    def seen(self, span: Interval) -> Interval:
        return 2 * span[0], 2 * span[1] + 1


class Upsample(nn.Upsample):
    """Each pixel becomes 2 x 2 equal ones."""

    def __init__(self) -> None:
        super().__init__(scale_factor=2, mode="nearest")

    def seen(self, span: Interval) -> Interval:
        return span[0] // 2, span[1] // 2


class Downsample(nn.Conv2d):
    """A 2 x 2 convolution of every second pixel: halves the sides."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 2, stride=2)

    def seen(self, span: Interval) -> Interval:
        return 2 * span[0], 2 * span[1] + 1


class SmoothUpsample(nn.Upsample):
    """Linear interpolation to twice the sides."""

    def __init__(self) -> None:
        super().__init__(scale_factor=2, mode="bilinear", align_corners=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not x.is_cuda:
            return super().forward(x)
        # torch's own has no deterministic gradient there.
        for axis in (-2, -1):
            side = x.shape[axis]
            before = torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, side - 1)], axis)
            after = torch.cat([x.narrow(axis, 1, side - 1), x.narrow(axis, side - 1, 1)], axis)
            both = torch.stack([torch.lerp(x, other, 0.25) for other in (before, after)], axis)
            # Interleaved: the new axis lies behind the pixels, -2 of x or -1.
            x = both.flatten(axis - 1, axis)
        return x

    def seen(self, span: Interval) -> Interval:
        # Pixel i lies at (i + 1/2) / 2 - 1/2 of the input, between two of its pixels.
        return (span[0] - 1) // 2, (span[1] + 1) // 2


class Rectifier(nn.ReLU):
    """ReLU; sees the pixel itself."""

    def seen(self, span: Interval) -> Interval:
        return span


class Chain(nn.Sequential):
    """Layers one after the other."""

    def seen(self, span: Interval) -> Interval:
        for layer in reversed(self):
            span = layer.seen(span)
        return span


def convolutions(
    widths: list[int], *, size: int = 3, bias_free: bool = False, norm: bool = False
) -> Chain:
    """Return convolutions from each width to the next, each followed by a ReLU.

    Parameters
    ----------
    widths : list of int
        Channels: of the input, and behind each convolution.
    size : int
        Side of the kernels [pixels].
    bias_free : bool
        Nothing is added, neither by convolutions nor by normalisations.
    norm : bool
        Batch normalisation before each ReLU.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers.append(Convolution(inputs, outputs, size, bias=not bias_free))
        if norm:
            layers.append(Normalise(outputs, bias_free=bias_free))
        layers.append(Rectifier())
    return Chain(*layers)
