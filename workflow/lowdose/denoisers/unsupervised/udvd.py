"""UDVD as a denoiser: it learns from the movie that it is given."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lowdose.config_networks import UDVDSpec
from lowdose.denoisers.contract import Denoiser, DenoiserInfo, Parameter
from lowdose.denoisers.unsupervised.movie_learning import Recipe, estimate, learn
from lowdose.denoisers.unsupervised.one_frame import with_own_counts

FEWEST = 1000  # pixels of a movie, from which anything can be learned
WIDTH, CONVOLUTIONS = 16, 2  # of a network that learns a movie in minutes, and not by heart


class MovieDenoiser(Denoiser):
    """Trains a network with a blind spot on the movie, and applies it to the movie.

    Attributes
    ----------
    state_path : Path or None
        Where the training keeps its state, so that it can go on when it was stopped; nowhere,
        unless set.
    told : callable
        Receives lines of progress.
    """

    info = DenoiserInfo(
        name="udvd",
        title="UDVD, trained on the movie",
        citation="Sheth, Mohan et al., ICCV 2021, arXiv:2011.15045; Crozier, Leibovich et al., "
        "Science 387, 949 (2025), doi:10.1126/science.ads2688",
        licence="GPL-3.0-or-later (this package)",
        pixel_size_nm=(0.001, 0.03),
        dose_e_per_a2=(1.0, 1e5),
        parameters={
            "steps": Parameter(10, 20_000, 160, "integer", "", "optimiser steps"),
            "least_kept": Parameter(
                0.05, 0.9, 0.1, "linear", "", "smallest share of the counts that is shown at a step"
            ),
            "weight_decay": Parameter(0.0, 8.0, 2.0, "linear", "", "decoupled"),
            "stem": Parameter(
                *(math.nan, math.nan, 4, "choice", "pixels"),
                description="side of a cell, which is blind as a whole",
                choices=(1, 2, 4),
            ),
            "blind": Parameter(
                *(math.nan, math.nan, 1, "choice", "cells"),
                description="side of the blind area: 3 for a camera whose pixels share electrons",
                choices=(1, 3),
            ),
        },
        temporal=True,
        global_field=True,
    )
    state_path: Path | None = None
    told: Callable[[str], None] = staticmethod(lambda line: None)

    def recipe(self) -> Recipe:
        """Return how the network is trained."""
        own = self.parameters
        spec = UDVDSpec(
            stem=own["stem"], blind=own["blind"], width=WIDTH, between=WIDTH, published=False,
            convolutions=CONVOLUTIONS, decoder_convolutions=CONVOLUTIONS,
        )  # fmt: skip
        return Recipe(spec, own["steps"], own["least_kept"], own["weight_decay"])

    def _denoise_stack(
        self, counts: np.ndarray, pixel_size_nm: float, vacuum: np.ndarray
    ) -> np.ndarray:
        full = counts.any(axis=(1, 2)) & (vacuum > 0)
        if counts[full].size < FEWEST:
            return np.broadcast_to(counts.mean(axis=(1, 2), keepdims=True), counts.shape)
        result = np.zeros_like(counts)  # a frame without electrons is expected to have none
        seen, dose = counts[full], vacuum[full]
        network, held = learn(seen, dose, self.recipe(), state_path=self.state_path, told=self.told)
        blind = estimate(network, seen, dose)
        result[full] = with_own_counts(seen, blind, held)
        return result
