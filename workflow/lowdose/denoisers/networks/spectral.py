"""Learned Wiener filtering: which spatial frequencies to keep, seen from their power nearby."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lowdose.denoisers.networks.layers import Interval, Rectifier, in_pieces

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
        if not in_pieces():
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
        number, channels, side = windows.shape[:3], x.shape[1], self.window
        cosines, sines = self.cosines.to(x.dtype), self.sines.to(x.dtype)
        half = side // 2 + 1
        windows = windows.flatten(0, 3)
        even, odd = ((m[:, :half].T @ windows).flatten(0, 1) for m in (cosines, sines))
        real = torch.addmm(odd @ -sines, even, cosines)
        minus_imaginary = torch.addmm(odd @ cosines, even, sines)
        gain = self._gain(*(part.view(-1, channels, half * side) for part in
                            (real, minus_imaginary))).view(real.shape)  # fmt: skip
        real, minus_imaginary = real * gain, minus_imaginary * gain
        even = torch.addmm(minus_imaginary @ sines.T, real, cosines.T)
        odd = torch.addmm(minus_imaginary @ cosines.T, real, -sines.T)
        both = torch.cat([part.view(-1, half, side) for part in (even, odd)], dim=1)
        windows = (self.synthesis.to(x.dtype) @ both).view(*number, channels, side, side)
        return self._add(windows)

    def _gain(self, real: torch.Tensor, imaginary: torch.Tensor) -> torch.Tensor:
        """Return the gain of each frequency, from the power there, around and in all channels.

        Parameters
        ----------
        real, imaginary : tensor (window, channel, frequency along y and x)
        """
        power = torch.log(torch.addcmul(real * real + LEAST_POWER, imaginary, imaginary))
        plane = power.unflatten(2, (-1, self.window))
        near = power + self.neighbours(plane).flatten(2)
        hidden = self.rectifier(_pointwise(self.hidden, near))
        return torch.sigmoid(_pointwise(self.gain, hidden))

    def _add(self, windows: torch.Tensor) -> torch.Tensor:
        """Add windows (image, row, column, channel, y, x) where they overlap."""
        step = self.overlap
        # Along rows first, as strips are added: the order of a sum rounds it.
        x = _overlapped(windows.unflatten(5, (3, step)), dim=2, third=5)
        x = _overlapped(x.unflatten(4, (3, step)), dim=1, third=4)
        return x.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def _pointwise(convolution: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """Apply a 1 x 1 convolution to (n, channel, place) as the product that it is."""
    # Not `weight @ x`, which torch folds into one product of the transpose, and copies twice.
    weight = convolution.weight.flatten(1).to(x.dtype).expand(x.shape[0], -1, -1)
    return torch.baddbmm(convolution.bias.to(x.dtype)[:, None], weight, x)


def _cut(x: torch.Tensor, dim: int, third: int) -> torch.Tensor:
    """Return (..., window, pixel, ...) for the pixels along `dim`: an odd number of thirds."""
    x = x.unflatten(dim, (-1, third))
    number = x.shape[dim] // 2
    pairs, end = x.split([2 * number, 1], dim)
    begins, middles = pairs.unflatten(dim, (number, 2)).unbind(dim + 1)
    # The last third of a window is the first one of the next window.
    _, others = begins.split([1, number - 1], dim)
    return torch.cat([begins, middles, torch.cat([others, end], dim)], dim + 1)


def _overlapped(windows: torch.Tensor, dim: int, third: int) -> torch.Tensor:
    """Add windows along `dim`, of which thirds lie along `third` > `dim`; return all thirds."""
    first, middle, last = windows.unbind(third)
    outside = torch.zeros_like(first.narrow(dim, 0, 1))
    shared = torch.cat([first, outside], dim) + torch.cat([outside, last], dim)
    begins, end = shared.split([middle.shape[dim], 1], dim)
    return torch.cat([torch.stack([begins, middle], dim + 1).flatten(dim, dim + 1), end], dim)


def _matrices(window: int) -> dict[str, torch.Tensor]:
    """Return cosines, sines (place, frequency) and synthesis (place, cosines and sines).

    Orthonormal Fourier series, tapered along the place.  A real image's series is known from
    half of its frequencies along y; in the synthesis all of them but the first and the last
    stand for two.
    """
    ramp = torch.sin(math.pi / 2 * (torch.arange(window // 3) + 0.5) / (window // 3))
    taper = torch.cat([ramp, torch.ones(window // 3), ramp.flip(0)])[:, None]
    place = torch.arange(window)
    angle = place[:, None] * (place.double() * (2 * math.pi / window))
    cosines, sines = (window**-0.5 * taper * wave for wave in (angle.cos(), angle.sin()))
    half = window // 2 + 1
    twice = torch.full((half,), 2.0, dtype=torch.float64)
    twice[[0, -1]] = 1
    synthesis = torch.cat([twice * cosines[:, :half], twice * sines[:, :half]], dim=1)
    matrices = {"cosines": cosines, "sines": sines, "synthesis": synthesis}
    return {name: matrix.float() for name, matrix in matrices.items()}
