"""BM3D for white Gaussian noise of known standard deviation, in NumPy and Numba.

After K. Dabov, A. Foi, V. Katkovnik and K. Egiazarian, IEEE Trans. Image Process. 16, 2080 (2007),
doi:10.1109/TIP.2007.901238, with the choices that M. Lebrun, Image Process. On Line 2, 175 (2012),
doi:10.5201/ipol.2012.l-bm3d, documents.  Patches that look alike are stacked; the stack is
transformed along all three axes, where what they share is few coefficients, and shrunk: first by a
hard threshold, then, with that estimate as a pilot, by Wiener's filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from scipy.fft import dct
from scipy.signal.windows import kaiser


@dataclass(frozen=True)
class Stage:
    """How one of the two stages looks for patches.

    Attributes
    ----------
    patch : int
        Side of a patch [pixels].
    step : int
        Distance of the reference patches [pixels].
    radius : int
        Farthest displacement of a similar patch along an axis [pixels].
    group : int
        Most patches of a stack, a power of two.
    farthest : float
        Mean squared difference of a pixel up to which a patch is similar [noise variances].
    transform : {"bior1.5", "dct"}
        Of a patch; the wavelet, for sides of 2^k, is the better one for edges, the cosine for
        lattices.
    """

    patch: int = 8
    step: int = 3
    radius: int = 19
    group: int = 16
    farthest: float = 4.0
    transform: Literal["bior1.5", "dct"] = "dct"


HARD, WIENER = Stage(transform="bior1.5"), Stage(group=32, farthest=1.0)
THRESHOLD = 2.7  # of the coefficients of a stack, in units of sigma
# Analysis low-pass of bior1.5, sum 2.
BIOR_LOW = np.array([3, -3, -22, 22, 128, 128, 22, -22, -3, 3]) / 128


def bm3d(
    image: np.ndarray,
    sigma: float,
    hard: Stage = HARD,
    wiener: Stage | None = WIENER,
    *,
    threshold: float = THRESHOLD,
) -> np.ndarray:
    """Remove white Gaussian noise.

    Parameters
    ----------
    image : array (y, x)
        Any unit; at least a patch in height and width.
    sigma : float
        Standard deviation of the noise, positive.
    hard, wiener : Stage
        The two stages; None leaves the second one out.
    threshold : float
        Of the first stage's coefficients, in units of sigma.

    Returns
    -------
    float32 array (y, x)

    Raises
    ------
    ValueError
        If the image is smaller than a patch, or sigma not positive.
    """
    patch = max(hard.patch, wiener.patch if wiener else 0)
    if np.ndim(image) != 2 or min(np.shape(image)) < patch or not sigma > 0:
        raise ValueError(f"give an image of {patch} x {patch} pixels or more and sigma above 0")
    noisy = np.asarray(image, dtype=np.float32) / np.float32(sigma)
    estimate = _stage(noisy, noisy, hard, threshold)
    if wiener is not None:
        estimate = _stage(noisy, estimate, wiener, 0.0)
    return estimate * np.float32(sigma)


def basis(side: int, transform: str) -> np.ndarray:
    """Return the matrix (coefficient, pixel) of a transform along one axis of a patch.

    Parameters
    ----------
    side : int
    transform : {"bior1.5", "dct"}
        The orthonormal cosine transform, or the biorthogonal wavelet of Cohen, Daubechies and
        Feauveau that the authors of BM3D use, periodic, its rows of norm 1.

    Raises
    ------
    ValueError
        For the wavelet and a side that is no power of two.
    """
    if transform == "dct":
        return np.float32(dct(np.eye(side), axis=0, norm="ortho"))
    if side & (side - 1):
        raise ValueError(f"a wavelet transform takes a side of 2^k pixels, not {side}")
    matrix = np.eye(side)
    length = side
    while length > 1:
        coarse, fine = np.zeros((2, length // 2, length))
        for row in range(length // 2):
            for tap, value in zip(range(-4, 6), BIOR_LOW, strict=True):
                coarse[row, (2 * row + tap) % length] += value
            fine[row, 2 * row : 2 * row + 2] = 1, -1
        matrix[:length] = np.concatenate([coarse, fine]) @ matrix[:length]
        length //= 2
    return np.float32(matrix / np.linalg.norm(matrix, axis=1, keepdims=True))


def spectra(image: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """Return the transform of every patch: (y, x, coefficient along y and x)."""
    windows = np.lib.stride_tricks.sliding_window_view(image, forward.shape)
    return (forward @ windows @ forward.T).reshape(*windows.shape[:2], -1)


def _stage(noisy, guide, stage: Stage, threshold: float) -> np.ndarray:
    """Return the estimate of one stage, which looks for patches in `guide`.

    A `threshold` of 0 stands for Wiener's filter with `guide` as the signal.
    """
    patch = stage.patch
    forward = basis(patch, stage.transform)
    inverse = np.ascontiguousarray(np.linalg.inv(forward).T)
    window = np.float32(np.outer(kaiser(patch, 2.0), kaiser(patch, 2.0)))
    rows, columns = (
        np.unique(np.append(np.arange(0, size - patch + 1, stage.step), size - patch))
        for size in noisy.shape
    )
    # Distances are those of pixels, which an orthonormal transform keeps.
    alike = spectra(guide, basis(patch, "dct"))
    pilot = alike if stage.transform == "dct" else spectra(guide, forward)
    coefficients = pilot if guide is noisy else spectra(noisy, forward)
    total, weight = _collaborate(
        coefficients, alike, pilot, rows, columns, inverse, window, noisy.shape,
        stage.radius, stage.group, np.float32(stage.farthest * patch**2), threshold,
    )  # fmt: skip
    return total / weight


@njit(cache=True, fastmath=True)
def _collaborate(
    coefficients,
    alike,
    pilot,
    rows,
    columns,
    inverse,
    window,
    shape,
    radius,
    group,
    farthest,
    threshold,
):
    """Filter the stack of each reference patch; return the weighted sum of patches and weights.

    A threshold of 0 stands for Wiener's filter with `pilot` as the signal; noise has variance 1.
    """
    height, width, size = alike.shape
    patch = inverse.shape[0]
    total = np.zeros(shape, dtype=np.float32)
    weights = np.full(shape, np.float32(1e-9))
    best = np.empty(group, dtype=np.float32)
    place = np.empty((group, 2), dtype=np.int64)
    stack = np.empty((group, size), dtype=np.float32)
    guide = np.empty((group, size), dtype=np.float32)
    pixels = np.empty((patch, patch), dtype=np.float32)
    half = np.empty((patch, patch), dtype=np.float32)
    scratch = np.empty(group, dtype=np.float32)
    for y in rows:
        for x in columns:
            found = 0
            for v in range(max(y - radius, 0), min(y + radius + 1, height)):
                for u in range(max(x - radius, 0), min(x + radius + 1, width)):
                    # Abandoned as soon as it is farther than the farthest that is kept.
                    limit = best[found - 1] if found == group else farthest
                    distance = np.float32(0.0)
                    for first in range(0, size, 16):
                        for k in range(first, min(first + 16, size)):
                            difference = alike[y, x, k] - alike[v, u, k]
                            distance += difference * difference
                        if distance >= limit:
                            break
                    if distance >= limit:
                        continue
                    if v == y and u == x:
                        distance = np.float32(-1.0)  # the patch itself comes first
                    at = min(found, group - 1)
                    while at > 0 and best[at - 1] > distance:
                        best[at] = best[at - 1]
                        place[at, 0], place[at, 1] = place[at - 1, 0], place[at - 1, 1]
                        at -= 1
                    best[at] = distance
                    place[at, 0], place[at, 1] = v, u
                    found = min(found + 1, group)
            number = 1
            while 2 * number <= found:
                number *= 2
            for i in range(number):
                stack[i] = coefficients[place[i, 0], place[i, 1]]
            _haar(stack, number, scratch)
            power = np.float32(0.0)
            if threshold > 0:
                for i in range(number):
                    for k in range(size):
                        if abs(stack[i, k]) < threshold and not (i == 0 and k == 0):
                            stack[i, k] = 0
                        else:
                            power += 1
            else:
                for i in range(number):
                    guide[i] = pilot[place[i, 0], place[i, 1]]
                _haar(guide, number, scratch)
                for i in range(number):
                    for k in range(size):
                        signal = guide[i, k] * guide[i, k]
                        gain = signal / (signal + 1)
                        stack[i, k] *= gain
                        power += gain * gain
            _inverse_haar(stack, number, scratch)
            share = 1 / max(power, np.float32(1.0))
            for i in range(number):
                # inverse.T @ spectrum @ inverse
                for a in range(patch):
                    for b in range(patch):
                        value = np.float32(0.0)
                        for k in range(patch):
                            value += inverse[k, a] * stack[i, k * patch + b]
                        half[a, b] = value
                for a in range(patch):
                    for b in range(patch):
                        value = np.float32(0.0)
                        for k in range(patch):
                            value += half[a, k] * inverse[k, b]
                        pixels[a, b] = value
                v, u = place[i]
                for a in range(patch):
                    for b in range(patch):
                        w = share * window[a, b]
                        total[v + a, u + b] += w * pixels[a, b]
                        weights[v + a, u + b] += w
    return total, weights


@njit(cache=True, fastmath=True)
def _haar(stack, number, scratch):
    """Transform the first `number` rows along the first axis, orthonormally, in place."""
    root = np.float32(np.sqrt(0.5))
    for k in range(stack.shape[1]):
        length = number
        while length > 1:
            for i in range(length // 2):
                scratch[i] = (stack[2 * i, k] + stack[2 * i + 1, k]) * root
                scratch[length // 2 + i] = (stack[2 * i, k] - stack[2 * i + 1, k]) * root
            for i in range(length):
                stack[i, k] = scratch[i]
            length //= 2


@njit(cache=True, fastmath=True)
def _inverse_haar(stack, number, scratch):
    """Undo `_haar`."""
    root = np.float32(np.sqrt(0.5))
    for k in range(stack.shape[1]):
        length = 2
        while length <= number:
            for i in range(length // 2):
                sum_, difference = stack[i, k], stack[length // 2 + i, k]
                scratch[2 * i] = (sum_ + difference) * root
                scratch[2 * i + 1] = (sum_ - difference) * root
            for i in range(length):
                stack[i, k] = scratch[i]
            length *= 2
