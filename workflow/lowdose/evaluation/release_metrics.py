"""What a release network's card says of its quality, on frames that it was never shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from lowdose.columns.vacuum import false_columns, vacuum_of
from lowdose.data.frames import FrameSet
from lowdose.denoisers.contract import Denoiser
from lowdose.evaluation.summary import with_intervals
from lowdose.metrics import image_metrics, psnr
from lowdose.sampling import dose_e_per_a2, dose_e_per_px

# (counts (y, x) [e/pixel], dose [e/pixel in vacuum]) -> expected counts.
Denoise = Callable[[np.ndarray, float], np.ndarray]
HOME = {"white": "white", "general": "all"}  # the frames that each network is made for
MEASURES = {
    "psnr_db": ("psnr", None, None),
    "contrast_psnr_db": ("contrast_psnr", None, None),
    "ssim": ("ssim", None, None),
    "constant_psnr_db": ("constant_psnr", None, None),
    "raw_psnr_db": ("raw_psnr", None, None),
    "false_per_100_nm2": ("false_columns", "vacuum_100_nm2", (0, np.inf)),
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
        the estimate, ``constant_psnr`` of the frame's mean, ``raw_psnr`` of its counts, and
        what `columns.vacuum.false_columns` says.
    """
    rows = []
    for number, row in frames.table.iterrows():
        clean = frames.clean[number] * np.float32(dose_e_per_px)
        vacuum = vacuum_of(frames.clean[number], frames.pixel_size_nm)
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
                **false_columns(estimate / dose_e_per_px, vacuum, frames.pixel_size_nm),
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


def part(frames: FrameSet, kept: np.ndarray) -> FrameSet:
    """Return the frames for which `kept` (bool) is true; the digest stays that of the whole."""
    numbers = np.flatnonzero(kept)
    place = {int(old): new for new, old in enumerate(numbers)}
    columns = frames.columns[frames.columns["frame"].isin(place)]
    return dataclasses.replace(
        frames,
        table=frames.table.iloc[numbers].reset_index(drop=True).assign(frame=range(len(numbers))),
        clean=frames.clean[numbers],
        columns=columns.assign(frame=columns["frame"].map(place)),
    )


def at_conditions(
    network: Denoiser,
    sets: Sequence[FrameSet],
    doses_e_per_px: Sequence[float],
    reference: float,
    draws: int,
    seed: int,
) -> list[dict]:
    """Measure a network at other doses, and on other detector pixels at the same fluence.

    Parameters
    ----------
    network : Denoiser
    sets : sequence of FrameSet
        The same models and defoci at several pixel sizes; the first one at the reference's.
    doses_e_per_px : sequence of float
        For the first set [e/pixel in vacuum].
    reference : float
        Dose of the first set [e/pixel in vacuum] whose fluence the others get.
    draws, seed : int
        Bootstrap draws, root seed.

    Returns
    -------
    list of dict
        As :func:`for_card`, with ``pixel_size_nm`` and ``dose_e_per_px``.
    """
    fluence = dose_e_per_a2(reference, sets[0].pixel_size_nm)
    wanted = [(sets[0], dose) for dose in doses_e_per_px]
    wanted += [(other, dose_e_per_px(fluence, other.pixel_size_nm)) for other in sets[1:]]
    result = []
    for frames, dose in wanted:
        rows = measured(of_frame(network, frames.pixel_size_nm), frames, dose, 1, seed)
        rows = rows.assign(pixel_size_nm=frames.pixel_size_nm, dose_e_per_px=dose)
        table = summary(rows, ["pixel_size_nm", "dose_e_per_px"], draws, seed)
        result += for_card(table, frames.digest)
    return result


def for_card(table: pd.DataFrame, digest: str) -> list[dict]:
    """Return a summary as JSON-safe rows, with the digest of the frames that it is of."""
    return [
        {k: _json_safe(v) for k, v in row.items()} | {"frames_sha256": digest}
        for row in table.to_dict("records")
    ]


def _json_safe(value):
    """Round a number; none is what is no number, as a rate of frames without vacuum."""
    if not isinstance(value, float):
        return value
    return round(value, 4) if np.isfinite(value) else None
