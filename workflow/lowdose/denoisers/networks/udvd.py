"""A network whose frame depends on its neighbours in time and space, but not on the pixel itself.

UDVD (Sheth et al., ICCV 2021, arXiv:2011.15045): five frames in, one out; two stages of U-Nets
that see half a plane, turned four ways with the same weights, and joined pixel by pixel.  The
pixel is hidden in all five frames, so that the first frame of a movie may stand in for the one
before it.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from lowdose.config_networks import UDVDSpec
from lowdose.denoisers.networks.blind_spot import DEVIATION, moved
from lowdose.denoisers.networks.layers import precise

FRAMES = 5
REACH = FRAMES // 2  # frames before and behind the one that is estimated
SLOPE = 0.1  # of the rectifiers below 0


class Causal(nn.Module):
    """A 3 x 3 convolution and a leaky rectifier that see the pixel's row and the two above."""

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = self.convolution(functional.pad(x, (1, 1, 2, 0)))
        return functional.leaky_relu(seen, SLOPE, inplace=True)


class Stage(nn.Module):
    """A U-Net of three levels: its answer in a row depends on that row and on rows above it.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    spec : UDVDSpec
    """

    def __init__(self, inputs: int, outputs: int, spec: UDVDSpec) -> None:
        super().__init__()
        width, wide = spec.width, 2 * spec.width

        def chain(*widths: int) -> nn.Sequential:
            return nn.Sequential(*(Causal(a, b, spec.bias) for a, b in pairwise(widths)))

        n, m = spec.convolutions, spec.decoder_convolutions
        self.fine = chain(inputs, *[width] * n)
        self.middle = chain(*[width] * (n + 1))
        self.coarse = chain(width, *[wide] * (n - 1), width)
        self.up_middle = chain(*[wide] * (m + 1))
        self.up_fine = chain(wide + inputs, *[wide] * (m - 1), outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        half = _pooled(self.fine(x))
        quarter = self.coarse(_pooled(self.middle(half)))
        half = self.up_middle(torch.cat([_enlarged(quarter), half], dim=1))
        return self.up_fine(torch.cat([_enlarged(half), x], dim=1))


class UDVD(nn.Module):
    """Maps frames of a movie to their expectation, of which each pixel is estimated from others.

    With a stem of s pixels all layers run on cells of s x s pixels.  A cell is answered as a
    whole, and so must be hidden as a whole: the blind area is the cell that a pixel lies in, or
    (``blind`` 3) the 3 x 3 cells around it.

    Parameters
    ----------
    spec : UDVDSpec
        ``published`` is the network of the paper: no biases, its output as it is, for the squared
        error.  Else what leaves it is the exponential of what its layers say, for the Poisson
        likelihood of the counts (loss ``counts``).
    """

    def __init__(self, spec: UDVDSpec) -> None:
        super().__init__()
        self.spec = spec
        cell, width = spec.stem**2, spec.width
        self.first = Stage(3 * cell, spec.between, spec)
        self.second = Stage(3 * spec.between, 2 * width, spec)
        self.join = nn.Sequential(
            nn.Conv2d(8 * width, 8 * width, 1, bias=spec.bias), nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(8 * width, 2 * width, 1, bias=spec.bias), nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(2 * width, cell, 1, bias=spec.bias),
        )  # fmt: skip

    @property
    def stride(self) -> int:
        """Cells begin at its multiples, and so do what is pooled of them [pixels]."""
        return self.spec.stride

    def forward(self, movie: torch.Tensor) -> torch.Tensor:
        """Estimate all frames but the first two and the last two.

        Parameters
        ----------
        movie : tensor (t, 1, y, x)
            Relative counts of at least five consecutive frames of any size.

        Returns
        -------
        tensor (t - 4, 1, y, x), float32
            Relative expectation.
        """
        height, width = movie.shape[-2:]
        # Zeros, which are vacuum, beyond the border: a mirrored copy would be a look at the pixel.
        x = (movie - 1) / DEVIATION
        x = functional.pad(x, (0, -width % self.stride, 0, -height % self.stride))
        x = functional.pixel_unshuffle(x, self.spec.stem)
        parts = []
        for turns in (0, 1):  # upright and on its side, each with what is opposite to it
            turned = [torch.rot90(x, turns + half, (2, 3)) for half in (0, 2)]
            seen = self._half_planes(turned).chunk(2)
            parts += [torch.rot90(s, -turns - h, (2, 3)) for s, h in zip(seen, (0, 2), strict=True)]
        joined = torch.cat(parts, dim=1).contiguous(memory_format=torch.channels_last)
        said = functional.pixel_shuffle(precise(self.join(joined)), self.spec.stem)
        said = said[..., :height, :width]
        return 1 + DEVIATION * said if self.spec.published else said.exp()

    def _half_planes(self, movies: list[torch.Tensor]) -> torch.Tensor:
        """Return what both stages say of rows above each row, one movie after the other."""
        # Each three neighbours go through the first stage once, whichever frames they serve.
        threes = torch.cat([_neighbours(movie) for movie in movies])
        first = self.first(threes.contiguous(memory_format=torch.channels_last))
        threes = torch.cat([_neighbours(part) for part in first.chunk(len(movies))])
        second = self.second(threes.contiguous(memory_format=torch.channels_last))
        for _ in range((self.spec.blind + 1) // 2):
            second = moved(second)
        return second


def _neighbours(movie: torch.Tensor) -> torch.Tensor:
    """Return each three consecutive frames as channels: (t, c, y, x) to (t - 2, 3 c, y, x)."""
    return torch.cat([movie[:-2], movie[1:-1], movie[2:]], dim=1)


def _pooled(x: torch.Tensor) -> torch.Tensor:
    # Moved by a row first, or a pooled row would show a fine one what is below it.
    return functional.max_pool2d(moved(x), 2)


def _enlarged(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")
