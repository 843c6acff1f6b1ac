"""What adapting a network to a frame gains, in the world that it was trained in and beyond.

Every case changes one thing of the test frames: dose, contrast, pixel size, material.  Each frame
is denoised twice from the same counts, with the network as it was and adapted to the frame alone,
so that a gain is a difference of a pair.  The truth is used for nothing but the two errors.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from lowdose import seeds
from lowdose.data.frames import FrameSet, region, render
from lowdose.denoisers import registry
from lowdose.denoisers.adaptation.gain_tuning import GainTuned
from lowdose.denoisers.contract import Denoiser
from lowdose.evaluation.statistics import summarise
from lowdose.imaging.camera import draw_counts
from lowdose.imaging.waves import exit_waves
from lowdose.metrics import psnr
from lowdose.runtime import UserError
from lowdose.sampling import dose_e_per_a2, resample_counts
from lowdose.structures.library import build_structure, true_columns
from lowdose.structures.plan import Model, base_shapes

HOME = "in distribution"
COARSER = 1.4
DOSES = {"dose x 40": 40.0, "dose / 4": 0.25}
# What differs from vacuum, times so much; no pixel gets less than nothing.
CONTRASTS = {"contrast x 2": 2.0, "contrast x 0.5": 0.5, "inverted contrast": -1.0}
TOLD, UNTOLD = "pixel x 1.4", "pixel x 1.4, not told"
MATERIAL, VACUUM = "Au on TiO2", "vacuum only"
OUTCOMES = ("improved", "left_alone", "worse")


class Case(NamedTuple):
    """A frame that a network is adapted to.

    Attributes
    ----------
    case : str
        What is unlike the training world.
    base_shape, frame : str
        Unit of replication, and the frame's own name.
    clean : array (y, x), float32
        Expected image, vacuum = 1.
    pixel_size_nm : float
        What the denoiser is told.
    dose_e_per_px : float
        In vacuum.
    """

    case: str
    base_shape: str
    frame: str
    clean: np.ndarray
    pixel_size_nm: float
    dose_e_per_px: float


def cases(
    frames: FrameSet, shifted: FrameSet | None, material: FrameSet | None, spec: Mapping
) -> Iterator[Case]:
    """Yield the frames of all cases, each with its case.

    Parameters
    ----------
    frames : FrameSet
        Of the test set.
    shifted : FrameSet, optional
        With a column ``shift``, each of which is a case.
    material : FrameSet, optional
        Of another material (:func:`material_frames`).
    spec : mapping
        ``frames`` (of each case, at most), ``crop_px``, ``dose_e_per_px``.

    Yields
    ------
    Case
        First one frame of every case, then another of each: what was reached when a run was
        stopped is a smaller study of the same.
    """
    sources = [_of_test_frames(frames, spec)]
    if shifted is not None:
        for shift in dict.fromkeys(shifted.table["shift"]):
            own = np.flatnonzero(shifted.table["shift"] == shift)
            sources.append(_as_they_are(shift, shifted, own, spec))
    if material is not None:
        sources.append(_as_they_are(MATERIAL, material, np.arange(len(material.table)), spec))
    for turn in zip(*(_padded(source, spec["frames"]) for source in sources), strict=True):
        for of_source in turn:
            yield from of_source


def material_frames(world: Mapping, frames: int) -> FrameSet:
    """Simulate frames of a material that no network was trained on.

    Parameters
    ----------
    world : mapping
        ``structures, simulation, optics, camera, seed`` of a configuration such as
        ``config/au-tio2.yaml``, and ``c1_nm``.
    frames : int
        Each of another base shape, without defects or tilt; thicknesses take turns.

    Raises
    ------
    UserError
        If there are fewer base shapes.
    """
    known = base_shapes(world["structures"])
    if not 1 <= frames <= len(known):
        raise UserError(
            f"{frames} frames of another material are asked for, each of another base shape, and "
            f"its configuration has {len(known)}; ask for fewer or add base shapes."
        )
    layers = sorted(int(n) for n in world["structures"]["thickness_quota"])
    imaging = {"optics": world["optics"], "camera": world["camera"],
               "energy_kev": world["simulation"]["energy_kev"]}  # fmt: skip
    rows, images, tables = [], [], []
    for number in range(frames):
        shape, family, _ = known[number * len(known) // frames]
        name = f"{shape}-D0-{layers[number % len(layers)]}L"
        model = Model(name, name, shape, family, "D0", layers[number % len(layers)], 0.0, 0.0)
        atoms = build_structure(world["structures"], model, world["seed"])
        cell = atoms.cell.lengths()[1] / 10, atoms.cell.lengths()[0] / 10
        wave = exit_waves(atoms, [(0.0, 0.0)], world["simulation"])[0]
        images.append(render(wave, cell, world["c1_nm"], imaging))
        columns, (top, _) = true_columns(atoms, model), region(cell[0])
        tables.append(columns.assign(frame=number, y_nm=columns["y_nm"] - top))
        rows.append({"frame": number, "model_id": name, "base_shape": shape, "defect": "D0"})
    truth = pd.concat(tables, ignore_index=True)
    pixel = world["camera"]["pixel_size_nm"]
    return FrameSet(pd.DataFrame(rows), np.stack(images), truth, pixel, "", 0.0)


class Pair(NamedTuple):
    """A network as it was trained, and the same network adapted to each frame."""

    plain: Denoiser
    tuned: GainTuned


def pair(network: str, steps: int) -> Pair:
    """Load a shipped network twice (raises as :func:`lowdose.denoisers.registry.create`)."""
    return Pair(
        registry.create(network),
        registry.create("gain-tuning", network=network, steps=steps),
    )


def adapted(case: Case, networks: Pair, spec: Mapping) -> dict | None:
    """Adapt a network to a frame, and measure both errors against the truth.

    Parameters
    ----------
    case : Case
    networks : Pair
    spec : mapping
        ``seed``.

    Returns
    -------
    dict or None
        ``case, base_shape, frame, dose_e_per_px``; ``before_db, after_db, gain_db``, PSNR as
        :func:`lowdose.metrics.psnr` has it; ``steps``, 0 where the network was left alone;
        ``seconds`` of processor time that adapting took.  None if the network was not made for
        such pixels.
    """
    low, high = networks.plain.info.pixel_size_nm
    if not low - 1e-6 <= case.pixel_size_nm <= high + 1e-6:
        return None
    rng = seeds.rng(spec["seed"], "adaptation", case.case, case.frame)
    expected = case.clean * np.float32(case.dose_e_per_px)
    counts = draw_counts(expected, rng)[None]
    dose = dose_e_per_a2(case.dose_e_per_px, case.pixel_size_nm)

    def measured(denoiser: Denoiser) -> float:
        estimate = denoiser.denoise(counts, case.pixel_size_nm, dose=dose)[0]
        return psnr(expected, estimate, dose_e_per_px=case.dose_e_per_px)

    before = measured(networks.plain)
    begun = time.process_time()
    after = measured(networks.tuned)
    seconds, steps = time.process_time() - begun, networks.tuned.last[-1].steps
    return {
        **{k: getattr(case, k) for k in ("case", "base_shape", "frame", "dose_e_per_px")},
        # Left alone they are the same, also where both are perfect and have infinite PSNR.
        "before_db": before, "after_db": after, "gain_db": after - before if steps else 0.0,
        "steps": steps, "seconds": seconds,
    }  # fmt: skip


def frame_table(
    of_cases: Iterable[Case], networks: Mapping[str, Pair], spec: Mapping
) -> Iterator[dict]:
    """Yield one row for each network and frame: ``network``, and what :func:`adapted` says."""
    for case in of_cases:
        for name, networks_of in networks.items():
            row = adapted(case, networks_of, spec)
            if row is not None:
                yield {"network": name, **row}


def table_of(
    rows: pd.DataFrame, draws: int, rng: np.random.Generator, *, by: tuple[str, ...] = (
        "network", "case"), unit: str = "base_shape",
) -> pd.DataFrame:  # fmt: skip
    """Summarise the rows of each network and case.

    Parameters
    ----------
    rows : DataFrame
        ``gain_db, steps, seconds``, the columns of `by` and `unit`.
    draws : int
        Resamples of units.
    rng : numpy.random.Generator
    by : tuple of str
    unit : str
        Units of replication.

    Returns
    -------
    DataFrame
        In the order in which the groups first occur: the columns of `by`; ``n_frames, n_units``;
        ``gain_db, gain_low, gain_high`` with the 95 % interval of
        :func:`lowdose.evaluation.statistics.summarise`; ``improved, left_alone, worse``, shares
        of the frames, with ``_low`` and ``_high`` (:func:`share_interval`); ``before_db`` and
        ``after_db``, means; ``seconds``, mean of a frame.
    """
    keys = list(by)
    moved = rows["steps"] > 0
    outcome = {"improved": moved & (rows["gain_db"] > 0), "left_alone": ~moved,
               "worse": moved & (rows["gain_db"] <= 0)}  # fmt: skip
    rows = rows.assign(**{name: outcome[name].astype(float) for name in OUTCOMES})
    gains = summarise(rows, "gain_db", keys, unit, draws=draws, rng=rng).rename(
        columns={"estimate": "gain_db", "low": "gain_low", "high": "gain_high",
                 "n_rows": "n_frames"}
    )  # fmt: skip
    means = rows.groupby(keys, sort=False)[[*OUTCOMES, "before_db", "after_db", "seconds"]].mean()
    table = means.reset_index().merge(gains, on=keys, validate="one_to_one")
    for name in OUTCOMES:
        limits = [share_interval(*x) for x in zip(table[name], table["n_units"], strict=True)]
        table[f"{name}_low"], table[f"{name}_high"] = zip(*limits, strict=True)
    shares = [f"{name}{end}" for name in OUTCOMES for end in ("", "_low", "_high")]
    return table[[*keys, "n_frames", "n_units", "gain_db", "gain_low", "gain_high", "method",
                  *shares, "before_db", "after_db", "seconds"]]  # fmt: skip


def share_interval(share: float, n_units: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share of independent units (Clopper and Pearson 1934).

    Where several frames belong to a unit they count as one, as if they always agreed.  To resample
    units that all agree would give an interval of no width.

    Parameters
    ----------
    share : float
        Between 0 and 1.
    n_units : int
    level : float
    """
    k, tail = share * n_units, (1 - level) / 2
    low = 0.0 if k <= 0 else float(stats.beta.ppf(tail, k, n_units - k + 1))
    high = 1.0 if k >= n_units else float(stats.beta.ppf(1 - tail, k + 1, n_units - k))
    return low, high


