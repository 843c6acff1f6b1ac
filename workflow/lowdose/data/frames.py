"""Frozen evaluation frames: clean expectation, counts, and what they show."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from lowdose import seeds
from lowdose.config_world import MARGIN_BOTTOM_NM, MARGIN_TOP_NM
from lowdose.imaging.camera import draw_counts
from lowdose.imaging.rendering import ImageRenderer
from lowdose.runtime import UserError, atomic_path


def region(cell_y_nm: float) -> tuple[float, float]:
    """Return the upper and lower limit of a frame in its cell [nm]."""
    return MARGIN_TOP_NM, cell_y_nm - MARGIN_BOTTOM_NM


@dataclass(frozen=True)
class FrameSet:
    """Evaluation frames of one split.

    Attributes
    ----------
    table : DataFrame
        One row a frame: ``frame, model_id, base_shape, family, defect, layers, tilt_x_deg,
        tilt_y_deg, c1_nm, contrast, interface_y_nm`` (y from the frame's upper edge).
    clean : array (frame, y, x), float32
        Expected image, vacuum = 1.
    columns : DataFrame
        True columns with ``frame`` and ``x_nm, y_nm`` from the frame's upper left pixel.
    pixel_size_nm : float
    digest : str
        SHA-256 of images, table and truth: which frames these are.
    dark_e_per_px : float
        Mean dark counts, whose mean is subtracted and whose noise stays.
    """

    table: pd.DataFrame
    clean: np.ndarray
    columns: pd.DataFrame
    pixel_size_nm: float
    digest: str
    dark_e_per_px: float = 0.0

    def counts(self, frame: int, dose_e_per_px: float, realisation: int, seed: int) -> np.ndarray:
        """Draw the counts of one frame: float32 (y, x), the same whenever asked.

        Parameters
        ----------
        frame : int
            Row of `table`.
        dose_e_per_px : float
            Electrons per pixel in vacuum.
        realisation : int
            Number of the noise realisation.
        seed : int
            Root seed of the study.
        """
        name = self.table["model_id"].iloc[frame]
        c1 = float(self.table["c1_nm"].iloc[frame])
        rng = seeds.rng(seed, "counts", name, f"{c1:g} nm", f"{dose_e_per_px:g} e/px", realisation)
        expected = self.clean[frame] * dose_e_per_px
        return draw_counts(expected, rng, dark_e_per_px=self.dark_e_per_px)


def one_per_shape(frames: FrameSet) -> FrameSet:
    """Return one frame of each base shape, for what is too slow for all of them.

    The first shape gives its first defect, the next one its second, and so on, so that all kinds
    are among them.  Counts of a frame are those that it has in the whole set; the digest says of
    which set they are.
    """
    of_shapes = frames.table.groupby("base_shape", sort=True)["frame"]
    chosen = [int(own.iloc[k % len(own)]) for k, (_, own) in enumerate(of_shapes)]
    number = {old: new for new, old in enumerate(chosen)}
    table = frames.table.loc[chosen].reset_index(drop=True)
    kept = frames.columns[frames.columns["frame"].isin(number)]
    return replace(
        frames,
        table=table.assign(frame=table["frame"].map(number)),
        clean=frames.clean[chosen],
        columns=kept.assign(frame=kept["frame"].map(number))
        .sort_values("frame", kind="stable")
        .reset_index(drop=True),
        digest=f"{frames.digest}, frames {', '.join(map(str, chosen))}",
    )


def frame_renderer(
    cell_nm: tuple[float, float], imaging: Mapping, drift_nm: tuple[float, float] | None = None
) -> ImageRenderer:
    """Return what renders the frames of all waves of one cell, within its :func:`region`.

    Parameters
    ----------
    cell_nm : (float, float)
        Height and width of the cell [nm].
    imaging : mapping
        ``optics``, ``camera`` and ``energy_kev``.
    drift_nm : (float, float), optional
        Uniform motion along y and x during the exposure [nm].
    """
    pixel = imaging["camera"]["pixel_size_nm"]
    top, bottom = region(cell_nm[0])
    shape = int((bottom - top) / pixel), int(cell_nm[1] / pixel)
    return ImageRenderer(cell_nm, imaging, (top, 0.0), shape, drift_nm)


def render(
    wave: np.ndarray,
    cell_nm: tuple[float, float],
    c1_nm: float,
    imaging: Mapping,
    drift_nm: tuple[float, float] | None = None,
) -> np.ndarray:
    """Render a single frame from an exit wave: float32 (y, x), vacuum = 1.

    Parameters
    ----------
    wave : array (y, x) or (configuration, y, x), complex
    cell_nm, imaging, drift_nm
        See :func:`frame_renderer`.
    c1_nm : float
        Defocus [nm].
    """
    renderer = frame_renderer(cell_nm, imaging, drift_nm)
    return renderer.image(renderer.lens.spectrum(wave), c1_nm)


def choose(
    classes: pd.DataFrame, split: str, contrast: str, per_shape: int
) -> list[tuple[str, float]]:
    """Choose the evaluation frames of a split: (model, C1).

    Every base shape of the split gives `per_shape` conditions (thickness, tilt and C1), each
    with all its defects, so that models which differ in one column are seen alike.  The
    conditions are spread evenly over those in which all of them have the wanted contrast.

    Parameters
    ----------
    classes : DataFrame
        ``model_id, base_shape, defect, layers, tilt_x_deg, tilt_y_deg, c1_nm, contrast, split``.
    split, contrast : str
        Wanted split; wanted class or "all".
    per_shape : int
        Conditions a shape.
    """
    chosen: list[tuple[str, float]] = []
    of_split = classes[classes["split"] == split]
    condition = ["layers", "tilt_x_deg", "tilt_y_deg", "c1_nm"]
    for number, (shape, group) in enumerate(of_split.groupby("base_shape")):
        defects = group["defect"].nunique()
        fitting = group if contrast == "all" else group[group["contrast"] == contrast]
        complete = [
            (key, list(rows["model_id"]))
            for key, rows in fitting.groupby(condition)
            if rows["defect"].nunique() == defects
        ]
        if len(complete) < per_shape:
            raise UserError(
                f"The base shape {shape} of the {split} set has {len(complete)} conditions in "
                f"which all its models are {contrast}, and frames.frames_per_shape asks for "
                f"{per_shape}; lower it, or add tilts or C1 values."
            )
        # From shape to shape the choice moves on, so that thickness, tilt and C1 vary.
        for k in range(per_shape):
            place = (k + (number + 0.5) / of_split["base_shape"].nunique()) / per_shape
            key, models = complete[int(place * len(complete)) % len(complete)]
            chosen += [(model, float(key[-1])) for model in sorted(models)]
    return chosen


def write_frames(
    path: Path,
    split: str,
    frames: Sequence[tuple[Mapping, np.ndarray, pd.DataFrame]],
    imaging: Mapping,
    doses_e_per_px: Sequence[float],
    seed: int,
) -> str:
    """Freeze the frames of a split in one HDF5 file; return their digest.

    Parameters
    ----------
    path : Path
    split : str
    frames : sequence of (attributes, clean image, true columns of the model)
        Attributes are a row of ``models.csv`` with ``c1_nm`` and ``contrast``, and ``shift``
        where the frame leaves the training world.
    imaging : mapping
        ``optics``, ``camera``, ``energy_kev``.
    doses_e_per_px : sequence of float
        For the stored example counts: realisation 0 at each dose.
    seed : int
        Root seed.
    """
    clean = np.stack([image for _, image, _ in frames]).astype(np.float32)
    keep = ("model_id", "base_shape", "family", "defect", "layers", "tilt_x_deg", "tilt_y_deg",
            "c1_nm", "contrast", "shift")  # fmt: skip
    rows, tables = [], []
    for number, (row, _, columns) in enumerate(frames):
        rows.append({"frame": number, **{k: row[k] for k in keep if k in row},
                     "interface_y_nm": row["interface_y_nm"] - MARGIN_TOP_NM})  # fmt: skip
        tables.append(columns.assign(frame=number, y_nm=columns["y_nm"] - MARGIN_TOP_NM))
    table = pd.DataFrame(rows)
    truth = pd.concat(tables, ignore_index=True)
    pixel, dark = (imaging["camera"][key] for key in ("pixel_size_nm", "dark_e_per_px"))
    content = hashlib.sha256(clean.tobytes())
    for part in (table, truth):
        content.update(part.to_json(orient="records", double_precision=9).encode())
    frame_set = FrameSet(table, clean, truth, pixel, content.hexdigest(), dark)
    with atomic_path(path) as temporary, h5py.File(temporary, "w", libver="latest") as file:
        file.attrs.update({"split": split, "digest": frame_set.digest, "pixel_size_nm": pixel})
        file.attrs["imaging"] = json.dumps(dict(imaging), sort_keys=True)
        file.attrs.update({"NX_class": "NXdata", "signal": "clean", "axes": ["frame", "y", "x"]})
        chunk = (1, *clean.shape[1:])
        data = file.create_dataset("clean", data=clean, chunks=chunk, compression="lzf")
        data.attrs.update({"long_name": "expected image, vacuum = 1", "units": "1"})
        for axis, n in zip("yx", clean.shape[1:], strict=True):
            file.create_dataset(axis, data=np.arange(n) * pixel).attrs["units"] = "nm"
        file.create_dataset("frame", data=np.arange(len(clean)))
        counts = file.create_group("counts")
        for dose in doses_e_per_px:
            drawn = [frame_set.counts(i, dose, 0, seed) for i in range(len(clean))]
            stack = counts.create_dataset(
                f"{dose:g}", data=np.stack(drawn).astype(np.float32 if dark else np.uint16),
                chunks=chunk,
                compression="lzf", shuffle=True,
            )  # fmt: skip
            stack.attrs.update({"units": "electrons per pixel", "dose_e_per_px": dose})
        file["table"] = table.to_json(orient="records", double_precision=12)
        file["columns"] = truth.to_json(orient="records", double_precision=9)
    return frame_set.digest


@contextlib.contextmanager
def open_frames(path: Path) -> Iterator[h5py.File]:
    """Open a file of frozen frames for reading.

    Raises
    ------
    UserError
        If the file is missing, or what is read of it damaged.
    """
    if not Path(path).is_file():
        raise UserError(f"The frame file {path} does not exist; run the stage `frames` first.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"The frame file {path} is damaged ({type(error).__name__}); delete it and run again."
        ) from error


def read_frames(path: Path) -> FrameSet:
    """Read a frozen split.

    Raises
    ------
    UserError
        If the file is missing or damaged.
    """
    with open_frames(path) as file:
        tables = [
            pd.read_json(io.BytesIO(file[key][()]), orient="records", precise_float=True)
            for key in ("table", "columns")
        ]
        pixel, digest = float(file.attrs["pixel_size_nm"]), str(file.attrs["digest"])
        dark = float(json.loads(file.attrs["imaging"])["camera"]["dark_e_per_px"])
        return FrameSet(tables[0], file["clean"][...], tables[1], pixel, digest, dark)
