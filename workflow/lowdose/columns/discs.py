"""Discs around columns: which pixels they hold, their sums and means."""

from __future__ import annotations

import numpy as np

from lowdose.runtime import UserError


def disc_sums(
    image: np.ndarray, positions_nm: np.ndarray, pixel_size_nm: float, radius_nm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Sum an image over discs.

    Parameters
    ----------
    image : array (..., y, x)
        One image or a stack of them.
    positions_nm : array (column, 2)
        Centres (x, y) [nm].
    pixel_size_nm, radius_nm : float
        Pixel size and radius of the discs [nm], positive.

    Returns
    -------
    sums : float64 array (..., column)
        Sums over the pixels whose centre is within the radius, itself included.
    n_pixels : int array (column,)
        Their number; smaller where the frame cuts the disc, 0 outside the frame.

    Raises
    ------
    UserError
        If the pixel size is not positive or the radius is below 0.71 pixels, for then a disc
        may hold no pixel.
    """
    rows, cols, inside = disc_pixels(np.shape(image)[-2:], positions_nm, pixel_size_nm, radius_nm)
    values = np.asarray(image)[..., rows, cols]
    return np.sum(values, axis=-1, where=inside, dtype=np.float64), inside.sum(axis=1)


def disc_means(
    image: np.ndarray, positions_nm: np.ndarray, pixel_size_nm: float, radius_nm: float
) -> np.ndarray:
    """Return the means of an image over discs; NaN where the disc is outside the frame.

    Parameters, units and errors as :func:`disc_sums`; the result is a float64 array
    (..., column).
    """
    sums, n_pixels = disc_sums(image, positions_nm, pixel_size_nm, radius_nm)
    with np.errstate(invalid="ignore"):
        return sums / np.where(n_pixels > 0, n_pixels, np.nan)


def disc_pixels(
    shape: tuple[int, int], positions_nm: np.ndarray, pixel_size_nm: float, radius_nm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pixels of discs.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the frame.
    positions_nm, pixel_size_nm, radius_nm
        As :func:`disc_sums`.

    Returns
    -------
    rows, cols : int array (column, pixel)
        Indices within the frame of a square around each centre.
    inside : bool array (column, pixel)
        True for those that the disc holds; the rest only fills the square.

    Raises
    ------
    UserError
        As :func:`disc_sums`.
    """
    if not pixel_size_nm > 0:
        raise UserError(f"pixel_size_nm is {pixel_size_nm}; give a positive size in nm.")
    radius = radius_nm / pixel_size_nm
    if not radius >= np.sqrt(0.5):
        raise UserError(
            f"A disc of radius {radius_nm} nm may hold no pixel of {pixel_size_nm} nm; give a "
            "larger radius or finer pixels."
        )
    x, y = (np.asarray(positions_nm, dtype=np.float64).reshape(-1, 2) / pixel_size_nm).T
    reach = int(np.ceil(radius)) + 1
    dy, dx = (d.ravel() for d in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    rows = np.rint(y).astype(np.intp)[:, None] + dy
    cols = np.rint(x).astype(np.intp)[:, None] + dx
    inside = np.hypot(rows - y[:, None], cols - x[:, None]) <= radius + 1e-9
    inside &= (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
    return np.clip(rows, 0, shape[0] - 1), np.clip(cols, 0, shape[1] - 1), inside
