"""Residual U-Net at the resolution of a pixel-unshuffled image: the release networks."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from lowdose.config_networks import ResUNetSpec
from lowdose.denoisers.networks.layers import (
    Chain,
    Convolution,
    Downsample,
    Interval,
    Shuffle,
    SmoothUpsample,
    Unshuffle,
    precise,
)
from lowdose.denoisers.networks.residual import block, gate


class ResUNet(nn.Module):
    """U-Net of pre-activation residual blocks (He et al. 2016) with additive skips.

    Strided convolutions go down and linear interpolation comes up, so that nothing is thrown
    away and no checkerboard arises; the identity path runs from the entrance to the exit.

    Parameters
    ----------
    spec : ResUNetSpec
        Stem, widths, blocks and spectral gates of each level, kind of block, padding.
    """

    def __init__(self, spec: ResUNetSpec) -> None:
        super().__init__()
        self.spec = spec
        widths, pairs = spec.widths, list(pairwise(spec.widths))
        self.entrance = Chain(
            Unshuffle(spec.stem), Convolution(spec.stem**2, widths[0], padding=spec.padding)
        )

        def blocks(kinds: list[str], width: int) -> list[nn.Module]:
            return [block(kind, width, spec.padding) for kind in kinds]

        def gates(level: int, way: Literal["down", "up"]) -> list[nn.Module]:
            if level not in spec.gate_levels(way):
                return []
            settings = widths[level], spec.gate_channels, spec.gate_window, spec.gate_mask
            return [gate(*settings) for _ in range(spec.gates[level])]

        # In the encoder a gate sees what the blocks made of the image, and in the decoder the
        # blocks see, beside it, what the gate made of both ways.
        self.encoder = nn.ModuleList(
            Chain(*blocks([spec.block] * n, width), *gates(level, "down"))
            for level, (width, n) in enumerate(zip(widths, spec.encoder_blocks, strict=True))
        )
        self.middle = Chain(*blocks(spec.middle, widths[-1]))
        self.down = nn.ModuleList(Downsample(fine, coarse) for fine, coarse in pairs)
        self.up = nn.ModuleList(
            Chain(Convolution(coarse, fine, size=1), SmoothUpsample()) for fine, coarse in pairs
        )
        self.decoder = nn.ModuleList(
            Chain(*gates(level, "up"), *blocks([spec.block] * n, width))
            for level, (width, n) in enumerate(zip(widths[:-1], spec.decoder_blocks, strict=True))
        )
        self.exit = Chain(Convolution(widths[0], spec.stem**2, size=1), Shuffle(spec.stem))

    @property
    def stride(self) -> int:
        """Side lengths of an input must be multiples of this [pixels]."""
        return self.spec.stride

    @property
    def grid(self) -> int:
        """Tiles that begin at a multiple of this give what the whole image gives [pixels]."""
        return self.spec.grid

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map relative counts (n, 1, y, x) to the relative expectation of the same shape."""
        # The vacuum is 1; the network learns the deviation from it.
        x = self.entrance(x - 1)
        skips = []
        for down, blocks in zip(self.down, self.encoder, strict=False):
            skips.append(blocks(x))
            x = down(skips[-1])
        x = self.middle(self.encoder[-1](x))
        for level in reversed(range(len(self.up))):
            # In place, and no longer held: at the finest level these are the largest maps.
            x = self.up[level](x)
            x += skips.pop()
            x = self.decoder[level](x)
        return precise(self.exit(x)) + 1

    def seen(self, span: Interval) -> Interval:
        """Return the span of input pixels that a span of output pixels depends on."""
        return self.entrance.seen(self._latent(self.exit.seen(span), 0))

    def _latent(self, span: Interval, level: int) -> Interval:
        """Span at the input of a level's blocks for a span at its output."""
        if level == len(self.up):
            return self.encoder[level].seen(self.middle.seen(span))
        span = self.decoder[level].seen(span)
        below = self.down[level].seen(self._latent(self.up[level].seen(span), level + 1))
        joined = (min(span[0], below[0]), max(span[1], below[1]))
        return self.encoder[level].seen(joined)
