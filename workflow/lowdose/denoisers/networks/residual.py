"""Blocks that add to their input: convolutional ones, gates, and two that see whole frames."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from lowdose.denoisers.networks.layers import (
    EVERYTHING,
    Chain,
    Convolution,
    Interval,
    Padding,
    Rectifier,
    in_pieces,
    precise,
)
from lowdose.denoisers.networks.spectral import SpectralGate

# Larger images go through a block in strips of about so many pixels: its hidden maps have three
# times the channels of the image, and would need three times its memory.
STRIP_PIXELS = 2**17


class Residual(nn.Module):
    """``x + branch(x)``; the branch's last convolution starts at zero, the block as identity."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.branch = Chain(*layers)
        # A gate's windows lie on a grid, and it takes care of their memory itself.
        self._has_windows = any(isinstance(one, SpectralGate) for one in self.modules())

    @property
    def starts_at_zero(self) -> nn.Conv2d:
        """The convolution that is initialised to zero."""
        return self.branch[-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        strips = self.strips(*x.shape[-2:]) if in_pieces() else []
        if len(strips) <= 1:
            return x + self.branch(x)
        result = torch.empty_like(x)
        for start, stop, first, last in strips:
            added = self.branch(x[..., first:last, :])[..., start - first : stop - first, :]
            torch.add(x[..., start:stop, :], added, out=result[..., start:stop, :])
        return result

    def strips(self, height: int, width: int) -> list[tuple[int, int, int, int]]:
        """Return the strips in which an image is processed, so that the branch needs little.

        Returns
        -------
        list of (start, stop, first, last)
            Output rows from start to stop depend on nothing but input rows from first to last.
        """
        rows = max(1, STRIP_PIXELS // width)
        above, below = self.seen((0, 0))
        if rows >= height or below >= height or self._has_windows:
            return [(0, height, 0, height)]
        return [
            (start, stop, max(start + above, 0), min(stop + below, height))
            for start in range(0, height, rows)
            for stop in (min(start + rows, height),)
        ]

    def seen(self, span: Interval) -> Interval:
        """Return the span of inputs that a span of outputs depends on (one axis)."""
        return self.branch.seen(span)


class ChannelNorm(nn.LayerNorm):
    """Normalises each pixel's channels (Ba et al. 2016): local, so that tiles see what frames do.

    Without it, three convolutions of a channel in a row multiply their gains, and at the
    learning rates that pay the output explodes now and then.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last = x.permute(0, 2, 3, 1)  # channels last in memory: no copy
        with torch.autocast(x.device.type, enabled=False):
            last = functional.layer_norm(
                last, self.normalized_shape, self.weight.to(x.dtype), self.bias.to(x.dtype),
                self.eps,
            )  # fmt: skip
        return last.permute(0, 3, 1, 2)

    def seen(self, span: Interval) -> Interval:
        """Return the span of inputs that a span of outputs depends on (one axis)."""
        return span


class Fourier(nn.Module):
    """Point-wise layers on the spectrum (Chi, Jiang and Mu 2020): a periodic pattern is a peak."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(
            nn.Conv2d(2 * width, 2 * width, 1), nn.ReLU(), nn.Conv2d(2 * width, 2 * width, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        series = torch.fft.rfft2(precise(x), norm="ortho")
        parts = torch.cat([series.real, series.imag], dim=1).to(x.dtype)
        real, imaginary = precise(self.mix(parts)).chunk(2, dim=1)
        series = torch.complex(real, imaginary)
        return torch.fft.irfft2(series, s=x.shape[-2:], norm="ortho").to(x.dtype)

    def seen(self, span: Interval) -> Interval:
        """Return the span of inputs that a span of outputs depends on (one axis)."""
        return EVERYTHING


class Attention(nn.Module):
    """Dot-product attention (Vaswani et al. 2017) between all pixels of the frame."""

    def __init__(self, width: int, heads: int = 4, padding: Padding = "replicate") -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(1, width)
        self.place = Convolution(width, width, groups=width, padding=padding)
        self.ask = nn.Conv2d(width, 3 * width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, width, height, columns = x.shape
        x = self.ask(self.place(self.norm(precise(x)).to(x.dtype)))
        tokens = x.reshape(n, 3, self.heads, width // self.heads, height * columns)
        query, key, value = tokens.transpose(-1, -2).unbind(1)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return mixed.transpose(-1, -2).reshape(n, width, height, columns)

    def seen(self, span: Interval) -> Interval:
        """Return the span of inputs that a span of outputs depends on (one axis)."""
        return EVERYTHING


class Weighed(nn.Module):
    """``layer(into(x))``, each pixel and channel weighed by what the image itself shows there.

    A window that reaches from a crystal into vacuum has its lattice everywhere.
    """

    def __init__(self, width: int, channels: int, layer: SpectralGate) -> None:
        super().__init__()
        self.into, self.layer = Convolution(width, channels, 1), layer
        self.weight = Convolution(width, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.into(x)) * torch.sigmoid(self.weight(x))

    def seen(self, span: Interval) -> Interval:
        """Return the span of inputs that a span of outputs depends on (one axis)."""
        return self.layer.seen(span)


def gate(width: int, channels: int, window: int, mask: bool = False) -> Residual:
    """Return a spectral gate as a residual block; see `SpectralGate`.

    Parameters
    ----------
    width, channels : int
        Channels of the image and of the spectra.
    window : int
        Side of the windows [pixels].
    mask : bool
        Weigh what it adds by what the image shows at each pixel.
    """
    filtering = SpectralGate(channels, window)
    layers = [Convolution(width, channels, 1), filtering]
    if mask:
        layers = [Weighed(width, channels, filtering)]
    return Residual(ChannelNorm(width), *layers, Convolution(channels, width, 1))


def block(kind: str, width: int, padding: Padding = "replicate") -> Residual:
    """Return a residual block.

    Parameters
    ----------
    kind : {"plain", "bottleneck", "convnext", "separable", "fourier", "attention"}
        Two 3 x 3 convolutions; 3 x 3 to twice the width and back by 1 x 1; 7 x 7 of each channel
        and a point-wise perceptron (Liu et al. 2022, without its normalisation); the same with
        three 3 x 3 for one 7 x 7, whose gradient costs a processor a twentieth; and the two that
        see everything.
    width : int
        Channels.
    padding : {"replicate", "zeros"}
        What lies beyond the frame.
    """

    def convolution(inputs: int, outputs: int, size: int = 3, groups: int = 1) -> Convolution:
        return Convolution(inputs, outputs, size, groups=groups, padding=padding)

    if kind == "plain":
        layers = [Rectifier(), convolution(width, width), Rectifier(), convolution(width, width)]
    elif kind == "bottleneck":
        layers = [Rectifier(), convolution(width, 2 * width), Rectifier(),
                  convolution(2 * width, width, 1)]  # fmt: skip
    elif kind == "convnext":
        layers = [convolution(width, width, 7, groups=width),
                  convolution(width, 3 * width, 1), Rectifier(),
                  convolution(3 * width, width, 1)]  # fmt: skip
    elif kind == "separable":
        layers = [*(convolution(width, width, groups=width) for _ in range(3)),
                  ChannelNorm(width), convolution(width, 3 * width, 1), Rectifier(),
                  convolution(3 * width, width, 1)]  # fmt: skip
    elif kind == "fourier":
        layers = [Rectifier(), convolution(width, width, 1), Fourier(width),
                  convolution(width, width, 1)]  # fmt: skip
    else:
        layers = [Attention(width, padding=padding), convolution(width, width, 1)]
    return Residual(*layers)
