"""Architectures as configuration: one class each, discriminated by `architecture`."""

from __future__ import annotations

import abc
import math
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Stem = Literal[1, 2, 4]
Width = Annotated[int, Field(ge=1, le=2048)]
Blocks = Annotated[int, Field(ge=0, le=32)]
BlockKind = Literal["plain", "bottleneck", "convnext", "separable"]
STEM = "side of the pixel-unshuffle at the entrance"
BIAS_FREE = "no additive constant anywhere, so that f(a x) = a f(x) (Mohan et al. 2020)"

# What `field_estimate` says of a network that sees the whole frame.
WHOLE_FRAME_PX = 2**40


class _Architecture(BaseModel):
    """What an architecture tells about itself without being built."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Module and class.  Named, not imported: a network's training depends on its own architecture,
    # and adding one retrains nothing.
    network: ClassVar[tuple[str, str]]
    deepened_by: ClassVar[str] = ""  # the key that sets the number of halvings, in the plural
    losses: ClassVar[tuple[str, ...]] = ("mse", "poisson")  # from which it can learn

    @property
    def halvings(self) -> int:
        """How often the sides are halved behind the stem."""
        return 0

    @property
    def stride(self) -> int:
        """Side lengths of an input must be multiples of this [pixels]."""
        return self.stem * 2**self.halvings

    @abc.abstractmethod
    def widening(self) -> list[int] | None:
        """Pixels of each level (finest first) by which its layers widen the field, both sides.

        A k x k convolution of dilation d widens by d (k - 1), linear interpolation to twice the
        sides by 2 of the finer pixels.  None if a layer sees the whole frame.
        """

    def problem(self) -> str | None:
        """Say which keys contradict each other, or None."""
        return None


class DnCNNSpec(_Architecture):
    """DnCNN (Zhang et al. 2017): a plain stack of 3 x 3 convolutions."""

    network: ClassVar = ("lowdose.denoisers.networks.dncnn", "DnCNN")
    architecture: Literal["dncnn"]
    layers: int = Field(20, ge=2, le=64, description="convolutions; the field is 2 layers + 1")
    channels: int = Field(64, ge=1, le=1024, description="channels of the hidden layers")
    stem: Stem = Field(1, description=STEM)
    norm: bool = Field(False, description="batch normalisation behind the inner convolutions")
    bias_free: bool = Field(False, description=BIAS_FREE)

    def widening(self) -> list[int]:
        return [2 * self.layers]


class DurrSpec(_Architecture):
    """U-Net of arXiv 1805.07709 with one halving and dilated convolutions."""

    network: ClassVar = ("lowdose.denoisers.networks.durr", "Durr")
    architecture: Literal["durr"]
    channels: int = Field(32, ge=1, le=1024, description="channels; twice as many at half size")
    stem: Stem = Field(1, description=STEM)
    norm: bool = Field(True, description="batch normalisation behind the inner convolutions")
    bias_free: bool = Field(False, description=BIAS_FREE)

    @property
    def halvings(self) -> int:
        return 1

    def widening(self) -> list[int]:
        # Down: 5 x 5, 3 x 3, and of the strided 3 x 3 what it sees beyond a 2 x 2; up: the
        # transposed 4 x 4 sees as far as an interpolation, then 3 x 3 and 5 x 5.
        return [4 + 2 + 1 + 2 + 2 + 4, 2 * (1 + 2 + 4)]


class PaperUNetSpec(_Architecture):
    """U-Net of Vincent et al. (2021)."""

    network: ClassVar = ("lowdose.denoisers.networks.paper_unet", "PaperUNet")
    deepened_by: ClassVar[str] = "scales"
    architecture: Literal["paper-unet"]
    scales: int = Field(4, ge=2, le=6, description="number of 2 x 2 poolings")
    base: int = Field(128, ge=1, le=256, description="channels of the finest level")
    bias_free: bool = Field(False, description=BIAS_FREE)
    stem: Stem = Field(1, description=STEM)

    @property
    def halvings(self) -> int:
        return self.scales

    def widening(self) -> list[int]:
        return [4 + 4 + 2] * self.scales + [4]


class UNetSpec(_Architecture):
    """U-Net with `scales` poolings; `stem` 4 runs every layer on 1/16 of the pixels."""

    network: ClassVar = ("lowdose.denoisers.networks.unet", "UNet")
    deepened_by: ClassVar[str] = "scales"
    architecture: Literal["unet"]
    scales: int = Field(4, ge=0, le=7, description="number of 2 x 2 poolings")
    widths: list[Width] = Field(
        [48, 64, 96, 128, 128], description="channels of each level, scales + 1 of them"
    )
    convolutions: int = Field(2, ge=1, le=8, description="3 x 3 convolutions a level and side")
    stem: Stem = Field(4, description=STEM)
    bias_free: bool = Field(False, description=BIAS_FREE)

    @property
    def halvings(self) -> int:
        return self.scales

    def widening(self) -> list[int]:
        side = 2 * self.convolutions
        levels = [2 * side] * self.scales + [side]
        return [levels[0] + 2, *levels[1:]]  # the entrance

    def problem(self) -> str | None:
        return _miscounted(f"{self.scales} scales need", "widths", self.scales + 1, self.widths)


class ResUNetSpec(_Architecture):
    """Residual U-Net: what the release networks are."""

    network: ClassVar = ("lowdose.denoisers.networks.resunet", "ResUNet")
    deepened_by: ClassVar[str] = "widths"
    architecture: Literal["resunet"]
    stem: Literal[1, 2, 4, 6, 8] = Field(4, description=STEM)
    widths: list[Width] = Field(
        [48, 96, 160, 256], min_length=1, max_length=8, description="channels of each level"
    )
    encoder_blocks: list[Blocks] = Field(
        [2, 2, 2, 2], description="residual blocks of each level on the way down"
    )
    decoder_blocks: list[Blocks] = Field(
        [2, 2, 2], description="and on the way up, without the lowest level"
    )
    block: BlockKind = Field("plain", description="kind of the blocks")
    middle: list[Literal["plain", "fourier", "attention"]] = Field(
        [], description="further blocks of the lowest level; the last two see the whole frame"
    )
    gates: list[Annotated[int, Field(ge=0, le=8)]] = Field(
        [],
        description="spectral gates of each level, behind the blocks on the way down and before "
        "those on the way up (default: none)",
    )
    gate_window: int = Field(
        48, ge=6, le=512, multiple_of=6, description="side of their windows [pixels of the level]"
    )
    gate_channels: Width = Field(64, description="channels of their spectra")
    gate_ways: Literal["both", "down", "up"] = Field(
        "both", description="the ways on which there are gates"
    )
    gate_mask: bool = Field(
        False, description="weigh what gates add at each pixel by what the image shows there"
    )
    padding: Literal["replicate", "zeros"] = Field(
        "replicate",
        description="what 3 x 3 convolutions see beyond the frame; zeros train 15 % faster",
    )

    @property
    def halvings(self) -> int:
        return len(self.widths) - 1

    @property
    def _window_thirds(self) -> list[int]:
        """A third of a window's side at each level that has gates [pixels of the image]."""
        third = self.gate_window // 3 * self.stem
        levels = {*self.gate_levels("down"), *self.gate_levels("up")}
        return [third * 2**level for level in sorted(levels)]

    @property
    def grid(self) -> int:
        """Tiles that begin at a multiple of this give what the whole image gives [pixels]."""
        return math.lcm(self.stride, *(2 * third for third in self._window_thirds))

    def smallest_crop(self) -> int:
        """Side of the smallest crop that holds a whole window of each gate [pixels].

        The first window begins a third of its side before the image; it is the second one that
        may lie inside.  Where training cuts all windows, a network comes to rely on that.
        """
        return max((4 * third for third in self._window_thirds), default=1)

    def widening(self) -> list[int] | None:
        if set(self.middle) & {"fourier", "attention"}:
            return None
        each = {"plain": 4, "bottleneck": 2, "convnext": 6, "separable": 6}[self.block]
        levels = [each * (e + d) + 2 for e, d in zip(self.encoder_blocks, self.decoder_blocks,
                                                     strict=False)]  # fmt: skip
        levels.append(each * self.encoder_blocks[-1] + 4 * len(self.middle))
        levels[0] += 2  # the entrance
        # A pixel at the end of a window sees it all.
        for level, number in enumerate(self.gates):
            ways = sum(level in self.gate_levels(way) for way in ("down", "up"))
            levels[level] += ways * number * 2 * (self.gate_window - 1)
        return levels

    def gate_levels(self, way: Literal["down", "up"]) -> list[int]:
        """Return the levels that have gates on the way down or up; the lowest is of the first."""
        if self.gate_ways not in ("both", way):
            return []
        last = len(self.widths) - (way == "up")
        return [level for level, number in enumerate(self.gates[:last]) if number]

    def problem(self) -> str | None:
        n = len(self.widths)
        if "attention" in self.middle and self.widths[-1] % 4:
            fits = -(-self.widths[-1] // 4) * 4
            return (
                "attention needs a last width that is a multiple of 4, but it is "
                f"{self.widths[-1]}; use {fits}"
            )
        counted = {"encoder_blocks": n, "decoder_blocks": n - 1}
        if self.gates:
            counted["gates"] = n
        for key, wanted in counted.items():
            if problem := _miscounted(f"{n} widths need", key, wanted, getattr(self, key)):
                return problem
        return None


class BlindSpotSpec(_Architecture):
    """U-Net with a structural blind spot, which learns from noisy frames alone (loss `counts`)."""

    network: ClassVar = ("lowdose.denoisers.networks.blind_spot", "BlindSpot")
    deepened_by: ClassVar[str] = "scales"
    losses: ClassVar[tuple[str, ...]] = ("counts",)
    architecture: Literal["blind-spot"]
    scales: int = Field(2, ge=0, le=6, description="number of 2 x 2 poolings")
    width: Width = Field(24, description="channels of each level and half-plane")
    # A cell of a stem would have to be blind as a whole: sum pixels by `own_pixel_size_nm` instead.
    stem: ClassVar[int] = 1

    @property
    def halvings(self) -> int:
        return self.scales

    def widening(self) -> list[int]:
        # Two rows a convolution, on one side of each half-plane; a row where one is pooled, and
        # behind the last one.
        levels = [16 + 2] * self.scales + [8]
        return [levels[0] + 2, *levels[1:]]


class UDVDSpec(BaseModel):
    """UDVD (Sheth et al. 2021), which learns from one movie alone and is no part of a sweep."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stem: Stem = Field(1, description=STEM + "; a cell is blind as a whole")
    blind: Literal[1, 3] = Field(1, description="side of the blind area [cells]")
    width: Width = Field(48, description="channels of the encoders; decoders have twice as many")
    between: Width = Field(32, description="channels that the first stage hands to the second")
    convolutions: int = Field(3, ge=2, le=8, description="of a level of the encoders")
    decoder_convolutions: int = Field(4, ge=2, le=8, description="of a level of the decoders")
    published: bool = Field(True, description="without biases, for the squared error")

    @property
    def bias(self) -> bool:
        """Whether its convolutions add constants."""
        return not self.published

    @property
    def stride(self) -> int:
        """Sides of the coarsest pixels [pixels]."""
        return 4 * self.stem


NetworkSpec = DnCNNSpec | DurrSpec | PaperUNetSpec | UNetSpec | ResUNetSpec | BlindSpotSpec

# Architecture -> module and class.
ARCHITECTURES = {
    get_args(spec.model_fields["architecture"].annotation)[0]: spec.network
    for spec in get_args(NetworkSpec)
}


def crop_problem(spec: NetworkSpec, crop_px: int) -> str | None:
    """Say why a network cannot be trained on crops of a side, or None if it can."""
    if (problem := spec.problem()) is not None:
        return problem
    stride = spec.stride
    if isinstance(spec, DnCNNSpec):
        if crop_px % stride:
            return f"stem {stride} needs crops that are a multiple of {stride} px"
        return None
    if crop_px % stride or crop_px < 4 * stride:
        # At fewer than 4 x 4 coarsest pixels a 3 x 3 convolution sees mostly padding.
        fits = max(4 * stride, round(crop_px / stride) * stride)
        of = {"scales": f"{spec.halvings} scales", "widths": f"{spec.halvings + 1} widths"}
        fewer = f" or fewer {spec.deepened_by}" if spec.deepened_by else ""
        return (
            f"{of.get(spec.deepened_by, spec.architecture)} with stem {spec.stem} need crops that "
            f"are a multiple of {stride} px and at least {4 * stride} px, but training.crop_px is "
            f"{crop_px}; use {fits}{fewer}"
        )
    if isinstance(spec, ResUNetSpec) and crop_px < (least := spec.smallest_crop()):
        fits = -(-least // stride) * stride
        return (
            f"gates with windows of {spec.gate_window} px of their level need crops of {least} px "
            f"or more, which hold a whole one, but training.crop_px is {crop_px}; use {fits} or "
            "smaller windows"
        )
    return None


def field_estimate(spec: NetworkSpec) -> int:
    """Return a network's receptive field [pixels] without building it.

    With w_l the widening of level l in its own pixels, each of which is 2^l latent ones or
    ``stem * 2^l`` of the image, the union over all output phases is
    ``stem * sum_l(2^l w_l) + 2 stride - 1``: rounding a position down to the stride costs at
    most ``stride - 1`` pixels on either side, and some phase loses all of it.  Equal to
    :func:`lowdose.denoisers.networks.receptive_field.computed`, which asks the layers; with
    spectral gates, whose windows lie on a grid, not smaller.  Where that says None (the whole
    frame), this is `WHOLE_FRAME_PX`.
    """
    widening = spec.widening()
    if widening is None:
        return WHOLE_FRAME_PX
    latent = sum(2**level * pixels for level, pixels in enumerate(widening))
    return spec.stem * latent + 2 * spec.stride - 1


def _miscounted(needs: str, key: str, wanted: int, given: list[int]) -> str | None:
    if len(given) == wanted:
        return None
    return f"{needs} {wanted} {key}, but {key} has {len(given)}"
