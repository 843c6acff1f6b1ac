"""The configuration of what adapting a network to single frames gains."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lowdose.config_world import Name, Strict


class Adaptation(Strict):
    """Frames that leave the training world, to which the networks of the package are adapted."""

    frames: int = Field(0, ge=0, description="frames of each case (0: the study does not ask)")
    crop_px: int = Field(384, ge=128, description="side of what is cut out of a frame [pixels]")
    steps: int = Field(40, ge=1, le=1000, description="most optimiser steps a frame")
    material: Name | None = Field(
        None, description="another material: the file `config/NAME.yaml` that describes it"
    )
    material_c1_nm: float = Field(8.0, description="defocus C1 of its frames [nm]")
    photographs_px: Annotated[int, Field(ge=64)] = Field(
        256, description="side of what is cut out of photographs [pixels]"
    )
    photographs_steps: int = Field(
        600, ge=1, description="training steps of the small network for photographs"
    )
