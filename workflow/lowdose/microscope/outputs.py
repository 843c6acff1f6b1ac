"""Write denoised frames so that HyperSpy, DigitalMicrograph, Fiji and IMOD open them calibrated."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import lowdose
from lowdose.microscope.calibrated_tiff import write_tiff
from lowdose.microscope.inspection import Inspection
from lowdose.provenance import file_digest
from lowdose.runtime import UserError, atomic_path, write_text

IMAGES = ("hspy", "tif", "mrc", "npy")
FORMATS = (*IMAGES, "csv", "hdf5", "html")
COLUMNS = ("csv", "hdf5")  # are called NAME.columns, the others NAME.denoised
ROOM_TO_SPARE = 1.05  # of the disk, for headers and metadata


def targets(
    source: Path, formats: Sequence[str], folder: Path | None = None, name: str = ""
) -> dict[str, Path]:
    """Return where the outputs of a file go, beside it or in a folder.

    They are called ``NAME.denoised.FORMAT``, and of columns ``NAME.columns.FORMAT``, after the
    file unless a name is given.

    Returns
    -------
    dict
        Format -> path; ``json`` is the record of what was done.
    """
    where = source.parent if folder is None else folder
    what = dict.fromkeys(COLUMNS, "columns")
    return {
        kind: where / f"{name or source.stem}.{what.get(kind, 'denoised')}.{kind}"
        for kind in (*formats, "json")
    }


def check_room(paths: Mapping[str, Path], shape: tuple[int, ...], overwrite: bool) -> int:
    """Return how many bytes the images to be written have; nothing is touched.

    Parameters
    ----------
    paths : mapping
        From :func:`targets`.
    shape : tuple of int
        Of the frames.
    overwrite : bool
        Whether files that exist may be replaced.

    Raises
    ------
    UserError
        If one exists, a folder is in the way, or the disk has no room for all of them.
    """
    for path in paths.values():
        if path.is_dir():
            raise UserError(f"{path} is a folder; move it aside and run again.")
        if path.exists() and not overwrite:
            raise UserError(f"{path} exists; replace it by --overwrite, or name another --output.")
    folder = next(iter(paths.values())).parent
    folder = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder by --output.")
    once = int(np.prod(shape)) * 4
    needed = once * sum(kind in IMAGES for kind in paths)
    # The frames lie on the disk once more while they are made.
    free, room = shutil.disk_usage(folder).free, needed + once
    if ROOM_TO_SPARE * room > free:
        raise UserError(
            f"{room / 1e9:.2f} GB are needed in {folder}, of which {free / 1e9:.2f} GB are free; "
            "make room, choose fewer --formats, or another --output."
        )
    return needed


def write_images(
    paths: Mapping[str, Path], frames: np.ndarray, found: Inspection, history: Mapping
) -> None:
    """Write denoised frames in each format for images.

    Parameters
    ----------
    paths : mapping
        From :func:`targets`.
    frames : float32 array (frame, y, x)
        Expected counts, electrons per pixel.
    found : Inspection
        Of the recording that they are of; its pixel size is known.
    history : mapping
        What was done, JSON-safe.

    Raises
    ------
    UserError
        If the disk is full or a folder cannot be written.
    """
    recording, pixel = found.recording, found.pixel_size_nm
    images = frames if recording.is_stack else frames[0]
    for kind, path in paths.items():
        if kind == "hspy":
            with atomic_path(path) as temporary:
                _write_hspy(temporary, images, found, history)
        elif kind == "tif":
            write_tiff(
                path, images, pixel, title=f"{recording.title}, denoised",
                frame_interval_s=recording.frame_interval_s if recording.is_stack else None,
            )  # fmt: skip
        elif kind == "mrc":
            with atomic_path(path) as temporary:
                _write_mrc(temporary, images, pixel, history)
        elif kind == "npy":
            with atomic_path(path) as temporary, temporary.open("wb") as stream:
                np.save(stream, images)


def write_record(paths: Mapping[str, Path], history: Mapping) -> None:
    """Write what was done and the checksums of all outputs; the last of them to be written.

    Parameters
    ----------
    paths : mapping
        From :func:`targets`; those of the outputs exist.
    history : mapping
        What was done, JSON-safe.
    """
    written = {path.name: file_digest(path) for kind, path in paths.items() if kind != "json"}
    record = {**history, "outputs_sha256": written}
    write_text(paths["json"], json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def _write_hspy(path: Path, images: np.ndarray, found: Inspection, history: Mapping) -> None:
    recording = found.recording
    metadata = copy.deepcopy(recording.metadata)
    metadata.setdefault("General", {})["title"] = f"{recording.title}, denoised"
    metadata["Signal"] = {
        "signal_type": "",
        # The camera's gain no longer holds: these are electrons.
        "quantity": "Electrons (Counts)",
        "Noise_properties": {"Variance_linear_model": {"gain_factor": 1.0, "gain_offset": 0.0}},
    }
    microscope = metadata.setdefault("Acquisition_instrument", {}).setdefault("TEM", {})
    if recording.energy_kev is not None:
        microscope.setdefault("beam_energy", recording.energy_kev)
    if recording.exposure_s is not None:
        microscope.setdefault("Camera", {}).setdefault("exposure", recording.exposure_s)
    metadata["lowdose"] = json.dumps(history, ensure_ascii=False)
    write_signal(
        path, images, found.pixel_size_nm, metadata, recording.original_metadata,
        frame_interval_s=recording.frame_interval_s,
    )  # fmt: skip


def write_signal(
    path: Path,
    images: np.ndarray,
    pixel_size_nm: float,
    metadata: Mapping,
    original_metadata: Mapping,
    *,
    frame_interval_s: float | None = None,
) -> None:
    """Write an image or a stack as HyperSpy's own file.

    Parameters
    ----------
    path : Path
    images : array (y, x) or (frame, y, x)
    pixel_size_nm : float
    metadata, original_metadata : mapping
        RosettaSciIO's common tree, and the vendor's own.
    frame_interval_s : float, optional
        From frame to frame [s].
    """
    from rsciio.hspy import file_writer

    shape = images.shape
    axes = [_axis("y", pixel_size_nm, "nm", shape[-2]), _axis("x", pixel_size_nm, "nm", shape[-1])]
    if images.ndim == 3:
        units = "s" if frame_interval_s else ""
        name = "time" if frame_interval_s else "frame"
        axes.insert(0, _axis(name, frame_interval_s or 1.0, units, shape[0]))
        axes[0]["navigate"] = True
    metadata = {"Signal": {"signal_type": ""}, **metadata}
    signal = {
        "data": np.asarray(images), "axes": axes, "metadata": metadata,
        "original_metadata": dict(original_metadata), "tmp_parameters": {},
        "attributes": {"_lazy": False, "ragged": False}, "learning_results": {}, "models": {},
        "package_info": {"package": "lowdose", "package_version": lowdose.__version__},
    }  # fmt: skip
    file_writer(str(path), signal)


def _axis(name: str, scale: float, units: str, size: int) -> dict:
    return {"_type": "UniformDataAxis", "name": name, "scale": float(scale), "offset": 0.0,
            "units": units, "size": size, "navigate": False, "is_binned": False}  # fmt: skip


def _write_mrc(path: Path, images: np.ndarray, pixel_size_nm: float, history: Mapping) -> None:
    import mrcfile

    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(np.ascontiguousarray(images, dtype=np.float32))
        if images.ndim == 3:
            file.set_image_stack()
        file.voxel_size = 10 * pixel_size_nm  # Å
        file.add_label(f"lowdose {lowdose.__version__}, {history['denoiser']}: electrons a pixel")
