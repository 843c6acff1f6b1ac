"""Atomic columns in files that others open: CSV, HDF5 for Atomap, arrays for Atomap and AtomAI.

A table of columns has one row for each column of atoms found in a frame.  It needs ``frame`` and
``id`` (int, the latter within the frame), ``x_nm, y_nm`` and ``x_px, y_px``; whatever else it
has is carried along: numbers, booleans and texts, each with missing values.  An empty text is a
missing one.  x is to the right, y downwards; pixel i is at i x pixel size, so pixel centres are
whole numbers.  HyperSpy, Atomap, AtomAI and napari count the same way.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from itertools import takewhile
from numbers import Real
from pathlib import Path
from urllib.parse import quote, unquote

import h5py
import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype

import lowdose
from lowdose.runtime import UserError, atomic_path

NEEDED = ("frame", "id", "x_nm", "y_nm", "x_px", "y_px")
"""The columns that every table has; the first two are whole numbers."""

CLASSES = ("particle", "support")
"""What ``where`` may say; AtomAI's class numbers are the places in this list."""

PIXEL_ORIGIN = (
    "x to the right, y downwards; pixel i is at i x pixel size: pixel centres are whole numbers, "
    "(0, 0) is the centre of the top left pixel"
)

ATOMAP_FEWEST = 15
"""Atomap asks for 15 neighbours of each column, itself one, and stops where there are fewer."""

_UNITS = {"_nm": "nm", "_px": "px", "_e": "e/px"}
_COLOURS = {"particle": "red", "support": "blue"}
_TYPES = "# types: "
_KEPT = re.compile(r"bool(ean)?|str|float(16|32|64)|u?int(8|16|32|64)")  # types of pandas


def write_csv(path: str | os.PathLike, columns: pd.DataFrame, about: Mapping) -> None:
    """Write a table of columns as CSV under a header of lines that start with ``#``.

    ``pandas.read_csv(path, comment="#")`` reads it; numbers have 9 significant digits, missing
    values are blank, lines end in LF.

    Parameters
    ----------
    path : path
        Target; replaced in one step.
    columns : DataFrame
        A table of columns (see the module).
    about : mapping
        What the table is of, JSON-safe, one header line an entry; ``pixel_size_nm`` [nm] is
        among them.

    Raises
    ------
    UserError
        If the pixel size is missing or the table is none of columns.
    """
    pixel = _pixel_size(about.get("pixel_size_nm"), path)
    table = _checked(columns, path, pixel)
    header = [
        f"lowdose {lowdose.__version__}: atomic columns found in frames, one row a column of atoms",
        *(f"{key}: {_one_line(value)}" for key, value in about.items()),
        f"pixel origin: {PIXEL_ORIGIN}",
        "units: " + ", ".join(f"{name} [{_unit(name)}]" for name in table.columns),
    ]
    # Neither commas nor quotes: a spreadsheet that saves the file again would change them.
    types = " ".join(f"{quote(name)}={values.dtype}" for name, values in table.items())
    lines = [*(f"# {' '.join(line.split())}" for line in header), _TYPES + types]
    lines.append(",".join(_quoted(name) for name in table.columns))
    cells = [_cells(values) for _, values in table.items()]
    lines += [",".join(row) for row in zip(*cells, strict=True)]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join([*lines, ""]), encoding="utf-8", newline="\n")


