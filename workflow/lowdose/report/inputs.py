"""The files that figures are drawn from, read with errors in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from lowdose.report.paths import FILES
from lowdose.runtime import UserError

if TYPE_CHECKING:
    from lowdose.data.frames import FrameSet
    from lowdose.data.movies import Movie


class Judged(NamedTuple):
    """A recording that all denoisers have been judged on.

    Attributes
    ----------
    images : dict
        Denoiser -> its image of the first frame (y, x) [e/px].
    pixel_size_nm : float
    judged, columns : DataFrame
        ``judged.csv``, and the columns that were found.
    """

    images: dict[str, np.ndarray]
    pixel_size_nm: float
    judged: pd.DataFrame
    columns: pd.DataFrame


@dataclass(frozen=True)
class Inputs:
    """Where the results of the earlier stages lie.

    Attributes
    ----------
    frames : Path
        ``test.h5``.
    evaluation, comparison, networks, structures : Path
        Folders of those stages.
    tables : Path
        Folder with ``results.csv``.
    columns : Path
        ``likelihood.parquet``.
    limits : Path
        Folder with the ideal observer's ``sites.parquet``.
    mechanism : Path
        ``filters.h5``.
    classes : Path
        ``classes.parquet``.
    experiment : Path
        Folder of the recordings.
    movies : Path
        Folder of the films.
    """

    frames: Path = Path(FILES["frames"])
    evaluation: Path = Path(FILES["evaluation"])
    comparison: Path = Path(FILES["comparison"])
    networks: Path = Path(FILES["networks"])
    tables: Path = Path(FILES["tables"])
    columns: Path = Path(FILES["columns"])
    limits: Path = Path(FILES["limits"])
    mechanism: Path = Path(FILES["mechanism"])
    structures: Path = Path(FILES["structures"])
    classes: Path = Path(FILES["classes"])
    experiment: Path = Path(FILES["experiment"])
    movies: Path = Path(FILES["movies"])

    def frame_set(self) -> FrameSet:
        """Return the frozen test frames."""
        from lowdose.data.frames import read_frames  # brings torch: only where it is needed

        return read_frames(self.frames)

    def image(self, denoiser: str, frame: int) -> np.ndarray:
        """Return one denoised frame: float32 (y, x), vacuum = 1, realisation 0."""
        return self._image(self.evaluation / denoiser, frame, "evaluate")

    def contested_image(self, denoiser: str, frame: int) -> np.ndarray:
        """Return one denoised frame of the comparison of all methods, as `image` does."""
        return self._image(self.comparison / denoiser, frame, "contest")

    def movie_image(self, method: str) -> np.ndarray:
        """Return the frame of the first film that a method is shown by, vacuum = 1."""
        return self._image(self.movies / method, 0, "movie")

    def film(self, name: str) -> Movie:
        """Return a film with its truth."""
        from lowdose.data.movies import read_movie  # brings torch: only where it is needed

        return read_movie(self.movies / f"{name}.h5")

    @staticmethod
    def _image(folder: Path, frame: int, stage: str) -> np.ndarray:
        import h5py

        path = _existing(folder / "images.h5", stage)
        try:
            with h5py.File(path, "r") as file:
                return file[str(frame)][...].astype(np.float32)
        except (OSError, KeyError) as error:
            raise _damaged(path, error) from error

    def filters(self) -> dict[tuple[str, str], tuple[np.ndarray, dict]]:
        """Return (gradient, attributes) of every (denoiser, where)."""
        import h5py

        path = _existing(self.mechanism, "mechanism")
        found = {}
        try:
            with h5py.File(path, "r") as file:
                for denoiser, group in file.items():
                    for where, one in group.items():
                        found[denoiser, where] = (one["filter"][...], dict(one.attrs))
        except (OSError, KeyError) as error:
            raise _damaged(path, error) from error
        return found

    def recording(self, name: str) -> Judged:
        """Return a recording of the experiment."""
        import h5py

        from lowdose.microscope.column_files import read_columns

        folder = self.experiment / name
        path = _existing(folder / "images.h5", "judge")
        try:
            with h5py.File(path, "r") as file:
                images = {key: one[...] for key, one in file.items()}
                pixel = float(file.attrs["pixel_size_nm"])
        except (OSError, KeyError) as error:
            raise _damaged(path, error) from error
        columns = read_columns(_existing(folder / f"{name}.columns.csv", "recording"))
        return Judged(images, pixel, _read(folder / "judged.csv", "judge"), columns)

    def results(self, spec: Mapping) -> pd.DataFrame:
        """Return the table of results, only the denoisers of the study, in its order."""
        table = _read(self.tables / "results.csv", "summarise")
        known = table[table["denoiser"].isin(spec["denoisers"])]
        rank = {name: i for i, name in enumerate(spec["denoisers"])}
        order = known["denoiser"].map(rank)
        return known.iloc[np.lexsort((known["dose_e_per_px"], order))].reset_index(drop=True)

    def compared(self, name: str) -> pd.DataFrame:
        """Return a table that compares the trainings of a sweep."""
        return _read(self.tables / f"{name}.csv", "compare")

    def table(self, name: str, stage: str) -> pd.DataFrame:
        """Return a CSV of the folder of tables, which a stage has written."""
        return _read(self.tables / f"{name}.csv", stage)

    def sites(self, denoiser: str) -> pd.DataFrame:
        """Return the columns at stake as a denoiser, or the ideal observer, shows them."""
        if denoiser == "ideal":
            return _read(self.limits / "sites.parquet", "limits")
        return _read(self.evaluation / denoiser / "sites.parquet", "evaluate")

    def likelihood(self) -> pd.DataFrame:
        """Return the verdict on every detected surface column."""
        return _read(self.columns, "columns")

    def models(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the table of models and their true columns."""
        return (
            _read(self.structures / "models.csv", "structures"),
            _read(self.structures / "columns.parquet", "structures"),
        )

    def pairs(self) -> pd.DataFrame:
        """Return the matched pairs: models that differ in one column."""
        return _read(self.structures / "pairs.csv", "structures")

    def contrast_classes(self) -> pd.DataFrame:
        """Return the contrast class of every image of the library."""
        return _read(self.classes, "frames")

    def history(self, network: str) -> pd.DataFrame:
        """Return ``step, loss, learning_rate, validation_psnr_db, seconds`` of one training."""
        folder = self.networks.joinpath(*network.split("."))
        tables = []
        for name in ("history", "timing"):
            path = _existing(folder / f"{name}.jsonl", "train")
            try:
                lines = path.read_text(encoding="utf-8").splitlines()
                tables.append(pd.DataFrame([json.loads(line) for line in lines]))
            except ValueError as error:
                raise _damaged(path, error) from error
        return tables[0].merge(tables[1], on="step", validate="one_to_one")


def _existing(path: Path, stage: str) -> Path:
    if not path.is_file():
        raise UserError(f"{path} does not exist; run the stage `{stage}` first.")
    return path


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is damaged ({type(error).__name__}); delete it and run again.")


def _read(path: Path, stage: str) -> pd.DataFrame:
    _existing(path, stage)
    try:
        return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
