"""Made-up recordings in every format, and the folder of real ones."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import SimpleNamespace

import h5py
import mrcfile
import numpy as np
import pytest
import zarr

from lowdose.microscope.calibrated_tiff import write_tiff

ROOT = Path(__file__).parents[3]
PIXEL_NM = 0.0061


def fixtures_folder() -> Path:
    """Return where real microscope files lie; the test is skipped where they do not."""
    folder = Path(os.environ.get("LOWDOSE_FIXTURES", ROOT.parent / "shared" / "fixtures"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real microscope files at {folder.name} (LOWDOSE_FIXTURES)")
    return folder


@pytest.fixture
def real() -> Path:
    """The folder of real microscope files."""
    return fixtures_folder()


def fringed(shape: tuple[int, int], dose: float, contrast: float) -> np.ndarray:
    """Return four frames of counts of crossed fringes, 0.226 nm apart."""
    y, x = PIXEL_NM * np.mgrid[: shape[0], : shape[1]]
    fringes = sum(
        np.cos(2 * np.pi * (x * np.cos(a) + y * np.sin(a)) / 0.226) for a in (0, 1.2, 2.2)
    )
    expected = dose * (1 + contrast * fringes)
    return np.random.default_rng(3).poisson(expected, (4, *shape)).astype(np.uint16)


@pytest.fixture
def made() -> SimpleNamespace:
    """Writers of made-up recordings."""
    return SimpleNamespace(write=write, signal=signal, fringed=fringed, root=ROOT)


def axis(name, scale, units, size, navigate=False, offset=0.0):
    return {"name": name, "scale": scale, "offset": offset, "units": units, "size": size,
            "navigate": navigate, "_type": "UniformDataAxis", "is_binned": False,
            "index_in_array": None}  # fmt: skip


def signal(data, units="nm", scale=PIXEL_NM, y_scale=None, metadata=None):
    """Return a dictionary as RosettaSciIO's writers take it."""
    axes = [axis("y", y_scale or scale, units, data.shape[-2]),
            axis("x", scale, units, data.shape[-1])]  # fmt: skip
    if data.ndim == 3:
        axes.insert(0, axis("time", 0.25, "s", len(data), navigate=True))
    for k, one in enumerate(axes):
        one["index_in_array"] = k
    known = {
        "General": {"title": "made up"},
        "Signal": {"signal_type": ""},
        "Acquisition_instrument": {"TEM": {"beam_energy": 300.0, "Camera": {"exposure": 0.2}}},
    }
    known |= metadata or {}
    return {
        "data": data, "axes": axes, "metadata": known, "original_metadata": {"vendor": {"a": 1}},
        "tmp_parameters": {}, "attributes": {"_lazy": False}, "learning_results": {}, "models": {},
        "package_info": {"package": "lowdose", "package_version": "0"},
    }  # fmt: skip


def tree_of(group) -> dict:
    """Return attributes, arrays and groups of an HDF5 group, read."""
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in group.attrs.items()}
    found = {"attributes": plain, "arrays": {}, "groups": {}}
    for name in list(group):
        one = group[name]
        if isinstance(one, h5py.Group):
            found["groups"][name] = tree_of(one)
        else:
            own = {k: v.item() if isinstance(v, np.generic) else v for k, v in one.attrs.items()}
            found["arrays"][name] = (one[...], own)
    return found


def planted(tree: dict, target) -> None:
    """Write such a tree into a group of zarr, as RosettaSciIO's zspy has it."""
    target.attrs.update(tree["attributes"])
    for name, (data, attributes) in tree["arrays"].items():
        target.create_array(name, data=data, chunks=data.shape).attrs.update(attributes)
    for name, one in tree["groups"].items():
        planted(one, target.create_group(name))


def write(path: Path, data: np.ndarray, **of_signal) -> Path:
    """Write frames in the format that the name says, calibrated as that format can be."""
    kind = path.suffix[1:]
    if kind == "npy":
        np.save(path, data)
    elif kind == "mrc":
        with mrcfile.new(path) as file:
            file.set_data(data)
            if data.ndim == 3:
                file.set_image_stack()
            file.voxel_size = 10 * PIXEL_NM
    elif kind == "tif":
        write_tiff(path, data, PIXEL_NM, title="made up", frame_interval_s=0.25)
    elif kind == "zspy":
        # RosettaSciIO 0.15 writes it with zarr 2 alone, and abTEM needs zarr 3.
        # Read first: h5py's lock and the threads of zarr wait for each other.
        with h5py.File(write(path.with_suffix(".hspy"), data, **of_signal)) as file:
            tree = tree_of(file)
        planted(tree, zarr.open_group(path, mode="w", zarr_format=2))
    else:
        writer = importlib.import_module(f"rsciio.{kind}")
        writer.file_writer(str(path), signal(data, **of_signal))
    return path


@pytest.fixture
def counts() -> np.ndarray:
    """Three frames of counts, not square, the first pixel marked."""
    frames = np.random.default_rng(3).poisson(0.45, (3, 40, 56)).astype(np.uint16)
    frames[:, 0, 0] = 7
    return frames
