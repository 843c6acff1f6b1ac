"""Read microscope files by RosettaSciIO: all frames, with calibration, errors in words."""

from __future__ import annotations

import contextlib
import importlib
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tifffile

from lowdose.microscope import calibration
from lowdose.microscope.calibrated_tiff import stated
from lowdose.microscope.formats import PLUGINS, SUFFIXES, damaged, format_of, one_line
from lowdose.microscope.probe import probe
from lowdose.microscope.recording import Recording
from lowdose.runtime import UserError

SHARE_OF_MEMORY = 0.5  # that the frames of a file may take


def read_recording(
    path: str | Path,
    *,
    pixel_size_nm: float | None = None,
    signal: int | None = None,
    frames: tuple[int | None, int | None] | None = None,
    probed: bool = False,
) -> Recording:
    """Read an image or a stack of images.

    Parameters
    ----------
    path : path
        A dm3, dm4, emd (Velox, NCEM), ser, mrc, tif, hspy, zspy or npy file.  What it is is seen
        in its content, not its name.
    pixel_size_nm : float, optional
        Instead of what the file says [nm].
    signal : int, optional
        Which of several images of one file, from 1.
    frames : (int, int), optional
        Which frames of a stack, from the first up to but not including the second; all unless
        given.
    probed : bool
        Trust the file: do not read it in a process of its own first
        (:mod:`lowdose.microscope.probe`; half a second, and the only shelter from files so damaged
        that the library for them crashes or never ends).

    Returns
    -------
    Recording

    Raises
    ------
    UserError
        If the file cannot be read, holds no real image or stack, more than one image and `signal`
        says none of them, pixels that are not square by more than 5 %, or more than fits into half
        of the free memory.
    """
    path = Path(path)
    if pixel_size_nm is not None and not (math.isfinite(pixel_size_nm) and pixel_size_nm > 0):
        raise UserError(f"--pixel-size is {pixel_size_nm}; give a positive size in nm.")
    kind = format_of(path)
    if not probed and kind != "NPY":
        probe(path, pixel_size_nm=pixel_size_nm, signal=signal, frames=frames)
    notes = []
    if path.suffix.lower() not in SUFFIXES[kind]:
        notes.append(f"The name ends with {path.suffix or 'nothing'}, the content is {kind}.")
    signals = _signals(path, kind)
    try:
        chosen = _chosen(signals, signal, path)
        axes = _axes(chosen, path)
        data = _loaded(chosen["data"], axes, slice(*(frames or (None,))), path)
    finally:
        _close(signals)
    metadata = _plain(chosen.get("metadata"))
    original = _plain(chosen.get("original_metadata"))
    trees = (metadata, original)
    interval = _interval(axes["frame"])
    if kind == "TIFF":
        interval = _completed(axes, path) or interval
    size, size_notes = _pixel_size(axes, pixel_size_nm, path)
    gain, offset = _electrons(metadata)
    return Recording(
        frames=data,
        pixel_size_nm=size,
        is_stack=axes["frame"] is not None,
        path=path,
        format=kind,
        title=str(metadata.get("General", {}).get("title") or path.stem),
        frame_interval_s=interval if axes["frame"] is not None else None,
        exposure_s=calibration.first_number(trees, calibration.EXPOSURE_S),
        energy_kev=calibration.first_number(trees, calibration.ENERGY_KEV),
        electrons_per_unit=gain,
        offset=offset,
        metadata=metadata,
        original_metadata=original,
        notes=(*notes, *size_notes),
    )


def _signals(path: Path, kind: str) -> list[dict]:
    """Return what the reader of the format finds, its images not loaded yet."""
    with _overheard() as errors:
        try:
            if kind == "NPY":
                data = np.load(path, mmap_mode="r", allow_pickle=False)
                return [{"data": data, "axes": [{} for _ in range(data.ndim)], "metadata": {}}]
            reader = importlib.import_module(PLUGINS[kind])
            found = list(reader.file_reader(str(path), lazy=True))
        except ImportError as error:
            raise UserError(
                f"Reading {kind} needs the package {error.name}; pip install it."
            ) from None
        # Readers meet damage with whatever error their code comes upon.
        except Exception as error:
            raise damaged(path, kind, one_line(error)) from None
    # tifffile gives the pages that it finds, and only mentions that there were to be more.
    if errors:
        raise damaged(path, kind, errors[0])
    return found


