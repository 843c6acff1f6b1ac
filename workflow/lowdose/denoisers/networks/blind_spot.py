"""A network whose output at a pixel depends on every nearby pixel but that one.

After Laine, Karras, Lehtinen and Aila, NeurIPS 2019, arXiv:1901.10277: convolutions that see half a
plane, run over the image in four rotations and joined pixel by pixel.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from lowdose.config_networks import BlindSpotSpec
from lowdose.denoisers.networks.layers import Interval, Rectifier, precise

# Of relative counts, in what a network is usually given: eleven counts a pixel, that is, the
# camera's pixels summed 5 x 5 at 0.45 electrons.  Its layers get unit deviation.
DEVIATION = 0.3


class Upward(nn.Module):
    """A 3 x 3 convolution and a rectifier that see the pixel's row and the two rows above."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3)
        self.rectifier = Rectifier()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = functional.pad(x, (1, 1, 2, 0))
        return self.rectifier(self.convolution(seen))


class HalfPlane(nn.Module):
    """A U-Net of `Upward` convolutions: what it says of a row depends on rows above it.

    Parameters
    ----------
    width : int
        Channels.
    scales : int
        2 x 2 poolings.
    """

    def __init__(self, width: int, scales: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            nn.Sequential(Upward(width if level else 1, width), Upward(width, width))
            for level in range(scales + 1)
        )
        self.up = nn.ModuleList(
            nn.Sequential(Upward(2 * width, width), Upward(width, width)) for _ in range(scales)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for level, layers in enumerate(self.down):
            if level:
                # Moved by a row first, or a pooled row would show a fine one what is below it.
                x = functional.avg_pool2d(moved(x), 2)
            x = layers(x)
            skips.append(x)
        x = skips.pop()
        for layers in reversed(self.up):
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = layers(torch.cat([x, skips.pop()], dim=1))
        return moved(x)

    def seen(self, span: Interval) -> Interval:
        """Return the rows of the input that rows of the output depend on."""
        row = span[0] - 1
        # Farthest by way of the lowest level: two convolutions of two rows on either way.
        for _ in self.up:
            row = (row - 4) // 2
        row -= 4
        for _ in self.up:
            row = 2 * row - 1 - 4
        return row, span[1] - 1


class BlindSpot(nn.Module):
    """Maps relative counts to the relative expectation without looking at the pixel itself.

    Trained with the Poisson likelihood of the counts that it does not see (loss ``counts``) it
    learns their expectation from noisy frames alone.  What leaves it is the exponential of what
    its layers say, so that it is positive, and the likelihood convex in that.

    Parameters
    ----------
    spec : BlindSpotSpec
        Width and scales.
    """

    def __init__(self, spec: BlindSpotSpec) -> None:
        super().__init__()
        self.spec = spec
        width = spec.width
        self.above = HalfPlane(width, spec.scales)
        self.join = nn.Sequential(
            nn.Conv2d(4 * width, 2 * width, 1), Rectifier(),
            nn.Conv2d(2 * width, width, 1), Rectifier(),
            nn.Conv2d(width, 1, 1),
        )  # fmt: skip

    @property
    def stride(self) -> int:
        """Side lengths of an input must be multiples of this [pixels]."""
        return self.spec.stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map relative counts (n, 1, y, x) of any size to the expectation of the same shape."""
        height, width = x.shape[-2:]
        # Zeros, which are vacuum, beyond the border: a mirrored copy of the pixel would be a look
        # at it.
        x = (x - 1) / DEVIATION
        x = functional.pad(x, (0, -width % self.stride, 0, -height % self.stride))
        parts = []
        for turns in (0, 1):  # upright and on its side, each with what is opposite to it
            turned = torch.cat([torch.rot90(x, turns + half, (2, 3)) for half in (0, 2)])
            seen = self.above(turned.contiguous(memory_format=torch.channels_last)).chunk(2)
            parts += [torch.rot90(s, -turns - h, (2, 3)) for s, h in zip(seen, (0, 2), strict=True)]
        joined = torch.cat(parts, dim=1)[..., :height, :width]
        return precise(self.join(joined.contiguous(memory_format=torch.channels_last))).exp()

    def seen(self, span: Interval) -> Interval:
        """Return the span of input pixels that a span of output pixels depends on."""
        # The half-plane below is that above, upside down.
        highest = self.above.seen((-1 - span[1], -1 - span[0]))
        return self.above.seen(span)[0], -1 - highest[0]


def moved(x: torch.Tensor) -> torch.Tensor:
    """Move an image down by a row."""
    return functional.pad(x, (0, 0, 1, 0))[..., :-1, :]
