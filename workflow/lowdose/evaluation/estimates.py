"""Estimates of others: read from a folder of arrays, and refused where they cannot be scored."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lowdose.evaluation.benchmark_files import Benchmark, stem
from lowdose.runtime import UserError

ENDINGS = (".npy", ".npz")
# Of the mean counts: beyond it the table says so.
KEPT_WITHIN = 0.01
# Of the mean counts: beyond it the unit is another one.
FARTHEST_MEAN = 2.0
# The relative unit, vacuum = 1, is recognised by means this near to it.
_NEAR = 0.15
# Places are compared on sums of so many pixels, and an image belongs elsewhere if the counts say
# so by this much log-likelihood [nat].
_BIN, _CERTAIN = 8, 20.0

# (set, dose [e/px]) -> estimates (image, y, x) [e/px], or None where there are none.
Source = Callable[[str, float], np.ndarray | None]


@dataclass(frozen=True)
class EstimateFolder:
    """The estimates in a folder, ``SET-DOSE.npy`` or ``.npz``, checked when they are read.

    Parameters
    ----------
    folder : Path
    benchmark : Benchmark

    Raises
    ------
    UserError
        If the folder has no file of such a name.
    """

    folder: Path
    benchmark: Benchmark

    def __post_init__(self) -> None:
        known = self.expected()
        if not self.folder.is_dir():
            raise UserError(f"There is no folder {self.folder}; give the one of your estimates.")
        if not any(self.path(*key) for key in known.values()):
            raise UserError(
                f"{self.folder} holds no estimates; name the files as the inputs, "
                f"{next(iter(known))}.npy and so on."
            )

    def expected(self) -> dict[str, tuple[str, float]]:
        """Return set and dose of every file that may be there, by its name without ending."""
        return {stem(kind, dose): (kind, dose)
                for kind in self.benchmark.sets for dose in self.benchmark.doses}  # fmt: skip

    def not_used(self) -> list[str]:
        """Return the names of arrays that belong to no input."""
        known = self.expected()
        return sorted(path.name for path in self.folder.iterdir()
                      if path.suffix in ENDINGS and path.stem not in known)  # fmt: skip

    def path(self, kind: str, dose: float) -> Path | None:
        """Return the file of a set and dose, None if there is none."""
        paths = [self.folder / f"{stem(kind, dose)}{ending}" for ending in ENDINGS]
        found = [path for path in paths if path.is_file()]
        if len(found) > 1:
            raise UserError(f"{found[0]} and {found[1].name} are both there; remove one of them.")
        return found[0] if found else None

    def __call__(self, kind: str, dose: float) -> np.ndarray | None:
        """Return the estimates of a set at a dose [e/px], float32; None if there are none."""
        if (path := self.path(kind, dose)) is None:
            return None
        estimates = read_array(path)
        counts = self.benchmark.counts(kind, dose)
        check_array(path, estimates, counts)
        check_unit(path, estimates, counts, dose)
        shapes = self.benchmark.table(kind, "frames")["base_shape"].to_numpy()
        check_order(path, estimates, counts, np.tile(shapes, len(counts) // len(shapes)))
        return estimates.astype(np.float32)


def read_array(path: Path) -> np.ndarray:
    """Read a ``.npy``, or the only array of an ``.npz``.

    Raises
    ------
    UserError
        If it cannot be read, or there are several.
    """
    try:
        opened = np.load(path, allow_pickle=False)
        if isinstance(opened, np.ndarray):
            return opened
        with opened:
            names = opened.files
            if len(names) == 1:
                return opened[names[0]]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read as an array of numbers ({type(error).__name__}); write it "
            "with numpy.save."
        ) from None
    raise UserError(f"{path} has {len(names)} arrays; leave the one of the estimates in it.")


def check_array(path: Path, estimates: np.ndarray, counts: np.ndarray) -> None:
    """Refuse estimates of another shape, of no real numbers, or with some that are not finite.

    Raises
    ------
    UserError
    """
    if estimates.dtype.kind not in "fiu":
        raise UserError(
            f"{path} has the type {estimates.dtype}; give real numbers, such as float32."
        )
    if estimates.shape != counts.shape:
        hint = f"keep the shape of the counts, (image, y, x) = {counts.shape}"
        if sorted(estimates.shape) == sorted(counts.shape):
            hint = f"its axes are in another order than (image, y, x) = {counts.shape}"
        raise UserError(f"{path} has the shape {estimates.shape}; {hint}.")
    finite = np.isfinite(estimates).reshape(len(estimates), -1)
    if not finite.all():
        bad = np.flatnonzero(~finite.all(axis=1))
        raise UserError(
            f"{path}: image {bad[0]} has {int((~finite[bad[0]]).sum())} values that are NaN or "
            f"infinite ({len(bad)} of {len(finite)} images have some); write finite numbers."
        )


def kept(estimates: np.ndarray, counts: np.ndarray) -> float:
    """Return the sum of the estimates over that of the counts; 1 keeps them."""
    return float(estimates.sum(dtype=np.float64) / counts.sum(dtype=np.float64))


def check_unit(path: Path, estimates: np.ndarray, counts: np.ndarray, dose: float) -> None:
    """Refuse estimates that are no electrons per pixel.

    Raises
    ------
    UserError
        If their mean is that of images with vacuum = 1 or of counts with none of the dose's, or
        otherwise far from the mean of the counts.
    """
    share = kept(estimates, counts)
    if abs(share - 1) <= _NEAR:
        return
    if abs(share * dose - 1) <= _NEAR:
        raise UserError(
            f"{path} seems to be relative to vacuum (the mean is {share:.3g} times that of the "
            f"counts); multiply it by the dose, {dose:g}, to get expected electrons per pixel."
        )
    if not 1 / FARTHEST_MEAN < share < FARTHEST_MEAN:
        raise UserError(
            f"{path} is in another unit: its mean is {share:.3g} times that of the counts; write "
            "expected electrons per pixel, which keep the mean."
        )


def check_order(path: Path, estimates: np.ndarray, counts: np.ndarray, shapes: np.ndarray) -> None:
    """Refuse estimates whose images or rows are in another order than those of the counts.

    An image is out of place if the counts are more likely (by 20 nats) under the estimate of
    another particle, or under the image turned over, than under its own, and more likely than
    under a flat image too; estimates are refused if that is so of more than half of them.

    Parameters
    ----------
    path : Path
    estimates, counts : array (image, y, x)
    shapes : array (image,)
        Base shape of each image: frames of one shape are too alike to be told apart.

    Raises
    ------
    UserError
    """
    given, seen = _summed(estimates), _summed(counts)
    expected = given.reshape(len(given), -1)
    own_counts = seen.reshape(len(seen), -1)
    likely = _log_likelihood(own_counts, expected)
    own = np.diag(likely)
    floor = np.maximum(own, own_counts.sum(axis=1) * np.log(1 / own_counts.shape[1])) + _CERTAIN
    others = np.where(shapes[:, None] == shapes[None], -np.inf, likely)
    best = others.argmax(axis=1)
    away = others.max(axis=1) > floor
    if away.sum() > len(away) / 2:
        first = int(np.flatnonzero(away)[0])
        raise UserError(
            f"{path}: image {first} fits the counts of image {int(best[first])}, another particle, "
            f"better than its own, and {int(away.sum())} of {len(away)} images are so; keep the "
            "order of the counts."
        )
    turned = {"upside down": given[:, ::-1], "with left and right exchanged": given[:, :, ::-1],
              "turned by half a turn": given[:, ::-1, ::-1]}  # fmt: skip
    if given.shape[1] == given.shape[2]:
        turned["with rows and columns exchanged"] = given.swapaxes(1, 2)
    for how, image in turned.items():
        other = _log_likelihood(own_counts, image.reshape(expected.shape), paired=True)
        away = other > floor
        if away.sum() > len(away) / 2:
            raise UserError(
                f"{path}: {int(away.sum())} of {len(away)} images fit their counts better "
                f"{how}; keep the axes of the counts, row 0 at the top."
            )


def _summed(images: np.ndarray) -> np.ndarray:
    """Return sums of blocks of pixels; what does not fill one is left out."""
    n, height, width = images.shape
    height, width = (max(1, k // _BIN) for k in (height, width))
    size = min(_BIN, *images.shape[1:])
    cut = images[:, : height * size, : width * size]
    return cut.reshape(n, height, size, width, size).sum(axis=(2, 4), dtype=np.float64)


def _log_likelihood(counts: np.ndarray, expected: np.ndarray, paired: bool = False) -> np.ndarray:
    """Return ``sum(n ln p)`` with p the share of the pixel: (counts, expected), or of pairs."""
    lowest = 1e-3 * np.maximum(expected.mean(axis=1, keepdims=True), 1e-12)
    floored = np.maximum(expected, lowest)
    log_share = np.log(floored / floored.sum(axis=1, keepdims=True))
    return np.sum(counts * log_share, axis=1) if paired else counts @ log_share.T
