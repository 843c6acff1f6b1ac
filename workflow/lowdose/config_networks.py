"""Architectures as configuration: one class each, discriminated by `architecture`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Architecture(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DnCNNSpec(_Architecture):
    """DnCNN (Zhang et al. 2017): a plain stack of 3 x 3 convolutions."""

    architecture: Literal["dncnn"]
    layers: int = Field(20, ge=2, le=64, description="convolutions; the field is 2 layers + 1")
    channels: int = Field(64, ge=1, le=1024, description="channels of the hidden layers")
    stem: Literal[1, 2, 4] = Field(1, description="side of the pixel-unshuffle at the entrance")


class UNetSpec(_Architecture):
    """U-Net with `scales` poolings; `stem` 4 runs every layer on 1/16 of the pixels."""

    architecture: Literal["unet"]
    scales: int = Field(4, ge=0, le=7, description="number of 2 x 2 poolings")
    widths: list[Annotated[int, Field(ge=1, le=2048)]] = Field(
        [48, 64, 96, 128, 128], description="channels of each level, scales + 1 of them"
    )
    convolutions: int = Field(2, ge=1, le=8, description="3 x 3 convolutions a level and side")
    stem: Literal[1, 2, 4] = Field(4, description="side of the pixel-unshuffle at the entrance")


NetworkSpec = DnCNNSpec | UNetSpec

# Architecture -> module and class.  Named, not imported: a network's training depends on its own
# architecture, and adding one here retrains nothing.
ARCHITECTURES = {
    "dncnn": ("lowdose.denoisers.networks.dncnn", "DnCNN"),
    "unet": ("lowdose.denoisers.networks.unet", "UNet"),
}


def crop_problem(spec: NetworkSpec, crop_px: int) -> str | None:
    """Say why a network cannot be trained on crops of a side, or None if it can."""
    if isinstance(spec, UNetSpec):
        if len(spec.widths) != spec.scales + 1:
            return (
                f"{spec.scales} scales need {spec.scales + 1} widths, but widths has "
                f"{len(spec.widths)}"
            )
        stride = spec.stem * 2**spec.scales
        if crop_px % stride or crop_px < 4 * stride:
            # At fewer than 4 x 4 coarsest pixels a 3 x 3 convolution sees mostly padding.
            fits = max(4 * stride, round(crop_px / stride) * stride)
            return (
                f"{spec.scales} scales with stem {spec.stem} need crops that are a multiple of "
                f"{stride} px and at least {4 * stride} px, but training.crop_px is {crop_px}; "
                f"use {fits} or fewer scales"
            )
    elif crop_px % spec.stem:
        return f"stem {spec.stem} needs crops that are a multiple of {spec.stem} px"
    return None


def field_estimate(spec: NetworkSpec) -> int:
    """Rank networks by their receptive field without building them [pixels, about].

    The exact field comes from :mod:`lowdose.denoisers.networks.receptive_field`; this order
    is enough to name the widest network of a sweep.
    """
    if isinstance(spec, DnCNNSpec):
        return spec.stem * (2 * spec.layers + 1)
    reach = sum(2**level for level in range(spec.scales)) * 2 + 2**spec.scales
    return spec.stem * 2 * spec.convolutions * reach
