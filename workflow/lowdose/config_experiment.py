"""The configuration of the experiment: microscope files that become part of the study."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lowdose.config_world import Name, Positive, Strict


class Recording(Strict):
    """One microscope file, and what it does not say itself."""

    file: str = Field(min_length=1, description="path, from where the study runs")
    pixel_size_nm: Positive | None = Field(
        None, description="pixel size [nm] (default: the file's)"
    )
    gain: float | None = Field(
        None, description="electrons per stored unit (default: the file's, or estimated)"
    )
    offset: float | None = Field(None, description="stored value of no electrons")
    signal: Annotated[int, Field(ge=1)] | None = Field(
        None, description="which of several images of a file, from 1"
    )
    frames: Annotated[str, Field(pattern=r"^\d*:\d*$")] | None = Field(
        None, description="which frames of a stack, `START:STOP` from 0"
    )
    bin: int = Field(1, ge=1, description="pixels along each side that are summed first")
    align: bool = Field(False, description="take out the drift of a stack")
    sum: int = Field(1, ge=1, description="frames of each running sum")


class Experiment(Strict):
    """Recordings without truth: denoised, their columns weighed, all denoisers compared."""

    files: dict[Name, Recording] = Field({}, description="by name, which their results bear")
    denoiser: Name = Field("general", description="network of the package for page and columns")
    compared_frames: int = Field(
        2, ge=1, description="frames of a stack on which all denoisers are compared"
    )
