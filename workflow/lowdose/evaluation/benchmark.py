"""The benchmark: frozen counts that others denoise, with the truth apart from them.

A benchmark is a folder of plain arrays and tables.  What a denoiser is given lies under
``inputs``; what it is measured against lies under ``truth``.  ``benchmark.json`` has the SHA-256
of every array and table, and one over all of them names the benchmark.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from lowdose.data.frames import FrameSet, open_frames, read_frames
from lowdose.evaluation.stakes import ABOUT
from lowdose.runtime import UserError

DOSES_E_PER_PX = (0.1, 0.45, 2.0)
REALISATIONS = {"validation": 2, "test": 4, "shifted": 1}
# Around the particle, where a denoiser finds vacuum and support.
MARGIN_NM = 0.3
# Divisible by what the deepest networks halve.
MULTIPLE_PX = 64


@dataclass(frozen=True)
class CountedSet:
    """Cropped frames of a set with their counts at every dose.

    Attributes
    ----------
    frames : FrameSet
        `clean` is what float16 keeps of the expectation, as float32.
    sites : DataFrame
        Columns at stake: the columns of :data:`lowdose.evaluation.stakes.ABOUT` and ``shift``,
        two rows a pair.
    counts : dict of float to array (image, y, x)
        By dose [e/px in vacuum].  Image ``realisation * n_frames + frame``.
    realisations : int
    """

    frames: FrameSet
    sites: pd.DataFrame
    counts: Mapping[float, np.ndarray]
    realisations: int


def counted_sets(
    sources: Mapping[str, FrameSet],
    pairs: pd.DataFrame,
    doses_e_per_px: Sequence[float],
    realisations: Mapping[str, int],
    seed: int,
    log: Callable[[str], None] = lambda line: None,
) -> dict[str, CountedSet]:
    """Crop the frames of every set about their particles and draw their counts.

    Parameters
    ----------
    sources : mapping of str to FrameSet
        ``validation``, ``test`` and, if there is one, ``shifted``.
    pairs : DataFrame
        ``pairs.csv``.
    doses_e_per_px : sequence of float
        In vacuum.
    realisations : mapping of str to int
        Noise realisations of each frame, by set.
    seed : int
        Root seed of the study: the counts are those that its own evaluation draws.
    log : callable

    Returns
    -------
    dict of str to CountedSet

    Raises
    ------
    UserError
        If the sets differ in pixel size, or no pair of models is among the test frames.
    """
    pixels = {name: frames.pixel_size_nm for name, frames in sources.items()}
    if len(set(pixels.values())) > 1:
        told = ", ".join(f"{name} {size:g} nm" for name, size in pixels.items())
        raise UserError(f"The sets differ in pixel size ({told}); freeze them by one study.")
    shape = crop_shape(sources.values())
    found = {}
    for name, frames in sources.items():
        corners = crop_corners(frames, shape)
        cropped = crop(frames, corners, shape)
        many = realisations[name]
        first = many * _number_of_shift(frames.table)
        counts = {}
        for dose in doses_e_per_px:
            drawn = [
                _cut(frames.counts(i, dose, int(first[i]) + k, seed), corners[i], shape)
                for k in range(many)
                for i in range(len(frames.clean))
            ]
            counts[dose] = smallest_type(np.stack(drawn))
        found[name] = CountedSet(cropped, stakes_in(pairs, cropped), counts, many)
        log(f"{name}: {len(frames.clean)} frames, {many} realisations, {shape[0]} x {shape[1]} px")
    if found["test"].sites.empty:
        raise UserError(
            "No two test frames show a matched pair of models; give the pairs.csv of the study "
            "that froze them."
        )
    return found


def read_source(path: Path, imaging: Mapping, seed: int) -> FrameSet:
    """Read frozen frames that a configuration made.

    Parameters
    ----------
    path : Path
        The ``.h5`` file.
    imaging : mapping
        ``optics``, ``camera`` and ``energy_kev`` of the configuration.
    seed : int
        Its root seed, which the stored example counts must follow from.

    Raises
    ------
    UserError
        If the file cannot be read, or lens, camera or seed differ.
    """
    frames = read_frames(path)
    with open_frames(path) as file:
        stored = json.loads(file.attrs["imaging"])
        examples = {float(dose): example[0] for dose, example in file["counts"].items()}
    for key, value in imaging.items():
        if stored.get(key) != value:
            raise UserError(
                f"{path} was frozen with another {key} than the configuration has; name the "
                "files of its study after --config."
            )
    for dose, example in examples.items():
        if not np.array_equal(example, frames.counts(0, dose, 0, seed)):
            raise UserError(
                f"The counts in {path} do not follow from the seed {seed}; name the files of "
                "its study after --config."
            )
    return frames


def smallest_type(counts: np.ndarray) -> np.ndarray:
    """Return whole counts as uint8 or uint16, and others (less a dark reference) as float32."""
    whole = counts.min() >= 0 and np.array_equal(counts, np.rint(counts))
    for kind in (np.uint8, np.uint16):
        if whole and counts.max() <= np.iinfo(kind).max:
            return counts.astype(kind)
    return counts.astype(np.float32)


def crop_shape(sources: Sequence[FrameSet]) -> tuple[int, int]:
    """Return height and width [px] that hold every particle of the sets and a margin."""
    height, width = 0, 0
    for frames in sources:
        margin = 2 * MARGIN_NM
        for x0, x1, y0, y1 in _boxes(frames).itertuples(index=False):
            height = max(height, (y1 - y0 + margin) / frames.pixel_size_nm)
            width = max(width, (x1 - x0 + margin) / frames.pixel_size_nm)
    rounded = (MULTIPLE_PX * int(np.ceil(n / MULTIPLE_PX)) for n in (height, width))
    available = np.min([frames.clean.shape[1:] for frames in sources], axis=0)
    return tuple(int(min(n, most)) for n, most in zip(rounded, available, strict=True))


def crop_corners(frames: FrameSet, shape: tuple[int, int]) -> np.ndarray:
    """Return the upper left pixel (y, x) of every frame's crop: one place a base shape."""
    boxes = _boxes(frames)
    corners = {}
    for base, box in boxes.iterrows():
        middle = (box["y0"] + box["y1"]) / 2, (box["x0"] + box["x1"]) / 2
        corners[base] = [
            int(np.clip(round(at / frames.pixel_size_nm - n / 2), 0, most - n))
            for at, n, most in zip(middle, shape, frames.clean.shape[1:], strict=True)
        ]
    return np.array([corners[base] for base in frames.table["base_shape"]])


