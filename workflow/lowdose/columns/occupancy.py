"""Present or absent: what the counts of each frame say of a site's column.

The likelihood ratio of a frame is its evidence; :func:`lowdose.columns.two_states.fit_chain` turns
those of all frames into a history and into rates of switching.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from lowdose.columns.discs import disc_pixels
from lowdose.columns.fitting import FIT_RADIUS_NM
from lowdose.columns.two_states import chain_log_likelihood, steps_of
from lowdose.runtime import UserError


def site_log_ratio(
    counts: np.ndarray,
    positions_nm: np.ndarray,
    pixel_size_nm: float,
    *,
    width_nm: float,
    amplitude: float | np.ndarray,
    level: float | np.ndarray,
    radius_nm: float = FIT_RADIUS_NM,
) -> np.ndarray:
    """Return the log-likelihood ratio of a column present against absent, of each frame and site.

    Parameters
    ----------
    counts : array (frame, y, x)
        Counts [e/px].
    positions_nm : array (site, 2) or (frame, site, 2)
        Sites (x, y) [nm].
    pixel_size_nm : float
    width_nm : float
        Standard deviation of a Gaussian column [nm].
    amplitude : float or array (site,)
        Its height above the level [e/px], negative for dark columns.
    level : float or array (y, x)
        Expected counts without the column [e/px], positive; an image may hold the neighbours.
    radius_nm : float
        Radius of the disc that is looked at [nm].

    Returns
    -------
    float64 array (frame, site)
        ``sum(n ln(present / absent) - (present - absent))`` over the disc [nat], as
        :func:`lowdose.columns.observer.log_ratio`; 0 outside the frame.

    Raises
    ------
    UserError
        If shapes do not fit or a column would leave less than nothing.
    """
    counts, places = frames_and_places(counts, positions_nm)
    amplitude = np.broadcast_to(np.asarray(amplitude, dtype=np.float64), places.shape[-2:-1])
    level = np.array(np.broadcast_to(level, counts.shape[1:]), dtype=np.float64)
    result = np.empty((len(counts), places.shape[-2]))
    weighing = None
    for number, frame in enumerate(counts):
        if weighing is None or places.ndim == 3:
            here = places if places.ndim == 2 else places[number]
            weighing = _weighing(
                counts.shape[1:], here, pixel_size_nm, radius_nm, width_nm, amplitude, level
            )
        pixels, weights, site, offset = weighing
        result[number] = np.bincount(site, weights * frame.ravel()[pixels], len(offset)) - offset
    return result


def frames_and_places(
    counts: np.ndarray, positions_nm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return counts and positions as arrays that fit each other.

    Parameters
    ----------
    counts : array (frame, y, x)
    positions_nm : array (site, 2) or (frame, site, 2)

    Raises
    ------
    UserError
        If they do not fit.
    """
    counts, places = np.asarray(counts), np.asarray(positions_nm, dtype=np.float64)
    if counts.ndim != 3 or places.ndim not in (2, 3) or places.shape[-1] != 2:
        raise UserError(
            f"Counts {counts.shape} and positions {places.shape} do not fit; give (frame, y, x) "
            "and (site, 2) or (frame, site, 2)."
        )
    if places.ndim == 3 and len(places) != len(counts):
        raise UserError(
            f"There are positions of {len(places)} frames and counts of {len(counts)}; give one "
            "set for each frame."
        )
    return counts, places


def switching_evidence(log_ratio: np.ndarray) -> np.ndarray:
    """Return how far each site's frames speak for switching against either state throughout.

    Parameters
    ----------
    log_ratio : array (frame, site)

    Returns
    -------
    float64 array (site,)
        Log of the likelihood of a switching chain, averaged over both rates, log-uniform from a
        tenth of one step in the whole series to one a frame, over that of the better of state 0
        and state 1 in all frames [nat].  If a site never switches it exceeds ``ln(1 / p)`` with a
        probability of at most p.
    """
    ratio = np.asarray(log_ratio, dtype=np.float64)
    rates = np.exp(np.linspace(np.log(0.1 / len(ratio)), 0, 13))
    up, down = steps_of(*(r.ravel()[:, None] for r in np.meshgrid(rates, rates)))
    likelihoods = chain_log_likelihood(ratio, up, down, 0.5)
    average = logsumexp(likelihoods, axis=0) - np.log(len(up))
    return average - np.maximum(ratio.sum(axis=0), 0.0)


def column_pixels(
    shape: tuple[int, int],
    positions_nm: np.ndarray,
    pixel_size_nm: float,
    *,
    width_nm: float,
    amplitude: np.ndarray,
    radius_nm: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what Gaussian columns add to the pixels of their discs.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the frame.
    positions_nm : array (site, 2)
    pixel_size_nm, width_nm, radius_nm
        As :func:`site_log_ratio`.
    amplitude : array (site,)

    Returns
    -------
    site, pixel : int array (pixel,)
        Whose disc it is, and its place in the frame laid out as a vector.
    added : array (pixel,)
        In the unit of `amplitude`.
    """
    disc_pixels(shape, np.empty((0, 2)), pixel_size_nm, radius_nm)  # refuses what is impossible
    radius, places = radius_nm / pixel_size_nm, positions_nm / pixel_size_nm
    reach = int(np.ceil(radius)) + 1
    sides, squares, bells = [], [], []
    # Disc and Gaussian are made of one function of x and one of y: of a square of pixels its two
    # sides are enough, several times faster, which counts where columns move in every frame.
    for axis, size in ((1, shape[0]), (0, shape[1])):
        place = places[:, [axis]]
        side = np.rint(place).astype(np.intp) + np.arange(-reach, reach + 1)
        square = (side - place) ** 2
        bells.append(np.exp(-square * pixel_size_nm**2 / (2 * width_nm**2)))
        squares.append(np.where((side >= 0) & (side < size), square, np.inf))
        sides.append(side)
    inside = squares[0][:, :, None] + squares[1][:, None, :] <= (radius + 1e-9) ** 2
    pixels = sides[0][:, :, None] * shape[1] + sides[1][:, None, :]
    added = (amplitude[:, None] * bells[0])[:, :, None] * bells[1][:, None, :]
    site = np.repeat(np.arange(len(places)), inside.sum(axis=(1, 2)))
    return site, pixels[inside], added[inside]


def _weighing(shape, places, pixel_size_nm, radius_nm, width_nm, amplitude, level):
    """Return the pixels of all sites, their weights, whose they are, and what is taken off."""
    site, pixels, added = column_pixels(
        shape, places, pixel_size_nm, width_nm=width_nm, amplitude=amplitude, radius_nm=radius_nm
    )
    absent = level.ravel()[pixels]
    if not ((absent > 0).all() and (absent + added > 0).all()):
        raise UserError(
            "The level, or a dark column on it, is not positive; give expected counts above 0."
        )
    return pixels, np.log1p(added / absent), site, np.bincount(site, added, len(places))
