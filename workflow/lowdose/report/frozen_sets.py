"""What the frozen sets of frames hold: identity, size, statistics of their counts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from lowdose.data.frames import open_frames

BIN = 0.005  # of the vacuum level
MOST = 4.0  # brightest expectation that is counted apart, relative to vacuum
# The four sample frames that the authors published (PtNp2, C1 = 6 nm): expected counts per
# pixel at 0.45 e/pixel in vacuum.
PAPER_VACUUM, PAPER_LOW, PAPER_HIGH, PAPER_SD = 0.45, 0.337, 0.634, 0.048


@dataclass(frozen=True)
class FrozenSet:
    """One file of frozen frames.

    Attributes
    ----------
    name : str
        Its split.
    digest : str
        SHA-256 of its images and table.
    shape : (int, int, int)
        Frames, rows, columns.
    pixel_size_nm : float
    low, high, mean, sd : float
        Of the expected images, vacuum = 1.
    histogram : array (MOST / BIN,) of int
        Pixels in bins of `BIN` from 0; the last one holds all that is brighter.
    drawn : dict of int to float
        Share of the pixels with so many electrons (dark counts included), in the stored
        realisation at the reference
        dose; 3 stands for three or more.  Empty if none is stored at that dose.
    """

    name: str
    digest: str
    shape: tuple[int, int, int]
    pixel_size_nm: float
    low: float
    high: float
    mean: float
    sd: float
    histogram: np.ndarray
    drawn: dict[int, float]


def read_frozen(paths: Iterable[Path], dose_e_per_px: float) -> list[FrozenSet]:
    """Read the statistics of frozen sets, frame by frame.

    Parameters
    ----------
    paths : iterable of Path
        ``validation.h5``, ``test.h5``, ...
    dose_e_per_px : float
        Reference dose, at which `FrozenSet.drawn` is taken.

    Raises
    ------
    UserError
        If a file is missing or damaged.
    """
    return [_read(Path(path), dose_e_per_px) for path in paths]


def _read(path: Path, dose: float) -> FrozenSet:
    with open_frames(path) as file:
        clean = file["clean"]
        low, high, total, squares = np.inf, -np.inf, 0.0, 0.0
        bins = np.zeros(round(MOST / BIN), dtype=np.int64)
        for number in range(clean.shape[0]):
            image = clean[number].astype(np.float64)
            low, high = min(low, image.min()), max(high, image.max())
            # About the vacuum level, or the difference of large sums would lose digits.
            total += (image - 1).sum()
            squares += ((image - 1) ** 2).sum()
            place = np.clip((image / BIN).astype(int), 0, len(bins) - 1)
            bins += np.bincount(place.ravel(), minlength=len(bins))
        mean = total / clean.size
        return FrozenSet(
            name=str(file.attrs["split"]),
            digest=str(file.attrs["digest"]),
            shape=tuple(map(int, clean.shape)),
            pixel_size_nm=float(file.attrs["pixel_size_nm"]),
            low=float(low),
            high=float(high),
            mean=float(1 + mean),
            sd=float(np.sqrt(max(squares / clean.size - mean**2, 0))),
            histogram=bins,
            drawn=_drawn(file, f"counts/{dose:g}"),
        )


def _drawn(file: h5py.File, name: str) -> dict[int, float]:
    """Return the shares of the pixels with 0, 1, 2 and 3 or more electrons."""
    if name not in file:
        return {}
    # The mean of the dark counts was taken off: put back, they are whole numbers.
    dark = json.loads(file.attrs["imaging"])["camera"].get("dark_e_per_px", 0.0)
    counts, number = file[name], np.zeros(4, dtype=np.int64)
    for i in range(counts.shape[0]):
        electrons = np.minimum(np.rint(counts[i] + dark), 3).astype(np.int64)
        number += np.bincount(electrons.ravel(), minlength=4)
    return {n: float(c / counts.size) for n, c in enumerate(number)}
