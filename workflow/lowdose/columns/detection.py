"""Find atomic columns: extrema of the scale-normalised Laplacian of Gaussian.

The detector of Vincent et al., Microsc. Microanal. 27, 1431 (2021), and Manzorro et al. (2022):
one scale, sigma = 8 px at about 6.2 pm = 0.049 nm, close to the radius of a column.  Ours adds
sub-pixel positions and takes images relative to vacuum; the paper's thresholds (0.02 for clean
and 0.0145 for denoised images, whose vacuum is 0.45) are 0.044 and 0.032 here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import fft, ndimage
from scipy.spatial import cKDTree

from lowdose.columns.discs import disc_means
from lowdose.runtime import UserError

COLUMN_SIGMA_NM = 0.049
"""Scale of the detector: the paper's 8 px at its pixel size."""

NEIGHBOURS_3X3 = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]


def log_response(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return the scale-normalised Laplacian of Gaussian, positive on bright blobs.

    Parameters
    ----------
    image : array (y, x)
        Any unit; the response is in the same unit.
    sigma_px : float
        Scale [px], positive.

    Returns
    -------
    float32 array (y, x)
        ``-sigma^2 Laplace(G_sigma * image)``.  A Gaussian blob of height A and width sigma gives
        A / 2 at its centre; a flat image gives 0.

    Raises
    ------
    UserError
        If the image is not two-dimensional or holds non-finite values, or sigma is not positive.

    Notes
    -----
    Computed by cosine transform with the transfer function ``k^2 sigma^2 exp(-k^2 sigma^2 / 2)``
    (Lindeberg, Int. J. Comput. Vis. 30, 79, 1998), which mirrors the image at its borders as
    ``scipy.ndimage.gaussian_laplace(mode="reflect")`` does, without that function's truncated
    kernel and several times faster at the scales in use here.
    """
    image = np.asarray(image, dtype=np.float32)
    if image.ndim != 2 or 0 in image.shape:
        raise UserError(f"The image has shape {image.shape}; give one frame (y, x).")
    if not sigma_px > 0:
        raise UserError(f"The detector's scale is {sigma_px} px; give a positive scale.")
    if not np.isfinite(image).all():
        raise UserError("The image holds NaN or infinite values; replace them before detection.")
    squares = [(np.pi * np.arange(n) / n * sigma_px) ** 2 for n in image.shape]
    decay_y, decay_x = (np.exp(-square / 2).astype(np.float32) for square in squares)
    # Without its mean the image is small, and so is the transform's rounding in float32.
    spectrum = fft.dctn(image - image.mean(dtype=np.float64).astype(np.float32), norm="ortho")
    weight = (squares[0][:, None] + squares[1][None, :]).astype(np.float32)
    spectrum *= weight
    spectrum *= decay_y[:, None] * decay_x[None, :]
    return fft.idctn(spectrum, norm="ortho", overwrite_x=True)


def detect_columns(
    image: np.ndarray,
    pixel_size_nm: float,
    *,
    threshold: float,
    sigma_nm: float = COLUMN_SIGMA_NM,
    polarity: int = 1,
    mask: np.ndarray | None = None,
    min_distance_nm: float = 0.12,
) -> pd.DataFrame:
    """Return the columns of an image, the strongest first.

    Parameters
    ----------
    image : array (y, x)
        Relative image, vacuum = 1.
    pixel_size_nm : float
        Pixel size [nm], positive.
    threshold : float
        Least response, in units of the image.  All candidates above it are returned, so that a
        caller may detect once and raise the threshold afterwards.
    sigma_nm : float
        Scale of the detector [nm].
    polarity : {1, -1}
        1 for bright columns (white contrast), -1 for dark ones.
    mask : bool array (y, x), optional
        True where a column may be; the image outside still enters the filter.
    min_distance_nm : float
        Of two candidates closer than this, the stronger is kept [nm].

    Returns
    -------
    DataFrame
        ``x_nm``, ``y_nm``; ``response``, positive for either polarity; ``amplitude``, the mean of
        the image within `sigma_nm` of the position, minus the vacuum's 1 (signed).

    Raises
    ------
    UserError
        If the image is not one finite frame, the pixel size, the scale or the polarity is
        impossible, or the mask has another shape.

    Notes
    -----
    A local maximum of the response is refined by the least-squares quadratic of its 3 x 3
    neighbourhood; on Gaussian blobs as wide as a column the bias is below 0.001 px.  Maxima in
    the outermost line of pixels cannot be refined and are dropped.
    """
    if not pixel_size_nm > 0:
        raise UserError(f"pixel_size_nm is {pixel_size_nm}; give a positive size in nm.")
    if polarity not in (1, -1):
        raise UserError(f"polarity is {polarity}; give 1 (bright columns) or -1 (dark ones).")
    image = np.asarray(image, dtype=np.float32)
    response = polarity * log_response(image, sigma_nm / pixel_size_nm)
    allowed = response > threshold
    if mask is not None:
        mask = np.asarray(mask, dtype=bool)
        if mask.shape != image.shape:
            raise UserError(
                f"The mask has shape {mask.shape} and the image {image.shape}; give one mask "
                "pixel for each image pixel."
            )
        allowed &= mask
    rows, cols = _local_maxima(response, allowed)
    y, x, height = _refine(response, rows, cols)
    order = np.argsort(-height, kind="stable")
    positions = np.stack([x, y], axis=1)[order] * pixel_size_nm
    height = height[order]
    kept = _strongest(positions, min_distance_nm)
    positions, height = positions[kept], height[kept]
    return pd.DataFrame(
        {
            "x_nm": positions[:, 0],
            "y_nm": positions[:, 1],
            "response": height,
            "amplitude": disc_means(image, positions, pixel_size_nm, sigma_nm) - 1.0,
        }
    )


def _local_maxima(response: np.ndarray, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the allowed pixels that no neighbour exceeds."""
    highest = ndimage.maximum_filter1d(ndimage.maximum_filter1d(response, 3, axis=0), 3, axis=1)
    peak = allowed & (response == highest)
    peak[[0, -1], :] = False
    peak[:, [0, -1]] = False
    return np.nonzero(peak)


def _refine(response, rows, cols) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sub-pixel y, x [px] and height of maxima from the 3 x 3 quadratic fit."""
    values = np.stack([response[rows + dy, cols + dx] for dy, dx in NEIGHBOURS_3X3], axis=1)
    values = values.astype(np.float64)
    dy, dx = np.array(NEIGHBOURS_3X3, dtype=np.float64).T
    design = np.stack([np.ones(9), dy, dx, dy * dy, dx * dx, dy * dx], axis=1)
    c0, cy, cx, cyy, cxx, cyx = (values @ np.linalg.pinv(design).T).T
    determinant = 4 * cyy * cxx - cyx**2
    proper = (cyy < 0) & (cxx < 0) & (determinant > 0)
    safe = np.where(proper, determinant, 1.0)
    shift_y = np.where(proper, (cyx * cx - 2 * cxx * cy) / safe, 0.0)
    shift_x = np.where(proper, (cyx * cy - 2 * cyy * cx) / safe, 0.0)
    # A maximum of the samples lies within one pixel of the true one; a larger step is noise.
    shift_y, shift_x = np.clip(shift_y, -1, 1), np.clip(shift_x, -1, 1)
    height = c0 + (cy * shift_y + cx * shift_x) / 2
    return rows + shift_y, cols + shift_x, np.where(proper, height, values[:, 4])


def _strongest(positions: np.ndarray, min_distance_nm: float) -> np.ndarray:
    """Return the mask of the positions (strongest first) with no stronger kept one nearby."""
    kept = np.ones(len(positions), dtype=bool)
    if len(positions) < 2 or min_distance_nm <= 0:
        return kept
    pairs = cKDTree(positions).query_pairs(min_distance_nm, output_type="ndarray")
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    # In order of the stronger member, so that a suppressed column suppresses no other.
    for stronger, weaker in pairs:
        if kept[stronger]:
            kept[weaker] = False
    return kept
