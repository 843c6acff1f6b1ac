"""What a release network's card says of its quality, on frames that it was never shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from lowdose.data.frames import FrameSet
from lowdose.denoisers.contract import Denoiser
from lowdose.evaluation.summary import with_intervals
from lowdose.metrics import image_metrics, psnr
from lowdose.sampling import dose_e_per_a2

# (counts (y, x) [e/pixel], dose [e/pixel in vacuum]) -> expected counts.
Denoise = Callable[[np.ndarray, float], np.ndarray]
MEASURES = {
    "psnr_db": ("psnr", None, None),
    "contrast_psnr_db": ("contrast_psnr", None, None),
    "ssim": ("ssim", None, None),
    "constant_psnr_db": ("constant_psnr", None, None),
    "raw_psnr_db": ("raw_psnr", None, None),
}


def of_frame(network: Denoiser, pixel_size_nm: float) -> Denoise:
    """Return a denoiser as a function of one frame and its dose a pixel."""

    def denoise(counts: np.ndarray, dose_e_per_px: float) -> np.ndarray:
        dose = dose_e_per_a2(dose_e_per_px, pixel_size_nm)
        return network.denoise(counts[None], pixel_size_nm, dose=dose)[0]

    return denoise


def measured(
    denoise: Denoise, frames: FrameSet, dose_e_per_px: float, realisations: int, seed: int
) -> pd.DataFrame:
    """Denoise every frame of a set; return one row a frame and realisation.

    Parameters
    ----------
    denoise : callable
        See `Denoise`.
    frames : FrameSet
    dose_e_per_px : float
        Dose in vacuum [e/pixel].
    realisations : int
        Noise realisations of each frame.
    seed : int
        Root seed.

    Returns
    -------
    DataFrame
        The frame's row of the set's table; ``psnr, contrast_psnr, ssim, poisson_deviance`` of
        the estimate, ``constant_psnr`` of the frame's mean, ``raw_psnr`` of its counts.
    """
    rows = []
    for number, row in frames.table.iterrows():
        clean = frames.clean[number] * np.float32(dose_e_per_px)
        for realisation in range(realisations):
            counts = frames.counts(number, dose_e_per_px, realisation, seed)
            estimate = denoise(counts, dose_e_per_px)
            rows.append({
                **row,
                "realisation": realisation,
                **image_metrics(clean, estimate, dose_e_per_px=dose_e_per_px),
                "constant_psnr": psnr(clean, np.full_like(clean, clean.mean()),
                                      dose_e_per_px=dose_e_per_px),
                "raw_psnr": psnr(clean, counts, dose_e_per_px=dose_e_per_px),
            })  # fmt: skip
    return pd.DataFrame(rows)


def summary(rows: pd.DataFrame, by: Sequence[str], draws: int, seed: int) -> pd.DataFrame:
    """Return estimate and 95 % interval over base shapes of each measure and group.

    Parameters
    ----------
    rows : DataFrame
        Of one or several calls of :func:`measured`.
    by : sequence of str
        Columns that define the groups.
    draws : int
        Bootstrap draws.
    seed : int
        Root seed.

    Returns
    -------
    DataFrame
        The columns of `by`, ``n_units, n_rows``, and for each measure its mean over frames,
        ``_low`` and ``_high``.
    """
    table = with_intervals(rows, MEASURES, by, draws, seed, "bootstrap", "release")
    return table.drop(columns="method")


def for_card(table: pd.DataFrame, digest: str) -> list[dict]:
    """Return a summary as JSON-safe rows, with the digest of the frames that it is of."""
    return [
        {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
        | {"frames_sha256": digest}
        for row in table.to_dict("records")
    ]
