"""How ordered a surface layer is in each frame, and how often it switches.

The order parameter is the share of the ordered layer's contrast that a frame shows: 1 where its
columns are all there, 0 where there is only the level.  It is a matched filter of the raw counts,
linear in them, so that it is unbiased at any dose and has an exact standard error; two states in
time are a hidden Markov chain on it.  Crozier et al., Science 387, 949 (2025), see surfaces
switch between order and disorder in denoised movies.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lowdose.columns.fitting import FIT_RADIUS_NM
from lowdose.columns.occupancy import column_pixels, frames_and_places
from lowdose.columns.two_states import Chain, fit_chain, gaussian_log_ratio
from lowdose.runtime import UserError

_ROUNDS, _ARRIVED = 20, 1e-3  # of the distance of the two means


def order_parameter(
    counts: np.ndarray,
    positions_nm: np.ndarray,
    pixel_size_nm: float,
    *,
    width_nm: float,
    amplitude: float | np.ndarray,
    level: float | np.ndarray,
    radius_nm: float = FIT_RADIUS_NM,
) -> pd.DataFrame:
    """Return the order parameter of a layer of columns in each frame.

    Parameters
    ----------
    counts : array (frame, y, x)
        Raw counts [e/px].
    positions_nm : array (site, 2) or (frame, site, 2)
        The layer's columns when it is ordered, (x, y) [nm].
    pixel_size_nm : float
    width_nm : float
        Standard deviation of a Gaussian column [nm].
    amplitude : float or array (site,)
        Height of the ordered columns above the level [e/px], negative for dark ones.
    level : float or array (y, x)
        Expected counts without them [e/px], positive; an image may hold the columns below.
    radius_nm : float
        Radius of the discs that are looked at [nm].

    Returns
    -------
    DataFrame
        A row for each frame: ``order, order_se``.

    Raises
    ------
    UserError
        If shapes do not fit, no site is in the frame, or an expectation is not positive.

    Notes
    -----
    See :func:`order_from_templates`; with moving positions each frame has its own template.
    """
    counts, places = frames_and_places(counts, positions_nm)
    level = np.array(np.broadcast_to(level, counts.shape[1:]), dtype=np.float64)
    heights = np.broadcast_to(np.asarray(amplitude, dtype=np.float64), places.shape[-2:-1])
    if places.ndim == 2:
        found = _filtered(
            counts, *_layer(places, pixel_size_nm, width_nm, heights, level, radius_nm)
        )
    else:
        found = np.concatenate(
            [
                _filtered(
                    frame[None], *_layer(p, pixel_size_nm, width_nm, heights, level, radius_nm)
                )
                for frame, p in zip(counts, places, strict=True)
            ]
        )
    return _table(found)


def order_from_templates(
    counts: np.ndarray,
    ordered: np.ndarray,
    disordered: np.ndarray,
    *,
    where: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return the order parameter of each frame between two expected images.

    Parameters
    ----------
    counts : array (frame, y, x)
        Raw counts [e/px].
    ordered, disordered : array (y, x)
        Expected counts in either state [e/px], positive: simulated, or means of many frames other
        than these.
    where : bool array (y, x), optional
        Pixels of the layer; by default all at which the images differ.

    Returns
    -------
    DataFrame
        A row for each frame: ``order, order_se``.

    Raises
    ------
    UserError
        If shapes do not fit, an expectation is not positive or the images are equal there.

    Notes
    -----
    With the difference c of the images and their mean m the weights are ``w = c / m``, and the
    order is ``sum(w (n - disordered)) / sum(w c)``: of all unbiased linear estimates the one that
    scatters least half way between the states.  Its variance is estimated by
    ``sum(w^2 n) / sum(w c)^2``, without bias whatever the counts' expectation, over all frames
    together: from its own counts a frame that is low by chance would also look surer, which at
    0.25 e/px makes the rate of leaving order come out a quarter too high.
    """
    counts = np.asarray(counts)
    ordered, disordered = (np.asarray(image, np.float64) for image in (ordered, disordered))
    if counts.ndim != 3 or not counts.shape[1:] == ordered.shape == disordered.shape:
        raise UserError(
            f"Counts {counts.shape} and templates {ordered.shape} and {disordered.shape} do not "
            "fit; give (frame, y, x) and twice (y, x)."
        )
    used = ordered != disordered
    if where is not None:
        where = np.asarray(where, dtype=bool)
        if where.shape != used.shape:
            raise UserError(
                f"The pixels of the layer have shape {where.shape} and the frames "
                f"{used.shape}; give one for each pixel."
            )
        used &= where
    pixels = np.flatnonzero(used)
    low = disordered.ravel()[pixels]
    found = _filtered(counts, pixels, ordered.ravel()[pixels] - low, low)
    return _table(found)


