"""The configuration: one model, unknown keys refused, every value with its unit.

The schema (``workflow/schemas/config.schema.json``) and the table of keys
(``config/README.md``) are generated from here by ``python -m lowdose generate``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from lowdose.config_adaptation import Adaptation
from lowdose.config_experiment import Experiment
from lowdose.config_movies import Movies
from lowdose.config_networks import crop_problem
from lowdose.config_training import Network, Training, TrainingSet
from lowdose.config_world import (
    MARGIN_BOTTOM_NM,
    MARGIN_TOP_NM,
    Camera,
    Contrast,
    Name,
    NotNegative,
    Optics,
    Positive,
    Simulation,
    Strict,
    Structures,
)
from lowdose.runtime import UserError


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


class Shifted(Strict):
    """The set that no network is trained on: the stand-in for experiment."""

    shapes: int = Field(
        0, ge=0, description="test shapes of which the shifted set is made (0: no such set)"
    )
    c1_nm: list[float] = Field([8.0], min_length=1, description="defocus C1 [nm]")
    phonon_configurations: int = Field(
        8, ge=1, le=200, description="frozen-phonon configurations of the shift `phonons`"
    )
    focal_points: int = Field(
        21, ge=2, le=31, description="foci of the incoherent sum of the shift `coherence`"
    )
    c3_um: float = Field(-9.0, description="C3 of the shift `optics` [µm]")
    c12_nm: NotNegative = Field(2.0, description="twofold astigmatism of the shift `optics` [nm]")
    c21_nm: NotNegative = Field(60.0, description="axial coma of the shift `optics` [nm]")
    c23_nm: NotNegative = Field(40.0, description="threefold astigmatism there [nm]")
    mtf_nyquist: Annotated[float, Field(gt=0, le=1)] = Field(
        0.25, description="modulation transfer at Nyquist of the shift `camera`"
    )
    contrast_factor: Annotated[float, Field(gt=0, le=2)] = Field(
        0.4, description="contrast factor of the shift `camera`"
    )
    drift_nm: Positive = Field(
        0.08, description="drift within the exposure of the shift `drift` [nm]"
    )
    carbon_nm: Positive = Field(
        1.0, description="thickness of the amorphous carbon of the shift `contamination` [nm]"
    )
    shift_nm: NotNegative = Field(
        0.12,
        le=0.5,
        description="largest lateral shift on the support of the shift `registry` [nm]",
    )
    rotation_deg: NotNegative = Field(
        2.0, le=5.0, description="largest rotation of the shift `registry` [degrees]"
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
    analyses: list[Literal["credibility", "strata", "risk", "verdicts", "filters"]] = Field(
        ["credibility", "strata", "risk", "verdicts", "filters"],
        description="what the study also asks: columns at stake beside the ideal observer; where "
        "denoisers err, by defect, thickness, tilt, defocus and site; the error from counts alone; "
        "whether verdicts on columns keep their promise; equivalent "
        "filters at each kind of site.  Their figures can be asked for by name in any study",
    )
    verdict_frames: int = Field(
        500, ge=1, description="frames on which the verdicts' false discoveries are counted"
    )
    null_frames: int = Field(
        40, ge=0, description="of these, frames with the parametric null, which runs all again"
    )
    null_draws: int = Field(
        20, ge=1, description="frames drawn for each group of columns of the parametric null"
    )
    filter_shapes: int = Field(
        8, ge=1, description="test shapes at whose sites equivalent filters are described"
    )
    full_grid: list[str] = Field(
        [],
        description="denoisers evaluated with `frames.realisations` at every dose, not at the "
        "reference dose alone",
    )


class Comparison(Strict):
    """Every method on the same few frames, those included that are slow."""

    methods: dict[Name, dict[str, float | int | str]] = Field(
        {},
        description="denoisers of the registry that are tuned and compared there, each with "
        "parameters that are not tuned (for a name of `baselines`, instead of those there); the "
        "other `baselines` join them",
    )
    networks: list[str] | None = Field(
        None,
        description="trainings that join them, as NETWORK.TRAINING_SET.seedK (default: the first "
        "of each network); `shipped` join always",
    )
    doses_e_per_px: list[Positive] = Field(
        [0.1, 0.45, 1.0, 5.0, 20.0], min_length=1, description="doses [e/pixel in vacuum]"
    )
    realisations: int = Field(1, ge=1, description="noise realisations at each dose")


class Config(Strict):
    """The study."""

    study: Name = Field("quick", description="name of the study, shown in the report")
    seed: int = Field(20210127, ge=0, description="root seed of all random numbers")
    structures: Structures
    simulation: Simulation = Simulation()
    optics: Optics = Optics()
    camera: Camera = Camera()
    frames: Frames
    shifted: Shifted = Shifted()
    training_sets: dict[Name, TrainingSet] = Field(min_length=1, description="by name")
    training: Training = Training()
    networks: dict[Name, Network] = Field(min_length=1, description="by name")
    sweep: list[SweepEntry] = Field(min_length=1, description="what is trained")
    baselines: dict[Name, dict[str, float | int | str]] = Field(
        description="classical denoisers of the registry, each with parameters that are not tuned"
    )
    shipped: list[Name] = Field(
        [], description="networks that come with the package, evaluated beside the others"
    )
    comparison: Comparison = Comparison()
    tuning_trials: int = Field(12, ge=1, description="trials of a method's tuning")
    tuning_one_per_shape: bool = Field(
        False,
        description="tune on one validation frame of each base shape, instead of on all of them",
    )
    evaluation: Evaluation = Evaluation()
    experiment: Experiment = Experiment()
    movies: Movies = Movies()
    adaptation: Adaptation = Adaptation()

    @model_validator(mode="after")
    def _elements_vibrate(self) -> Config:
        structures = self.structures
        for element in (structures.particle_element, structures.support_cation, "O"):
            if element not in self.simulation.debye_waller_nm:
                raise ValueError(
                    f"simulation.debye_waller_nm lacks {element}; add its rms displacement in nm "
                    "(0 for none)"
                )
        return self

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
        # Those of an overlay's base that its sweep leaves out need not fit its crops.
        trained = {name for name, _, _ in self.trainings()}
        for name, network in self.networks.items():
            try:
                training = self.training_of(name)
            except ValidationError as error:
                from lowdose.config_errors import sentence

                raise UserError(sentence(error, Training, f"networks.{name}.training")) from None
            problem = crop_problem(network.spec, training.crop_px)
            if problem is None and training.loss not in network.spec.losses:
                problem = (
                    f"architecture {network.spec.architecture} learns with loss "
                    f"{' or '.join(network.spec.losses)}, not {training.loss}: the loss "
                    "counts is for blind-spot alone, which learns with no other"
                )
            if problem and name in trained:
                raise ValueError(f"networks.{name}: {problem}")
        return self

    @model_validator(mode="after")
    def _comparison_exists(self) -> Config:
        trained = self.training_names()
        for name in self.comparison.networks or []:
            if name not in trained:
                raise ValueError(
                    f"comparison.networks names {name!r}, which sweep does not train (it trains "
                    f"{', '.join(trained)})"
                )
        reference = self.frames.reference_dose_e_per_px
        if self.comparison.methods and reference not in self.comparison.doses_e_per_px:
            raise ValueError(
                "comparison.doses_e_per_px must contain frames.reference_dose_e_per_px, "
                f"{reference:g}, at which methods are tuned"
            )
        return self

    @model_validator(mode="after")
    def _crops_fit(self) -> Config:
        height = self.structures.cell_height_nm - MARGIN_TOP_NM - MARGIN_BOTTOM_NM
        for network, name, _ in self.trainings():
            chosen, crop = self.training_sets[name], self.training_of(network).crop_px
            own = chosen.own_pixel_size_nm or self.camera.pixel_size_nm
            largest = int(height / own + 1e-9)
            if crop > largest:
                raise ValueError(
                    f"networks.{network}: crops of {crop} px are {crop * own:.2f} nm high and "
                    f"would show the image's repetition; frames are {height:.2f} nm high "
                    f"(structures.cell_height_nm less {MARGIN_TOP_NM + MARGIN_BOTTOM_NM:g}), that "
                    f"is {largest} px: lower training.crop_px or raise the cell"
                )
        return self

    def training_of(self, network: str) -> Training:
        """Return the training settings of one network, its own keys applied."""
        return Training(**{**self.training.model_dump(), **self.networks[network].training})

    def training_names(self) -> list[str]:
        """Return the name of every training: ``<network>.<training set>.seed<k>``, in order."""
        return [f"{n}.{t}.seed{k}" for n, t, k in self.trainings()]

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
