"""The layers that a viewer shows of a denoised file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lowdose.microscope.column_files import read_columns
from lowdose.microscope.outputs import targets
from lowdose.microscope.reading import read_recording
from lowdose.microscope.recording import Recording
from lowdose.runtime import UserError

RING_NM = 0.16  # diameter
ROBUST = (0.5, 99.5)  # percentiles of the denoised frames that are black and white
UNITS = ("pixel", "nm", "nm")  # of frame, y and x
DIVERGING = "PiYG"  # from matplotlib, by which napari knows it


def layers(file: Path, folder: Path | None = None) -> list[tuple]:
    """Return raw counts, denoised frames and columns as napari's layer tuples.

    Parameters
    ----------
    file : Path
        The microscope file.
    folder : Path, optional
        Where `lowdose denoise` wrote, if not beside it.

    Returns
    -------
    list of (data, options, kind)
        In nm, (frame,) y, x; columns have their table as ``features``.

    Raises
    ------
    UserError
        If the file was not denoised, or was since.
    """
    paths = targets(file, ("hspy", "tif", "mrc", "npy", "csv", "hdf5"), folder)
    if not paths["json"].is_file():
        raise UserError(
            f"{paths['json']} does not exist; run `lowdose denoise {file}` first, or name its "
            "folder by --output."
        )
    record = json.loads(paths["json"].read_text(encoding="utf-8"))
    image = next((paths[k] for k in ("hspy", "tif", "mrc", "npy") if paths[k].is_file()), None)
    if image is None:
        raise UserError(f"No denoised frames are beside {paths['json'].name}; denoise it again.")
    denoised = read_recording(image, pixel_size_nm=record["pixel_size_nm"])
    pixel = float(record["pixel_size_nm"])
    low, high = (float(v) for v in np.percentile(denoised.frames[:1], ROBUST))
    options = {"scale": (1, pixel, pixel), "units": UNITS, "contrast_limits": (low, high),
               "colormap": "gray"}  # fmt: skip
    found = [(_counts(file, record, denoised), {**options, "name": "counts", "visible": False},
              "image"),
             (denoised.frames, {**options, "name": "denoised"}, "image")]  # fmt: skip
    table = next((paths[k] for k in ("csv", "hdf5") if paths[k].is_file()), None)
    if table is not None:
        found.append(_columns(table))
    return found


def _counts(file: Path, record: dict, denoised: Recording) -> np.ndarray:
    """Return the frames that were denoised, in electrons, as far as the record says how."""
    from lowdose.cli._denoised_file import prepared
    from lowdose.denoisers import registry
    from lowdose.microscope.inspection import inspect

    found = inspect(
        file, registry.info(record["denoiser"]), gain=record["electrons_per_unit"],
        offset=record["offset"], pixel_size_nm=record["pixel_size_nm"] / record["pixels_summed"],
        signal=record["signal"], frames=None if record["frames"] is None
        else tuple(record["frames"]), binning=record["pixels_summed"],
    )  # fmt: skip
    if found.counts is None:
        raise UserError(f"{file} is not what was denoised; denoise it again.")
    found, _ = prepared(found, record["aligned"], record["frames_summed"])
    if found.counts.shape != denoised.frames.shape:
        raise UserError(f"{file} is not what was denoised; denoise it again.")
    return found.counts


def _columns(path: Path) -> tuple:
    columns = read_columns(path)
    limit = max(float(np.nanpercentile(np.abs(columns["llr"]), 95)), 1.0) if len(columns) else 1.0
    unsupported = columns["is_surface"].astype(bool) & ~columns["supported"].astype(bool)
    options = {
        "name": "columns by log-likelihood ratio",
        "features": columns,
        "units": UNITS,
        "size": RING_NM,
        # A cross where the counts do not support a surface column: not by colour alone.
        "symbol": np.where(unsupported, "x", "o"),
        "face_color": "transparent",
        "border_color": "llr",
        "border_colormap": DIVERGING,
        "border_contrast_limits": (-limit, limit),
        "border_width": 0.12,
    }
    return columns[["frame", "y_nm", "x_nm"]].to_numpy(float), options, "points"