def crop(frames: FrameSet, corners: np.ndarray, shape: tuple[int, int]) -> FrameSet:
    """Return the cropped frames; places are from the upper left pixel of the crop."""
    pixel = frames.pixel_size_nm
    clean = np.stack([_cut(c, at, shape) for c, at in zip(frames.clean, corners, strict=True)])
    y, x = (corners[frames.columns["frame"], axis] * pixel for axis in (0, 1))
    columns = frames.columns.assign(
        x_nm=frames.columns["x_nm"] - x, y_nm=frames.columns["y_nm"] - y
    )
    inside = columns["x_nm"].between(0, (shape[1] - 1) * pixel)
    inside &= columns["y_nm"].between(0, (shape[0] - 1) * pixel)
    table = frames.table.assign(
        interface_y_nm=frames.table["interface_y_nm"] - corners[:, 0] * pixel
    )
    return replace(
        frames,
        table=table,
        clean=clean.astype(np.float16).astype(np.float32),
        columns=columns[inside].reset_index(drop=True),
    )


def stakes_in(pairs: pd.DataFrame, frames: FrameSet) -> pd.DataFrame:
    """Return the columns at stake, at the places that they have in these very frames.

    As :func:`lowdose.evaluation.stakes.stakes`, which takes the places of the unshifted models;
    here a particle may also have moved, as some of the shifted ones have.

    Parameters
    ----------
    pairs : DataFrame
        ``pairs.csv``.
    frames : FrameSet
        A pair takes part where two frames show its models at one defocus and in one shift.

    Returns
    -------
    DataFrame
        :data:`lowdose.evaluation.stakes.ABOUT` and ``shift`` (empty for a set without).
    """
    table = frames.table
    shown = table[["frame", "model_id", "c1_nm"]].assign(shift=table.get("shift", ""))
    keys = ["c1_nm", "shift"]
    both = (
        pairs.drop(columns=["x_nm", "y_nm"])
        .merge(shown, left_on="model_present", right_on="model_id")
        .merge(shown, left_on=["model_absent", *keys], right_on=["model_id", *keys],
               suffixes=("_present", "_absent"))
        .merge(table[["frame", "family"]], left_on="frame_present", right_on="frame")
        .drop(columns="frame")
    )  # fmt: skip
    places = frames.columns[["frame", "column", "x_nm", "y_nm"]]
    both = both.merge(
        places, left_on=["frame_present", "column"], right_on=["frame", "column"],
        validate="many_to_one",
    ).drop(columns="frame")  # fmt: skip
    both["pair"] = [
        f"{row.pair} {row.c1_nm:g} nm" + (f", {row.shift}" if row.shift else "")
        for row in both.itertuples()
    ]
    sides = [
        both.assign(present=present, frame=both[f"frame_{'present' if present else 'absent'}"])
        for present in (True, False)
    ]
    rows = pd.concat(sides, ignore_index=True)[[*ABOUT, "shift"]]
    return rows.sort_values(["pair", "present"], ascending=[True, False], ignore_index=True)


def _boxes(frames: FrameSet) -> pd.DataFrame:
    """Return what each base shape's particles take, to the interface: x0, x1, y0, y1 [nm]."""
    own = frames.columns[frames.columns["is_particle"]]
    own = own.merge(frames.table[["frame", "base_shape", "interface_y_nm"]], on="frame")
    of = own.groupby("base_shape")
    return pd.DataFrame({
        "x0": of["x_nm"].min(), "x1": of["x_nm"].max(),
        "y0": of["y_nm"].min(), "y1": of["interface_y_nm"].max(),
    })  # fmt: skip


def _number_of_shift(table: pd.DataFrame) -> np.ndarray:
    """Return the number of each frame's shift, 0 without any.

    Noise is named by model, defocus, dose and realisation: the shifts of one model would have
    the same in common, were their realisations not numbered one after the other.
    """
    return pd.factorize(table["shift"])[0] if "shift" in table else np.zeros(len(table), int)


def _cut(image: np.ndarray, corner: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    (y, x), (height, width) = corner, shape
    return image[y : y + height, x : x + width]
