"""The surface layer of a film, as an experiment finds it: its columns, states and displacements.

Nothing here knows the truth.  Columns are found on the sum of the film, the two states of the
layer in the frames themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial import cKDTree

from lowdose.columns.blobs import find_blobs
from lowdose.columns.detection import COLUMN_SIGMA_NM
from lowdose.columns.discs import disc_pixels
from lowdose.columns.fitting import fit_columns, polarity_of
from lowdose.columns.order import order_from_templates, switching
from lowdose.columns.own_lattice import OwnLattice, fit_lattice
from lowdose.columns.two_states import Chain, gaussian_log_ratio, smooth
from lowdose.runtime import UserError

METHODS = ("blob", "fit")
LAYER_RADIUS_NM = 0.18  # around a site: atoms out of order are farther off than a column is wide
SMOOTHING_NM = 0.025  # of mean images: what is finer, no microscope passes
FINEST_NM = 0.0125  # finer pixels are summed

_BLOCKS, _ROUNDS, _ARRIVED = 8, 30, 1e-3
_WEAKEST = 0.35  # of the strong columns' response: the gaps between columns are weaker
_ON_NODE_NM = 0.08
_AMONG = 0.7  # of the neighbours: a place in a surface has at most four of six


@dataclass(frozen=True)
class Layer:
    """A surface layer in a film.

    Attributes
    ----------
    sites_nm : array (site, 2)
        Its columns, (x, y) [nm], in the film as it was given.
    bins : int
        Pixels of the film along each side of one that is summed.
    pixel_size_nm : float
        Of the film.
    """

    sites_nm: np.ndarray
    bins: int
    pixel_size_nm: float

    def binned(self, frames: np.ndarray) -> np.ndarray:
        """Return (frame, y, x) with pixels summed, which leaves counts Poisson."""
        return binned(frames, self.bins)


@dataclass(frozen=True)
class Recovered:
    """What a film tells of its surface layer.

    Attributes
    ----------
    order, order_se : array (frame,)
        Order parameter, 0 and 1 being the means of the two states, and its standard error.
    chain : Chain
        State 1 is ordered.
    """

    order: np.ndarray
    order_se: np.ndarray
    chain: Chain


def bins_of(pixel_size_nm: float) -> int:
    """Return how many pixels are summed along each side: columns stay well sampled."""
    return max(1, int(FINEST_NM / pixel_size_nm))


def binned(frames: np.ndarray, bins: int) -> np.ndarray:
    """Return float32 (frame, y, x) with `bins` x `bins` pixels summed; what is left over is cut."""
    number, height, width = frames.shape
    rows, cols = height // bins, width // bins
    whole = frames[:, : rows * bins, : cols * bins].reshape(number, rows, bins, cols, bins)
    return whole.sum(axis=(2, 4), dtype=np.float32)


def find_layer(counts: np.ndarray, pixel_size_nm: float) -> Layer:
    """Return the surface layer that the sum of a film shows.

    Parameters
    ----------
    counts : array (frame, y, x)
        Counts of a film at rest [e/px].
    pixel_size_nm : float

    Returns
    -------
    Layer
        Of the columns of which a neighbour is missing where the frame would show it.

    Raises
    ------
    UserError
        If the sum shows no lattice, or no surface of it.
    """
    total = counts.sum(axis=0, dtype=np.float64)
    places = _blobs(total, pixel_size_nm)[["x_nm", "y_nm"]].to_numpy()
    lattice = fit_lattice(places)
    there, shown, _ = _neighbours(lattice, total.shape, pixel_size_nm)
    surface = lattice.assigned & (shown & ~there).any(axis=1)
    if not surface.any():
        raise UserError("The film shows no surface of its lattice; give a square that does.")
    return Layer(places[surface], bins_of(pixel_size_nm), pixel_size_nm)


def recover(counts: np.ndarray, layer: Layer, frame_time_s: float) -> Recovered:
    """Find the two states of a surface layer in a film, and when it was in which.

    Parameters
    ----------
    counts : array (frame, y, x)
        Raw counts, after :meth:`Layer.binned` [e per summed pixel].
    layer : Layer
    frame_time_s : float

    Returns
    -------
    Recovered

    Notes
    -----
    Expectation maximisation.  The mean images of both states, each frame weighted with the
    probability of its state, are the templates of
    :func:`lowdose.columns.order.order_from_templates`; from the orders follow the probabilities,
    of the chain as a whole.  It starts from how sharp each frame is: its share of what the mean
    image loses when it is blurred, which also says which state is the ordered one.  The templates
    of each eighth of the film are from the rest: the noise of a frame in its own template would
    draw it to the state that it was given.  Noise in templates draws all orders together, and so 0
    and 1 are set to the means of the states.
    """
    pixel = layer.pixel_size_nm * layer.bins
    # The centre of the first summed pixel is not that of the film's first pixel.
    sites = layer.sites_nm - (layer.bins - 1) / 2 * layer.pixel_size_nm
    shape = counts.shape[1:]
    rows, cols, inside = disc_pixels(shape, sites, pixel, LAYER_RADIUS_NM)
    where = np.zeros(shape, dtype=bool)
    where[rows[inside], cols[inside]] = True
    films = _Films(counts, where, pixel)
    sharp, se = films.sharpness()
    order = sharp
    low, high = np.quantile(order, [0.1, 0.9])
    up, down, start, share = 0.1, 0.1, 0.5, np.full(len(counts), 0.5)
    for _ in range(_ROUNDS):
        before = share
        posterior, ups, downs = smooth(gaussian_log_ratio(order, se, (low, high)), up, down, start)
        share = posterior[:, 0]
        ones = share[:-1].sum()
        left = len(counts) - 1 - ones, ones
        up, down = np.clip(np.array([ups, downs]) / np.maximum(left, 1e-9), 1e-3, 0.9)
        start = np.clip(share[0], 0.01, 0.99)
        order, se = films.orders(share)
        weight = np.stack([1 - share, share]) / se**2
        low, high = weight @ order / np.maximum(weight.sum(axis=1), 1e-300)
        high = max(high, low + 1e-3)  # where nothing is seen, the states are no way round
        if np.abs(share - before).max() < _ARRIVED:
            break
    order, se = (order - low) / (high - low), se / (high - low)
    if np.cov(sharp, share)[0, 1] < 0:  # few frames may have started the wrong way round
        order = 1 - order
    return Recovered(order, se, switching(order, se, frame_time_s))


def outward(
    image: np.ndarray, pixel_size_nm: float, method: str
) -> tuple[pd.DataFrame, np.ndarray]:
    """Measure how far surface columns are moved outwards against the particle's own lattice.

    Parameters
    ----------
    image : array (y, x)
        Counts, or their expectation [e/px].
    pixel_size_nm : float
    method : {"blob", "fit"}
        How columns are located: :func:`lowdose.columns.blobs.find_blobs`, and from there
        :func:`lowdose.columns.fitting.fit_columns`.

    Returns
    -------
    table : DataFrame
        Of each surface column: ``x_nm, y_nm``; ``normal_x, normal_y``, against the sum of the
        steps to its neighbours; ``outward_nm, se_nm``.
    covariance : array (column, column)
        Of the displacements [nm²]: they share the error of the lattice.

    Raises
    ------
    UserError
        If fewer than six columns have all six neighbours: the lattice is fitted to these.
    """
    found = _blobs(image, pixel_size_nm)
    rough = fit_lattice(found[["x_nm", "y_nm"]].to_numpy())
    there, shown, steps = _neighbours(rough, image.shape, pixel_size_nm)
    if method == "fit":
        found = fit_columns(np.maximum(image, 0), found[["x_nm", "y_nm"]], pixel_size_nm)
    errors = found[["x_se_nm", "y_se_nm"]].to_numpy()
    # A column that could not be fitted still is a neighbour of others.
    used = rough.assigned & (errors > 0).all(axis=1)
    places, errors, there, shown = (
        values[used] for values in (found[["x_nm", "y_nm"]].to_numpy(), errors, there, shown)
    )
    bulk = there.all(axis=1)
    lattice = fit_lattice(places, errors, reference=bulk, vectors_nm=rough.vectors)
    surface = lattice.assigned & shown.all(axis=1) & ~bulk
    normals = -(there @ steps)[surface]
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    own = (np.eye(len(places)) - lattice.hat)[:, surface]
    weights = normals.T[:, :, None] * own
    value = sum(weights[k] @ places[:, k] for k in range(2))
    covariance = sum((weights[k] * errors[:, k] ** 2) @ weights[k].T for k in range(2))
    table = pd.DataFrame(
        {
            "x_nm": places[surface, 0], "y_nm": places[surface, 1],
            "normal_x": normals[:, 0], "normal_y": normals[:, 1],
            "outward_nm": value, "se_nm": np.sqrt(np.diag(covariance)),
        }
    )  # fmt: skip
    return table, covariance


def _blobs(image: np.ndarray, pixel_size_nm: float) -> pd.DataFrame:
    """Return the columns of an image, without the gaps between them."""
    level = max(float(image.mean()), 1e-9)
    polarity = polarity_of(image / level, pixel_size_nm)
    found = find_blobs(image, pixel_size_nm, level, polarity=polarity)
    if len(found):
        found = found[found["response"] > _WEAKEST * found["response"].quantile(0.75)]
    return found.reset_index(drop=True)


def _neighbours(
    lattice: OwnLattice, shape: tuple[int, int], pixel_size_nm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each column's six neighbours which are there and which the frame would show.

    Both are bool (column, 6); the steps to the neighbours are (6, 2) [nm].  A place among columns
    at which none was found is a column that was missed, not vacuum.
    """
    a, b = lattice.vectors
    third = min(a + b, a - b, key=np.linalg.norm)
    steps = np.array([a, b, third, -a, -b, -third])
    tree = cKDTree(lattice.positions_nm[lattice.assigned])
    farthest = (np.array(shape[::-1]) - 1) * pixel_size_nm - COLUMN_SIGMA_NM

    def look(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = tree.query(places)[0] < _ON_NODE_NM
        return found, found | ((places > COLUMN_SIGMA_NM) & (places < farthest)).all(axis=-1)

    wanted = lattice.positions_nm[:, None] + steps
    there, shown = look(wanted)
    around, visible = look(wanted[:, :, None] + steps)
    there |= shown & (around.sum(axis=2) > _AMONG * visible.sum(axis=2))
    return there, shown, steps


class _Films:
    """The frames of a layer, and the orders that follow from probabilities of its states."""

    def __init__(self, counts: np.ndarray, where: np.ndarray, pixel_size_nm: float) -> None:
        self.flat = counts.reshape(len(counts), -1)
        self.seen = counts[:, where][:, None]
        self.where, self.pixel_size_nm = where, pixel_size_nm
        self.blocks = np.array_split(np.arange(len(counts)), min(_BLOCKS, len(counts)))

    def sharpness(self) -> tuple[np.ndarray, np.ndarray]:
        """Return orders and errors between the blurred mean image, 0, and that image, 1."""
        mean = self.flat.mean(axis=0, dtype=np.float64)
        blurred = self._template(mean, np.hypot(SMOOTHING_NM, COLUMN_SIGMA_NM))
        found = order_from_templates(self.seen, self._template(mean), blurred)
        return found["order"].to_numpy(), found["order_se"].to_numpy()

    def orders(self, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return orders and errors, those of each block from the mean images of the others."""
        weights = np.stack([share, 1 - share]).astype(np.float32)
        sums = np.stack([weights[:, b] @ self.flat[b] for b in self.blocks])
        sizes = np.stack([weights[:, b].sum(axis=1) for b in self.blocks])
        tables = []
        for block, own, size in zip(self.blocks, sums, sizes, strict=True):
            rest = (sums.sum(axis=0) - own) / np.maximum(sizes.sum(axis=0) - size, 1e-3)[:, None]
            ordered, disordered = (self._template(image) for image in rest)
            tables.append(order_from_templates(self.seen[block], ordered, disordered))
        found = pd.concat(tables)
        return found["order"].to_numpy(), found["order_se"].to_numpy()

    def _template(self, image: np.ndarray, smoothing_nm: float = SMOOTHING_NM) -> np.ndarray:
        image = image.reshape(self.where.shape)
        smoothed = ndimage.gaussian_filter(image, smoothing_nm / self.pixel_size_nm)
        return np.maximum(smoothed, 1e-3 * image.mean())[self.where][None].astype(np.float64)
