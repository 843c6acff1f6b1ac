"""Parameters of a denoiser from the counts alone, where no clean frame is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from skimage.restoration import calibrate_denoiser

from lowdose.denoisers.contract import Denoiser, checked_counts
from lowdose.denoisers.tuning import search

STRIDE = 4  # of the grid of pixels that are hidden


def calibrate(
    kind: type[Denoiser],
    counts: np.ndarray,
    pixel_size_nm: float,
    *,
    trials: int,
    rng: np.random.Generator,
    dose: float | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Find the parameters of a denoiser that predict hidden pixels best.

    Pixels on a grid are replaced by the mean of their neighbours, the frame is denoised, and the
    estimate is compared with the counts that were hidden.  These are as noisy as ever, but their
    noise is independent of the estimate, so that the loss is the true error plus a constant
    (Batson and Royer, ICML 2019, 524; scikit-image's ``calibrate_denoiser``).  It needs noise that
    is independent from pixel to pixel: no frame that was resampled or aligned.

    Parameters
    ----------
    kind : subclass of Denoiser
        What to calibrate, e.g. ``registry.kind("bm3d")``.
    counts : array (frame, y, x)
        Electrons per pixel.
    pixel_size_nm : float
    trials : int
        Parameter sets to evaluate, at least 1.
    rng : numpy.random.Generator
        Scrambles the design of the trials.
    dose : float, optional
        Dose in vacuum [e/Å² per frame]; by default each frame's mean counts.
    fixed : mapping, optional
        Parameters that are not chosen, with their values.

    Returns
    -------
    best : dict
        All parameters of the best trial.
    table : DataFrame
        One row a trial: ``trial, stage``, the parameters, and ``loss``, the mean squared error
        against hidden counts [(e/pixel)^2], which ends at their variance.

    Raises
    ------
    UserError
        If the counts are none, or `trials` is below 1.
    """
    stack = checked_counts(counts).astype(np.float64)

    def score(parameters: Mapping[str, Any]) -> float:
        denoiser = kind(**parameters)

        def denoise(frame: np.ndarray, **_: Any) -> np.ndarray:
            return denoiser.denoise(frame[None], pixel_size_nm, dose=dose)[0]

        losses = []
        for frame in stack:
            _, (_, loss) = calibrate_denoiser(
                frame, denoise, {"only": [0]}, stride=STRIDE, extra_output=True
            )
            losses.append(loss[0])
        return -float(np.mean(losses))

    best, table = search(kind, score, trials=trials, rng=rng, fixed=fixed)
    return best, table.assign(loss=-table["score"]).drop(columns="score")
