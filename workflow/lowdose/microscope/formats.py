"""Which format a microscope file has: by its first bytes, whatever its name ends with."""

from __future__ import annotations

from pathlib import Path

from lowdose.runtime import UserError

PLUGINS = {
    "DM3": "rsciio.digitalmicrograph",
    "DM4": "rsciio.digitalmicrograph",
    "EMD": "rsciio.emd",
    "SER": "rsciio.tia",
    "MRC": "rsciio.mrc",
    "TIFF": "rsciio.tiff",
    "HSPY": "rsciio.hspy",
    "ZSPY": "rsciio.zspy",
    "NPY": "",  # NumPy's own
}
"""Format -> module of RosettaSciIO that reads it."""

SUFFIXES = {
    "DM3": (".dm3",), "DM4": (".dm4",), "EMD": (".emd",), "SER": (".ser",),
    "MRC": (".mrc", ".mrcs", ".map", ".ali", ".st"), "TIFF": (".tif", ".tiff"),
    "HSPY": (".hspy", ".hdf5", ".h5"), "ZSPY": (".zspy",), "NPY": (".npy",),
}  # fmt: skip
LIST = "dm3, dm4, emd, ser, mrc, tif, hspy, zspy, npy"
_HEAD = 212
# What else a name may promise, and what to do about it.
_HINTS = {
    ".emi": "open the .ser file beside it, which holds the images",
    ".npz": "save one array with numpy.save, as .npy",
    ".png": "a picture has no counts; open the file that the microscope wrote",
    ".jpg": "a picture has no counts; open the file that the microscope wrote",
    ".jpeg": "a picture has no counts; open the file that the microscope wrote",
    ".eer": "convert it to .mrc or .tif with its gain reference applied",
}


def format_of(path: Path) -> str:
    """Return the format of a file, a key of `PLUGINS`.

    Parameters
    ----------
    path : Path
        A file, or a folder of the zspy format.

    Raises
    ------
    UserError
        If there is none, it cannot be read, is empty, or has none of the formats.
    """
    if path.is_dir():
        if any((path / name).exists() for name in (".zgroup", ".zattrs", "zarr.json")):
            return "ZSPY"
        raise UserError(f"{path} is a folder; name a file ({LIST}).")
    # Reading a pipe or a device may wait for ever, or have no end.
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is no regular file; name a file ({LIST}).")
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except FileNotFoundError:
        raise UserError(f"There is no file {path}; check its name.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be opened ({error.strerror}).") from None
    if not head:
        raise UserError(f"{path} is empty (0 bytes); copy it again from the microscope.")
    found = _of_bytes(head)
    if found == "HDF5":
        return _of_hdf5(path)
    if found is None:
        hint = _HINTS.get(path.suffix.lower(), f"these formats can be read: {LIST}")
        raise UserError(
            f"{path} has a format that is not known here or a damaged beginning; {hint}."
        )
    return found


def _of_bytes(head: bytes) -> str | None:
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "HDF5"
    if head.startswith(b"\x93NUMPY"):
        return "NPY"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if head[:4] == b"\0\0\0\x03":
        return "DM3"
    if head[:4] == b"\0\0\0\x04" and head[4:8] == b"\0\0\0\0":
        return "DM4"
    if head[:4] == b"II\x97\x01":
        return "SER"
    if head[208:211] == b"MAP":
        return "MRC"
    return None


def _of_hdf5(path: Path) -> str:
    import h5py

    try:
        with h5py.File(path) as file:
            names = set(file)
            return "HSPY" if "Experiments" in names or "file_format" in file.attrs else "EMD"
    except Exception as error:
        raise damaged(path, "HDF5", one_line(error)) from None


def damaged(path: Path, kind: str, reason: str) -> UserError:
    """Return the error of a file that its format's library cannot read."""
    return UserError(
        f"{path} cannot be read as {kind} ({reason}); the file is damaged or was not copied to its "
        "end."
    )


def one_line(error: BaseException) -> str:
    """Return what an error of a library says, in one line of at most 120 characters."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= 120 else f"{said[:117]}..."
