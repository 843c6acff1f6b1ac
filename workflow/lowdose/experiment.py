"""What the jobs on the recordings of an experiment depend on."""

from __future__ import annotations

from collections.abc import Sequence

from lowdose.config import Config


def recording_spec(config: Config, recording: str) -> dict:
    """Return the specification of a recording's page and columns."""
    return {
        "name": recording,
        "recording": _recorded(config, recording),
        "denoiser": config.experiment.denoiser,
        "level": config.evaluation.false_discovery_rate,
    }


def judge_spec(config: Config, recording: str, denoisers: Sequence[str]) -> dict:
    """Return the specification of the comparison of all denoisers on a recording."""
    return {
        "name": recording,
        "recording": _recorded(config, recording),
        "denoiser": config.experiment.denoiser,
        "denoisers": list(denoisers),
        "frames": config.experiment.compared_frames,
        "reference_dose_e_per_px": config.frames.reference_dose_e_per_px,
        "seed": config.seed,
    }


def figure_spec(config: Config, denoisers: Sequence[str], networks: Sequence[str]) -> dict:
    """Return the specification of the figure of all recordings."""
    return {
        "figure": "experiment",
        "study": config.study,
        "denoisers": list(denoisers),
        "networks": list(networks),
        "files": list(config.experiment.files),
    }


def _recorded(config: Config, recording: str) -> dict:
    return config.experiment.files[recording].model_dump(mode="json")
