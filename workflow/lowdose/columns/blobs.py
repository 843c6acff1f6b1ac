"""Blobs of noisy counts: columns with a scale, a threshold and errors that follow from the noise.

Manzorro et al., Microsc. Microanal. (2022) follow columns through noisy time series by blob
detection.  Here the scale of the Laplacian of Gaussian is the one that finds a column's position
best, the threshold is set by the rate of false alarms, and every position and intensity has the
standard error that the counts under it give.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.spatial import cKDTree
from scipy.special import eval_hermitenorm, ndtr

from lowdose.columns.detection import COLUMN_SIGMA_NM, detect_columns
from lowdose.columns.discs import disc_pixels
from lowdose.runtime import UserError

MIN_DISTANCE_NM = 0.12
FALSE_ALARMS_PER_NM2 = 0.01

_REACH = 5.0  # scales; farther out the kernel is below 1e-4 of its centre
_NEAR = 4.5  # widths of the response; farther out a neighbour's is below 1e-3 of its peak
_ROUNDS = 30
_STILL = 1e-4  # px
_TALLEST = 12.0  # standard deviations: where the tail of the maxima ends


def best_sigma_nm(width_nm: float) -> float:
    """Return the scale that locates a weak Gaussian column best: sqrt(2) times its width [nm]."""
    return float(np.sqrt(2) * _positive("The column's width", width_nm))


def position_efficiency(width_nm: float, sigma_nm: float | np.ndarray) -> float | np.ndarray:
    """Return the Cramér-Rao variance of a column's position over that of its blob.

    Parameters
    ----------
    width_nm : float
        Standard deviation of the Gaussian column [nm].
    sigma_nm : float or array
        Scale of the Laplacian of Gaussian [nm].

    Returns
    -------
    float or array
        Within (0, 1]; its root is the bound's standard deviation over the blob's.

    Notes
    -----
    In white noise of variance b per pixel a column of height A and width w gives a response
    whose curvature at the peak is ``4 A s^2 w^2 / (s^2 + w^2)^3``, and the noise of the
    response's gradient has the variance ``3 b / (4 pi s^4)``.  Their ratio squared is the
    variance of the maximum's place; the bound is ``2 b / (pi A^2)``
    (:func:`lowdose.columns.observer.position_bound`).  With ``r = s^2 / w^2`` their quotient is
    ``(128 / 3) r^4 / (1 + r)^6``: 0.936 at its maximum r = 2, and 0.667 at r = 1.
    """
    r = (np.asarray(sigma_nm, np.float64) / _positive("The column's width", width_nm)) ** 2
    efficiency = 128 / 3 * r**4 / (1 + r) ** 6
    return float(efficiency) if efficiency.ndim == 0 else efficiency


def neighbour_shift_nm(width_nm: float, sigma_nm: float, distance_nm: float) -> float:
    """Return by how much an equal neighbour pushes a blob away from itself [nm].

    Notes
    -----
    First order in the neighbour's response: with ``S^2 = s^2 + w^2`` and ``t = (d / S)^2`` it is
    ``d / 2 (t / 2 - 2) exp(-t / 2)``, negative where it pulls.  In the bulk opposite neighbours
    cancel; at a surface they do not, and :func:`find_blobs` then has to separate them.
    """
    t = distance_nm**2 / (_positive("The scale", sigma_nm) ** 2 + width_nm**2)
    return float(distance_nm / 2 * (t / 2 - 2) * np.exp(-t / 2))


def noise_of_response(level_e_per_px: float, sigma_px: float) -> tuple[float, float]:
    """Return how much Poisson noise scatters the response and its gradient.

    Parameters
    ----------
    level_e_per_px : float
        Expected counts [e/px], uniform.
    sigma_px : float
        Scale [px]; from 1.2 on the sum over pixels is the integral to 1e-4.

    Returns
    -------
    response : float
        Standard deviation of :func:`lowdose.columns.detection.log_response` [e/px].
    gradient : float
        That of its derivative along one axis [e/px per px].

    Notes
    -----
    The transfer function ``k^2 s^2 exp(-k^2 s^2 / 2)`` squared, over the plane:
    ``b / (2 pi s^2)`` and ``3 b / (4 pi s^4)`` are the variances.
    """
    b, s = _positive("The level", level_e_per_px), _positive("The scale", sigma_px)
    return float(np.sqrt(b / (2 * np.pi)) / s), float(np.sqrt(3 * b / (4 * np.pi)) / s**2)


def maxima_per_nm2(height: float, sigma_nm: float) -> float:
    """Return how many local maxima above a height noise has.

    Parameters
    ----------
    height : float
        In standard deviations of the response.
    sigma_nm : float
        Scale [nm].

    Returns
    -------
    float
        Expected number per nm²; of any height, ``1 / (2 sqrt(3) pi sigma^2)``.

    Notes
    -----
    The exact density of heights of a Gaussian field's maxima in two dimensions (Bond and
    Efstathiou, Mon. Not. R. Astron. Soc. 226, 655, 1987, equations 4.2 to 4.4; the form of
    Cheng and Schwartzman, Extremes 18, 213, 2015, for isotropic fields).  White noise behind
    a Laplacian of Gaussian has the spectral parameter ``gamma = sqrt(3) / 2`` and
    ``R*^2 = sigma^2 / 2``.
    """
    density = quad(_heights, height, max(_TALLEST, height + 4), epsabs=0, epsrel=1e-8, limit=200)[0]
    return float(density / _positive("The scale", sigma_nm) ** 2)


def threshold_for(
    false_alarms_per_nm2: float,
    level_e_per_px: float,
    pixel_size_nm: float,
    sigma_nm: float,
    polarity: int = 1,
) -> float:
    """Return the threshold above which pure noise has so many maxima.

    Parameters
    ----------
    false_alarms_per_nm2 : float
        Expected number of false columns per nm² of a uniform image.
    level_e_per_px : float
        Its expected counts [e/px].
    pixel_size_nm, sigma_nm : float
        Pixel size and scale [nm].
    polarity : {1, -1}
        Bright or dark columns.

    Returns
    -------
    float
        Least response [e/px].  UserError if noise has fewer maxima at any threshold.

    Notes
    -----
    :func:`maxima_per_nm2`, inverted.  Poisson counts are skewed, and so is the response, by
    ``0.4728 / (s sqrt(b))``: the height is moved by the first term of Cornish and Fisher, without
    which 0.45 e/px at s = 11 px give twice the false alarms at 0.01 per nm².  In simulations the
    rates 1 and 0.1 per nm² hold to 10 % where the kernel's area ``2 pi s^2`` gathers ninety
    electrons or more (0.45 e/px at 12 pm); with twenty, dark columns have 20 % too many at 0.1.
    """
    if polarity not in (1, -1):
        raise UserError(f"polarity is {polarity}; give 1 (bright columns) or -1 (dark ones).")
    wanted = _positive("The rate of false alarms", false_alarms_per_nm2)
    sigma_px = _positive("The scale", sigma_nm) / _positive("The pixel size", pixel_size_nm)
    lowest = -5.0
    if wanted >= maxima_per_nm2(lowest, sigma_nm):
        raise UserError(
            f"{wanted} false alarms per nm² are more than the maxima that noise has at the scale "
            f"{sigma_nm} nm; give fewer."
        )
    height = brentq(lambda u: np.log(maxima_per_nm2(u, sigma_nm) / wanted), lowest, _TALLEST - 2)
    skewness = polarity * 0.4728 / (sigma_px * np.sqrt(_positive("The level", level_e_per_px)))
    height += skewness * (height**2 - 1) / 6
    return float(height * noise_of_response(level_e_per_px, sigma_px)[0])


def find_blobs(
    counts: np.ndarray,
    pixel_size_nm: float,
    level_e_per_px: float,
    *,
    width_nm: float = COLUMN_SIGMA_NM,
    sigma_nm: float | None = None,
    threshold: float | None = None,
    polarity: int = 1,
    min_distance_nm: float = MIN_DISTANCE_NM,
    separate: bool = True,
) -> pd.DataFrame:
    """Find the columns of one frame of counts, each with its errors.

    Parameters
    ----------
    counts : array (y, x)
        Counts [e/px].
    pixel_size_nm : float
    level_e_per_px : float
        Mean of the counts that the columns stand on; sets the threshold.
    width_nm : float
        Standard deviation of a column, taken as Gaussian [nm].
    sigma_nm : float, optional
        Scale [nm]; by default the best one, :func:`best_sigma_nm`.
    threshold : float, optional
        Least response [e/px]; by default that of 0.01 false alarms per nm².
    polarity : {1, -1}
        Bright or dark columns.
    min_distance_nm : float
        Of two candidates closer than this the stronger is kept [nm].
    separate : bool
        Take what the other blobs, as Gaussians of that width, add to the response at each blob
        out of its position and intensity.

    Returns
    -------
    DataFrame
        The strongest first: ``x_nm, y_nm, response`` [e/px]; ``x_se_nm, y_se_nm``;
        ``intensity``, all counts of the column above its level [e], negative for dark ones, and
        ``intensity_se``.

    Errors as :func:`lowdose.columns.detection.detect_columns`.

    Notes
    -----
    The standard error of the position is that of the response's gradient, from the counts under
    the kernel, over the curvature of the peak, which for a column of that width is
    ``2 response / (s^2 + w^2)``; measured, it would be the same on average and scatter more.  It is
    first order in the noise and holds from about five standard deviations of the response; near
    the border, where the image is mirrored, it is too small.  Of the intensity's variance
    ``8 r^3 / (1 + r)^4``, 0.79 at the best scale, is unavoidable; a column of another width than
    `width_nm` has another intensity than is said.
    """
    counts = np.asarray(counts, dtype=np.float64)
    sigma_nm = best_sigma_nm(width_nm) if sigma_nm is None else sigma_nm
    if threshold is None:
        threshold = threshold_for(
            FALSE_ALARMS_PER_NM2, level_e_per_px, pixel_size_nm, sigma_nm, polarity
        )
    found = detect_columns(
        counts, pixel_size_nm, threshold=threshold, sigma_nm=sigma_nm, polarity=polarity,
        min_distance_nm=min_distance_nm,
    )  # fmt: skip
    s, w = sigma_nm / pixel_size_nm, _positive("The column's width", width_nm) / pixel_size_nm
    spread = s**2 + w**2
    places = found[["x_nm", "y_nm"]].to_numpy() / pixel_size_nm
    peak, gradient, variance, of_gradient = _at(counts, places, s)
    peak, gradient = polarity * peak, polarity * gradient
    centres = places + gradient * (spread / (2 * peak))[:, None]
    if separate and len(found) > 1:
        centres, peak = _separated(places, peak, gradient, spread, min_distance_nm / pixel_size_nm)
    # A maximum is taken where the noise is highest; what that adds on average is known.
    curvature = 2 * np.where(peak > 0, peak, np.nan) / spread
    peak = peak - of_gradient.sum(axis=1) / (2 * curvature)
    errors = np.sqrt(of_gradient) / curvature[:, None] * pixel_size_nm
    total = np.pi * spread**2 / s**2
    return pd.DataFrame(
        {
            "x_nm": centres[:, 0] * pixel_size_nm,
            "y_nm": centres[:, 1] * pixel_size_nm,
            "response": found["response"],
            "x_se_nm": errors[:, 0],
            "y_se_nm": errors[:, 1],
            "intensity": polarity * total * peak,
            "intensity_se": total * np.sqrt(variance),
        }
    )


def centroids(
    counts: np.ndarray,
    start_nm: np.ndarray,
    pixel_size_nm: float,
    level_e_per_px: float,
    radius_nm: float,
    *,
    polarity: int = 1,
    rounds: int = 50,
) -> pd.DataFrame:
    """Return centres of mass of the counts above a level, for comparison with blobs.

    Parameters
    ----------
    counts : array (y, x)
        Counts [e/px].
    start_nm : array (column, 2)
        Where to start, (x, y) [nm].
    pixel_size_nm : float
    level_e_per_px : float
        What is taken off each pixel [e/px].
    radius_nm : float
        Radius of the disc that moves with the centre [nm].
    polarity : {1, -1}
        Bright or dark columns.
    rounds : int
        Most moves of the disc; it rests sooner when it moves by less than 0.01 px.

    Returns
    -------
    DataFrame
        ``x_nm, y_nm``; ``intensity`` above the level [e], signed; ``found``, False where nothing is
        left above the level or the disc moves out of its own radius, and then the rest is missing.

    Errors as :func:`lowdose.columns.discs.disc_pixels`.
    """
    counts = np.asarray(counts, dtype=np.float64)
    start = np.asarray(start_nm, dtype=np.float64).reshape(-1, 2)
    centre, mass = start.copy(), np.zeros(len(start))
    lost = np.zeros(len(start), dtype=bool)
    moving = np.arange(len(start))
    for _ in range(rounds):
        rows, cols, inside = disc_pixels(counts.shape, centre[moving], pixel_size_nm, radius_nm)
        above = np.where(inside, polarity * (counts[rows, cols] - level_e_per_px), 0.0)
        mass[moving] = above.sum(axis=1)
        positive = mass[moving] > 0
        whole = np.where(positive, mass[moving], 1.0)
        new = np.stack([(above * along).sum(axis=1) / whole for along in (cols, rows)], axis=1)
        new *= pixel_size_nm
        gone = ~positive | (np.hypot(*(new - start[moving]).T) > radius_nm)
        step = np.hypot(*(new - centre[moving]).T)
        centre[moving] = np.where(gone[:, None], centre[moving], new)
        lost[moving[gone]] = True
        moving = moving[~gone & (step >= 0.01 * pixel_size_nm)]
        if not len(moving):
            break
    values = np.where(lost[:, None], np.nan, np.column_stack([centre, polarity * mass]))
    return pd.DataFrame(values, columns=["x_nm", "y_nm", "intensity"]).assign(found=~lost)


def _heights(nu: float) -> float:
    """Return the density of maxima of height nu [standard deviations] per area of sigma^2."""
    x, rest, wide = np.sqrt(0.75) * nu, 0.25, 1.5  # 1 - gamma^2 and 3 - 2 gamma^2
    shape = (x**2 - 0.75) * ndtr(x / np.sqrt(rest))
    shape += x * rest * np.exp(-(x**2) / (2 * rest)) / np.sqrt(2 * np.pi * rest)
    shape += np.exp(-(x**2) / wide) / np.sqrt(wide) * ndtr(x / np.sqrt(rest * wide))
    return shape * np.exp(-(nu**2) / 2) * 2 / (2 * np.pi) ** 1.5


def _at(counts: np.ndarray, places: np.ndarray, s: float) -> tuple[np.ndarray, ...]:
    """Return response, its gradient and the variances of both at places (x, y) [px]."""
    # All kernels are sums of products of one function of x and one of y, and so are their squares:
    # each is two small matrix products with the pixels around a place.
    reach = int(np.ceil(_REACH * s)) + 1
    steps = np.arange(-reach, reach + 1)
    centre = np.rint(places).astype(np.intp)
    padded = np.pad(counts, reach, mode="symmetric")
    rows, cols = (centre[:, [axis]] + reach + steps for axis in (1, 0))
    pixels = padded[rows[:, :, None], cols[:, None, :]]
    h, squares = [], []
    for axis in (1, 0):
        z = (centre[:, [axis]] + steps - places[:, [axis]]) / s
        bell = np.exp(-(z**2) / 2) / (np.sqrt(2 * np.pi) * s)
        d = [eval_hermitenorm(order, z) * bell / s**order for order in range(4)]
        h.append(np.stack(d, axis=2))
        pairs = ((0, 0), (0, 2), (2, 2), (1, 1), (1, 3), (3, 3))
        squares.append(np.stack([d[i] * d[k] for i, k in pairs], axis=2))
    m = np.swapaxes(h[0], 1, 2) @ pixels @ h[1]  # derivative along (y, x)
    v = np.swapaxes(squares[0], 1, 2) @ pixels @ squares[1]
    response = -(s**2) * (m[:, 2, 0] + m[:, 0, 2])
    gradient = -(s**2) * np.stack([m[:, 0, 3] + m[:, 2, 1], m[:, 3, 0] + m[:, 1, 2]], axis=1)
    variance = s**4 * (v[:, 0, 2] + 2 * v[:, 1, 1] + v[:, 2, 0])
    along_x = v[:, 0, 5] + 2 * v[:, 1, 4] + v[:, 2, 3]
    along_y = v[:, 5, 0] + 2 * v[:, 4, 1] + v[:, 3, 2]
    return response, gradient, variance, s**4 * np.stack([along_x, along_y], axis=1)


def _separated(places, peak, gradient, spread, farthest) -> tuple[np.ndarray, np.ndarray]:
    """Return centres [px] and responses of blobs whose neighbours' responses are taken out."""
    # A Gaussian column responds with (1 - t / 2) exp(-t / 2), t the squared distance over `spread`.
    # Each blob is the maximum of what the others leave; a few rounds agree.
    pairs = cKDTree(places).query_pairs(_NEAR * np.sqrt(spread), output_type="ndarray")
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    centres, own = places.copy(), peak.copy()
    for _ in range(_ROUNDS):
        apart = places[i] - centres[j]
        t = np.sum(apart**2, axis=1) / spread
        fall = own[j] * np.exp(-t / 2)
        left = peak - np.bincount(i, fall * (1 - t / 2), len(places))
        slope = (fall * (t / 2 - 2) / spread)[:, None] * apart
        rest = gradient - np.stack([np.bincount(i, s, len(places)) for s in slope.T], axis=1)
        # Of what is left: at a place off its centre by u it is lower by u^2 own / spread.
        safe = np.maximum(left, 0.3 * peak)
        shift = np.clip(rest * spread / (2 * safe[:, None]), -farthest / 2, farthest / 2)
        new = places + shift
        own = safe + np.sum(shift**2, axis=1) * safe / spread
        step, centres = np.abs(new - centres).max(), new
        if step < _STILL:
            break
    return centres, own


def _positive(what: str, value: float) -> float:
    if not (np.isfinite(value) and value > 0):
        raise UserError(f"{what} is {value}; give a positive number.")
    return float(value)
