"""A blind-spot network that is trained on each frame anew, as a denoiser."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from lowdose.denoisers.classical.binned import BinnedDenoiser, binning
from lowdose.denoisers.contract import DenoiserInfo, Parameter
from lowdose.denoisers.unsupervised.one_frame import Recipe, learn, with_own_counts

MOST_STEPS = 60
HELD_OUT = 0.1
FEWEST = 100  # pixels, from which anything can be learned


class BlindSpotFrame(BinnedDenoiser):
    """Trains for a number of steps: too few, and columns are missing; too many, and noise is not.

    How many are right depends on the frame and on its dose; see :class:`BlindSpotStopped`.
    """

    info = DenoiserInfo(
        name="blind-spot",
        title="blind spot, one frame",
        citation="Laine, Karras, Lehtinen & Aila, NeurIPS 2019, arXiv:1901.10277; Krull, Vicar, "
        "Prakash, Lalit & Jug, Front. Comput. Sci. 2, 5 (2020), doi:10.3389/fcomp.2020.00005",
        licence="GPL-3.0-or-later (this package)",
        pixel_size_nm=(0.001, 0.03),
        dose_e_per_a2=(1.0, 1e5),
        parameters={
            "binning": binning(6, (4, 6, 8)),
            "least_kept": Parameter(
                0.1, 0.8, 0.3, "linear", "", "smallest share of the counts that is shown at a step"
            ),
            "weight_decay": Parameter(0.1, 4.0, 1.0, "log", "", "decoupled"),
            "steps": Parameter(30, 90, 60, "integer", "", "optimiser steps"),
        },
        global_field=True,
    )
    fixed: ClassVar[dict[str, Any]] = {}  # of the recipe, beside the parameters

    def _denoise_sums(self, sums: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        if sums.size < FEWEST or not sums.any():
            return np.full(sums.shape, sums.mean())
        chosen = {key: value for key, value in self.parameters.items() if key != "binning"}
        found = learn(sums, Recipe(**chosen, **self.fixed))
        return with_own_counts(sums, found.blind, found.held_out)


class BlindSpotStopped(BlindSpotFrame):
    """Holds out a tenth of the pixels, and stops where their likelihood is highest."""

    info = dataclasses.replace(
        BlindSpotFrame.info,
        name="blind-spot-stopped",
        title="blind spot, stopped early",
        parameters={
            # On sums of 4 x 4 pixels it takes 15 s a frame, and gains half a decibel.
            "binning": binning(6, (6, 8)),
            **{k: BlindSpotFrame.info.parameters[k] for k in ("least_kept", "weight_decay")},
        },
    )
    fixed: ClassVar = {"steps": MOST_STEPS, "held_out": HELD_OUT}