def _close(signals: list[dict]) -> None:
    """Close the TIFF that RosettaSciIO leaves open behind images that are not loaded yet."""
    for one in signals:
        for task in dict(getattr(one["data"], "dask", {})).values():
            for argument in getattr(task, "args", ()):
                if isinstance(argument, tifffile.TiffPageSeries):
                    argument.parent.close()


@contextlib.contextmanager
def _overheard() -> Iterator[list[str]]:
    """Keep what readers log to themselves; give the errors of tifffile."""
    errors: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                errors.append(" ".join(record.getMessage().split())[:120])

    ear = Ear()
    loud, quiet = logging.getLogger("tifffile"), logging.getLogger("rsciio")
    before = loud.propagate, quiet.level
    loud.addHandler(ear)
    loud.propagate, quiet.level = False, logging.CRITICAL
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield errors
    finally:
        loud.removeHandler(ear)
        loud.propagate, quiet.level = before


def _chosen(signals: list[dict], number: int | None, path: Path) -> dict:
    """Return the one signal that is meant."""
    if number is not None:
        if not 1 <= number <= len(signals):
            raise UserError(f"{path} has {len(signals)} signals; --signal is one from 1 on.")
        return signals[number - 1]
    images = [one for one in signals if _why_not(one) is None]
    if len(images) == 1:
        return images[0]
    if images:
        listed = "; ".join(
            f"{k} {_title(one)} {' x '.join(map(str, one['data'].shape))}"
            for k, one in enumerate(signals, 1)
            if _why_not(one) is None
        )
        raise UserError(f"{path} has {len(images)} images; choose one by --signal ({listed}).")
    if not signals:
        raise UserError(f"{path} holds no image.")
    raise UserError(f"{path} holds no image or stack of images: {_why_not(signals[0])}.")


def _title(one: dict) -> str:
    return str(_plain(one.get("metadata")).get("General", {}).get("title") or "untitled")


def _why_not(one: dict) -> str | None:
    """Return why a signal is no image or stack of them, None if it is one."""
    data = one["data"]
    kind = np.dtype(data.dtype)
    if kind.names is not None or (data.ndim >= 3 and data.shape[-1] in (3, 4) and
                                  kind == np.uint8):  # fmt: skip
        return (
            "it is a colour picture, which has no counts; open the file that the microscope wrote "
            "(a TIFF of 3 or 4 frames passes for one unless it is written with "
            "photometric='minisblack')"
        )
    if kind.kind == "c":
        return "its values are complex, as of a Fourier transform or an exit wave"
    if kind.kind not in "uif":
        return f"its values are {kind}, not numbers"
    if data.ndim == 1:
        return "it has one axis, as a spectrum has"
    if data.ndim not in (2, 3):
        shape = " x ".join(map(str, data.shape))
        return f"it has {data.ndim} axes ({shape}); export the images as a stack"
    if 0 in data.shape:
        return f"its shape is {' x '.join(map(str, data.shape))}"
    navigate = [bool(axis.get("navigate", False)) for axis in one["axes"]]
    if navigate.count(False) == 1 and data.ndim > 1:
        return "it is a series of spectra"
    return None


def _axes(chosen: dict, path: Path) -> dict[str, Mapping | None]:
    """Return the axes named frame (None of a single image), y and x, after a last check."""
    if (reason := _why_not(chosen)) is not None:
        raise UserError(f"{path} holds no image or stack of images: {reason}.")
    *first, y, x = chosen["axes"]
    return {"frame": first[0] if first else None, "y": y, "x": x}