def chosen(shapes: Iterable[str], count: int) -> list[int]:
    """Choose rows so that every base shape is met once before any is met twice.

    From shape to shape the row moves on, so that all defects are among the first ones.

    Parameters
    ----------
    shapes : iterable of str
        Base shape of each row.
    count : int
        At most so many rows are returned.
    """
    of_shape: dict[str, list[int]] = {}
    for row, shape in enumerate(shapes):
        of_shape.setdefault(shape, []).append(row)
    found = []
    for turn in range(max(map(len, of_shape.values()), default=0)):
        for number, own in enumerate(of_shape.values()):
            if turn < len(own):
                found.append(own[(turn + number) % len(own)])
    return found[:count]


def _of_test_frames(frames: FrameSet, spec: Mapping) -> Iterator[list[Case]]:
    """Yield all cases of one test frame after another."""
    dose, crop, pixel = spec["dose_e_per_px"], spec["crop_px"], frames.pixel_size_nm
    for row in chosen(frames.table["base_shape"], spec["frames"]):
        shape, name = _named(frames, row)
        centre = _particle_px(frames, row)
        whole = frames.clean[row]
        clean = cropped(whole, centre, crop)
        # The field of view stays what it was; pixel 0 keeps its centre.
        coarse, _ = resample_counts(whole, pixel, COARSER * pixel)
        coarse = cropped(coarse / COARSER**2, centre / COARSER, round(crop / COARSER))
        coarse_dose = dose * COARSER**2  # as many electrons for an area
        yield [
            Case(HOME, shape, name, clean, pixel, dose),
            *(Case(key, shape, name, clean, pixel, dose * times) for key, times in DOSES.items()),
            *(
                Case(key, shape, name, np.maximum(1 + times * (clean - 1), 0), pixel, dose)
                for key, times in CONTRASTS.items()
            ),
            Case(TOLD, shape, name, coarse, COARSER * pixel, coarse_dose),
            Case(UNTOLD, shape, name, coarse, pixel, coarse_dose),
            # Every exposure of the vacuum is a unit by itself.
            Case(VACUUM, f"vacuum {row}", f"vacuum {row}", np.ones_like(clean), pixel, dose),
        ]


