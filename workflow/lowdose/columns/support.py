"""Where the support of a particle is in an image: by its lattice, whatever its direction.

An oxide support has wider spacings than the metal on it: CeO2 {111} 0.312 and {002} 0.271 nm, Pt
{111} 0.226 nm.  The local amplitude of the image in either band says which lattice is there.  A
column is at the interface by its distance from the support's outline, so that neither a rotated
frame nor a curved or stepped support needs a line to be drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage
from scipy.spatial import cKDTree

from lowdose.runtime import UserError
from lowdose.sampling import bin_counts

SUPPORT_BAND_NM = (0.253, 0.364)
"""Spacings that only the support has: CeO2 {111} and {002}, rutile {110}."""

PARTICLE_BAND_NM = (0.2105, 0.241)
"""Spacings that only the particle has: {111} of Pt and Au."""

ON_SUPPORT_NM = 0.34
"""Columns further from the outline than this stand on other columns."""

CARRIER_NM = (0.32, 0.10)
"""A column that carries another one is no further than this from it, and nearer to the outline by
at least this much: layers are 0.226 nm apart, neighbours 0.240 and 0.277."""

INSIDE_NM = -0.11
"""Columns deeper inside the outline than this belong to the support."""

WINDOW_NM = 0.15  # over which the local amplitude is averaged
SMOOTHING_NM = 0.25  # along the outline
BRIDGE_NM = 0.1
OVER_PARTICLE, OVER_REST = 1.2, 1.4
"""On a support the amplitude in its band is at least so many times that in the particle's, and
that in its own band beside it, or there is none.  On multislice images of 0 to 20 nm the least are
1.5 and 6, without the support 0.9 at most of the former; on filtered noisy frames of 0.2 e/px and
more 2.5 and 1.3 with it, 1.2 at most of the latter without.
"""
LEAST_AREA_NM2 = 1.5
COARSE_NM = 0.03
EDGE = 0.10  # relative softness of a band's ends


@dataclass(frozen=True)
class Support:
    """The support of a particle.

    Attributes
    ----------
    mask : bool array (y, x)
        True on the support.
    distance_nm : float32 array (y, x)
        From its outline, negative inside [nm].
    pixel_size_nm : float
    """

    mask: np.ndarray
    distance_nm: np.ndarray
    pixel_size_nm: float

    @classmethod
    def of(cls, mask: np.ndarray, pixel_size_nm: float) -> Support:
        """Return the support that covers a mask, bool (y, x)."""
        mask = np.asarray(mask, dtype=bool)
        if not mask.any():
            raise UserError("The support covers no pixel; say that there is none instead.")
        outside = ndimage.distance_transform_edt(~mask)
        inside = ndimage.distance_transform_edt(mask)
        # Pixel centres lie half a pixel from the outline on either side of it.
        distance = np.where(mask, 0.5 - inside, outside - 0.5) * pixel_size_nm
        return cls(mask, distance.astype(np.float32), pixel_size_nm)

    @property
    def free(self) -> np.ndarray:
        """Where a column may be that is none of the support's: bool (y, x)."""
        return self.distance_nm > INSIDE_NM

    def distance(self, points_nm: np.ndarray) -> np.ndarray:
        """Return how far columns are from the outline, negative inside [nm].

        Parameters
        ----------
        points_nm : array (column, 2)
            Positions (x, y) [nm].
        """
        points = np.asarray(points_nm, dtype=np.float64).reshape(-1, 2) / self.pixel_size_nm
        return ndimage.map_coordinates(self.distance_nm, points.T[::-1], order=1, mode="nearest")

    def carries(self, points_nm: np.ndarray) -> np.ndarray:
        """Return which columns of a particle are its bottom layer.

        Parameters
        ----------
        points_nm : array (column, 2)
            Positions (x, y) of the particle's columns [nm].

        Returns
        -------
        bool array (column,)
            True close to the outline, unless another column is between the two: the outline is
            uncertain by up to half a layer, the layers are not.
        """
        points = np.asarray(points_nm, dtype=np.float64).reshape(-1, 2)
        distance = self.distance(points)
        on = distance < ON_SUPPORT_NM
        if len(points) > 1:
            one, other = cKDTree(points).query_pairs(CARRIER_NM[0], output_type="ndarray").T
            gap = distance[one] - distance[other]
            on[one[gap > CARRIER_NM[1]]] = False
            on[other[gap < -CARRIER_NM[1]]] = False
        return on


