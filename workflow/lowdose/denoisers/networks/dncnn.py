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
)


class DnCNN(nn.Module):
    """DnCNN (Zhang et al. 2017) without batch normalisation and residual.

    Vincent et al. (2021) use 20 layers of 64 channels, whose field is 41 x 41 pixels.

    Parameters
    ----------
    spec : DnCNNSpec
        Layers, channels, stem.
    """

    def __init__(self, spec: DnCNNSpec) -> None:
        super().__init__()
        self.spec = spec
        self.body = Chain(
            Unshuffle(spec.stem),
            convolutions(spec.stem**2, spec.channels, 1),
            convolutions(spec.channels, spec.channels, spec.layers - 2),
            Convolution(spec.channels, spec.stem**2),
            Shuffle(spec.stem),
        )

    @property
    def stride(self) -> int:
        """Side lengths of an input must be multiples of this [pixels]."""
        return self.spec.stem

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map relative counts (n, 1, y, x) to the relative expectation of the same shape."""
        return self.body(x - 1) + 1

    def seen(self, span: Interval) -> Interval:
        """Return the span of input pixels that a span of output pixels depends on."""
        return self.body.seen(span)