def write_hdf5(
    path: str | os.PathLike,
    columns: pd.DataFrame,
    images: np.ndarray,
    pixel_size_nm: float,
    about: Mapping,
    *,
    frame: int = 0,
) -> tuple[str, ...]:
    """Write a table of columns, and one frame of it as an atom lattice that Atomap opens.

    An atom lattice is of one image, so one frame lies at the root of the file, where
    ``atomap.api.load_atom_lattice_from_hdf5(path)`` finds it: ``image_data`` and the groups
    ``particle_sublattice`` and ``support_sublattice`` (by ``where``; without it all are of the
    particle).  The whole table, of all frames, is in the group ``columns``, one dataset a
    column, which Atomap passes over.  For an atom lattice of another frame, write a file with
    that `frame`, or give Atomap ``Sublattice(to_atomap(columns, frame), image)``.

    Parameters
    ----------
    path : path
        Target; replaced in one step.
    columns : DataFrame
        A table of columns (see the module).  ``width_nm``, the standard deviation of a round
        Gaussian, becomes Atomap's sigma [px]; where it is missing, sigma is 1 px, as of an atom
        that Atomap has not fitted.  Amplitudes have no place in Atomap's files.
    images : array (y, x) or (frame, y, x)
        The frames that the columns were found in; only one of them is read and stored.
    pixel_size_nm : float
        Pixel size, nm.
    about : mapping
        What the table is of, JSON-safe; stored as JSON in the dataset ``about``.
    frame : int
        Which frame is the atom lattice.

    Returns
    -------
    tuple of str
        Sublattices that are in the table only, being too small for Atomap (:data:`ATOMAP_FEWEST`).

    Notes
    -----
    Where Atomap fails with an IndexError, some tens of columns have no lattice to speak of, and
    ``load_atom_lattice_from_hdf5(path, construct_zone_axes=False)`` opens the file.

    Raises
    ------
    UserError
        If the table is none of columns or has frames that are not among the images, or a
        number is out of its range.
    """
    pixel = _pixel_size(pixel_size_nm, path)
    table = _checked(columns, path, pixel)
    image = _image(images, frame, table, path)
    here = table[table["frame"] == frame]
    classes = _classes(here, path)
    known = {**about, "pixel_size_nm": pixel}
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file["about"] = json.dumps(known, ensure_ascii=False, default=str)
        file.attrs.update(lowdose_version=lowdose.__version__, pixel_origin=PIXEL_ORIGIN)
        _write_table(file.create_group("columns"), table)
        file.attrs.update(atom_lattice_type="Atom_Lattice", name=f"frame {frame}", frame=frame)
        return _write_lattice(file, here, classes, image, pixel)


