"""The configuration of the simulated world: atoms, waves, lens, camera."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Range = tuple[float, float]
PositiveRange = tuple[Positive, Positive]
Family = Literal["PtNp1", "PtNp2", "PtNp3", "PtNp4"]
Defect = Literal["D0", "D1", "D2", "Dh", "Ds"]
Contrast = Literal["white", "black", "intermediate", "all"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Blank = Literal["vacuum", "support"]
Share = Annotated[float, Field(gt=0, le=1)]
Element = Annotated[str, Field(pattern=r"^[A-Z][a-z]?$")]


class Strict(BaseModel):
    """A section: unknown keys are refused, values are fixed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# A frame leaves out the lower edge of the cell, where the support ends, and the upper one,
# where the support's underside shines through the periodic boundary [nm].
MARGIN_TOP_NM = 0.15
MARGIN_BOTTOM_NM = 0.50
LARGEST_TILT_DEG = 6.0  # beyond it the propagator's small-angle form is not valid


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
    blanks: dict[Blank, Annotated[int, Field(ge=1)]] = Field(
        {},
        description="models without a particle: `vacuum` (nothing at all) and `support` "
        "(the bare support), and how many of each; they are for training alone",
    )
    surface_occupancy: tuple[Share, Share] = Field(
        (1.0, 1.0),
        description="range of the share of its atoms that each surface column keeps "
        "along the beam, uniform; the atoms at its ends go first",
    )
    shift_nm: NotNegative = Field(
        0.0,
        le=0.5,
        description="largest shift of the particle against the support along x and "
        "along the beam, uniform for each base shape [nm]",
    )
    rotation_deg: NotNegative = Field(
        0.0,
        le=5.0,
        description="largest rotation of the particle about the interface normal, "
        "uniform for each base shape [degrees]",
    )
    strain_percent: Annotated[float, Field(ge=-5, le=5)] = Field(
        0.0,
        description="lattice strain of the particle in the interface plane [%]; the height "
        "follows with a Poisson ratio of 0.39",
    )
    surface_relaxation_percent: Annotated[float, Field(ge=-5, le=5)] = Field(
        0.0,
        description="outward (or, negative, inward) relaxation of the outermost atoms "
        "[% of the neighbour distance]",
    )
    particle_element: Element = Field("Pt", description="fcc metal of the particle")
    particle_lattice_nm: Positive = Field(
        0.392, description="lattice constant of the particle [nm]: Pt 0.392, Au 0.4078"
    )
    support_structure: Literal["fluorite", "rutile"] = Field(
        "fluorite", description="fluorite (111) seen along [110], or rutile (110) along [001]"
    )
    support_cation: Element = Field("Ce", description="metal of the supporting dioxide")
    support_lattice_nm: Positive = Field(
        0.5411, description="lattice constant a of the support [nm]: CeO2 0.5411, TiO2 0.4594"
    )
    support_c_nm: Positive | None = Field(
        None, description="lattice constant c of a rutile support [nm]: TiO2 0.2959"
    )
    interface_gap_nm: Positive = Field(
        0.23, description="height of the lowest particle layer above the top O layer [nm]"
    )
    periods: int = Field(
        8, ge=3, le=40, description="lateral periods of the support (0.663 nm for CeO2)"
    )
    trilayers: int = Field(
        5, ge=1, le=20, description="height of the support in layers of the dioxide"
    )
    cell_height_nm: Positive = Field(5.0, description="height of the cell [nm]")

    @field_validator("thickness_quota", mode="before")
    @classmethod
    def _whole_layers(cls, quota: object) -> object:
        for layers in quota if isinstance(quota, dict) else ():
            if isinstance(layers, float) and layers != int(layers):
                raise ValueError(
                    f"{layers:g} is no whole number of layers; the nearest that work are "
                    f"{int(layers)} and {int(layers) + 1}"
                )
        return quota

    @model_validator(mode="after")
    def _sensible(self) -> Structures:
        if not 0.8 <= self.size_nm[0] <= self.size_nm[1] <= 10:
            raise ValueError("size_nm must be a range between 0.8 and 10 nm, smallest first")
        for tilt in self.tilts_deg:
            if max(map(abs, tilt)) > LARGEST_TILT_DEG:
                raise ValueError(
                    f"tilts_deg has {tilt}: above {LARGEST_TILT_DEG:g}° the small-angle propagator "
                    f"is not valid; the largest that works is {LARGEST_TILT_DEG:g}"
                )
        if len(set(self.tilts_deg)) < len(self.tilts_deg):
            raise ValueError("tilts_deg lists a tilt twice")
        if self.surface_occupancy[0] > self.surface_occupancy[1]:
            raise ValueError("surface_occupancy must be a range, smallest first")
        if (self.support_structure == "rutile") != (self.support_c_nm is not None):
            raise ValueError("support_c_nm must be given for a rutile support, and only there")
        missing = set(self.base_shapes) - set(self.defects)
        if missing:
            raise ValueError(f"defects lacks the family {sorted(missing)[0]}")
        return self


