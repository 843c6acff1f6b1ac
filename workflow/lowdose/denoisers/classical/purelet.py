"""PURE-LET: a Poisson image's Haar coefficients shrunk as an unbiased risk estimate says.

After F. Luisier, C. Vonesch, T. Blu and M. Unser, "Fast interscale wavelet denoising of
Poisson-corrupted images", Signal Processing 90, 415 (2010), doi:10.1016/j.sigpro.2009.07.009.
This module needs NumPy alone.

A Haar coefficient d of counts is the difference a - b of two independent Poisson numbers, and
the scaling coefficient at its place is their sum s.  Since lambda E f(a) = E a f(a - 1) for a
Poisson number a, the squared error of an estimate theta(d, s) of E d is known up to noise without
knowing E d::

    E (theta - E d)^2 = E [theta^2 - d (theta(d-1, s-1) + theta(d+1, s-1))
                                   - s (theta(d-1, s-1) - theta(d+1, s-1)) + d^2 - s]

exactly, at any count, with no transform of the noise.  For an estimate that is a linear expansion
of thresholds (LET), sum_k a_k theta_k, its minimum is a small linear system.

Here the transform is undecimated, which is the average over all shifts of the Haar transform, with
one expansion a level and orientation for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

NEGLIGIBLE = 0.01  # rms of a function beside that of the largest one

# Signs of the quarters (top left, top right, bottom left, bottom right) of a block.
ORIENTATIONS = {
    "horizontal": (1, -1, 1, -1),
    "vertical": (1, 1, -1, -1),
    "diagonal": (1, -1, -1, 1),
}


def purelet(counts: np.ndarray, levels: int = 5, *, truth: np.ndarray | None = None) -> np.ndarray:
    """Estimate the expectation of an image of Poisson counts; no parameter needs to be known.

    Parameters
    ----------
    counts : array (y, x)
        Counts, from 0 up.
    levels : int
        Of the transform, at least 1: structure up to 2^levels pixels is told from noise.
    truth : array (y, x), optional
        Expected counts.  The weights are then those of the least true error instead of the
        least estimated one: the best that this expansion can do, and no denoiser.

    Returns
    -------
    float array (y, x)
        Expected counts; may be a little below 0.

    Raises
    ------
    ValueError
        If the image is not two-dimensional or `levels` is below 1.
    """
    if np.ndim(counts) != 2 or levels < 1:
        raise ValueError("give an image (y, x) and at least one level")
    height, width = np.shape(counts)
    # Blocks begin up to their side before the image; neighbours of blocks lie one side further.
    margin = 3 * 2**levels
    padded = np.pad(np.asarray(counts, dtype=np.float64), margin, mode="symmetric")
    bands = []
    scale = padded
    true_scale = None if truth is None else np.pad(truth, margin, mode="symmetric")
    for level in range(1, levels + 1):
        half = 2 ** (level - 1)
        parent, details = decompose(scale, half)
        # Mirrored counts are no new ones: only blocks inside the image are asked for the risk.
        inside = np.zeros(padded.shape, dtype=bool)
        rows, columns = (max(size - 2 * half + 1, 0) for size in (height, width))
        inside[margin : margin + rows, margin : margin + columns] = True
        if not inside.any():
            break
        true_details: dict[str, np.ndarray] = {}
        if true_scale is not None:
            true_scale, true_details = decompose(true_scale, half)
        bands.append((half, [
            estimated(details[name], parent, 2 * half, name, inside, true_details.get(name))
            for name in ORIENTATIONS
        ]))  # fmt: skip
        scale = parent
    for half, details in reversed(bands):
        scale = compose(scale, details, half)
    return scale[margin : margin + height, margin : margin + width]


def decompose(scale: np.ndarray, half: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return sums and differences of the blocks that begin at each pixel (wrapping around).

    Parameters
    ----------
    scale : array (y, x)
        Sums over blocks of `half` x `half` pixels that begin at each pixel.
    half : int
        Half the side of the new blocks [pixels].

    Returns
    -------
    parent : array (y, x)
        Sums over blocks of twice the side.
    details : dict of str to array (y, x)
        Differences between their halves, by orientation.
    """
    right = np.roll(scale, -half, axis=1)
    below, diagonal = np.roll(scale, -half, axis=0), np.roll(right, -half, axis=0)
    left_sum, left_difference = scale + below, scale - below
    right_sum, right_difference = right + diagonal, right - diagonal
    return left_sum + right_sum, {
        "horizontal": left_sum - right_sum,
        "vertical": left_difference + right_difference,
        "diagonal": left_difference - right_difference,
    }


def compose(parent: np.ndarray, details: list[np.ndarray], half: int) -> np.ndarray:
    """Return the sums over small blocks from those over large ones: the inverse of `decompose`.

    Each small block is a quarter of four large ones; what the four say of it is averaged.
    """
    result = np.zeros_like(parent)
    for number, (dy, dx) in enumerate(((0, 0), (0, half), (half, 0), (half, half))):
        quarter = parent.copy()
        for signs, detail in zip(ORIENTATIONS.values(), details, strict=True):
            quarter += signs[number] * detail
        result += np.roll(quarter, (dy, dx), axis=(0, 1))
    return result / 16