def read_columns(path: str | os.PathLike) -> pd.DataFrame:
    """Read a table of columns from a CSV or HDF5 file of lowdose, whatever the file's name.

    Parameters
    ----------
    path : path
        From :func:`write_csv` or :func:`write_hdf5`.  A CSV without the header's line of types
        is read as well as its cells allow.

    Returns
    -------
    DataFrame
        As it was written, with its types; floats of a CSV to 9 significant digits.  Categories
        come back as texts, nullable integers as integers or, with missing ones, as floats.

    Raises
    ------
    UserError
        If there is no such file, or it is no table of columns.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no file {path}; check its name.")
    try:
        table = _read_hdf5(path) if h5py.is_hdf5(path) else _read_csv(path)
    # h5py's errors for broken files, and pandas' for what is no CSV.
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        why = _one_line(str(error))
        raise UserError(f"{path} is no table of atomic columns ({why}); write it again.") from error
    return _checked(table, path)


def to_atomap(columns: pd.DataFrame, frame: int = 0) -> np.ndarray:
    """Return the columns of a frame as Atomap's positions.

    Parameters
    ----------
    columns : DataFrame
        A table of columns.
    frame : int

    Returns
    -------
    float64 array (column, 2)
        Positions (x, y) [px], as ``atomap.api.get_atom_positions`` returns and
        ``atomap.api.Sublattice`` takes.
    """
    table = _checked(columns, "the table")
    return table.loc[table["frame"] == frame, ["x_px", "y_px"]].to_numpy(np.float64)


def to_atomai(columns: pd.DataFrame, n_frames: int | None = None) -> dict[int, np.ndarray]:
    """Return the columns as AtomAI's ``model.predict`` returns coordinates.

    Parameters
    ----------
    columns : DataFrame
        A table of columns.
    n_frames : int, optional
        How many frames the recording has; without it, up to the last one with columns.

    Returns
    -------
    dict
        Frame -> float64 array (column, 3): row = y [px], column = x [px], class (0 particle,
        1 support, by ``where``; without it all are 0).  Frames without columns have an array
        (0, 3), because AtomAI pairs images and arrays by their order.

    Raises
    ------
    UserError
        If the table has frames beyond `n_frames`, or ``where`` says anything else.
    """
    table = _checked(columns, "the table")
    frames = table["frame"].to_numpy()
    last = int(frames.max(initial=-1)) + 1
    if n_frames is not None and n_frames < last:
        raise UserError(f"The table has columns in frame {last - 1}, but n_frames is {n_frames}.")
    rows = table[["y_px", "x_px"]].to_numpy(np.float64)
    rows = np.column_stack([rows, _classes(table, "the table")])
    return {k: rows[frames == k] for k in range(last if n_frames is None else n_frames)}


def _checked(
    columns: pd.DataFrame, source: str | os.PathLike, pixel_size_nm: float | None = None
) -> pd.DataFrame:
    """Return the table with types that files have, or say in what it is no table of columns."""
    names = list(columns.columns)
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise UserError(f"{source} is no table of atomic columns; it has no {', '.join(missing)}.")
    for name in names:
        if not isinstance(name, str) or names.count(name) > 1 or "/" in name or name in ("", "."):
            raise UserError(f"{source}: {name!r} cannot name a column, or names two; rename it.")
    columns = columns.reset_index(drop=True)
    table = pd.DataFrame({name: _typed(name, columns[name], source) for name in names})
    for name in NEEDED:
        values = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
        sound, whole = np.isfinite(values), name in NEEDED[:2]
        if whole:
            sound = sound & (values == np.floor(values)) & (values >= 0)
        if not sound.all():
            what = "whole" if whole else "finite"
            raise UserError(f"{source}: {name} has other values than {what} numbers; mend them.")
        table[name] = values.astype(np.int64 if whole else np.float64)
    if pixel_size_nm is not None:
        nm, px = table[["x_nm", "y_nm"]].to_numpy(), table[["x_px", "y_px"]].to_numpy()
        if not np.allclose(nm, px * pixel_size_nm, rtol=1e-6, atol=1e-3 * pixel_size_nm):
            raise UserError(
                f"{source}: nm are not px times {pixel_size_nm:g}; mend the pixel size."
            )
    return table


def _typed(name: str, values: pd.Series, source: str | os.PathLike) -> pd.Series:
    """Return values in a type that both kinds of file keep."""
    if not _KEPT.fullmatch(str(values.dtype)):
        values = values.astype(object).where(values.notna(), np.nan)
    kind, gaps = infer_dtype(values, skipna=True), values.isna().any()
    known = {"string": "str", "empty": "str", "boolean": "boolean" if gaps else "bool"}
    known |= {"integer": "float64" if gaps else "int64"}
    known |= dict.fromkeys(("floating", "mixed-integer-float"), "float64")
    if kind not in known:
        raise UserError(f"{source}: {name} is {kind}; give numbers, booleans or texts.")
    if known[kind] == "str":
        texts = values.astype("str")
        return texts.mask(texts == "")
    return values.astype(known[kind]) if values.dtype == object else values


def _classes(table: pd.DataFrame, source: str | os.PathLike) -> np.ndarray:
    """Return for each column the place of its ``where`` in :data:`CLASSES`."""
    if "where" not in table:
        return np.zeros(len(table), dtype=np.int64)
    places = table["where"].map({name: k for k, name in enumerate(CLASSES)})
    if places.isna().any():
        said = table.loc[places.isna(), "where"].iloc[0]
        raise UserError(f"{source}: where is {said!r} of a column; say {' or '.join(CLASSES)}.")
    return places.to_numpy(np.int64)


def _pixel_size(value: float | None, path: str | os.PathLike) -> float:
    if not (isinstance(value, Real) and math.isfinite(value) and value > 0):
        raise UserError(f"pixel_size_nm is {value} for {path}; give a number above 0.")
    return float(value)


def _image(images, frame: int, table: pd.DataFrame, path: str | os.PathLike) -> np.ndarray:
    """Return the one image that is stored, in a type that Atomap takes."""
    if images.ndim not in (2, 3) or 0 in images.shape:
        raise UserError(
            f"Images for {path} of shape {images.shape} are no (y, x) or (frame, y, x)."
        )
    n_frames = len(images) if images.ndim == 3 else 1
    for number in (frame, int(table["frame"].max()) if len(table) else 0):
        if not 0 <= number < n_frames:
            raise UserError(f"Frame {number} is not among the images for {path} ({n_frames}).")
    image = np.asarray(images[frame] if images.ndim == 3 else images)
    return image if image.dtype in (np.uint8, np.uint16) else image.astype(np.float32)


def _write_table(group: h5py.Group, table: pd.DataFrame) -> None:
    group.attrs["order"] = list(table.columns)
    for name, values in table.items():
        kind, stored = str(values.dtype), None
        if kind == "str":
            data, stored = values.fillna("").to_numpy(object), h5py.string_dtype()
        elif kind == "boolean":
            data = values.astype("Int8").fillna(-1).to_numpy(np.int8)  # -1: missing
        else:
            data = values.to_numpy()
        dataset = group.create_dataset(name, data=data, dtype=stored)
        dataset.attrs["type"], dataset.attrs["units"] = kind, _unit(name)


def _write_lattice(
    file: h5py.File, here: pd.DataFrame, classes: np.ndarray, image: np.ndarray, pixel: float
) -> tuple[str, ...]:
    """Write what ``atomap.io.load_atom_lattice_from_hdf5`` of Atomap 0.4.2 reads."""
    file.create_dataset("image_data", data=image, chunks=True, compression="gzip", shuffle=True)
    file["original_image_data"] = file["image_data"]  # one array under two names
    file.attrs["pixel_separation"] = 0.0  # that of the sublattices counts
    many = dict(zip(CLASSES, np.bincount(classes, minlength=len(CLASSES)), strict=True))
    # Atomap meets the groups by name, and puts them into the order of these numbers.
    for index, name in enumerate(name for name in CLASSES if many[name] >= ATOMAP_FEWEST):
        members = here[classes == CLASSES.index(name)]
        group = file.create_group(f"{name}_sublattice")
        group["modified_image_data"] = group["original_image_data"] = file["image_data"]
        group["atom_positions"] = members[["x_px", "y_px"]].to_numpy(np.float64)
        if "width_nm" in members:
            sigma = members["width_nm"].to_numpy(np.float64, na_value=np.nan) / pixel
            # Atomap's Gaussian fits start from it; from NaN they do not move.
            group["sigma_x"] = group["sigma_y"] = np.where(np.isfinite(sigma), sigma, 1.0)
            group["rotation"] = np.zeros(len(sigma))
        group.attrs.update(pixel_size=pixel, units="nm", name=name, plot_color=_COLOURS[name])
        # With a separation of 0 Atomap measures it.
        group.attrs.update(pixel_separation=0.0, sublattice_index=index)
    return tuple(name for name in CLASSES if 0 < many[name] < ATOMAP_FEWEST)


def _read_hdf5(path: Path) -> pd.DataFrame:
    with h5py.File(path, "r", locking=False) as file:
        if "columns" not in file or "order" not in file["columns"].attrs:
            raise ValueError("it has no group `columns` of lowdose")
        group, read = file["columns"], {}
        for name in group.attrs["order"]:
            dataset, kind = group[name], group[name].attrs["type"]
            values = dataset.asstr()[...] if kind == "str" else dataset[...]
            one = pd.Series(values == 1 if kind == "boolean" else values, dtype=kind)
            read[name] = one.mask(values == -1) if kind == "boolean" else one
    return pd.DataFrame(read)


def _read_csv(path: Path) -> pd.DataFrame:
    with path.open(encoding="utf-8-sig") as stream:
        header = list(takewhile(lambda line: line.startswith("#"), stream))
    words = [word for line in header if line.startswith(_TYPES) for word in line.split()[2:]]
    pairs = [word.rstrip(",").rpartition("=") for word in words]
    types = {unquote(name): kind for name, _, kind in pairs if _KEPT.fullmatch(kind)}
    return pd.read_csv(
        path, comment="#", dtype=types, encoding="utf-8-sig",
        # Else a text such as NA or None would come back as missing.
        keep_default_na=False, na_values=[""],
    )  # fmt: skip


def _cells(values: pd.Series) -> list[str]:
    write = {"f": "{:.9g}".format, "O": _quoted}.get(values.dtype.kind, str)
    gaps = values.isna()
    return ["" if gap else write(value) for value, gap in zip(values, gaps, strict=True)]


def _quoted(text: str) -> str:
    # A bare # would be taken for a comment, in the middle of a line too.
    if text.strip() == text and not any(mark in text for mark in ',"#\n\r'):
        return text
    return '"' + text.replace('"', '""') + '"'


def _one_line(value) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return " ".join(text.split())


def _unit(name: str) -> str:
    return next((unit for end, unit in _UNITS.items() if name.endswith(end)), "none")
