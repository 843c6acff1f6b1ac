"""The configuration: one model, unknown keys refused, every value with its unit.

The schema (``workflow/schemas/config.schema.json``) and the table of keys
(``config/README.md``) are generated from here by ``python -m lowdose generate``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lowdose.config_networks import NetworkSpec, crop_problem
from lowdose.runtime import UserError

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Range = tuple[float, float]
Family = Literal["PtNp1", "PtNp2", "PtNp3", "PtNp4"]
Defect = Literal["D0", "D1", "D2", "Dh", "Ds"]
Contrast = Literal["white", "black", "intermediate", "all"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]


class Strict(BaseModel):
    """A section: unknown keys are refused, values are fixed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Structures(Strict):
    """Atoms: shapes, defects, thickness and tilt of the model library."""

    base_shapes: dict[Family, Annotated[int, Field(ge=1, le=26)]] = Field(
        description="number of base shapes (sizes and centrings) of each family"
    )
    defects: dict[Family, list[Defect]] = Field(
        description="surface defects of each family: D0 none, D1 one column removed, D2 two, "
        "Dh one halved, Ds an adatom column"
    )
    size_nm: Range = Field(description="smallest and largest particle width [nm]")
    thickness_quota: dict[Annotated[int, Field(ge=2, le=200)], Annotated[int, Field(ge=1)]] = Field(
        description="models for each support thickness in (220) layers (16, 21, 26, 31 are "
        "nominally 3, 4, 5, 6 nm); filled in rounds over the base shapes, one tilt a round"
    )
    tilts_deg: list[tuple[float, float]] = Field(
        min_length=1, description="tilts [degrees] that shift columns along x and along y"
    )
    particle_lattice_nm: Positive = Field(0.392, description="lattice constant of Pt [nm]")
    support_lattice_nm: Positive = Field(0.5411, description="lattice constant of CeO2 [nm]")
    interface_gap_nm: Positive = Field(
        0.23, description="height of the lowest Pt layer above the top O layer [nm]"
    )
    periods: int = Field(8, ge=3, le=40, description="lateral periods of the support (0.663 nm)")
    trilayers: int = Field(5, ge=1, le=20, description="height of the support in O-Ce-O layers")
    cell_height_nm: Positive = Field(5.0, description="height of the cell [nm]")

    @model_validator(mode="after")
    def _sensible(self) -> Structures:
        if not 0.8 <= self.size_nm[0] <= self.size_nm[1] <= 10:
            raise ValueError("size_nm must be a range between 0.8 and 10 nm, smallest first")
        for tilt in self.tilts_deg:
            if max(map(abs, tilt)) > 6:
                raise ValueError(
                    f"tilts_deg has {tilt}: above 6° the small-angle propagator is not valid; "
                    "the largest that works is 6"
                )
        if len(set(self.tilts_deg)) < len(self.tilts_deg):
            raise ValueError("tilts_deg lists a tilt twice")
        missing = set(self.base_shapes) - set(self.defects)
        if missing:
            raise ValueError(f"defects lacks the family {sorted(missing)[0]}")
        return self


class Simulation(Strict):
    """Exit waves by multislice (abTEM)."""

    energy_kev: Positive = Field(300.0, description="beam energy [keV]")
    grid: int = Field(512, ge=64, le=4096, description="points of the wave along each side")
    slice_thickness_nm: Positive = Field(0.2, le=1.0, description="multislice slice [nm]")
    parametrization: Literal["lobato", "kirkland"] = Field(
        "lobato", description="scattering factors"
    )
    debye_waller_nm: dict[str, NotNegative] = Field(
        {"Pt": 0.0064, "Ce": 0.0057, "O": 0.0076},
        description="rms thermal displacement along one axis of each element [nm]; "
        "B = 8 pi^2 u^2 is 0.32, 0.26 and 0.46 Å^2 at room temperature",
    )
    models_per_shard: int = Field(32, ge=1, le=500, description="models in one file and job")


class Optics(Strict):
    """Aberrations and coherence of the microscope."""

    c3_um: float = Field(-13.0, description="third-order spherical aberration C3 [µm]")
    c5_mm: float = Field(5.0, description="fifth-order spherical aberration C5 [mm]")
    focal_spread_nm: NotNegative = Field(4.0, description="focal spread, half width at 1/e [nm]")
    convergence_mrad: NotNegative = Field(
        0.2, description="beam convergence, half angle at 1/e [mrad]"
    )