def estimated(
    d: np.ndarray,
    s: np.ndarray,
    side: int,
    orientation: str,
    inside: np.ndarray,
    truth: np.ndarray | None = None,
) -> np.ndarray:
    """Return the estimate of a band's expectation that has the least estimated risk.

    Parameters
    ----------
    d, s : array (y, x)
        Differences and sums of the blocks that begin at each pixel.
    side : int
        Of the blocks [pixels].
    orientation : str
        Key of `ORIENTATIONS`.
    inside : bool array (y, x)
        The blocks that are asked.
    truth : array (y, x), optional
        Expectation of `d`, if the true error is to be least instead.
    """
    expansion = Expansion(d, s, side, orientation)
    a = least_risk(expansion, d, s, inside, truth)
    return sum(w * theta for w, theta in zip(a, expansion.at(d, s), strict=True))


def least_risk(
    expansion: Expansion,
    d: np.ndarray,
    s: np.ndarray,
    inside: np.ndarray,
    truth: np.ndarray | None = None,
) -> np.ndarray:
    """Return the weights of the expansion with the least risk: estimated, or true."""
    d, s = d[inside], s[inside]
    theta = _matrix(expansion.at(d, s, inside))
    if truth is None:
        lower = _matrix(expansion.at(d - 1, s - 1, inside))
        upper = _matrix(expansion.at(d + 1, s - 1, inside))
        target = ((s + d) @ lower - (s - d) @ upper) / 2
    else:
        target = truth[inside] @ theta
    size = np.sqrt(np.mean(theta**2, axis=0))
    # What is nearly 0 at all blocks that are asked has nothing to give there, but its weight,
    # which would then be huge, counts at the mirrored blocks beyond.
    kept = size > NEGLIGIBLE * size.max()
    scaled = theta[:, kept] / size[kept]
    # Bands without signal give functions that are nearly the same: least norm then.
    weights = np.zeros(len(size))
    solution = np.linalg.lstsq(scaled.T @ scaled, target[kept] / size[kept], rcond=1e-7)[0]
    weights[kept] = solution / size[kept]
    return weights


def risk(theta: np.ndarray, lower: np.ndarray, upper: np.ndarray, d, s) -> float:
    """Return the unbiased estimate of the mean squared error of an estimate of E d.

    Parameters
    ----------
    theta, lower, upper : array
        The estimate at (d, s), (d - 1, s - 1) and (d + 1, s - 1).
    d, s : array
        Differences and sums of the blocks.
    """
    cross = ((s + d) * lower - (s - d) * upper) / 2
    return float(np.mean(theta**2 - 2 * cross + d**2 - s))


class Expansion:
    """The functions that are expanded in: d and its neighbours, each above and below a threshold.

    Neighbours are blocks that share no pixel with the block itself, so that its counts may be
    changed while they stay: the difference that their sums predict at its place, which is what
    joins the scales, and the mean of their differences.

    Parameters
    ----------
    d, s : array (y, x)
        Differences and sums of the blocks that begin at each pixel.
    side : int
        Of the blocks [pixels].
    orientation : str
        Key of `ORIENTATIONS`.
    """

    def __init__(self, d: np.ndarray, s: np.ndarray, side: int, orientation: str) -> None:
        def beside(x: np.ndarray, dy: int, dx: int) -> np.ndarray:
            return np.roll(x, (-dy * side, -dx * side), axis=(0, 1))

        up, down, left, right = ((-1, 0), (1, 0), (0, -1), (0, 1))
        along, across = (left, right), (up, down)
        if orientation == "vertical":
            along, across = across, along
        if orientation == "diagonal":
            corners = ((-1, -1), (1, 1)), ((-1, 1), (1, -1))
            slope = sum(beside(s, *c) for c in corners[0])
            slope = (slope - sum(beside(s, *c) for c in corners[1])) / 4
        else:
            slope = beside(s, *along[0]) - beside(s, *along[1])
        ends = sum(beside(d, *place) for place in along)
        sides = sum(beside(d, *place) for place in across)
        self.linear = [slope, ends, sides]
        around = [beside(s, *place) for place in (*along, *across)]
        self.noise = sum(around) / 4  # variance of d, as the neighbours have it
        energy = sum(beside(d, *place) ** 2 for place in (*along, *across)) / 4
        # Falls from 1 where the neighbours are noise to 0 where they are not.
        self.quiet = np.exp(-np.maximum(energy - self.noise, 0) / (2 * self.noise + 1))

    def at(self, d: np.ndarray, s: np.ndarray, where: np.ndarray | None = None) -> Iterator:
        """Yield each function at given d and s, with the neighbours as they are."""
        chosen = slice(None) if where is None else where
        quiet = self.quiet[chosen]
        small = np.exp(-(d**2) / (12 * np.maximum(s, 0.5)))
        for one in (d, d * small, *(x[chosen] for x in self.linear)):
            yield one
            yield one * quiet


def _matrix(columns: Iterator[np.ndarray]) -> np.ndarray:
    return np.stack(list(columns), axis=-1)
