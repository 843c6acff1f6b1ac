"""The vacuum beside a particle: its level, and columns that an estimate shows in it.

A column in vacuum, where there is none, is the plainest invention.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from lowdose.columns.detection import detect_columns
from lowdose.sampling import bin_counts

# The paper's detection threshold on denoised images (0.0145 of 0.45, see columns.detection), in
# what the clean image shows to be vacuum, a column's radius away from all else and from the rim.
FALSE_THRESHOLD = 0.032
VACUUM_TOLERANCE = 0.03
VACUUM_MARGIN_NM = 0.15

# Where nothing is known of a frame: vacuum is where its denoised image is smooth.
WINDOW_NM = 0.2  # standard deviation of the window in which the image's scatter is taken
SMOOTHER = 1.3  # by how much vacuum is smoother than the rest, or there is none
LEAST_NM2 = 0.5
COARSE_NM = 0.025  # a lattice's scatter is seen on pixels this large as well


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


def vacuum_level(
    counts: np.ndarray, image: np.ndarray, pixel_size_nm: float
) -> tuple[float, float]:
    """Measure the counts in vacuum, where it is not known which part of the frame that is.

    Parameters
    ----------
    counts, image : array (y, x)
        A frame and its denoised image [e/px].
    pixel_size_nm : float

    Returns
    -------
    level : float
        Mean counts in vacuum [e/px]; the frame's mean if there is none.
    area_nm2 : float
        Area over which it was taken [nm²]; 0 if there is none.

    Notes
    -----
    Otsu's threshold on the logarithm of the local standard deviation of the image parts smooth
    from structured; the largest smooth region, 0.15 nm from all else, is the vacuum.  A frame
    whose parts do not differ is all crystal, or all vacuum: then its mean is as good as anything.
    """
    counts, image = np.asarray(counts), np.asarray(image, dtype=np.float32)
    mean = float(counts.mean(dtype=np.float64))
    step = max(1, round(COARSE_NM / pixel_size_nm))
    height, width = (n // step * step for n in image.shape)
    if min(height, width) < 8 * step or not mean > 0:
        return mean, 0.0
    coarse = bin_counts(image[:height, :width], step) / np.float32(step**2)
    window = WINDOW_NM / (step * pixel_size_nm)
    local = ndimage.gaussian_filter(coarse, window)
    square = ndimage.gaussian_filter(coarse * coarse, window) - local**2
    scatter = np.log(np.sqrt(np.maximum(square, 0)) / mean + 1e-4)
    if not np.ptp(scatter) > 0:
        return mean, 0.0
    threshold = threshold_otsu(scatter)
    smooth = scatter < threshold
    if np.exp(scatter[~smooth].mean() - scatter[smooth].mean()) < SMOOTHER:
        return mean, 0.0
    inside = ndimage.distance_transform_edt(smooth) * (step * pixel_size_nm) > VACUUM_MARGIN_NM
    labels, number = ndimage.label(inside)
    if not number:
        return mean, 0.0
    region = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    area = float(region.sum() * (step * pixel_size_nm) ** 2)
    if area < LEAST_NM2:
        return mean, 0.0
    sums = bin_counts(np.asarray(counts[:height, :width], dtype=np.float32), step)
    return float(sums[region].mean(dtype=np.float64)) / step**2, area
