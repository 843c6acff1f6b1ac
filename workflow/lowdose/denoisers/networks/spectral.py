"""Learned Wiener filtering: which spatial frequencies to keep, seen from their power nearby."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lowdose.denoisers.networks.layers import Interval, Rectifier, precise

# Of a spectrum whose noise has about the power 1: keeps the logarithm finite.
LEAST_POWER = 0.01
# How many are filtered at a time where no gradient is wanted.
WINDOWS_AT_ONCE = 32


class SpectralGate(nn.Module):
    """Multiplies the spectrum of each window by a gain that follows from its power.

    A lattice is a few peaks of a spectrum and shot noise is all of it, so that what repeats over
    a window can be told from noise at doses at which no single column can: Wiener's filter, with
    a learned gain.  The gain (0 to 1) depends on the power alone and not on the phase, so that a
    shifted lattice is filtered like an unshifted one.

    Windows overlap by a third of their side.  They are tapered by the square root of Hann's
    window before and behind the transform, which for a gain of 1 returns the input (overlap-add
    after Griffin and Lim 1984), and lie on a grid that begins at the image's first pixel: the
    field is finite, and tiles that begin on the grid give what the whole image gives.  Beyond
    the border the image is continued by zeros.

    The transforms are products with matrices of cosines and sines: at these sides they take a
    fraction of the time of fast transforms, which know no bfloat16.

    Parameters
    ----------
    channels : int
    window : int
        Side of the windows [pixels], a multiple of 6.
    """

    def __init__(self, channels: int, window: int) -> None:
        super().__init__()
        self.window, self.overlap, self.grid = window, window // 3, 2 * window // 3
        self.neighbours = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.hidden = nn.Conv2d(channels, channels, 1)
        self.rectifier = Rectifier()
        self.gain = nn.Conv2d(channels, channels, 1)
        for name, matrix in _matrices(window).items():
            self.register_buffer(name, matrix, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (height, width), ahead = x.shape[-2:], self.overlap
        # Rounded up without negative numbers, which ONNX divides otherwise.
        rows, columns = ((side + ahead - 1) // self.grid + 1 for side in (height, width))
        below, right = rows * self.grid - height, columns * self.grid - width
        padded = functional.pad(x, (ahead, right, ahead, below)).contiguous()
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            result = self._filtered(padded)
        else:
            # A few rows of windows at a time: spectra are several times their image.
            some = max(1, WINDOWS_AT_ONCE // (len(x) * columns))
            result = torch.zeros_like(padded)
            for first in range(0, rows, some):
                last = min(first + some, rows)
                strip = np.s_[..., first * self.grid : last * self.grid + ahead, :]
                result[strip] += self._filtered(padded[strip])
        return result[..., ahead : ahead + height, ahead : ahead + width]

    def seen(self, span: Interval) -> Interval:
        """Return the span of inputs that a span of outputs depends on (one axis)."""
        first, last = span[0] // self.grid, (span[1] + self.overlap) // self.grid
        return first * self.grid - self.overlap, (last + 1) * self.grid - 1

    def _filtered(self, x: torch.Tensor) -> torch.Tensor:
        """Return an image that whole windows cover, each filtered and tapered twice."""
        windows = _cut(_cut(x, 2, self.overlap), 4, self.overlap).permute(0, 2, 4, 1, 3, 5)
        number = windows.shape[:3]
        windows = (windows * self.taper.to(x.dtype)).flatten(0, 2)
        along_y, along_x = self.analysis_y.to(x.dtype), self.analysis_x.to(x.dtype)
        # (window, channel, cosine or sine along y, frequency, cosine or sine along x, frequency)
        parts = self._split((along_y @ windows) @ along_x)
        real = parts[:, :, 0, :, 0] - parts[:, :, 1, :, 1]
        minus_imaginary = parts[:, :, 0, :, 1] + parts[:, :, 1, :, 0]
        gain = self._gain(real, minus_imaginary)
        parts = torch.stack([real * gain, minus_imaginary * gain], dim=2)
        parts = self._split((parts @ along_x).flatten(2, 3))
        half = torch.stack([parts[:, :, 0, :, 0] + parts[:, :, 1, :, 1],
                            parts[:, :, 1, :, 0] - parts[:, :, 0, :, 1]], dim=2)  # fmt: skip
        windows = (self.synthesis_y.to(x.dtype) @ half.flatten(2, 3)) * self.taper.to(x.dtype)
        return self._add(windows.unflatten(0, number))

    def _gain(self, real: torch.Tensor, imaginary: torch.Tensor) -> torch.Tensor:
        """Return the gain of each frequency, from the power there, around and in all channels."""
        power = precise(real).square() + precise(imaginary).square()
        power = torch.log(power + LEAST_POWER).to(real.dtype)
        power = power.contiguous(memory_format=torch.channels_last)
        hidden = self.rectifier(self.hidden(self.neighbours(power) + power))
        return torch.sigmoid(self.gain(hidden)).contiguous()

    def _add(self, windows: torch.Tensor) -> torch.Tensor:
        """Add windows (image, row, column, channel, y, x) where they overlap."""
        step = self.overlap
        # Along rows first, as strips are added: the order of a sum rounds it.
        x = _overlapped(windows.unflatten(5, (3, step)), dim=2, third=5)
        x = _overlapped(x.unflatten(4, (3, step)), dim=1, third=4)
        return x.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)

    @staticmethod
    def _split(parts: torch.Tensor) -> torch.Tensor:
        """Separate cosines from sines along both axes."""
        count, channels, both, side = parts.shape
        return parts.view(count, channels, 2, both // 2, 2, side // 2)


def _cut(x: torch.Tensor, dim: int, third: int) -> torch.Tensor:
    """Return (..., window, pixel, ...) for the pixels along `dim`: an odd number of thirds."""
    x = x.unflatten(dim, (-1, third))
    number = x.shape[dim] // 2
    pairs = x.narrow(dim, 0, 2 * number).unflatten(dim, (number, 2))
    # The last third of a window is the first one of the next window.
    begins = pairs.select(dim + 1, 0).narrow(dim, 1, number - 1)
    ends = torch.cat([begins, x.narrow(dim, 2 * number, 1)], dim)
    return torch.cat([pairs.flatten(dim + 1, dim + 2), ends], dim + 1)


def _overlapped(windows: torch.Tensor, dim: int, third: int) -> torch.Tensor:
    """Add windows along `dim`, of which thirds lie along `third` > `dim`; return all thirds."""
    first, middle, last = windows.unbind(third)
    outside = torch.zeros_like(first.narrow(dim, 0, 1))
    shared = torch.cat([first, outside], dim) + torch.cat([outside, last], dim)
    pairs = torch.stack([shared.narrow(dim, 0, middle.shape[dim]), middle], dim + 1)
    return torch.cat([pairs.flatten(dim, dim + 1), shared.narrow(dim, middle.shape[dim], 1)], dim)


def _matrices(window: int) -> dict[str, torch.Tensor]:
    """Return taper, analysis and synthesis of a window: orthonormal Fourier series.

    A real image's series is known from half of its frequencies along y; in the synthesis all of
    them but the first and the last stand for two.
    """
    half = window // 2 + 1
    angle = torch.arange(window, dtype=torch.float64) * (2 * math.pi / window)
    along_y = torch.arange(half)[:, None] * angle
    along_x = torch.arange(window)[:, None] * angle
    norm = window**-0.5
    twice = torch.full((half,), 2.0, dtype=torch.float64)
    twice[[0, -1]] = 1
    analysis_y = norm * torch.cat([along_y.cos(), along_y.sin()])
    ramp = torch.sin(math.pi / 2 * (torch.arange(window // 3) + 0.5) / (window // 3))
    side = torch.cat([ramp, torch.ones(window // 3), ramp.flip(0)])
    matrices = {
        "taper": side[:, None] * side,
        "analysis_y": analysis_y,
        "analysis_x": norm * torch.cat([along_x.cos(), along_x.sin()], dim=1),
        "synthesis_y": (analysis_y * torch.cat([twice, twice])[:, None]).T.contiguous(),
    }
    return {name: matrix.float() for name, matrix in matrices.items()}
