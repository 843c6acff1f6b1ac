"""The configuration of simulated movies: what moves, what changes, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from lowdose.config_errors import sentence
from lowdose.config_world import LARGEST_TILT_DEG, Name, NotNegative, Positive, Strict
from lowdose.runtime import UserError

ProcessKind = Literal["adatom", "vacancy", "partial", "corner", "step", "disorder"]
Dwell = Annotated[float, Field(ge=1)]
Angle = Annotated[float, Field(ge=-45, le=45)]
FrameNumber = Annotated[int, Field(ge=0)]
Value = int | float | str


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


class MovieMethod(Strict):
    """One way to denoise a movie."""

    denoiser: str = Field(description="of the registry, or a network of the package")
    parameters: dict[str, Value | list[Value]] = Field(
        {},
        description="its parameters; of a list the value is taken that has the highest PSNR on the "
        "first frames of a film, at each dose anew",
    )
    sum: int | list[int] = Field(
        1, description="frames that are summed first, odd; of a list, the best as well"
    )
    doses_e_per_px: list[Positive] | None = Field(
        None, description="doses at which it is tried, where it is slow (default: all)"
    )
    films: list[str] | None = Field(
        None, description="films on which it is tried, where it is slow (default: all)"
    )


class Movies(Strict):
    """Films with truth, and what is tried on them."""

    films: dict[Name, MovieSpec] = Field({}, description="by name; on these methods are compared")
    switching: MovieSpec | None = Field(
        None, description="a film whose surface layer loses and regains its order, for the rates"
    )
    doses_e_per_px: list[Positive] = Field(
        [0.1, 0.2, 0.45, 1.0, 2.0, 5.0],
        min_length=1,
        description="doses of a frame that methods are tried at [e/pixel in vacuum]",
    )
    first_frames: int = Field(
        24, ge=2, description="of a film, on which parameters and thresholds are chosen"
    )
    false_alarms: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.01, description="share of unchanged spells that may pass for an event"
    )
    methods: dict[Name, MovieMethod] = Field({}, description="by name")
    denoiser: str = Field("white", description="network in whose frames columns are located too")
    position_frames: int = Field(
        12, ge=1, description="frames of each film in which columns are located"
    )
    position_doses_e_per_px: list[Positive] = Field(
        [0.1, 0.45, 1.0, 2.0, 5.0, 20.0, 100.0],
        min_length=1,
        description="doses at which columns are located and counted [e/pixel in vacuum]",
    )
    rate_doses_e_per_px: list[Positive] = Field(
        [0.05, 0.1, 0.2, 0.45, 1.0, 2.0],
        min_length=1,
        description="doses at which rates are recovered [e/pixel in vacuum]",
    )
    rate_sums: list[Annotated[int, Field(ge=1)]] = Field(
        [1, 2, 4, 8, 16], min_length=1, description="frames summed, for longer frame times"
    )
    rate_realisations: int = Field(3, ge=1, description="noise realisations of the rates")

    @model_validator(mode="after")
    def _comparable(self) -> Movies:
        for name, film in self.films.items():
            if film.frames < 2 * self.first_frames:
                raise ValueError(
                    f"the film {name} has {film.frames} frames, of which the first "
                    f"{self.first_frames} are kept for choosing parameters; give it "
                    f"{2 * self.first_frames} at least, or lower first_frames"
                )
        for name, method in self.methods.items():
            sums = method.sum if isinstance(method.sum, list) else [method.sum]
            if not sums or any(n < 1 or n % 2 == 0 for n in sums):
                raise ValueError(f"the method {name} sums {method.sum} frames; give odd numbers")
            for film in method.films or []:
                if film not in self.films:
                    raise ValueError(
                        f"the method {name} names the film {film}, which is not among movies.films"
                    )
            for dose in method.doses_e_per_px or []:
                if dose not in self.doses_e_per_px:
                    raise ValueError(
                        f"the method {name} names the dose {dose:g}, which is not among "
                        "movies.doses_e_per_px"
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
