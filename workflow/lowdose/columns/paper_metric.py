"""The surface metric of Vincent et al. (2021), as its authors' notebook computes it.

Not what this package believes (see :mod:`lowdose.columns.surface` and the truth from the atoms),
but what its numbers have to be compared with: blobs of the clean image are the truth, the alpha
shape's ends are the surface, and the nearest neighbour, not a one-to-one match, decides.  Settings
are pixels, for images of about 6.2 pm a pixel and 0.45 electrons a pixel in vacuum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from skimage.feature import blob_log

from lowdose.columns.surface import alpha_shape_edges
from lowdose.runtime import UserError

VACUUM = 0.45
"""Expected counts in vacuum [e/px]."""
SIGMA_PX = 8.0
ALPHA_PX = 40.0
GATE_SQUARED_PX = 100.0
CLEAN_THRESHOLD = 0.02
DENOISED_THRESHOLD = 0.0145
_FEWEST = 3  # blobs: up to here there is no surface


@dataclass(frozen=True)
class Region:
    """Where the particle is: rows and columns [px] outside which the image is set to vacuum.

    Attributes
    ----------
    top, bottom, left, right : int
        ``[top, bottom)`` and ``[left, right)``.
    interface : float
        An edge of the alpha shape counts if one of its ends lies above this row.
    """

    top: int = 100
    bottom: int = 360
    left: int = 90
    right: int = 580
    interface: float = 330.0


def paper_columns(image: np.ndarray, threshold: float, region: Region = Region()) -> np.ndarray:
    """Detect columns as the paper does: blobs of one scale.

    Parameters
    ----------
    image : array (y, x)
        Expected counts or their estimate, scaled so that vacuum is `VACUUM` [e/px].
    threshold : float
        `CLEAN_THRESHOLD` or `DENOISED_THRESHOLD`.
    region : Region
        The default is that of the authors' frames of 727 x 687 pixels.

    Returns
    -------
    array (column, 2)
        Row and column [px].
    """
    image = np.asarray(image, dtype=np.float64)
    if image.ndim != 2:
        raise UserError(f"The image has shape {image.shape}; give one frame (y, x).")
    only = np.full(image.shape, VACUUM)
    place = np.s_[region.top : region.bottom, region.left : region.right]
    only[place] = image[place]
    blobs = blob_log(only, min_sigma=SIGMA_PX, max_sigma=SIGMA_PX, num_sigma=1, threshold=threshold)
    return blobs[:, :2]


def paper_surface(
    columns_px: np.ndarray, interface: float = Region().interface, alpha_px: float = ALPHA_PX
) -> np.ndarray:
    """Return the surface columns: the ends of the alpha shape's edges that reach above a row.

    Parameters
    ----------
    columns_px : array (column, 2)
        Row and column [px].
    interface, alpha_px : float
        The row, and alpha [px].

    Returns
    -------
    array (surface column, 2)
        Empty for three columns or fewer, where the paper has no surface.
    """
    points = np.asarray(columns_px, dtype=np.float64).reshape(-1, 2)
    if len(points) <= _FEWEST:
        return np.empty((0, 2))
    edges = alpha_shape_edges(points, alpha_px)
    above = (points[edges, 0] < interface).any(axis=1)
    return points[np.unique(edges[above])]


def surface_of_paper(relative: np.ndarray, threshold: float, interface_px: float) -> np.ndarray:
    """Return the paper's surface columns of a frame of any size.

    Parameters
    ----------
    relative : array (y, x)
        Image, vacuum = 1, of about 6.2 pm a pixel.
    threshold : float
        `CLEAN_THRESHOLD` or `DENOISED_THRESHOLD`.
    interface_px : float
        Row of the interface.  As on the authors' frames the image ends there, and edges of the
        alpha shape count from 30 pixels above it.

    Returns
    -------
    array (surface column, 2)
        Row and column [px].
    """
    rows = max(1, round(interface_px))
    cut = VACUUM * np.asarray(relative, dtype=np.float64)[:rows]
    whole = Region(0, rows, 0, cut.shape[1])
    line = interface_px - (Region().bottom - Region().interface)
    return paper_surface(paper_columns(cut, threshold, whole), line)


def paper_counts(clean_px: np.ndarray, denoised_px: np.ndarray) -> dict[str, int]:
    """Count surface columns that both images share, that the second lacks and that it adds.

    Parameters
    ----------
    clean_px, denoised_px : array (surface column, 2)
        From :func:`paper_surface`.

    Returns
    -------
    dict
        ``shared`` and ``missing`` (of the clean image), ``extra`` and ``found`` (of the other).
    """
    clean, denoised = (np.asarray(p, np.float64).reshape(-1, 2) for p in (clean_px, denoised_px))
    gate = np.sqrt(GATE_SQUARED_PX)

    def near(points: np.ndarray, others: np.ndarray) -> int:
        if not len(points) or not len(others):
            return 0
        return int(np.count_nonzero(cKDTree(others).query(points)[0] <= gate))

    shared = near(clean, denoised)
    extra = len(denoised) - near(denoised, clean)
    return {
        "shared": shared, "missing": len(clean) - shared, "extra": extra, "found": len(denoised)
    }  # fmt: skip


def paper_scores(counts: Mapping[str, float]) -> dict[str, float]:
    """Return the paper's precision, recall, F1 and Jaccard of (summed) :func:`paper_counts`.

    Since the nearest neighbour decides, two columns may share one partner: precision, ``shared /
    found``, is then not one minus the share of extra ones.  NaN where nothing is there to divide
    by.
    """
    shared, missing, extra = (float(counts[key]) for key in ("shared", "missing", "extra"))

    def share(top: float, bottom: float) -> float:
        return top / bottom if bottom else float("nan")

    return {
        "precision": share(shared, float(counts["found"])),
        "recall": share(shared, shared + missing),
        "f1": share(2 * shared, missing + extra + 2 * shared),
        "jaccard": share(shared, missing + extra + shared),
    }
