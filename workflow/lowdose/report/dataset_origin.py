"""Where a data set comes from: parameters, versions, seeds, limits, licence."""

from __future__ import annotations

import json
from collections.abc import Mapping

from lowdose import __version__, config_world, environments
from lowdose.report.markdown import markdown_table

SECTIONS = {
    "structures": config_world.Structures,
    "simulation": config_world.Simulation,
    "optics": config_world.Optics,
    "camera": config_world.Camera,
}
LIBRARIES = ("abtem", "torch", "numpy", "scipy", "ase", "wulffpack", "h5py", "pandas")
PAPER = "Vincent et al. (2021), doi:10.1017/S1431927621012678"


def parameters(spec: Mapping) -> str:
    """Return the table of every key that shapes the images, with value and meaning."""
    parts = ["## How it was made", "Every key of the configuration that shapes the images."]
    for section, model in SECTIONS.items():
        rows = []
        for key, field in model.model_fields.items():
            if key in spec[section]:
                words = (field.description or "").replace("|", "\\|")
                rows.append([f"`{section}.{key}`", _value(spec[section][key]), words])
        table = markdown_table(["key", "value", "meaning"], rows).replace("---:", "---")
        parts.append(table)
    return "\n\n".join(parts)


def origin(spec: Mapping) -> str:
    """Return the versions and the seeds."""
    pins = environments.lock()
    versions = [["lowdose", __version__], ["Python", environments.PYTHON]]
    versions += [[name, pins[name]] for name in LIBRARIES]
    return "\n\n".join([
        "## Versions and seeds",
        markdown_table(["software", "version"], versions),
        "Versions are those of `envs/requirements.lock`. Root seed "
        f"{spec['seed']}; every random choice is drawn from a child of it with a name "
        "(`numpy.random.SeedSequence`): the site of a defect from (structures, base shape), the "
        "split from (split, family), counts from (counts, model, C1, dose, realisation).",
    ])  # fmt: skip


def limits(spec: Mapping) -> str:
    """Return what the images are not."""
    simulation, optics = spec["simulation"], spec["optics"]
    sentences = [
        "All images are simulated; no low-dose experimental series with known atoms exists to "
        "test the step to a microscope.",
        "Contrast factor, vibration and MTF are chosen so that the spread of the counts is about "
        "that of the paper's four sample frames; they were measured on no instrument.",
        "The models are a selection from all combinations of shape, thickness and tilt, by a "
        "stated rule (`lowdose.structures.plan`).",
        "True columns are those of the particle and the cations of the support; oxygen is "
        "simulated, but is no column of the truth.",
    ]
    if not simulation["phonon_configurations"]:
        sentences.append(
            "Thermal motion enters as Debye-Waller factors: thermal diffuse scattering is missing."
        )
    if optics["focal_points"] == 1:
        sentences.append(
            "The focal spread is an envelope (quasi-coherent), which is exact for the linear part "
            "of the image alone."
        )
    if not (spec["structures"]["surface_relaxation_percent"] or spec["structures"]["shift_nm"]):
        sentences.append(
            "Particles are unrelaxed pieces of the lattice in one registry with the support."
        )
    return "## What it is not\n\n" + "\n".join(f"- {line}" for line in sentences)


def licence() -> str:
    """Return the licence and how to cite."""
    return (
        "## Licence and citation\n\n"
        f"Made by lowdose {__version__}, GPL-3.0-or-later (`LICENSE`). Cite the software by "
        f"`CITATION.cff`, and for the design of the data set {PAPER}."
    )


def _value(value: object) -> str:
    return "none" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"