class Camera(Strict):
    """From the image intensity to expected counts."""

    pixel_size_nm: Annotated[float, Field(gt=0, le=0.05)] = Field(
        0.0061, description="pixel size at the specimen [nm]"
    )
    mtf_nyquist: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="modulation transfer at the camera's Nyquist frequency (Gaussian MTF)"
    )
    vibration_nm: NotNegative = Field(
        0.02, description="residual vibration, rms along one axis [nm]"
    )
    contrast_factor: Annotated[float, Field(gt=0, le=2)] = Field(
        0.47, description="contrast of experiment over simulation (Stobbs), about the vacuum"
    )


class Frames(Strict):
    """Contrast classes, splits and the frozen evaluation frames."""

    c1_nm: list[float] = Field(min_length=1, description="defocus C1 [nm], positive = overfocus")
    contrast: Contrast = Field("white", description="contrast class of the evaluation frames")
    split: Literal["shape", "paper"] = Field(
        "shape", description="by base shape (honest), or by image at random as the paper did"
    )
    test_shapes: int = Field(ge=1, description="base shapes of the test set")
    validation_shapes: int = Field(ge=1, description="base shapes of the validation set")
    frames_per_shape: int = Field(
        1, ge=1, description="conditions (thickness, tilt, C1) a test shape, each with all defects"
    )
    doses_e_per_px: list[Positive] = Field(
        min_length=1, description="doses of the evaluation [e/pixel in vacuum]"
    )
    reference_dose_e_per_px: Positive = Field(
        0.45, description="the dose of the headline numbers [e/pixel in vacuum]"
    )
    realisations: int = Field(5, ge=2, description="noise realisations at the reference dose")
    realisations_elsewhere: int = Field(2, ge=1, description="and at every other dose")

    @model_validator(mode="after")
    def _has_reference(self) -> Frames:
        if self.reference_dose_e_per_px not in self.doses_e_per_px:
            raise ValueError("doses_e_per_px must contain reference_dose_e_per_px")
        return self


class TrainingSet(Strict):
    """Which models, optics and doses a network is shown."""

    contrast: Contrast = Field("white", description="contrast class")
    families: list[Family] | None = Field(None, description="families (default: all)")
    defects: list[Defect] | None = Field(None, description="defects (default: all)")
    layers: list[int] | None = Field(None, description="support thicknesses (default: all)")
    largest_tilt_deg: NotNegative | None = Field(None, description="largest tilt (default: any)")
    c1_nm: Range = Field((0.0, 20.0), description="range of C1 [nm]")
    c1_jitter_nm: NotNegative = Field(0.5, description="uniform jitter of C1 [nm]")
    dose_e_per_px: tuple[Positive, Positive] = Field(
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

    @model_validator(mode="after")
    def _ordered(self) -> TrainingSet:
        if self.dose_e_per_px[0] > self.dose_e_per_px[1] or self.c1_nm[0] > self.c1_nm[1]:
            raise ValueError("ranges (dose_e_per_px, c1_nm) must have the smaller value first")
        return self


class Training(Strict):
    """How a network is trained; a network may override each key under `training`."""

    steps: int = Field(600, ge=1, description="optimiser steps")
    batch: int = Field(4, ge=1, le=256, description="crops a step")
    crop_px: int = Field(256, ge=16, le=2048, description="side of a training crop [pixels]")
    learning_rate: Positive = Field(2e-3, description="peak learning rate (AdamW)")
    warmup: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.05, description="share of the steps with rising learning rate; then a cosine"
    )
    weight_decay: NotNegative = Field(1e-4, description="AdamW weight decay")
    average: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.99, description="decay of the running average of the weights (0: none)"
    )
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="auto: bf16 where the processor computes it, else fp32"
    )
    save_every_s: Positive = Field(20.0, description="seconds between saved states")
    validate_every: int = Field(100, ge=1, description="steps between validations")
    pool: int = Field(48, ge=1, description="rendered images from which crops are drawn")


class Network(Strict):
    """One network of the sweep."""

    spec: NetworkSpec = Field(discriminator="architecture", description="architecture")
    training: dict[str, float | int | str] = Field(
        {}, description="keys of `training` that differ for this network"
    )


