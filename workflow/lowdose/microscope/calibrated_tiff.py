"""TIFF files that open calibrated in Fiji, DigitalMicrograph and HyperSpy.

Fiji reads the unit from an ImageJ description and the scale from the resolution; the other
two read private tags 65003 to 65011 of DigitalMicrograph.  Each ignores what the other needs,
so both are written, as RosettaSciIO does.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import numpy as np
import tifffile

from lowdose.runtime import UserError, atomic_path

# Metres are not among them: a scale of 6e-12 vanishes in the resolution's whole numbers.
NM_PER_UNIT = {
    "nm": 1.0,
    "pm": 1e-3,
    "um": 1e3,
    "µm": 1e3,
    "micron": 1e3,
    "angstrom": 0.1,
    "Å": 0.1,
    "A": 0.1,
}
_WRITABLE = ("nm", "pm")
_RATIONAL = 10**8
_UNIT_X, _UNIT_Y, _UNIT_Z = 65003, 65004, 65005
_ORIGIN_X, _ORIGIN_Y, _ORIGIN_Z = 65006, 65007, 65008
_SCALE_X, _SCALE_Y, _SCALE_Z = 65009, 65010, 65011


def write_tiff(
    path: str | os.PathLike,
    images: np.ndarray,
    pixel_size_nm: float,
    *,
    title: str,
    units: str = "nm",
    frame_interval_s: float | None = None,
) -> None:
    """Write an image or a stack of frames with its pixel size.

    Parameters
    ----------
    path : path
        Target, ``.tif``; replaced in one step.
    images : array (y, x) or (frame, y, x)
        uint8, uint16, float32, or what float32 can hold (then written as float32).
    pixel_size_nm : float
        Pixel size, nm; the same along both axes.
    title : str
        One line of what the image is, put into the description.
    units : {"nm", "pm"}
        Unit in which the file states its scale.
    frame_interval_s : float, optional
        Time from frame to frame, s.

    Raises
    ------
    UserError
        If the array is no image or stack, a number is not positive, or `units` is unknown.
    """
    images = np.asarray(images)
    if images.ndim not in (2, 3) or images.size == 0:
        raise UserError(
            f"An array of shape {images.shape} cannot be written to {path}; "
            "give an image (y, x) or a stack (frame, y, x)."
        )
    if units not in _WRITABLE:
        raise UserError(f"units={units!r} is not possible for {path}; choose from nm, pm.")
    _check_positive("pixel_size_nm", pixel_size_nm, path)
    if frame_interval_s is not None:
        _check_positive("frame_interval_s", frame_interval_s, path)
    if images.dtype not in (np.uint8, np.uint16, np.float32):
        images = images.astype(np.float32)

    scale = float(pixel_size_nm / NM_PER_UNIT[units])
    lines = ["ImageJ=1.11a", f"unit={units}"]
    tags = [
        (_UNIT_X, "s", 0, units, False),
        (_UNIT_Y, "s", 0, units, False),
        (_ORIGIN_X, "d", 1, 0.0, False),
        (_ORIGIN_Y, "d", 1, 0.0, False),
        (_SCALE_X, "d", 1, scale, False),
        (_SCALE_Y, "d", 1, scale, False),
    ]
    if images.ndim == 3:
        lines += [f"images={len(images)}", f"frames={len(images)}"]
        if frame_interval_s is not None:
            lines += [f"finterval={frame_interval_s:.9g}", "tunit=sec"]
            tags += [
                (_UNIT_Z, "s", 0, "s", False),
                (_ORIGIN_Z, "d", 1, 0.0, False),
                (_SCALE_Z, "d", 1, float(frame_interval_s), False),
            ]
    if images.dtype == np.float32:
        # Fiji shows a float image at this range first.
        lines += [f"min={float(images.min()):.9g}", f"max={float(images.max()):.9g}"]
    lines.append(f"title={' '.join(_ascii(title).split())}")
    resolution = (_RATIONAL, max(round(scale * _RATIONAL), 1))
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            images,
            photometric="minisblack",
            software="lowdose",
            description="\n".join([*lines, ""]),
            # Without this tifffile adds a description of its own, and Fiji reads that one.
            metadata=None,
            resolution=(resolution, resolution),
            resolutionunit="NONE",
            extratags=tags,
        )


def read_tiff(path: str | os.PathLike) -> tuple[np.ndarray, float]:
    """Read images and pixel size from a TIFF of DigitalMicrograph, Fiji, HyperSpy or lowdose.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    images : array (y, x) or (frame, y, x)
        As stored.
    pixel_size_nm : float
        Pixel size, nm.

    Raises
    ------
    UserError
        If the file is missing or no TIFF, has no calibration in a unit of length, or has
        pixels whose edges differ by more than 5 %.
    """
    path = Path(path)
    try:
        with tifffile.TiffFile(path) as tiff:
            images = tiff.asarray()
            sizes = _dm_sizes(tiff.pages[0]) or _imagej_sizes(tiff)
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}; check its name.") from error
    except (tifffile.TiffFileError, ValueError, KeyError, OSError) as error:
        raise UserError(f"{path} cannot be read as TIFF ({error}); export it again.") from error
    if sizes is None:
        raise UserError(
            f"{path} states no pixel size in a unit of length; set the scale in Fiji "
            "(Image > Properties) or DigitalMicrograph and save it again."
        )
    x, y = sizes
    if abs(x - y) > 0.05 * max(x, y):
        raise UserError(
            f"{path} has pixels of {x:g} x {y:g} nm; resample it to square pixels first."
        )
    return images, (x + y) / 2 if x != y else x


def stated(path: str | os.PathLike) -> tuple[tuple[float, float] | None, float | None]:
    """Return what a TIFF says of its calibration, in the ways of all who write it.

    RosettaSciIO takes an ImageJ description in micrometres alone.

    Parameters
    ----------
    path : path
        A TIFF that can be opened.

    Returns
    -------
    (float, float) or None
        Pixel size along y and x [nm]: of DigitalMicrograph's tags, ImageJ's description or OME's.
    float or None
        From frame to frame [s], of ImageJ's description.
    """
    with tifffile.TiffFile(path) as tiff:
        sizes = _dm_sizes(tiff.pages[0]) or _imagej_sizes(tiff) or _ome_sizes(tiff)
        interval = (tiff.imagej_metadata or {}).get("finterval")
    known = isinstance(interval, int | float) and math.isfinite(interval) and interval > 0
    return sizes and (sizes[1], sizes[0]), float(interval) if known else None


def _ome_sizes(tiff: tifffile.TiffFile) -> tuple[float, float] | None:
    """Return pixel sizes (x, y) in nm from an OME description, None without one."""
    pixels = re.search(r"<Pixels\b[^>]*>", tiff.ome_metadata or "")
    if pixels is None:
        return None
    found = dict(re.findall(r'(\w+)="([^"]*)"', pixels[0]))
    try:
        sizes = [
            # The schema's default unit is the micrometre.
            _in_nm(float(found[f"PhysicalSize{a}"]), found.get(f"PhysicalSize{a}Unit", "µm"))
            for a in "XY"
        ]
    except (KeyError, ValueError):
        return None
    return None if None in sizes else (sizes[0], sizes[1])


def _dm_sizes(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Return pixel sizes (x, y) in nm from DigitalMicrograph's tags, None without them."""
    sizes = []
    for unit_tag, scale_tag in ((_UNIT_X, _SCALE_X), (_UNIT_Y, _SCALE_Y)):
        unit, scale = page.tags.get(unit_tag), page.tags.get(scale_tag)
        if unit is None or scale is None:
            return None
        text = unit.value.decode("latin-1") if isinstance(unit.value, bytes) else str(unit.value)
        sizes.append(_in_nm(float(scale.value), text))
    return None if None in sizes else (sizes[0], sizes[1])