def _loaded(data: Any, axes: Mapping, frames: slice, path: Path) -> np.ndarray:
    """Return the frames (frame, y, x), if they fit into memory."""
    if axes["frame"] is None:
        data = data[None]
    whole, data = len(data), data[frames]
    if not len(data):
        raise UserError(f"{path} has {whole} frames, none of those that --frames asks for.")
    needed = math.prod(data.shape) * np.dtype(data.dtype).itemsize
    free = psutil.virtual_memory().available
    if needed > SHARE_OF_MEMORY * free:
        raise UserError(
            f"{path} holds {needed / 1e9:.1f} GB, more than half of the {free / 1e9:.1f} GB that "
            "are free; choose fewer by --frames START:STOP."
        )
    try:
        loaded = data.compute(scheduler="synchronous") if hasattr(data, "compute") else data
        return np.array(loaded, order="C")
    except Exception as error:
        raise UserError(
            f"The images of {path} cannot be read ({one_line(error)}); the file is damaged or was "
            "not copied to its end."
        ) from None


def _pixel_size(
    axes: Mapping, given: float | None, path: Path
) -> tuple[tuple[float, float] | None, list[str]]:
    """Return the pixel size along y and x [nm] and what is to be said of it."""
    if given is not None:
        return (given, given), [f"Pixel size {given:g} nm: as given by --pixel-size."]
    units = [axes[k].get("units") for k in "yx"]
    if any(map(calibration.is_reciprocal, units)):
        raise UserError(
            f"{path} is calibrated in {units[1]}, as a diffraction pattern is; this tool denoises "
            "images.  If it is one, give --pixel-size in nm."
        )
    sizes = [calibration.length_nm(axes[k].get("scale"), axes[k].get("units")) for k in "yx"]
    if None in sizes:
        return None, []
    notes = []
    if min(sizes) < 0:
        notes.append("The file states a negative pixel size; its amount is taken.")
        sizes = [abs(size) for size in sizes]
    away = abs(sizes[0] - sizes[1]) / max(sizes)
    shown = f"{sizes[0]:.6g} x {sizes[1]:.6g} nm (y, x)"
    if away > calibration.ANISOTROPY_WARNED:
        raise UserError(
            f"{path} has pixels of {shown}, which differ by {100 * away:.1f} %; resample it to "
            "square pixels, or say by --pixel-size which is right."
        )
    if away > calibration.ANISOTROPY_SILENT:
        notes.append(f"Pixels are not square: {shown}; their geometric mean is taken.")
    return (sizes[0], sizes[1]), notes


def _completed(axes: dict[str, Mapping | None], path: Path) -> float | None:
    """Give the axes of a TIFF the scales that RosettaSciIO does not see; return the interval."""
    try:
        with _overheard():
            sizes, interval = stated(path)
    except Exception:
        return None  # without a calibration, then
    if sizes is not None:
        for name, size in zip("yx", sizes, strict=True):
            axes[name] = {**axes[name], "scale": size, "units": "nm"}
    return interval


def _electrons(metadata: Mapping) -> tuple[float | None, float]:
    """Return electrons per stored unit and the offset, where the file says electrons."""
    signal = metadata.get("Signal", {})
    noise = signal.get("Noise_properties", {}).get("Variance_linear_model", {})
    if not str(signal.get("quantity", "")).lower().startswith("electron"):
        return None, 0.0
    gain, offset = noise.get("gain_factor", 1.0), noise.get("gain_offset", 0.0)
    try:
        gain, offset = float(gain), float(offset)
    except (TypeError, ValueError):
        return None, 0.0
    return (gain, offset) if math.isfinite(gain) and gain > 0 else (None, 0.0)


def _interval(axis: Mapping | None) -> float | None:
    return None if axis is None else calibration.seconds(axis.get("scale"), axis.get("units"))


def _plain(tree: Any) -> dict:
    """Return a tree of plain dictionaries."""
    if hasattr(tree, "as_dictionary"):
        tree = tree.as_dictionary()
    if not isinstance(tree, Mapping):
        return {}
    return {str(k): _plain(v) if isinstance(v, Mapping) else v for k, v in tree.items()}
