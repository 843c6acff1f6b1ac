"""How far each surface column of a denoised frame may be believed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lowdose import seeds
from lowdose.columns.discs import disc_means
from lowdose.columns.likelihood import cross_fitted_e_values, e_bh, likelihood_ratio, thin
from lowdose.columns.matching import match
from lowdose.columns.surface import surface_columns
from lowdose.data.frames import FrameSet
from lowdose.evaluation.evaluate import Denoise
from lowdose.evaluation.measure import BOTTOM_LAYER_NM, candidates, truth_of_frame

SHARE = 0.5  # of the electrons on which columns are proposed; the rest tests them


def surface_of(
    relative: np.ndarray, pixel_size_nm: float, interface_y_nm: float, sigma_nm: float,
    threshold: float,
) -> np.ndarray:  # fmt: skip
    """Return x and y [nm] of the surface columns that are detected in an image, vacuum = 1."""
    found = candidates(relative, pixel_size_nm, interface_y_nm, sigma_nm)
    points = found.loc[found["response"] >= threshold, ["x_nm", "y_nm"]].to_numpy()
    on_surface = surface_columns(
        points, interface_y_nm=interface_y_nm, bottom_layer_nm=BOTTOM_LAYER_NM
    )
    return points[on_surface]


def column_table(
    frames: FrameSet,
    denoise: Denoise,
    spec: Mapping,
    threshold: float,
    threshold_of_half: float,
) -> pd.DataFrame:
    """Weigh every detected surface column of every frame against vacuum.

    Two numbers stand side by side.  ``llr_total`` compares the denoised value with vacuum on
    the same counts from which it was estimated, as in Vincent et al. (2021): it is optimistic.
    ``e_value`` is honest: the electrons are dealt at random to two independent frames, columns
    are proposed on one and tested on the other, and e-BH keeps the share of false discoveries
    below the nominal rate under any dependence.  A column that the first half does not propose
    has no evidence.

    Parameters
    ----------
    frames : FrameSet
    denoise : Denoise
    spec : mapping
        ``evaluation`` (sigma_nm, gate_nm, false_discovery_rate), ``dose_e_per_px``, ``seed``.
    threshold, threshold_of_half : float
        Detection thresholds at the whole dose and at the proposing half's.

    Returns
    -------
    DataFrame
        ``frame, x_nm, y_nm, n_pixels, n_mean, lambda_column, lambda_vacuum, llr_per_pixel,
        llr_total, e_value, log_e_value, supported, true, site``; intensities in e/pixel.
    """
    settings, dose, pixel = spec["evaluation"], spec["dose_e_per_px"], frames.pixel_size_nm
    sigma, gate = settings["sigma_nm"], settings["gate_nm"]
    tables = []
    for number, row in frames.table.iterrows():
        interface = row["interface_y_nm"]
        clean = frames.clean[number] * np.float32(dose)
        counts = frames.counts(number, dose, 0, spec["seed"])
        whole = denoise(counts, dose, clean)
        shown = surface_of(whole / dose, pixel, interface, sigma, threshold)
        table = likelihood_ratio(
            counts, shown, pixel, disc_means(whole, shown, pixel), dose
        )  # fmt: skip

        rng = seeds.rng(spec["seed"], "thin", row["model_id"], f"{dose:g} e/px")
        first, second = thin(counts, SHARE, rng)
        half = denoise(first, SHARE * dose, SHARE * clean)
        proposed = surface_of(half / (SHARE * dose), pixel, interface, sigma, threshold_of_half)
        tested = cross_fitted_e_values(half, second, proposed, pixel, dose, p=SHARE, polarity=1)
        e_values = tested["e_value"].to_numpy()
        supported = e_bh(e_values, settings["false_discovery_rate"])
        i_shown, i_proposed, _ = match(shown, proposed, gate)
        table = table.assign(e_value=0.0, supported=False, true=False, site="none")
        table.loc[i_shown, "e_value"] = e_values[i_proposed]
        table.loc[i_shown, "supported"] = supported[i_proposed]
        with np.errstate(divide="ignore"):
            table["log_e_value"] = np.log(table["e_value"].to_numpy())

        truth = truth_of_frame(frames.columns[frames.columns["frame"] == number])
        truth = truth[truth["n_atoms"] > 0].reset_index(drop=True)
        i_shown, i_true, _ = match(shown, truth[["x_nm", "y_nm"]].to_numpy(), gate)
        table.loc[i_shown, "true"] = True
        table.loc[i_shown, "site"] = truth["site"].to_numpy()[i_true]
        tables.append(table.assign(frame=number, n_proposed=len(proposed)))
    return pd.concat(tables, ignore_index=True)
