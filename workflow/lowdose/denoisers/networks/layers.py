"""Layers that know which input pixels they see."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

Interval = tuple[int, int]


class Convolution(nn.Conv2d):
    """A k x k convolution whose border repeats the edge pixel.

    Zero padding darkens the border of an image whose vacuum is 1, and the network then spends
    weights on where the border is; repeated edges look like more of the same vacuum.
    """

    def __init__(self, inputs: int, outputs: int, size: int = 3) -> None:
        super().__init__(inputs, outputs, size)
        self.reach = size // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.reach:
            x = functional.pad(x, (self.reach,) * 4, mode="replicate")
        return super().forward(x)

    def seen(self, span: Interval) -> Interval:
        """Return the span of inputs that a span of outputs depends on (one axis)."""
        return span[0] - self.reach, span[1] + self.reach


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


def convolutions(inputs: int, outputs: int, count: int) -> Chain:
    """Return `count` 3 x 3 convolutions, each followed by a ReLU."""
    layers: list[nn.Module] = []
    for i in range(count):
        layers += [Convolution(inputs if i == 0 else outputs, outputs), Rectifier()]
    return Chain(*layers)


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw He-normal weights and zero biases from `generator` (He et al. 2015, ReLU gain).

    The last convolution starts at zero, so that the first output is the vacuum: from a random
    one, whose error is a hundred times larger than the image's contrast, the first steps would
    kill the rectifiers.
    """
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    for module in convolutions:
        if module is convolutions[-1]:
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
        else:
            fan_in = module.in_channels * module.kernel_size[0] * module.kernel_size[1]
            with torch.no_grad():
                module.weight.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
                module.bias.zero_()
