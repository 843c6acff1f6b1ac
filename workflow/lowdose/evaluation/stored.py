"""Denoised frames on disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np

from lowdose.runtime import atomic_path


def write_images(file: Path, images: Iterable[np.ndarray], pixel_size_nm: float) -> None:
    """Write the estimates of the frames of a set, "0", "1", ..., vacuum = 1.

    Parameters
    ----------
    file : Path
    images : iterable of array (y, x)
    pixel_size_nm : float
    """
    with atomic_path(file) as path, h5py.File(path, "w") as opened:
        opened.attrs.update({"pixel_size_nm": pixel_size_nm, "units": "vacuum = 1"})
        for number, image in enumerate(images):
            opened.create_dataset(
                str(number), data=image.astype("float16"), compression="lzf", shuffle=True
            )
