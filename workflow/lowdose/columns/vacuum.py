"""Columns that an estimate shows in vacuum, where there are none: the plainest invention."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from lowdose.columns.detection import detect_columns

# The paper's detection threshold on denoised images (0.0145 of 0.45, see columns.detection), in
# what the clean image shows to be vacuum, a column's radius away from all else and from the rim.
FALSE_THRESHOLD = 0.032
VACUUM_TOLERANCE = 0.03
VACUUM_MARGIN_NM = 0.15


def vacuum_of(clean: np.ndarray, pixel_size_nm: float) -> np.ndarray:
    """Return where a clean image shows vacuum and nothing else nearby.

    Parameters
    ----------
    clean : array (y, x)
        Expectation relative to the vacuum.
    pixel_size_nm : float

    Returns
    -------
    bool array (y, x)
    """
    margin = round(VACUUM_MARGIN_NM / pixel_size_nm)
    something = np.abs(clean - 1) > VACUUM_TOLERANCE
    return ~ndimage.maximum_filter(something, 2 * margin + 1, mode="constant", cval=True)


def false_columns(
    estimate: np.ndarray, vacuum: np.ndarray, pixel_size_nm: float
) -> dict[str, float]:
    """Count the columns that an estimate shows in vacuum.

    Parameters
    ----------
    estimate : array (y, x)
        Relative to the vacuum.
    vacuum : bool array (y, x)
        Of :func:`vacuum_of`.
    pixel_size_nm : float

    Returns
    -------
    dict
        ``false_columns``: detections, bright or dark; ``vacuum_100_nm2``: searched area in units
        of 100 nm^2.
    """
    number = sum(
        len(detect_columns(estimate, pixel_size_nm, threshold=FALSE_THRESHOLD, polarity=sign,
                           mask=vacuum))
        for sign in (1, -1)
    )  # fmt: skip
    return {"false_columns": number, "vacuum_100_nm2": vacuum.sum() * pixel_size_nm**2 / 100}
