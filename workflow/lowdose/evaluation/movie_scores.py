"""How good the frames of a denoised movie are: in PSNR, at the surface, and one after another."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lowdose.columns.detection import detect_columns
from lowdose.columns.matching import match
from lowdose.columns.surface import surface_columns
from lowdose.evaluation.measure import LOWEST_RESPONSE, pooled_f1
from lowdose.evaluation.movie_methods import frame_psnr
from lowdose.evaluation.thresholds import THRESHOLDS

# Columns nearer to the border of a filmed square lack neighbours that the square does not show.
MARGIN_NM = 0.30


def frame_scores(
    images: np.ndarray, clean: np.ndarray, truth: pd.DataFrame, pixel_size_nm: float,
    first_frames: int, sigma_nm: float, gate_nm: float,
) -> tuple[pd.DataFrame, float]:  # fmt: skip
    """Score the frames of a movie; the detector's threshold is chosen on the first ones.

    Parameters
    ----------
    images, clean : array (frame, y, x)
        Vacuum = 1.
    truth : DataFrame
        Of the movie.
    pixel_size_nm : float
    first_frames : int
        On which the threshold is chosen.
    sigma_nm, gate_nm : float
        Scale of the detector and matching gate [nm].

    Returns
    -------
    table : DataFrame
        ``frame, psnr_db``; ``n_true, n_found, n_matched`` surface columns; ``flicker``, the RMS
        by which the error of a frame differs from that of the one before [vacuum = 1].
    threshold : float
    """
    found = [
        detect_columns(image, pixel_size_nm, threshold=LOWEST_RESPONSE, sigma_nm=sigma_nm)
        for image in images
    ]
    extent = np.array(images.shape[2:0:-1]) * pixel_size_nm
    wanted = [_surface_of(own, extent) for _, own in truth.groupby("frame")]
    sums = np.zeros((len(THRESHOLDS), 3))
    for number in range(first_frames):
        response = found[number]["response"].to_numpy()
        # Many thresholds leave the same columns.
        known: dict[int, tuple[int, int, int]] = {}
        for i, threshold in enumerate(THRESHOLDS):
            if (key := int((response >= threshold).sum())) not in known:
                known[key] = _compared(found[number], wanted[number], threshold, extent, gate_nm)
            sums[i] += known[key]
    names = ("n_true", "n_found", "n_matched")
    scores = np.array([pooled_f1(dict(zip(names, row, strict=True))) for row in sums])
    # Of equal ones the highest, which invents the least.
    threshold = float(THRESHOLDS[np.flatnonzero(scores == scores.max())[-1]])
    counted = [
        _compared(one, true, threshold, extent, gate_nm)
        for one, true in zip(found, wanted, strict=True)
    ]
    error = images - clean
    flicker = np.sqrt(np.mean(np.square(np.diff(error, axis=0)), axis=(1, 2)))
    table = pd.DataFrame(counted, columns=names).assign(
        frame=range(len(images)), psnr_db=frame_psnr(images, clean), flicker=np.r_[np.nan, flicker]
    )
    return table[["frame", "psnr_db", *names, "flicker"]], threshold


def _surface_of(own: pd.DataFrame, extent: np.ndarray) -> np.ndarray:
    """Return the true surface columns of a frame that are well inside of it."""
    points = own.loc[own["is_surface"] & (own["n_atoms"] > 0), ["x_nm", "y_nm"]].to_numpy()
    return points[_inside(points, extent)]


def _compared(
    found: pd.DataFrame, true: np.ndarray, threshold: float, extent: np.ndarray, gate_nm: float
) -> tuple[int, int, int]:
    points = found.loc[found["response"] >= threshold, ["x_nm", "y_nm"]].to_numpy()
    points = points[surface_columns(points)] if len(points) else points
    points = points[_inside(points, extent)]
    return len(true), len(points), len(match(true, points, gate_nm)[0])


def _inside(points: np.ndarray, extent: np.ndarray) -> np.ndarray:
    return ((points > MARGIN_NM) & (points < extent - MARGIN_NM)).all(axis=1)
