"""The U-Net of Vincent et al. (2021)."""

from __future__ import annotations

from lowdose.config_networks import PaperUNetSpec
from lowdose.denoisers.networks.layers import (
    Chain,
    Convolution,
    Shuffle,
    SmoothUpsample,
    Unshuffle,
    convolutions,
)
from lowdose.denoisers.networks.pooled import PooledUNet


class PaperUNet(PooledUNet):
    """U-Net of Vincent et al. (2021), Microsc. Microanal. 27, 1431, found from its counts.

    The parameters of their released networks, 5,613,441 (4 scales, 128 channels, with biases)
    and 70,504,960 (6 scales, bias-free), fix the widths: pairs of 3 x 3 convolutions with batch
    normalisation, 2 x 2 maxima, linear interpolation, concatenated skips, a final 1 x 1.

    Two things differ.  They interpolate with aligned corners, so that what a pixel sees depends
    on its place in the frame; here pixels keep their centres, and the network is the same
    everywhere (up to its stride).  And a `stem` may stand before it.  They label the receptive
    fields of 4 and 6 scales 221 and 893 px; the union over all output phases is 245 and 1013.

    Parameters
    ----------
    spec : PaperUNetSpec
        Scales, channels of the finest level, biases, stem.
    """

    def __init__(self, spec: PaperUNetSpec) -> None:
        n, base, image = spec.scales, spec.base, spec.stem**2
        down, up = level_widths(n)
        options = {"bias_free": spec.bias_free, "norm": True}
        upward = []
        for level in range(n):
            below = up[level + 1] if level + 1 < n else down[n]
            joined = (below + down[level]) * base
            upward.append(convolutions([joined, joined // 2, up[level] * base], **options))
        super().__init__(
            spec,
            entrance=Chain(Unshuffle(spec.stem)),
            down=[
                convolutions([inputs, outputs * base, outputs * base], **options)
                for inputs, outputs in zip(
                    [image, *[width * base for width in down]], down, strict=False
                )
            ],
            up=upward,
            upsample=SmoothUpsample(),
            exit=Chain(
                Convolution(up[0] * base, image, size=1, bias=not spec.bias_free),
                Shuffle(spec.stem),
            ),
        )


def level_widths(scales: int) -> tuple[list[int], list[int]]:
    """Return the channels of each level, finest first, in units of the finest level's.

    Returns
    -------
    down : list of int
        On the way down, ``scales + 1`` of them: 1, 1, 1 and then twice as many a level; the
        lowest has half of that.
    up : list of int
        On the way up, ``scales`` of them: half of the way down.  Nothing is below 1.
    """
    down = [max(1, 2 ** (level - 2)) for level in range(scales)]
    down.append(max(1, 2 ** (scales - 3)))
    return down, [max(1, width // 2) for width in down[:scales]]
