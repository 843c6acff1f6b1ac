"""What U-Nets with pooling and concatenated skips share."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from lowdose.denoisers.networks.layers import Chain, Interval, Pool, precise


class PooledUNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) between an entrance and an exit.

    Parameters
    ----------
    spec : UNetSpec or PaperUNetSpec
        For the stride and whether it is free of biases.
    entrance, exit : Chain
        From the image to the finest level, and back.
    down : iterable of Chain
        Layers of each level, finest first; the last is the lowest level.
    up : iterable of Chain
        Layers behind each level's concatenation of what comes from below with its skip.
    upsample : torch.nn.Module
        Doubles the sides.
    """

    def __init__(
        self,
        spec,
        *,
        entrance: Chain,
        down: Iterable[Chain],
        up: Iterable[Chain],
        upsample: nn.Module,
        exit: Chain,
    ) -> None:
        super().__init__()
        self.spec = spec
        # With biases the network learns the deviation from the vacuum, which is 1; without, a
        # constant would break f(a x) = a f(x).
        self.vacuum = 0 if spec.bias_free else 1
        self.entrance = entrance
        self.down = nn.ModuleList(down)
        self.pool = Pool()
        self.upsample = upsample
        self.up = nn.ModuleList(up)
        self.exit = exit

    @property
    def stride(self) -> int:
        """Side lengths of an input must be multiples of this [pixels]."""
        return self.spec.stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map relative counts (n, 1, y, x) to the relative expectation of the same shape."""
        x = self.entrance(x - self.vacuum)
        skips = []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)
            skips.append(x)
        for level in reversed(range(len(self.up))):
            x = self.up[level](torch.cat([self.upsample(x), skips[level]], dim=1))
        return precise(self.exit(x)) + self.vacuum

    def seen(self, span: Interval) -> Interval:
        """Return the span of input pixels that a span of output pixels depends on."""
        return self.entrance.seen(self._latent(self.exit.seen(span), 0))

    def _latent(self, span: Interval, level: int) -> Interval:
        """Span at the input of a level's blocks for a span at its output."""
        if level == len(self.up):
            return self.down[level].seen(span)
        span = self.up[level].seen(span)
        below = self.pool.seen(self._latent(self.upsample.seen(span), level + 1))
        joined = (min(span[0], below[0]), max(span[1], below[1]))
        return self.down[level].seen(joined)
