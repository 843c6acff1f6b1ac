"""The denoisers of the study by name: references, tuned baselines, trained networks."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from lowdose.denoisers.contract import Denoiser
from lowdose.evaluation.evaluate import Denoise
from lowdose.runtime import UserError
from lowdose.sampling import dose_e_per_a2


def network_folder(networks: Path, name: str) -> Path:
    """Return the folder of a trained network from ``<network>.<training set>.seed<k>``."""
    return networks.joinpath(*name.split("."))


def denoiser(name: str, networks: Path, baselines: Path, objective: str = "psnr") -> Denoiser:
    """Return the denoiser of a name.

    Parameters
    ----------
    name : str
        A network's name has dots; a baseline's parameters are read from
        ``<baselines>/<name>/tuned.json``; references have none.
    networks, baselines : Path
    objective : {"psnr", "f1"}
        What a baseline was tuned for.
    """
    # Loaded by name: the rule of one denoiser names the modules that its result depends on, and
    # editing another denoiser does not rerun it.
    if "." in name:
        checkpoints = importlib.import_module("lowdose.denoisers.checkpoints")
        return checkpoints.load(network_folder(networks, name), name)
    registry = importlib.import_module("lowdose.denoisers.registry")
    if name in ("raw", "constant", *registry.shipped()):
        return registry.create(name)
    return registry.create(name, **tuned_parameters(baselines, name, objective))


def tuned_parameters(baselines: Path, name: str, objective: str = "psnr") -> dict[str, Any]:
    """Return the parameters to which a baseline was tuned.

    Parameters
    ----------
    baselines : Path
        With ``<name>/tuned.json``.
    name : str
    objective : {"psnr", "f1"}

    Raises
    ------
    UserError
        If it was not tuned.
    """
    return tuning(baselines, name)["objectives"][objective]["parameters"]


def tuning(baselines: Path, name: str) -> dict[str, Any]:
    """Return all that the tuning of a baseline found: what is in its ``tuned.json``.

    Raises
    ------
    UserError
        If it was not tuned.
    """
    tuned = baselines / name / "tuned.json"
    if not tuned.is_file():
        raise UserError(f"{tuned} does not exist; tune the baseline {name} first.")
    return json.loads(tuned.read_text(encoding="utf-8"))


def known_thresholds(
    tuned: dict[str, Any], objective: str, frames_digest: str, realisations: int
) -> dict[float, float]:
    """Return the detection threshold at the dose of the tuning, if it is the evaluation's.

    Parameters
    ----------
    tuned : dict
        From :func:`tuning`.
    objective : {"psnr", "f1"}
    frames_digest : str
        Of the validation frames of the evaluation.
    realisations : int
        Noise realisations of each of them; the tuning sees one.

    Returns
    -------
    dict
        Dose [e/px] -> threshold; empty if there is none or it belongs to other frames.
    """
    found = tuned["objectives"][objective]
    same = tuned["frames_digest"] == frames_digest and realisations == 1
    return {tuned["dose_e_per_px"]: found["threshold"]} if same and "threshold" in found else {}


def arm(
    name: str, networks: Path, baselines: Path, pixel_size_nm: float, objective: str = "psnr"
) -> Denoise:
    """Return a denoiser as the evaluation calls it; ``clean`` is the expectation itself."""
    if name == "clean":
        return lambda counts, dose_e_per_px, clean: clean.copy()
    one = denoiser(name, networks, baselines, objective)

    def denoise(counts: np.ndarray, dose_e_per_px: float, clean: np.ndarray) -> np.ndarray:
        dose = dose_e_per_a2(dose_e_per_px, pixel_size_nm)
        return one.denoise(counts[None], pixel_size_nm, dose=dose)[0]

    return denoise