class Simulation(Strict):
    """Exit waves by multislice (abTEM)."""

    energy_kev: Positive = Field(300.0, description="beam energy [keV]")
    engine: Literal["torch", "abtem"] = Field(
        "torch",
        description="torch: atoms at their exact places, a slice for each atomic plane; "
        "abtem: abTEM's own potential and equal slices",
    )
    grid: int = Field(
        640,
        ge=64,
        le=4096,
        description="points of the multislice along each side; two thirds of its band are used",
    )
    slice_thickness_nm: Positive = Field(
        0.02,
        le=1.0,
        description="atoms within this depth share a slice, at their mean (torch), "
        "or the thickness of equal slices (abtem) [nm]",
    )
    thermal: Literal["transmission", "potential"] = Field(
        "transmission",
        description="what the Debye-Waller factors smear: each plane's transmission, which is "
        "what vibrating atoms do to the mean wave, or its potential",
    )
    phonon_configurations: int = Field(
        0,
        ge=0,
        le=200,
        description="frozen-phonon configurations of a model, instead of Debye-Waller factors "
        "(0: these); they need about 1.5 times the grid",
    )
    parametrization: Literal["lobato", "kirkland"] = Field(
        "lobato", description="scattering factors"
    )
    debye_waller_nm: dict[str, NotNegative] = Field(
        {"Pt": 0.0064, "Ce": 0.0057, "O": 0.0076, "Au": 0.0085, "Ti": 0.0070},
        description="rms thermal displacement along one axis of each element [nm]; "
        "B = 8 pi^2 u^2 is 0.32, 0.26, 0.46, 0.57 and 0.39 Å^2 at room temperature",
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
    c12_nm: NotNegative = Field(0.0, description="twofold astigmatism C12 = A1 [nm]")
    phi12_deg: float = Field(0.0, description="its angle, counter-clockwise from x [degrees]")
    c21_nm: NotNegative = Field(0.0, description="axial coma C21 = 3 B2 [nm]")
    phi21_deg: float = Field(0.0, description="its angle, counter-clockwise from x [degrees]")
    c23_nm: NotNegative = Field(0.0, description="threefold astigmatism C23 = A2 [nm]")
    phi23_deg: float = Field(0.0, description="its angle, counter-clockwise from x [degrees]")
    focal_points: int = Field(
        1,
        ge=1,
        le=31,
        description="1: focal spread as an envelope (quasi-coherent); more: "
        "intensities summed incoherently over so many foci (15 or more to converge)",
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
        0.56, description="contrast of experiment over simulation (Stobbs), about the vacuum"
    )
    gain: Positive = Field(1.0, description="detector units of one electron")
    dark_e_per_px: NotNegative = Field(
        0.0,
        description="mean dark counts of a frame [e/pixel]; their mean is subtracted, their "
        "noise stays",
    )
