"""U-Net at the resolution of a pixel-unshuffled image."""

from __future__ import annotations

from itertools import pairwise

from lowdose.config_networks import UNetSpec
from lowdose.denoisers.networks.layers import (
    Chain,
    Convolution,
    Rectifier,
    Shuffle,
    Unshuffle,
    Upsample,
    convolutions,
)
from lowdose.denoisers.networks.pooled import PooledUNet


class UNet(PooledUNet):
    """U-Net (Ronneberger et al. 2015) with space-to-depth entrance and exit.

    Vincent et al. (2021) run their U-Net at full resolution; the images are oversampled four
    to six times, so that a `stem` of 4 loses nothing and saves fifteen sixteenths of the work.

    Parameters
    ----------
    spec : UNetSpec
        Scales, widths, convolutions a level, stem, biases.
    """

    def __init__(self, spec: UNetSpec) -> None:
        widths, n, free = spec.widths, spec.convolutions, spec.bias_free
        image = spec.stem**2
        super().__init__(
            spec,
            entrance=Chain(
                Unshuffle(spec.stem), Convolution(image, widths[0], bias=not free), Rectifier()
            ),
            down=[
                convolutions([widths[max(level - 1, 0)], *[widths[level]] * n], bias_free=free)
                for level in range(spec.scales + 1)
            ],
            up=[
                convolutions([coarse + fine, *[fine] * n], bias_free=free)
                for fine, coarse in pairwise(widths)
            ],
            upsample=Upsample(),
            exit=Chain(
                Convolution(widths[0], image, size=1, bias=not free), Shuffle(spec.stem)
            ),
        )  # fmt: skip
