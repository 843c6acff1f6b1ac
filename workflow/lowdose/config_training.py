"""The configuration of training: what a network is shown, and how it learns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lowdose.config_networks import NetworkSpec
from lowdose.config_world import (
    Contrast,
    Defect,
    Family,
    NotNegative,
    Positive,
    PositiveRange,
    Range,
    Strict,
)

# Beyond these no column can be told, or a crop would be drawn on billions of detector pixels.
SMALLEST_PIXEL_NM, LARGEST_PIXEL_NM = 0.001, 0.05


class TrainingSet(Strict):
    """Which models, optics and doses a network is shown."""

    contrast: Contrast = Field("white", description="contrast class")
    families: list[Family] | None = Field(None, min_length=1, description="families (default: all)")
    defects: list[Defect] | None = Field(None, min_length=1, description="defects (default: all)")
    layers: list[int] | None = Field(
        None, min_length=1, description="support thicknesses (default: all)"
    )
    largest_tilt_deg: NotNegative | None = Field(None, description="largest tilt (default: any)")
    c1_nm: Range = Field((0.0, 20.0), description="range of C1 [nm]")
    c1_jitter_nm: NotNegative = Field(0.5, description="uniform jitter of C1 [nm]")
    dose_e_per_px: PositiveRange = Field(
        (0.45, 0.45), description="range of the dose, log-uniform [e/pixel in vacuum]"
    )
    contrast_factor_jitter: Annotated[float, Field(ge=0, lt=0.9)] = Field(
        0.15, description="relative range of the contrast factor, uniform"
    )
    rotation_deg: Annotated[float, Field(ge=0, le=180)] = Field(
        180.0, description="largest rotation of a crop, either way [degrees]"
    )
    scale_jitter: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        0.05, description="relative range of the pixel size, uniform"
    )
    contrast_factor: PositiveRange | None = Field(
        None,
        description="range of the contrast factor, log-uniform (default: the camera's, jittered)",
    )
    focal_spread_nm: PositiveRange | None = Field(
        None, description="range of the focal spread, uniform [nm] (default: that of `optics`)"
    )
    mtf_nyquist: PositiveRange | None = Field(
        None, description="range of the modulation transfer at Nyquist, uniform (default: `camera`)"
    )
    vibration_nm: Range | None = Field(
        None, description="range of the rms vibration, uniform [nm] (default: that of `camera`)"
    )
    drift_nm: NotNegative = Field(
        0.0, description="largest drift during the exposure, in any direction [nm]"
    )
    c3_jitter_um: NotNegative = Field(0.0, description="uniform jitter of C3 [µm]")
    c12_nm: NotNegative = Field(
        0.0, description="largest twofold astigmatism, in any direction [nm]"
    )
    c21_nm: NotNegative = Field(0.0, description="largest axial coma, in any direction [nm]")
    c23_nm: NotNegative = Field(
        0.0, description="largest threefold astigmatism, in any direction [nm]"
    )
    level_jitter: Annotated[float, Field(ge=0, lt=0.9)] = Field(
        0.0, description="relative range of the vacuum level, uniform: the dose is not quite known"
    )
    illumination_jitter: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        0.0, description="largest relative slope of the illumination from side to side of a crop"
    )
    pixel_size_nm: PositiveRange | None = Field(
        None,
        description="range of detector pixels, log-uniform, whose counts are resampled to the "
        "camera's pixel for half of the crops [nm]",
    )
    own_pixel_size_nm: Positive | None = Field(
        None,
        ge=SMALLEST_PIXEL_NM,
        le=LARGEST_PIXEL_NM,
        description="pixel size on which the network works [nm]: counts are drawn on the "
        "detector's pixels and resampled to it (default: the camera's)",
    )

    @model_validator(mode="after")
    def _ordered(self) -> TrainingSet:
        for key, value in self:
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{key} must have the smaller value first")
        if self.vibration_nm and self.vibration_nm[0] < 0:
            raise ValueError("vibration_nm must be 0 or more")
        if self.mtf_nyquist and self.mtf_nyquist[1] > 1:
            raise ValueError("mtf_nyquist must be 1 or less")
        low, high = self.pixel_size_nm or (SMALLEST_PIXEL_NM, LARGEST_PIXEL_NM)
        if low < SMALLEST_PIXEL_NM or high > LARGEST_PIXEL_NM:
            raise ValueError(
                f"pixel_size_nm must lie between {SMALLEST_PIXEL_NM} and {LARGEST_PIXEL_NM}"
            )
        return self


class Training(Strict):
    """How a network is trained; a network may override each key under `training`."""

    steps: int = Field(600, ge=1, description="optimiser steps")
    minutes: Positive | None = Field(
        None,
        description="train for this long instead of `steps` [minutes]; a stopped training then "
        "continues, but not bit-identically",
    )
    loss: Literal["mse", "poisson", "counts"] = Field(
        "mse",
        description="squared error of the expectation, its Poisson deviance, or the likelihood of "
        "the noisy counts themselves (architecture blind-spot)",
    )
    optimiser: Literal["adamw", "muon"] = Field(
        "adamw", description="AdamW, or Muon for the convolutions: slower but fewer steps"
    )
    clip: Positive = Field(1.0, description="largest norm of the gradient")
    compile: bool | Literal["cuda"] = Field(
        False, description="translate the network with torch.compile: always, never, or for CUDA"
    )
    batch: int = Field(4, ge=1, le=256, description="crops a step")
    crop_px: int = Field(256, ge=16, le=2048, description="side of a training crop [pixels]")
    learning_rate: Positive = Field(2e-3, description="peak learning rate")
    warmup: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.05, description="share of the steps with rising learning rate; then a cosine"
    )
    weight_decay: NotNegative = Field(1e-4, description="weight decay, decoupled")
    average: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.99,
        description="decay of the running average of the weights (0: none): it spans about "
        "1 / (1 - decay) steps",
    )
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="auto: bf16 where the processor computes it, else fp32"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: a CUDA device where there is one, else the processor"
    )
    threads: int = Field(
        1,
        ge=1,
        description="threads of a training, whatever the machine has: each number sums in an "
        "order of its own",
    )
    save_every_s: Positive = Field(20.0, description="seconds between saved states")
    validate_every: int = Field(100, ge=1, description="steps between validations")
    pool: int = Field(48, ge=1, description="rendered images from which crops are drawn")


class Network(Strict):
    """One network of the sweep."""

    spec: NetworkSpec = Field(discriminator="architecture", description="architecture")
    training: dict[str, float | int | bool | str | None] = Field(
        {},
        description="keys of `training` that differ for this network (`minutes: null`: by steps)",
    )