class SweepEntry(Strict):
    """Networks x training sets x seeds that become trainings."""

    networks: list[str] = Field(min_length=1)
    training_sets: list[str] = Field(min_length=1)
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)


class Evaluation(Strict):
    """Columns, matching and statistics."""

    sigma_nm: Positive = Field(0.049, description="scale of the column detector [nm]")
    gate_nm: Positive = Field(0.072, description="matching gate [nm], 0.3 neighbour distances")
    bootstrap_draws: int = Field(2000, ge=100, description="bootstrap draws of an interval")
    false_discovery_rate: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05, description="nominal false-discovery rate of the column verdicts"
    )


class Config(Strict):
    """The study."""

    study: Name = Field("quick", description="name of the study, shown in the report")
    seed: int = Field(20210127, ge=0, description="root seed of all random numbers")
    structures: Structures
    simulation: Simulation = Simulation()
    optics: Optics = Optics()
    camera: Camera = Camera()
    frames: Frames
    training_sets: dict[Name, TrainingSet] = Field(min_length=1, description="by name")
    training: Training = Training()
    networks: dict[Name, Network] = Field(min_length=1, description="by name")
    sweep: list[SweepEntry] = Field(min_length=1, description="what is trained")
    baselines: dict[Name, dict[str, float | int | str]] = Field(
        description="classical denoisers of the registry, each with parameters that are not tuned"
    )
    tuning_trials: int = Field(12, ge=1, description="trials of a baseline's tuning")
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _names_exist(self) -> Config:
        for entry in self.sweep:
            for kind, known in (("networks", self.networks), ("training_sets", self.training_sets)):
                for name in getattr(entry, kind):
                    if name not in known:
                        raise ValueError(
                            f"sweep names {name!r}, which is not under {kind} "
                            f"(there: {', '.join(known)})"
                        )
        shapes = sum(self.structures.base_shapes.values())
        held_out = self.frames.test_shapes + self.frames.validation_shapes
        if self.frames.split == "shape" and shapes <= held_out:
            raise ValueError(
                f"frames.test_shapes and frames.validation_shapes hold out {held_out} of the "
                f"{shapes} structures.base_shapes and leave none for training"
            )
        for name, network in self.networks.items():
            try:
                training = self.training_of(name)
            except ValidationError as error:
                from lowdose.config_errors import sentence

                raise UserError(sentence(error, Training, f"networks.{name}.training")) from None
            if problem := crop_problem(network.spec, training.crop_px):
                raise ValueError(f"networks.{name}: {problem}")
        return self

    def training_of(self, network: str) -> Training:
        """Return the training settings of one network, its own keys applied."""
        return Training(**{**self.training.model_dump(), **self.networks[network].training})

    def trainings(self) -> list[tuple[str, str, int]]:
        """Return every (network, training set, seed) of the sweep, once each, in order."""
        return list(
            dict.fromkeys(
                (network, training_set, seed)
                for entry in self.sweep
                for network in entry.networks
                for training_set in entry.training_sets
                for seed in entry.seeds
            )
        )


def default_files() -> list[Path]:
    """Return the files that every study starts from: the quick study."""
    return [Path(__file__).resolve().parents[2] / "config" / "config.yaml"]


def load(files: list[str | Path] = (), overrides: dict | None = None) -> Config:
    """Read the quick study and overlay `files` and `overrides` on it, in order.

    Raises
    ------
    UserError
        For a file that does not exist or is no YAML mapping, an unknown key, or a value out of
        range; the message names the key.
    """
    merged: dict = {}
    for file in [*default_files(), *files]:
        merged = overlay(merged, _read(Path(file)))
    return parse(overlay(merged, overrides or {}))


def overlay(below: dict, above: dict) -> dict:
    """Merge two nested mappings; values of `above` win, mappings are merged key by key."""
    result = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            value = overlay(result[key], value)
        result[key] = value
    return result


def parse(values: dict) -> Config:
    """Check a merged configuration; raise a `UserError` of one sentence if it is wrong."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        from lowdose.config_errors import sentence

        raise UserError(sentence(error, Config)) from None


def _read(file: Path) -> dict:
    if not file.is_file():
        raise UserError(f"There is no configuration file {file}; check the path.")
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise UserError(f"{file} is no valid YAML{line}; mend its syntax.") from None
    if not isinstance(values, dict):
        raise UserError(f"{file} holds no `key: value` pairs; see config/README.md.")
    return values