def find_support(
    relative: np.ndarray,
    pixel_size_nm: float,
    *,
    support_band_nm: tuple[float, float] = SUPPORT_BAND_NM,
    particle_band_nm: tuple[float, float] = PARTICLE_BAND_NM,
) -> Support | None:
    """Find the support in a denoised image.

    Parameters
    ----------
    relative : array (y, x)
        Denoised image, vacuum = 1, of either contrast.  Counts at half an electron a pixel are too
        noisy.
    pixel_size_nm : float
        Pixel size [nm].
    support_band_nm, particle_band_nm : (float, float)
        Least and greatest lattice spacing that only the support, only the particle has [nm].

    Returns
    -------
    Support or None
        None if no lattice of the support reaches the border of the image over at least 1.5 nm².

    Raises
    ------
    UserError
        If the image is not one finite frame, or the pixel is too large to show the spacings.

    Notes
    -----
    A pixel belongs to the support if the amplitude in the support's band, averaged over 0.15 nm,
    is above that in the particle's, each relative to its 97th percentile, and above 30 % of that
    percentile; the largest such region is kept, if both amplitudes say that it is one.
    """
    image = np.asarray(relative, dtype=np.float32)
    if image.ndim != 2 or min(image.shape) < 8 or not np.isfinite(image).all():
        raise UserError("The support is looked for in one finite frame (y, x) of 8 pixels or more.")
    if not 0 < pixel_size_nm < particle_band_nm[0] / 2:
        raise UserError(
            f"pixel_size_nm is {pixel_size_nm}; spacings of {particle_band_nm[0]} nm need a "
            "positive one below half of that."
        )
    # Spacings of 0.21 nm are seen on pixels of 0.03 nm as well, sixteen times sooner.
    step = max(1, int(COARSE_NM / pixel_size_nm))
    coarse = bin_counts(image, step) / np.float32(step**2)
    mask = _lattice(coarse, step * pixel_size_nm, support_band_nm, particle_band_nm)
    if mask is None:
        return None
    distance = Support.of(mask, step * pixel_size_nm).distance_nm
    # Pixel i of the coarse image has its centre at pixel step * i + (step - 1) / 2 of the fine one.
    rows, cols = ((np.arange(n) - (step - 1) / 2) / step for n in image.shape)
    fine = ndimage.map_coordinates(
        distance, np.meshgrid(rows, cols, indexing="ij"), order=1, mode="nearest"
    )
    return Support(fine < 0, fine, pixel_size_nm)


def _lattice(image: np.ndarray, pixel: float, support_nm, particle_nm) -> np.ndarray | None:
    """Return the largest region of the support's lattice, if it is one."""
    spectrum = fft.dctn(image - image.mean(), norm="ortho")
    support, particle = (_amplitude(spectrum, band, pixel) for band in (support_nm, particle_nm))
    scale = [max(float(np.percentile(one, 97)), 1e-12) for one in (support, particle)]
    mask = (support / scale[0] > particle / scale[1]) & (support > 0.3 * scale[0])
    # Thin bridges, as the rim of a particle makes, are no lattice.
    bridge = BRIDGE_NM / pixel
    labels, number = ndimage.label(ndimage.distance_transform_edt(mask) > bridge)
    if not number:
        return None
    core = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    kept = ndimage.distance_transform_edt(~core) <= bridge
    kept = ndimage.gaussian_filter(kept.astype(np.float32), SMOOTHING_NM / pixel) > 0.5
    border = kept[0].any() or kept[-1].any() or kept[:, 0].any() or kept[:, -1].any()
    if not border or kept.sum() * pixel**2 < LEAST_AREA_NM2:
        return None
    # Each band was taken relative to its own scale, and without a support that is one of noise.
    own = support[kept].mean()
    beside = np.median(support[~kept]) if not kept.all() else 0.0
    found = own > OVER_PARTICLE * particle[kept].mean() and own > OVER_REST * beside
    return kept if found else None


def _amplitude(spectrum: np.ndarray, band_nm: tuple[float, float], pixel: float) -> np.ndarray:
    """Return the local amplitude of an image in a band of spacings, from its cosine transform."""
    squares = [(np.arange(n) / (2 * n * pixel)) ** 2 for n in spectrum.shape]
    k = np.sqrt(squares[0][:, None] + squares[1][None])
    low, high = 1 / band_nm[1], 1 / band_nm[0]
    width = EDGE * (high - low)
    weight = (1 + np.tanh((k - low) / width)) * (1 - np.tanh((k - high) / width)) / 4
    inside = fft.idctn(spectrum * weight.astype(np.float32), norm="ortho")
    return np.sqrt(2 * ndimage.gaussian_filter(inside * inside, WINDOW_NM / pixel))