def _imagej_sizes(tiff: tifffile.TiffFile) -> tuple[float, float] | None:
    """Return pixel sizes (x, y) in nm from ImageJ's description, None without one."""
    described = tiff.imagej_metadata or {}
    sizes = []
    for name in ("XResolution", "YResolution"):
        tag = tiff.pages[0].tags.get(name)
        if tag is None or 0 in tag.value:
            return None
        per_unit, units = tag.value
        sizes.append(_in_nm(units / per_unit, str(described.get("unit", ""))))
    return None if None in sizes else (sizes[0], sizes[1])


def _in_nm(scale: float, unit: str) -> float | None:
    # Fiji writes the micro sign as an escape sequence in its ASCII description.
    unit = unit.strip("\0 ").replace("\\u00B5", "µ").replace("\u03bc", "µ")
    if unit not in NM_PER_UNIT or not (math.isfinite(scale) and scale > 0):
        return None
    return scale * NM_PER_UNIT[unit]


def _ascii(text: str) -> str:
    return text.replace("Å", "A").encode("ascii", "replace").decode("ascii")


def _check_positive(name: str, value: float, path: str | os.PathLike) -> None:
    if not (math.isfinite(value) and value > 0):
        raise UserError(f"{name} is {value} for {path}; give a number above 0.")
