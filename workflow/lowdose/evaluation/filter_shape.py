"""How wide an equivalent filter is, which way it lies, and whether it repeats with the lattice."""

from __future__ import annotations

import numpy as np
import pandas as pd

REACH_NM = 0.30  # of a column's neighbours: 0.240 and 0.277 nm
SPOT_PER_NM = 0.45  # radius of a lattice spot in the spectrum [1/nm]
SIDE_PX = 512  # of the transform
LEAST_SINE = 0.5  # between two lattice vectors
ENERGY = 0.9


def shape_of(
    weights: np.ndarray, row: int, column: int, pixel_size_nm: float, reciprocal: np.ndarray
) -> dict[str, float]:
    """Describe a filter.

    Parameters
    ----------
    weights : array (y, x)
        Gradient of one output pixel.
    row, column : int
        That pixel's place.
    pixel_size_nm : float
    reciprocal : array (spot, 2)
        Lattice spots (x, y) [1/nm], from :func:`reciprocal_lattice`.

    Returns
    -------
    dict
        ``extent_nm``, the radius that holds 90 % of the filter's energy, sum of w squared: what it
        averages noise over; ``elongation`` of the second moments of abs(w) and ``direction_deg`` of
        their longer axis, 0 along x and positive anticlockwise on the screen; ``lattice_contrast``,
        mean power in the lattice spots over that of the rest of their ring: 1 without periodicity;
        ``weight_sum``, 1 for a filter that keeps a flat image.
    """
    weights = np.asarray(weights, dtype=np.float64)
    y, x = (
        (np.arange(n) - centre) * pixel_size_nm
        for n, centre in zip(weights.shape, (row, column), strict=True)
    )
    distance = np.hypot(y[:, None], x[None, :])
    order = np.argsort(distance, axis=None)
    energy = np.cumsum(np.square(weights).ravel()[order])
    extent = distance.ravel()[order][np.searchsorted(energy, ENERGY * energy[-1])]
    size = np.abs(weights)
    xx, yy, xy = (
        np.sum(size * product) / size.sum()
        for product in (x[None, :] ** 2, y[:, None] ** 2, x[None, :] * y[:, None])
    )
    values, vectors = np.linalg.eigh([[xx, xy], [xy, yy]])
    direction = np.rad2deg(np.arctan2(-vectors[1, 1], vectors[0, 1]))
    return {
        "extent_nm": float(extent),
        "elongation": float(np.sqrt(values[1] / values[0])),
        "direction_deg": float((direction + 90) % 180 - 90),
        "lattice_contrast": _lattice_contrast(weights, pixel_size_nm, reciprocal),
        "weight_sum": float(weights.sum()),
    }


def reciprocal_lattice(columns: pd.DataFrame) -> np.ndarray:
    """Return the six shortest reciprocal vectors of a particle's columns.

    Parameters
    ----------
    columns : DataFrame
        Its columns, ``x_nm, y_nm``; several with neighbours in two directions.

    Returns
    -------
    array (6, 2)
        Spots (x, y) [1/nm]: plus and minus b1, b2 and the shorter of their sum and difference.
    """
    points = columns[["x_nm", "y_nm"]].to_numpy()
    steps = (points[:, None] - points[None]).reshape(-1, 2)
    length = np.linalg.norm(steps, axis=1)
    steps = steps[(length > 1e-6) & (length < REACH_NM)]
    # One of each pair of opposite steps.
    steps = steps[(steps[:, 0] > 1e-6) | ((np.abs(steps[:, 0]) <= 1e-6) & (steps[:, 1] > 0))]
    unit = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    first = unit[np.argmax(np.sum(np.abs(unit @ unit.T) > 0.99, axis=1))]
    along = np.abs(unit @ first) > 0.97
    others = ~along & (np.abs(unit @ [-first[1], first[0]]) > LEAST_SINE)
    second = unit[others][np.argmax(np.sum(np.abs(unit[others] @ unit[others].T) > 0.99, axis=1))]
    vectors = []
    for direction in (first, second):
        cosine = unit @ direction
        near = np.abs(cosine) > 0.97
        vectors.append(np.mean(steps[near] * np.sign(cosine[near])[:, None], axis=0))
    b1, b2 = np.linalg.inv(np.array(vectors)).T
    third = min(b1 + b2, b1 - b2, key=np.linalg.norm)
    return np.array([b1, b2, third, -b1, -b2, -third])


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Return the cosine between two filters of one shape: 1 if they are the same."""
    return float(np.sum(one * other) / np.sqrt(np.sum(one**2) * np.sum(other**2)))


def _lattice_contrast(weights: np.ndarray, pixel_size_nm: float, spots: np.ndarray) -> float:
    power = np.abs(np.fft.fft2(weights, (SIDE_PX, SIDE_PX))) ** 2
    k = np.fft.fftfreq(SIDE_PX, pixel_size_nm)
    radius = np.hypot(k[:, None], k[None, :])
    length = np.linalg.norm(spots, axis=1)
    ring = (radius > length.min() - SPOT_PER_NM) & (radius < length.max() + SPOT_PER_NM)
    near = [
        np.hypot(k[None, :] - x, k[:, None] - y) <= SPOT_PER_NM for x, y in spots
    ]  # fmt: skip
    spot = np.any(near, axis=0)
    return float(power[spot].mean() / power[ring & ~spot].mean())
