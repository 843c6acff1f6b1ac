"""DnCNN: a plain stack of convolutions."""

from __future__ import annotations

import torch
from torch import nn

from lowdose.config_networks import DnCNNSpec
from lowdose.denoisers.networks.layers import (
    Chain,
    Convolution,
    Interval,
    Shuffle,
    Unshuffle,
    convolutions,
    precise,
)


class DnCNN(nn.Module):
    """DnCNN (Zhang et al. 2017) without its residual.

    Vincent et al. (2021) use 20 layers of 64 channels, whose field is 41 x 41 pixels, with the
    batch normalisation of the inner layers.

    Parameters
    ----------
    spec : DnCNNSpec
        Layers, channels, stem, normalisation, biases.
    """

    def __init__(self, spec: DnCNNSpec) -> None:
        super().__init__()
        self.spec = spec
        self.vacuum = 0 if spec.bias_free else 1
        width, free = spec.channels, spec.bias_free
        self.body = Chain(
            Unshuffle(spec.stem),
            convolutions([spec.stem**2, width], bias_free=free),
            convolutions([width] * (spec.layers - 1), bias_free=free, norm=spec.norm),
            Convolution(width, spec.stem**2, bias=not free),
            Shuffle(spec.stem),
        )

    @property
    def stride(self) -> int:
        """Side lengths of an input must be multiples of this [pixels]."""
        return self.spec.stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map relative counts (n, 1, y, x) to the relative expectation of the same shape."""
        return precise(self.body(x - self.vacuum)) + self.vacuum

    def seen(self, span: Interval) -> Interval:
        """Return the span of input pixels that a span of output pixels depends on."""
        return self.body.seen(span)
