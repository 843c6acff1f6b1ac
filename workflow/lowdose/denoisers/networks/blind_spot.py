"""A network whose output at a pixel depends on every nearby pixel but that one.

After Laine, Karras, Lehtinen and Aila, NeurIPS 2019, arXiv:1901.10277: convolutions that see half a
plane, run over the image in four rotations and joined pixel by pixel.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Upward(nn.Module):
    """A 3 x 3 convolution and a rectifier that see the pixel's row and the two rows above."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = functional.pad(x, (1, 1, 2, 0))
        return functional.leaky_relu(self.convolution(seen), 0.1)


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
                x = functional.avg_pool2d(_moved(x), 2)
            x = layers(x)
            skips.append(x)
        x = skips.pop()
        for layers in reversed(self.up):
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = layers(torch.cat([x, skips.pop()], dim=1))
        return _moved(x)


class BlindSpot(nn.Module):
    """Maps (n, 1, y, x) to (n, outputs, y, x) without looking at the pixel itself.

    Parameters
    ----------
    outputs : int
        Numbers a pixel.
    width : int
        Channels.
    scales : int
        2 x 2 poolings.
    """

    def __init__(self, outputs: int = 2, width: int = 24, scales: int = 3) -> None:
        super().__init__()
        self.stride = 2**scales
        self.above = HalfPlane(width, scales)
        self.join = nn.Sequential(
            nn.Conv2d(4 * width, 2 * width, 1), nn.LeakyReLU(0.1),
            nn.Conv2d(2 * width, width, 1), nn.LeakyReLU(0.1),
            nn.Conv2d(width, outputs, 1),
        )  # fmt: skip
        nn.init.zeros_(self.join[-1].weight)
        nn.init.zeros_(self.join[-1].bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        # Zeros beyond the border: a mirrored copy of the pixel would be a look at it.  Square, so
        # that all rotations go through the layers at once.
        side = max(height, width) + -max(height, width) % self.stride
        x = functional.pad(x, (0, side - width, 0, side - height))
        turned = torch.cat([torch.rot90(x, turns, (2, 3)) for turns in range(4)])
        parts = self.above(turned.contiguous(memory_format=torch.channels_last)).chunk(4)
        parts = [torch.rot90(part, -turns, (2, 3)) for turns, part in enumerate(parts)]
        joined = torch.cat(parts, dim=1)[..., :height, :width]
        return self.join(joined.contiguous(memory_format=torch.channels_last))


def _moved(x: torch.Tensor) -> torch.Tensor:
    """Move an image down by a row."""
    return functional.pad(x, (0, 0, 1, 0))[..., :-1, :]