def _as_they_are(
    case: str, frames: FrameSet, rows: np.ndarray, spec: Mapping
) -> Iterator[list[Case]]:
    """Yield frames of a set, at the reference dose."""
    for of_rows in chosen(frames.table["base_shape"].iloc[rows], spec["frames"]):
        row = int(rows[of_rows])
        clean = cropped(frames.clean[row], _particle_px(frames, row), spec["crop_px"])
        yield [Case(case, *_named(frames, row), clean, frames.pixel_size_nm, spec["dose_e_per_px"])]


def _named(frames: FrameSet, row: int) -> tuple[str, str]:
    return str(frames.table["base_shape"].iloc[row]), str(frames.table["model_id"].iloc[row])


def _padded(source: Iterator[list[Case]], length: int) -> Iterator[list[Case]]:
    for _ in range(length):
        yield next(source, [])


def _particle_px(frames: FrameSet, row: int) -> np.ndarray:
    """Return the middle (y, x) of the particle's columns [px]."""
    number = frames.table["frame"].iloc[row]
    columns = frames.columns[(frames.columns["frame"] == number) & frames.columns["is_particle"]]
    ends = columns[["y_nm", "x_nm"]].agg(["min", "max"]).mean()
    return ends.to_numpy() / frames.pixel_size_nm


def cropped(image: np.ndarray, centre: np.ndarray, side: int) -> np.ndarray:
    """Return a square of an image (y, x) about a place (y, x) [px], moved to lie within it.

    Parameters
    ----------
    side : int
        Along an axis that is shorter, all of it is kept.
    """
    windows = []
    for length, middle in zip(image.shape, centre, strict=True):
        start = int(np.clip(round(middle - side / 2), 0, max(length - side, 0)))
        windows.append(slice(start, start + side))
    return np.ascontiguousarray(image[tuple(windows)], dtype=np.float32)