def switching(
    order: np.ndarray,
    order_se: np.ndarray | float,
    frame_time_s: float,
    *,
    means: tuple[float, float] | None = (0.0, 1.0),
    confidence: float = 0.95,
) -> Chain:
    """Return when a layer was ordered, and the rates of switching.

    Parameters
    ----------
    order : array (frame,) or (frame, layer)
        Order parameters; layers share their rates.
    order_se : float or array like `order`
        Standard errors.
    frame_time_s : float
        From one frame to the next [s].
    means : (float, float), optional
        Order parameter of the disordered and of the ordered state.  None: estimated together with
        the rates, whose intervals then take them as known.
    confidence : float
        Of the rates' intervals.

    Returns
    -------
    Chain
        State 1 is ordered: ``rate_down`` is that of order -> disorder and ``rate_up`` of the
        way back [1/s]; ``posterior`` the probability of order in each frame.

    Raises
    ------
    UserError
        As :func:`lowdose.columns.two_states.fit_chain`; also if a standard error is not positive.

    Notes
    -----
    The rates do not depend on the frame time as long as frames are short against the states: a
    frame in which the layer switches shows a part of each.  In simulations whose frames gather
    the light of all their time both rates are right to 12 % while their sum times the frame time
    is at most 0.4, a fifth to a quarter too low at 1 to 2, and nearly half at 4.  Sum fewer frames
    then: the chain gathers what each is too weak for.
    """
    order = np.asarray(order, dtype=np.float64)
    se = np.broadcast_to(np.asarray(order_se, dtype=np.float64), order.shape)
    if not (se[np.isfinite(order)] > 0).all():
        raise UserError("A standard error of the order is not positive; leave that frame out.")
    if means is not None:
        return fit_chain(gaussian_log_ratio(order, se, means), frame_time_s, confidence=confidence)
    known = np.isfinite(order)
    weight = np.where(known, 1 / se**2, 0.0)
    value = np.where(known, order, 0.0)
    low, high = np.quantile(order[known], [0.1, 0.9])
    for _ in range(_ROUNDS):
        chain = fit_chain(
            gaussian_log_ratio(order, se, (low, high)), frame_time_s, confidence=confidence
        )
        share = chain.posterior.reshape(order.shape)
        shares = (weight * (1 - share), weight * share)
        new = [np.sum(part * value) / max(np.sum(part), 1e-300) for part in shares]
        change = max(abs(new[0] - low), abs(new[1] - high))
        low, high = new
        if change < _ARRIVED * abs(high - low):
            break
    return chain


def _layer(places, pixel_size_nm, width_nm, heights, level, radius_nm):
    """Return the pixels of a layer, what its columns add there, and the level."""
    _, where, added = column_pixels(
        level.shape, places, pixel_size_nm, width_nm=width_nm, amplitude=heights,
        radius_nm=radius_nm,
    )  # fmt: skip
    # Where discs overlap a pixel is one pixel, and shows both columns.
    contrast = np.bincount(where, added, level.size)
    pixels = np.flatnonzero(contrast)
    return pixels, contrast[pixels], level.ravel()[pixels]


def _filtered(counts, pixels, contrast, low) -> np.ndarray:
    """Return order, its variance from the counts and from the templates, (frame, 3)."""
    if not (contrast != 0).any():
        raise UserError("Both states look the same in these pixels; give sites inside the frame.")
    middle = low + contrast / 2
    if not ((low > 0).all() and (low + contrast > 0).all()):
        raise UserError("An expected count is not positive; give both states above 0.")
    weights = contrast / middle
    weights = weights / (weights @ contrast)
    seen = counts.reshape(len(counts), -1)[:, pixels].astype(np.float64)
    expected = np.full(len(counts), middle @ weights**2)
    return np.column_stack([(seen - low) @ weights, seen @ weights**2, expected])


def _table(found: np.ndarray) -> pd.DataFrame:
    order, counted, expected = found.T
    # How it differs between frames by the templates, how large it is by all counts.
    variance = expected * (counted.sum() / expected.sum())
    return pd.DataFrame({"order": order, "order_se": np.sqrt(variance)})
