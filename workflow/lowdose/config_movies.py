"""The configuration of simulated movies: what moves, what changes, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from lowdose.config_errors import sentence
from lowdose.config_world import LARGEST_TILT_DEG, NotNegative, Positive, Strict
from lowdose.runtime import UserError

ProcessKind = Literal["adatom", "vacancy", "partial", "corner", "step", "disorder"]
Dwell = Annotated[float, Field(ge=1)]
Angle = Annotated[float, Field(ge=-45, le=45)]
FrameNumber = Annotated[int, Field(ge=0)]


class MovieProcess(Strict):
    """Something of the surface that comes and goes."""

    kind: ProcessKind = Field(
        description="adatom: a column on a facet is there; vacancy: a surface column is gone; "
        "partial: it keeps half of its atoms; corner: the column where two facets meet is gone; "
        "step: half of a facet's outermost row of columns is gone; disorder: the atoms of the "
        "whole surface layer are off their sites"
    )
    sites: int = Field(1, ge=1, description="places that change independently of each other")
    on_frames: Dwell = Field(5.0, description="mean dwell time in the changed state [frames]")
    off_frames: Dwell = Field(8.0, description="mean dwell time in the unchanged state [frames]")
    schedule: list[tuple[FrameNumber, FrameNumber]] | None = Field(
        None,
        description="first and last frame, from 0, of each time in the changed state, instead of "
        "dwell times drawn at random",
    )
    disorder_nm: NotNegative = Field(
        0.05,
        le=0.1,
        description="rms displacement of the atoms of a disordered layer along each axis [nm]",
    )
    configurations: int = Field(
        4,
        ge=1,
        le=50,
        description="random configurations of a disordered layer, one of which each disordered "
        "frame shows",
    )


class MovieSpec(Strict):
    """A simulated movie of one particle, with its truth."""

    base_shape: Annotated[str, Field(pattern=r"^PtNp[1-4][a-z]$")] = Field(
        "PtNp1d", description="base shape of the particle, of structures.base_shapes"
    )
    layers: int = Field(26, ge=2, le=200, description="support thickness in (220) layers")
    tilt_deg: tuple[float, float] = Field(
        (0.0, 0.0), description="tilts that shift columns along x and along y [degrees]"
    )
    frames: int = Field(40, ge=1, le=10000, description="number of frames")
    frame_time_s: Positive = Field(0.025, description="time of a frame [s]")
    side_px: Annotated[int, Field(ge=16)] | None = Field(
        256,
        description="side of the filmed square, which shows the upper left of the particle "
        "[pixels] (null: as much of the whole field as drift and rotation leave)",
    )
    dose_e_per_px: tuple[Positive, Positive] = Field(
        (0.45, 0.45), description="dose of the first and of the last frame [e/pixel in vacuum]"
    )
    c1_nm: tuple[float, float] = Field(
        (8.0, 8.0), description="defocus C1 of the first and of the last frame [nm]"
    )
    drift_nm_per_frame: tuple[float, float] = Field(
        (0.0, 0.0), description="steady drift of what is seen along y (down) and x [nm/frame]"
    )
    jitter_nm: NotNegative = Field(
        0.0,
        description="random walk beside the drift: rms step from frame to frame along each axis "
        "[nm]",
    )
    rotation_deg: tuple[Angle, Angle] = Field(
        (0.0, 0.0),
        description="angle of the specimen in the first and in the last frame, counter-clockwise "
        "about the middle of the filmed square [degrees]",
    )
    surface_displacement_nm: Annotated[float, Field(ge=-0.05, le=0.05)] = Field(
        0.0, description="outward displacement of the columns of the surface layer [nm]"
    )
    processes: list[MovieProcess] = Field([], description="what changes")

    @model_validator(mode="after")
    def _possible(self) -> MovieSpec:
        if max(map(abs, self.tilt_deg)) > LARGEST_TILT_DEG:
            raise ValueError(
                f"tilt_deg is {self.tilt_deg}: above {LARGEST_TILT_DEG:g}° the small-angle "
                f"propagator is not valid; the largest that works is {LARGEST_TILT_DEG:g}"
            )
        for process in self.processes:
            for first, last in process.schedule or ():
                if not first <= last < self.frames:
                    raise ValueError(
                        f"the schedule of the process {process.kind} has [{first}, {last}], but "
                        f"the movie has the frames 0 to {self.frames - 1}; give the first and the "
                        "last frame of each change within it"
                    )
        layers = [p for p in self.processes if p.kind == "disorder"]
        if len(layers) > 1 or any(p.sites > 1 for p in layers):
            raise ValueError(
                "disorder takes the whole surface layer, so that one process of it with one site "
                "is all there can be; remove the others"
            )
        return self


def movie_spec(values: Mapping, section: str = "") -> MovieSpec:
    """Check the specification of a movie.

    Parameters
    ----------
    values : mapping
        Keys of :class:`MovieSpec`; those left out take their defaults.
    section : str
        Where it stands in the configuration, for messages.

    Raises
    ------
    UserError
        For an unknown key or a value out of range.
    """
    try:
        return MovieSpec.model_validate(dict(values))
    except ValidationError as error:
        raise UserError(sentence(error, MovieSpec, section)) from None
