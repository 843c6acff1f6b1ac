"""How far each surface column of a denoised frame may be believed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lowdose import seeds
from lowdose.columns.discs import disc_means, disc_sums
from lowdose.columns.fitting import fit_columns
from lowdose.columns.likelihood import (
    benjamini_hochberg,
    cross_fitted_e_values,
    e_bh,
    likelihood_ratio,
    poisson_p_value,
    thin,
)
from lowdose.columns.matching import match
from lowdose.columns.surface import surface_columns
from lowdose.data.frames import FrameSet
from lowdose.evaluation.evaluate import Denoise
from lowdose.evaluation.measure import BOTTOM_LAYER_NM, candidates, truth_of_frame

FITTED = ("x_se_nm", "y_se_nm", "amplitude", "amplitude_se", "width_nm")
RADIUS_NM = 0.06  # of the discs that are weighed: a quarter of the neighbour distance
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


def weighed(
    counts: np.ndarray, image: np.ndarray, places: np.ndarray, pixel_size_nm: float, dose: float
) -> pd.DataFrame:
    """Return the log-likelihood ratio of columns that an image shows, on the given counts.

    Parameters
    ----------
    counts, image : array (y, x)
        The counts that are asked, and the expected counts that the image says [e/px].
    places : array (column, 2)
        Where it shows columns, (x, y) [nm].
    pixel_size_nm, dose : float
        Pixel size [nm]; expected counts in vacuum [e/px].
    """
    level = disc_means(image, places, pixel_size_nm, RADIUS_NM)
    return likelihood_ratio(counts, places, pixel_size_nm, level, dose, RADIUS_NM)


def fitted(image: np.ndarray, places: np.ndarray, pixel_size_nm: float) -> pd.DataFrame:
    """Return position, amplitude and width of columns that an image shows.

    Parameters
    ----------
    image : array (y, x)
        Expected counts that the image says [e/px].
    places : array (column, 2)
        Where it shows columns, (x, y) [nm].
    pixel_size_nm : float

    Returns
    -------
    DataFrame
        ``x_fit_nm, y_fit_nm`` and `FITTED`, see :func:`lowdose.columns.fitting.fit_columns`:
        the standard errors are those that the frame's counts allow, whatever the denoiser adds
        from what it has learned; amplitudes in e/px.
    """
    fits = fit_columns(np.maximum(image, 0), places, pixel_size_nm)
    named = fits.rename(columns={"x_nm": "x_fit_nm", "y_nm": "y_fit_nm"})
    return named[["x_fit_nm", "y_fit_nm", *FITTED]]


def cross_fitted(
    counts: np.ndarray,
    clean: np.ndarray,
    denoise: Denoise,
    dose: float,
    pixel_size_nm: float,
    interface_y_nm: float,
    sigma_nm: float,
    threshold_of_half: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Propose surface columns on one half of a frame's electrons and test them on the other.

    Parameters
    ----------
    counts, clean : array (y, x)
        The frame and its expectation [e/px].
    denoise : Denoise
    dose : float
        Of the whole frame [e/px in vacuum].
    pixel_size_nm, interface_y_nm, sigma_nm : float
        Pixel size, height of the interface, scale of the detector [nm].
    threshold_of_half : float
        Detection threshold at the half's dose.
    rng : numpy.random.Generator
        Deals the electrons.

    Returns
    -------
    DataFrame
        As :func:`lowdose.columns.likelihood.cross_fitted_e_values`, with the exact one-sided
        ``p_value`` against vacuum.
    """
    first, second = thin(counts, SHARE, rng)
    half = denoise(first, SHARE * dose, SHARE * clean)
    proposed = surface_of(
        half / (SHARE * dose), pixel_size_nm, interface_y_nm, sigma_nm, threshold_of_half
    )
    tested = cross_fitted_e_values(
        half, second, proposed, pixel_size_nm, dose, p=SHARE, radius_nm=RADIUS_NM, polarity=1
    )
    total, pixels = disc_sums(second, proposed, pixel_size_nm, RADIUS_NM)
    return tested.assign(p_value=poisson_p_value(total, pixels * (1 - SHARE) * dose))


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
    The test is honest: the electrons are dealt at random to two independent frames, columns
    are proposed on one and tested on the other.  There the null, vacuum at the proposed site,
    makes the counts of a disc Poisson with a known mean, so that ``p_value`` is exact
    (one-sided); the discs of neighbours do not overlap, so that Benjamini-Hochberg holds and
    ``supported`` keeps the share of false discoveries below the nominal rate.  ``e_value``, the
    likelihood ratio on the second half, gives ``supported_e`` by e-BH, which holds under any
    dependence and costs power.  A column that the first half does not propose has no evidence.

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
        llr_total``, the fit of the denoised column (:func:`fitted`), ``p_value, e_value, supported,
        supported_e, true, site, n_proposed``; intensities in e/pixel.
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
        table = weighed(counts, whole, shown, pixel, dose).join(fitted(whole, shown, pixel))

        tested = cross_fitted(
            counts, clean, denoise, dose, pixel, interface, sigma, threshold_of_half,
            seeds.rng(spec["seed"], "thin", row["model_id"], f"{dose:g} e/px"),
        )  # fmt: skip
        proposed = tested[["x_nm", "y_nm"]].to_numpy()
        level = settings["false_discovery_rate"]
        tested["supported"] = benjamini_hochberg(tested["p_value"].to_numpy(), level)
        tested["supported_e"] = e_bh(tested["e_value"].to_numpy(), level)
        i_shown, i_proposed, _ = match(shown, proposed, gate)
        nothing = {"p_value": 1.0, "e_value": 0.0, "supported": False, "supported_e": False}
        table = table.assign(**nothing, true=False, site="none")
        for name in nothing:
            table.loc[i_shown, name] = tested[name].to_numpy()[i_proposed]

        truth = truth_of_frame(frames.columns[frames.columns["frame"] == number])
        truth = truth[truth["n_atoms"] > 0].reset_index(drop=True)
        i_shown, i_true, _ = match(shown, truth[["x_nm", "y_nm"]].to_numpy(), gate)
        table.loc[i_shown, "true"] = True
        table.loc[i_shown, "site"] = truth["site"].to_numpy()[i_true]
        tables.append(table.assign(frame=number, n_proposed=len(proposed)))
    return pd.concat(tables, ignore_index=True)
