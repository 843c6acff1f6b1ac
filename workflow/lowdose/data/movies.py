"""Movies with truth: what they hold, their counts, their file."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from lowdose import seeds
from lowdose.imaging.camera import draw_counts
from lowdose.provenance import canonical_json
from lowdose.runtime import UserError, atomic_path

TRUTH = ("frame", "column", "x_nm", "y_nm", "n_atoms", "n_full", "is_surface", "site", "state",
         "process")  # fmt: skip
PER_FRAME = {
    "dose_e_per_px": "electrons per pixel", "c1_nm": "nm", "rotation_deg": "deg",
    "drift_nm": "nm",
}  # fmt: skip


@dataclass(frozen=True)
class Movie:
    """Frames of a particle whose surface changes.

    Attributes
    ----------
    clean : float32 array (frame, y, x)
        Expected image, vacuum = 1.
    dose_e_per_px : array (frame,)
        Dose in vacuum [e/px].
    c1_nm : array (frame,)
        Defocus C1 [nm].
    rotation_deg : array (frame,)
        Angle of the specimen about the middle of the frame, counter-clockwise [degrees].
    drift_nm : array (frame, 2)
        Shift of the specimen along y (down) and x, 0 in the first frame [nm].
    truth : DataFrame
        True metal columns of the particle, one row for each column and frame that shows it, at
        least 0.05 nm inside: ``frame``; ``column``, the same number in all frames; ``x_nm,
        y_nm`` from the centre of the upper left pixel, drift and rotation followed; ``n_atoms``
        (0 where absent), ``n_full``; ``is_surface`` in that frame; ``site`` (as in the library;
        ``vacancy``: gone, ``vacuum``: not come yet); ``state``: present, partial, absent or
        disordered; ``process`` that acts on the column, empty for none.
    pixel_size_nm, frame_time_s : float
    origin_nm : (float, float)
        y (down) and x of the first pixel in the cell of the model, without drift and rotation.
    spec : dict
        Of the movie.
    seed : int
        Of sites, states and drift.
    digest : str
        SHA-256 of frames, dose and truth.
    dark_e_per_px : float
        Mean dark counts, whose mean is subtracted and whose noise stays.
    """

    clean: np.ndarray
    dose_e_per_px: np.ndarray
    c1_nm: np.ndarray
    rotation_deg: np.ndarray
    drift_nm: np.ndarray
    truth: pd.DataFrame
    pixel_size_nm: float
    frame_time_s: float
    origin_nm: tuple[float, float]
    spec: dict
    seed: int
    digest: str
    dark_e_per_px: float = 0.0

    def counts(self, realisation: int, seed: int, dose: float = 1.0) -> np.ndarray:
        """Draw the counts of all frames: float32 (frame, y, x), the same whenever asked.

        Parameters
        ----------
        realisation : int
            Number of the noise realisation.
        seed : int
            Root seed of the study.
        dose : float
            Factor on the dose of each frame.
        """
        keys = ("movie counts", canonical_json(self.spec), self.seed, f"{dose:g}", realisation)
        drawn = np.empty(self.clean.shape, np.float32)
        for i, clean in enumerate(self.clean):
            expected = clean * (self.dose_e_per_px[i] * dose)
            rng = seeds.rng(seed, *keys, i)
            drawn[i] = draw_counts(expected, rng, dark_e_per_px=self.dark_e_per_px)
        return drawn


def _json(truth: pd.DataFrame) -> str:
    return truth.to_json(orient="records", double_precision=9)


def digest_of(clean: np.ndarray, dose: np.ndarray, truth: pd.DataFrame) -> str:
    """Return the SHA-256 of frames, dose and truth."""
    return _digest(clean, dose, _json(truth))


def _digest(clean: np.ndarray, dose: np.ndarray, truth: str) -> str:
    content = hashlib.sha256(np.ascontiguousarray(clean).tobytes())
    content.update(np.asarray(dose, np.float64).tobytes())
    content.update(truth.encode())
    return content.hexdigest()


def write_movie(path: Path, movie: Movie) -> str:
    """Write a movie to one HDF5 file, atomically; return its digest."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w", libver="latest") as file:
        file.attrs.update({
            "digest": movie.digest, "pixel_size_nm": movie.pixel_size_nm,
            "frame_time_s": movie.frame_time_s, "origin_nm": movie.origin_nm, "seed": movie.seed,
            "dark_e_per_px": movie.dark_e_per_px, "spec": canonical_json(movie.spec),
            "NX_class": "NXdata", "signal": "clean", "axes": ["frame", "y", "x"],
        })  # fmt: skip
        data = file.create_dataset(
            "clean", data=movie.clean, chunks=(1, *movie.clean.shape[1:]), compression="lzf"
        )
        data.attrs.update({"long_name": "expected image, vacuum = 1", "units": "1"})
        for axis, n in zip("yx", movie.clean.shape[1:], strict=True):
            file.create_dataset(axis, data=np.arange(n) * movie.pixel_size_nm).attrs["units"] = "nm"
        file.create_dataset("frame", data=np.arange(len(movie.clean)))
        for name, unit in PER_FRAME.items():
            file.create_dataset(name, data=getattr(movie, name)).attrs["units"] = unit
        file["truth"] = _json(movie.truth)
    return movie.digest


def read_movie(path: Path) -> Movie:
    """Read a movie.

    Raises
    ------
    UserError
        If the file is missing, damaged, or no longer what was written.
    """
    if not Path(path).is_file():
        raise UserError(f"The movie {path} does not exist; simulate it first.")
    try:
        with h5py.File(path, "r") as file:
            clean, text = file["clean"][...], file["truth"][()]
            values = {name: file[name][...] for name in PER_FRAME}
            if _digest(clean, values["dose_e_per_px"], text.decode()) != file.attrs["digest"]:
                raise ValueError("its digest is another one")
            truth = pd.read_json(io.BytesIO(text), orient="records", precise_float=True)
            about = dict(file.attrs)
            return Movie(
                clean, **values, truth=truth, pixel_size_nm=float(about["pixel_size_nm"]),
                frame_time_s=float(about["frame_time_s"]),
                origin_nm=tuple(map(float, about["origin_nm"])), spec=json.loads(about["spec"]),
                seed=int(about["seed"]), digest=str(about["digest"]),
                dark_e_per_px=float(about["dark_e_per_px"]),
            )  # fmt: skip
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"The movie {path} is damaged ({type(error).__name__}); delete it and simulate it "
            "again."
        ) from error
