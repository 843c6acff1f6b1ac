"""Random projections: sixteen numbers that tell how far apart two images are.

Waves and frames are too large to publish with every reference.  The projections of an image on
fixed random signs are not: for images a and b of n pixels and signs s, the mean over many s of
(s.a - s.b)² is the sum of (a - b)² (Johnson and Lindenstrauss, Contemp. Math. 26, 189, 1984).
Any change of the image shows, wherever it is, and its root mean square is known to within
1 / sqrt(2 k), 18 % for k = 16.
"""

from __future__ import annotations

import functools

import numpy as np

from lowdose import seeds

NUMBER = 16


def projections(image: np.ndarray) -> np.ndarray:
    """Project an image on fixed random signs.

    Parameters
    ----------
    image : array (y, x), or with axes before them
        Real or complex.

    Returns
    -------
    float64 array (16,), or (32,) of a complex image
        Sums over pixels of sign times value; of the real, then of the imaginary part.
    """
    flat = np.asarray(image).reshape(-1)
    signs = _signs(flat.size)
    parts = (flat.real, flat.imag) if np.iscomplexobj(flat) else (flat,)
    return np.concatenate([_sums(signs, part.astype(np.float64)) for part in parts])


def root_mean_square(one: np.ndarray, other: np.ndarray, n_pixels: int) -> float:
    """Estimate the root mean square difference of two images from their projections.

    Parameters
    ----------
    one, other : array (16,) or (32,)
        See :func:`projections`.
    n_pixels : int
        Of each image.
    """
    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    return float(np.sqrt((difference**2).sum() / (NUMBER * n_pixels)))


@functools.lru_cache(maxsize=4)
def _signs(size: int) -> np.ndarray:
    """Return signs (16, pixel) as booleans: True for +1."""
    rng = seeds.rng(0, "projections", size)
    bits = np.frombuffer(rng.bytes(NUMBER * ((size + 7) // 8)), np.uint8)
    return np.unpackbits(bits.reshape(NUMBER, -1), axis=1)[:, :size].astype(bool)


def _sums(signs: np.ndarray, values: np.ndarray) -> np.ndarray:
    # The values at +1 twice, less all: no copy of the signs in floating point.  numpy sums in
    # pairs, so that the result does not depend on the machine beyond 1e-12 of it.
    return np.array([2 * values[row].sum() for row in signs]) - values.sum()
