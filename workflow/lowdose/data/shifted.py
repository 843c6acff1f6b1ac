"""The `shifted` set: frames that leave the training set, the stand-in for experiment.

No low-dose experimental series with truth exists.  Each shift changes one thing of the world
that networks are trained in; the frames named `none` are the same models in that world, so that
what a shift costs is read from pairs.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from ase import Atoms

from lowdose import seeds
from lowdose.data.frames import render, write_frames
from lowdose.imaging.fourier import fast_length
from lowdose.imaging.phonons import GRID_RATIO
from lowdose.imaging.waves import exit_waves
from lowdose.runtime import UserError
from lowdose.structures.contamination import contaminated
from lowdose.structures.library import build_structure, true_columns
from lowdose.structures.plan import Model

MEANINGS = {
    "none": "the training world",
    "phonons": "frozen phonons instead of Debye-Waller factors",
    "second-code": "an independent multislice with Kirkland's scattering factors",
    "coherence": "incoherent sum over the focal spread instead of its envelope",
    "optics": "other C3, astigmatism and coma",
    "camera": "other modulation transfer and contrast",
    "drift": "drift during the exposure",
    "contamination": "amorphous carbon on the particle",
    "registry": "particle shifted and rotated on its support",
}


def second_code(path: Path) -> ModuleType:
    """Load the independent multislice from its file.

    Raises
    ------
    UserError
        If the file is missing or has no function ``exit_wave``.
    """
    if not path.is_file():
        raise UserError(f"There is no second code {path}; give its file with --second-code.")
    spec = importlib.util.spec_from_file_location("second_code", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "exit_wave"):
        raise UserError(
            f"{path} has no function `exit_wave`; see tests/second_code.py for its form."
        )
    return module


def write_shifted(
    spec: Mapping, structures: Path, classes: Path, code: Path, output: Path,
    log: Callable[[str], None],
) -> pd.DataFrame:  # fmt: skip
    """Simulate, render and freeze the set; return its table.

    Parameters
    ----------
    spec : mapping
        ``shifted``, ``structures``, ``simulation``, ``optics``, ``camera``, ``frames``, ``seed``.
    structures, classes : Path
        Folder of ``models.csv``, and ``classes.parquet``, which says what the test shapes are.
    code : Path
        The second multislice, see :func:`second_code`.
    output : Path
        The ``.h5`` file.
    log : callable

    Returns
    -------
    DataFrame
        One row a frame: ``frame, shift, model_id, c1_nm, mean, sd, psnr_to_none_db`` (of the
        clean images, at 0.45 e/pixel with MAX = 1).
    """
    external = second_code(code)
    frames = []
    models = chosen_models(pd.read_csv(structures / "models.csv"), pd.read_parquet(classes),
                           spec["shifted"]["shapes"])  # fmt: skip
    for shift in MEANINGS:
        for row in models:
            model = Model(**{k: row[k] for k in Model.__dataclass_fields__})
            atoms, wave, imaging, drift = _shifted(shift, model, spec, external)
            cell = atoms.cell.lengths()[1] / 10, atoms.cell.lengths()[0] / 10
            columns = true_columns(_without_carbon(atoms), model)
            for c1 in spec["shifted"]["c1_nm"]:
                image = render(wave, cell, c1, imaging, drift_nm=drift)
                about = {**row, "c1_nm": c1, "contrast": "all", "shift": shift}
                frames.append((about, image, columns))
        log(f"shift {shift}: {len(frames)} frames")
    imaging = {key: spec[key] for key in ("optics", "camera")}
    imaging["energy_kev"] = spec["simulation"]["energy_kev"]
    digest = write_frames(output, "shifted", frames, imaging,
                          spec["frames"]["doses_e_per_px"], spec["seed"])  # fmt: skip
    log(f"{len(frames)} shifted frames, digest {digest[:12]}")
    return _table(frames, spec["frames"]["reference_dose_e_per_px"])


def chosen_models(models: pd.DataFrame, classes: pd.DataFrame, shapes: int) -> list[dict]:
    """Return the rows of ``models.csv`` that are shifted: a perfect and a vacant one a shape.

    From shape to shape the condition (thickness and tilt) moves on, so that all are met.

    Raises
    ------
    UserError
        If the test set has fewer shapes.
    """
    tested = sorted(classes.loc[classes["split"] == "test", "base_shape"].unique())
    if not 1 <= shapes <= len(tested):
        raise UserError(
            f"shifted.shapes is {shapes}, and the test set has {len(tested)} base shapes; set it "
            f"between 1 and {len(tested)}."
        )
    rows = []
    for number, shape in enumerate(tested[:shapes]):
        of_shape = models[(models["base_shape"] == shape) & models["defect"].isin(["D0", "D1"])]
        pairs = [g for _, g in of_shape.groupby(["layers", "tilt_x_deg", "tilt_y_deg"])
                 if len(g) == 2]  # fmt: skip
        pair = pairs[int((number + 0.5) / shapes * len(pairs))]
        rows += pair.sort_values("defect").to_dict("records")
    return rows


def _shifted(
    shift: str, model: Model, spec: Mapping, external: ModuleType
) -> tuple[Atoms, np.ndarray, dict, tuple[float, float] | None]:
    """Return atoms, exit wave, imaging and drift (y, x) [nm], if any, of a shifted model."""
    change, seed = spec["shifted"], spec["seed"]
    structures, simulation = dict(spec["structures"]), dict(spec["simulation"])
    optics, camera, drift = dict(spec["optics"]), dict(spec["camera"]), None
    # Directions differ from shape to shape, not between the two models of a pair.
    rng = seeds.rng(seed, "shifted", shift, model.base_shape)
    angles = dict(zip(("phi12_deg", "phi21_deg", "phi23_deg"), rng.uniform(0, 360, 3), strict=True))
    if shift == "registry":
        structures |= {key: change[key] for key in ("shift_nm", "rotation_deg")}
    if shift == "phonons":
        simulation["phonon_configurations"] = change["phonon_configurations"]
        simulation["grid"] = fast_length(round(GRID_RATIO * simulation["grid"]))
    if shift == "coherence":
        optics["focal_points"] = change["focal_points"]
    if shift == "optics":
        optics |= {key: change[key] for key in ("c3_um", "c12_nm", "c21_nm", "c23_nm")} | angles
    if shift == "camera":
        camera |= {key: change[key] for key in ("mtf_nyquist", "contrast_factor")}
    if shift == "drift":
        angle = np.deg2rad(angles["phi12_deg"])
        drift = change["drift_nm"] * np.sin(angle), change["drift_nm"] * np.cos(angle)
    atoms = build_structure(structures, model, seed)
    if shift == "contamination":
        atoms = contaminated(atoms, 10 * change["carbon_nm"], rng)
    tilt = model.tilt_x_deg, model.tilt_y_deg
    if shift == "second-code":
        wave = external.exit_wave(
            atoms.numbers, atoms.positions, atoms.cell.lengths(), grid=simulation["grid"],
            slice_thickness=1.0, energy_kev=simulation["energy_kev"],
            sigmas={k: 10 * u for k, u in simulation["debye_waller_nm"].items()},
            tilt_deg=tilt, parametrisation="kirkland",
        ).astype(np.complex64)  # fmt: skip
    else:
        wave = exit_waves(atoms, [tilt], simulation)[0]
    imaging = {"optics": optics, "camera": camera, "energy_kev": simulation["energy_kev"]}
    return atoms, wave, imaging, drift


def _without_carbon(atoms: Atoms) -> Atoms:
    kept = atoms[[s != "C" for s in atoms.get_chemical_symbols()]]
    kept.info = atoms.info
    return kept


def _table(frames: list[tuple[dict, np.ndarray, pd.DataFrame]], dose: float) -> pd.DataFrame:
    unshifted = {(row["model_id"], row["c1_nm"]): image for row, image, _ in frames
                 if row["shift"] == "none"}  # fmt: skip
    rows = []
    for number, (row, image, _) in enumerate(frames):
        error = np.mean((dose * (image - unshifted[row["model_id"], row["c1_nm"]])) ** 2)
        rows.append({
            "frame": number, "shift": row["shift"], "meaning": MEANINGS[row["shift"]],
            "model_id": row["model_id"], "c1_nm": row["c1_nm"],
            "mean": float(image.mean()), "sd": float(image.std()),
            "psnr_to_none_db": -10 * np.log10(error) if error > 0 else np.inf,
        })  # fmt: skip
    return pd.DataFrame(rows)
