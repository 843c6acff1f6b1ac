"""The U-Net with dilated convolutions, "DURR"."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from lowdose.config_networks import DurrSpec
from lowdose.denoisers.networks.layers import (
    Chain,
    Convolution,
    Interval,
    Normalise,
    Rectifier,
    Shuffle,
    Unshuffle,
    precise,
)


class TransposedConvolution(nn.ConvTranspose2d):
    """A transposed 4 x 4 convolution to twice the sides, whose border repeats the edge pixel."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        # The border pixel that `forward` adds becomes two pixels, which go with the usual one.
        super().__init__(inputs, outputs, 4, stride=2, padding=3, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(functional.pad(x, (1,) * 4, mode="replicate"))

    def seen(self, span: Interval) -> Interval:
        """Return the span of inputs that a span of outputs depends on (one axis)."""
        # Output i = 2 j + k - 1 with k = 0..3, of input j.
        return (span[0] - 1) // 2, (span[1] + 1) // 2


class Durr(nn.Module):
    """U-Net of Zhang et al. 2018 (arXiv 1805.07709) as Mohan et al. (2020) compare with it.

    One halving by a strided convolution, dilations of 2 and 4 at half the sides, a transposed
    convolution back up and one concatenated skip: a field of 45 x 45 pixels from one output
    phase, 46 in the union of both.

    Parameters
    ----------
    spec : DurrSpec
        Channels, stem, normalisation, biases.
    """

    def __init__(self, spec: DurrSpec) -> None:
        super().__init__()
        self.spec = spec
        self.vacuum = 0 if spec.bias_free else 1
        fine, coarse, image = spec.channels, 2 * spec.channels, spec.stem**2
        bias = not spec.bias_free
        self.entrance = Chain(
            Unshuffle(spec.stem),
            Convolution(image, fine, 5, bias=bias), Rectifier(),
            Convolution(fine, fine, bias=bias), *self._activation(fine),
        )  # fmt: skip
        self.below = Chain(
            Convolution(fine, coarse, stride=2, bias=bias), *self._activation(coarse),
            Convolution(coarse, coarse, bias=bias), *self._activation(coarse),
            Convolution(coarse, coarse, dilation=2, bias=bias), *self._activation(coarse),
            Convolution(coarse, coarse, dilation=4, bias=bias), *self._activation(coarse),
            TransposedConvolution(coarse, coarse, bias=bias), *self._activation(coarse),
        )  # fmt: skip
        self.exit = Chain(
            Convolution(coarse + fine, fine, bias=bias), *self._activation(fine),
            Convolution(fine, image, 5, bias=bias),
            Shuffle(spec.stem),
        )  # fmt: skip

    @property
    def stride(self) -> int:
        """Side lengths of an input must be multiples of this [pixels]."""
        return self.spec.stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map relative counts (n, 1, y, x) to the relative expectation of the same shape."""
        skip = self.entrance(x - self.vacuum)
        x = self.exit(torch.cat([self.below(skip), skip], dim=1))
        return precise(x) + self.vacuum

    def seen(self, span: Interval) -> Interval:
        """Return the span of input pixels that a span of output pixels depends on."""
        span = self.exit.seen(span)
        below = self.below.seen(span)
        return self.entrance.seen((min(span[0], below[0]), max(span[1], below[1])))

    def _activation(self, width: int) -> list[nn.Module]:
        norm = [Normalise(width, bias_free=self.spec.bias_free)] if self.spec.norm else []
        return [*norm, Rectifier()]
