"""Topaz-Denoise with its authors' weights, run in an environment of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowdose.denoisers.classical.binned import BinnedDenoiser, binning
from lowdose.denoisers.classical.binning import at_least
from lowdose.denoisers.contract import DenoiserInfo, Parameter

# The worker is imported for its path: what a stage depends on is read from the imports.
from lowdose.denoisers.external import process, topaz_worker
from lowdose.environments import ROOT
from lowdose.provenance import file_digest

LOCK = ROOT / "envs" / "topaz.lock"

MODELS = ("unet", "unet-small", "fcnn", "affine", "unet-v0.2.1")
SMALLEST = 32  # the U-net halves a frame five times


class Topaz(BinnedDenoiser):
    """Sum b x b pixels, Topaz-Denoise, spread.

    The sums take the place of a micrograph's pixels.  Topaz brings a frame to mean 0 and standard
    deviation 1, applies a network that its authors trained on pairs of cryo-EM micrographs, and
    undoes the scaling; nothing is learned here.  The network runs in a process of its own, which
    starts with the first frame and ends with this object.

    Raises
    ------
    UserError
        If the environment of topaz is missing.
    """

    info = DenoiserInfo(
        name="topaz",
        title="Topaz-Denoise",
        citation="Bepler, Kelley, Noble & Berger, Nat. Commun. 11, 5208 (2020), "
        "doi:10.1038/s41467-020-18952-1",
        licence="GPL-3.0-only (topaz-em, weights included)",
        pixel_size_nm=(0.001, 0.03),
        dose_e_per_a2=(1.0, 1e5),
        parameters={
            "binning": binning(1),
            "model": Parameter(
                np.nan, np.nan, "unet-v0.2.1", "choice", "", "pretrained network", MODELS
            ),
        },
        global_field=True,
    )

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self._worker: process.Worker | None = None

    @staticmethod
    def missing() -> str | None:
        """Return what to do, in one sentence, or None if the environment is here."""
        python = process.python_of("topaz")
        if python.is_file():
            return None
        # Without the folder of this machine: the sentence stands in tables.
        where = python.relative_to(ROOT) if python.is_relative_to(ROOT) else python
        return (
            f"Denoiser topaz needs the Python of its own environment, and {where} does not exist; "
            "make it with ./study optional topaz, or name a Python that has topaz-em in the "
            "variable LOWDOSE_TOPAZ_PYTHON."
        )

    @staticmethod
    def version() -> str:
        """Return what identifies the environment that it computes in."""
        return file_digest(LOCK)[:12]

    def _denoise_sums(self, sums: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        if sums.min() == sums.max():  # no deviation to scale by
            return sums
        if self._worker is None:
            self._worker = process.Worker(
                "topaz",
                process.python_of("topaz"),
                topaz_worker.__file__,
                [self.parameters["model"]],
            )
        padded = at_least(sums, SMALLEST).astype(np.float32)
        return self._worker.ask(padded)[: sums.shape[0], : sums.shape[1]]
