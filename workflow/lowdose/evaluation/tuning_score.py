"""How good a set of parameters is on the validation frames: in PSNR, and at the surface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lowdose.data.frames import FrameSet
from lowdose.denoisers.contract import Denoiser
from lowdose.denoisers.tuning import mean_psnr
from lowdose.evaluation.measure import candidates
from lowdose.evaluation.thresholds import best_threshold, truths
from lowdose.sampling import dose_e_per_a2

OBJECTIVES = {"psnr": "psnr_db", "f1": "f1"}  # and the score that each maximises


class TuningScore:
    """Scores a denoiser's parameters, each set of them once.

    Parameters
    ----------
    kind : subclass of Denoiser
    frames : FrameSet
        The validation frames.
    spec : mapping
        ``dose_e_per_px``, ``seed``; for "f1" also ``evaluation`` (sigma_nm, gate_nm).
    objectives : sequence of str
        Keys of `OBJECTIVES`; without "f1" no column is looked for.
    """

    def __init__(
        self, kind: type[Denoiser], frames: FrameSet, spec: Mapping, objectives: Sequence[str]
    ) -> None:
        self.kind, self.frames, self.spec = kind, frames, spec
        self.dose = spec["dose_e_per_px"]
        self.clean = frames.clean * np.float32(self.dose)
        number = range(len(frames.clean))
        self.counts = np.stack([frames.counts(i, self.dose, 0, spec["seed"]) for i in number])
        self.truth = truths(frames) if "f1" in objectives else None
        self._known: dict[tuple, dict[str, float]] = {}

    def __call__(self, parameters: Mapping[str, Any]) -> dict[str, float]:
        """Return ``psnr_db``, the mean over frames, and with it ``f1`` and ``threshold``.

        F1 is that of the surface columns of all frames, at the detection threshold which suits
        these parameters best.
        """
        key = tuple(parameters.items())
        if key not in self._known:
            self._known[key] = self._score(parameters)
        return self._known[key]

    def _score(self, parameters: Mapping[str, Any]) -> dict[str, float]:
        pixel = self.frames.pixel_size_nm
        dose = dose_e_per_a2(self.dose, pixel)
        estimate = self.kind(**parameters).denoise(self.counts, pixel, dose=dose)
        score = {"psnr_db": mean_psnr(self.clean, estimate, self.dose)}
        if self.truth is None:
            return score
        interface, settings = self.frames.table["interface_y_nm"], self.spec["evaluation"]
        found = [
            (i, candidates(image / self.dose, pixel, interface.iloc[i], settings["sigma_nm"]))
            for i, image in enumerate(estimate)
        ]
        threshold, f1 = best_threshold(found, self.frames, self.truth, settings["gate_nm"])
        return {**score, "f1": f1, "threshold": threshold}
