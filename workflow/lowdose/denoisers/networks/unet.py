"""U-Net at the resolution of a pixel-unshuffled image."""

from __future__ import annotations

import torch
from torch import nn

from lowdose.config_networks import UNetSpec
from lowdose.denoisers.networks.layers import (
    Chain,
    Convolution,
    Interval,
    Pool,
    Rectifier,
    Shuffle,
    Unshuffle,
    Upsample,
    convolutions,
)


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) with space-to-depth entrance and exit.

    Vincent et al. (2021) run their U-Net at full resolution; the images are oversampled four
    to six times, so that a `stem` of 4 loses nothing and saves fifteen sixteenths of the work.

    Parameters
    ----------
    spec : UNetSpec
        Scales, widths, convolutions a level, stem.
    """

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        self.spec = spec
        widths, n = spec.widths, spec.convolutions
        self.entrance = Chain(
            Unshuffle(spec.stem), Convolution(spec.stem**2, widths[0]), Rectifier()
        )
        self.down = nn.ModuleList(
            convolutions(widths[max(level - 1, 0)], widths[level], n)
            for level in range(spec.scales + 1)
        )
        self.pool = Pool()
        self.upsample = Upsample()
        self.up = nn.ModuleList(
            convolutions(widths[level + 1] + widths[level], widths[level], n)
            for level in range(spec.scales)
        )
        self.exit = Chain(Convolution(widths[0], spec.stem**2, size=1), Shuffle(spec.stem))

    @property
    def stride(self) -> int:
        """Side lengths of an input must be multiples of this [pixels]."""
        return self.spec.stem * 2**self.spec.scales

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map relative counts (n, 1, y, x) to the relative expectation of the same shape."""
        mean = x.new_ones(())  # the vacuum: the network learns the deviation from it
        x = self.entrance(x - mean)
        skips = []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)
            skips.append(x)
        for level in reversed(range(self.spec.scales)):
            x = self.up[level](torch.cat([self.upsample(x), skips[level]], dim=1))
        return self.exit(x) + mean

    def seen(self, span: Interval) -> Interval:
        """Return the span of input pixels that a span of output pixels depends on."""
        return self.entrance.seen(self._latent(self.exit.seen(span), 0))

    def _latent(self, span: Interval, level: int) -> Interval:
        """Span at the input of a level's blocks for a span at its output."""
        if level == self.spec.scales:
            return self.down[level].seen(span)
        span = self.up[level].seen(span)
        below = self.pool.seen(self._latent(self.upsample.seen(span), level + 1))
        joined = (min(span[0], below[0]), max(span[1], below[1]))
        return self.down[level].seen(joined)
