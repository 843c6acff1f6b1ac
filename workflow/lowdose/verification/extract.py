"""What of a folder of results is compared: small tables, one row an item."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from lowdose.data.frames import open_frames, read_frames
from lowdose.evaluation.summary import MEASURES, with_sums
from lowdose.imaging.store import (
    UNREADABLE,
    DamagedError,
    open_shard,
    read_text,
    read_wave,
    refuse_unreadable,
)
from lowdose.runtime import UserError
from lowdose.verification.made_with import as_json, flat, settings
from lowdose.verification.projections import projections
from lowdose.verification.rules import KEYS

F1 = MEASURES["f1"][:2]
OF_COLUMNS = ("model_id", "column", "element", "x_nm", "y_nm", "n_atoms", "is_surface", "site")
OF_CLASSES = ("model_id", "c1_nm", "split", "contrast", "mean_contrast", "white_share")
MEANS = ("psnr", "contrast_psnr", "ssim")
# Of a network's card; where each came from is not what is compared.
OF_CARD = ("architecture", "training", "training_set", "parameters", "receptive_field_px",
           "own_pixel_size_nm", "seed", "study_seed")  # fmt: skip
# Of a wave's attributes: how it was computed.  The model has a table of its own.
OF_WAVE = ("engine", "energy_kev", "grid", "slice_thickness_nm", "parametrization", "thermal",
           "debye_waller_nm", "phonon_configurations", "variant", "sampling_y_nm",
           "sampling_x_nm")  # fmt: skip
# Kinds that are tables under another name than their own.
PLACES = {"models": "structures/models", "pairs": "structures/pairs"}
# Made anew with other numbers at every run.
NOT_COMPARED = {"seconds", "seconds_per_frame", "minutes", "weights_sha256"}


def extract(results: str | Path, kinds: Collection[str] | None = None) -> dict[str, pd.DataFrame]:
    """Read what is compared from a folder of results.

    Parameters
    ----------
    results : path
        What ``./study run`` has made: `structures`, `waves`, `frames`, `networks`, `evaluation`,
        `tables`.  What is not there is left out.
    kinds : collection of str, optional
        Only these of :data:`lowdose.verification.rules.KEYS`.

    Returns
    -------
    dict of str to DataFrame
        By kind.

    Raises
    ------
    UserError
        If the folder holds none of it, or a file is damaged.
    """
    results = Path(results)
    readers = {"settings": settings, "columns": _columns, "waves": _waves, "frames": _frames,
               "classes": _classes, "networks": _networks, "scores": _scores}  # fmt: skip
    found: dict[str, pd.DataFrame] = {}
    for kind in KEYS if kinds is None else kinds:
        if kind in readers:
            table = readers[kind](results)
        else:
            path = results / f"{PLACES.get(kind, kind)}.csv"
            table = _csv(path, KEYS[kind]) if path.is_file() else None
        if table is not None and len(table):
            found[kind] = table.reset_index(drop=True)
    if not found:
        raise UserError(
            f"{results} holds no results to compare; give the folder that ./study run has filled."
        )
    return found


def _csv(path: Path, needed: Collection[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as a table ({type(error).__name__}); delete it and run again."
        ) from error
    _check(path, table, needed)
    return table.drop(columns=[name for name in table if name in NOT_COMPARED])


def _parquet(path: Path, needed: Collection[str], numbers: Collection[str]) -> pd.DataFrame | None:
    """Return a table, None if there is none; it has the columns that are needed, and numbers."""
    if not path.is_file():
        return None
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}); delete it and run again."
        ) from error
    _check(path, table, (*needed, *numbers))
    for name in numbers:
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise UserError(f"{path} has no numbers in {name}; delete it and run again.")
    return table


def _check(path: Path, table: pd.DataFrame, needed: Collection[str]) -> None:
    if missing := [name for name in needed if name not in table]:
        raise UserError(f"{path} has no column {missing[0]}; delete it and run again.")


def _columns(results: Path) -> pd.DataFrame | None:
    """Return the columns of the particles; those of the support follow from the models."""
    path = results / "structures" / "columns.parquet"
    table = _parquet(path, OF_COLUMNS, ["is_particle"])
    return None if table is None else table.loc[table["is_particle"].astype(bool), [*OF_COLUMNS]]


def _waves(results: Path) -> pd.DataFrame | None:
    paths = sorted((results / "waves").glob("shard*.h5"))
    if not paths:
        return None
    rows = []
    for path in paths:
        for attributes, wave in _waves_of(path):
            computed = {key: attributes[key] for key in OF_WAVE if key in attributes}
            rows.append({"model_id": attributes["model_id"], "n_pixels": wave.size, **computed,
                         **_projected(wave)})  # fmt: skip
    return pd.DataFrame(rows)


def _waves_of(path: Path) -> Iterator[tuple[dict, np.ndarray]]:
    """Yield attributes and wave of each model in a shard, which stays where it is.

    A stage would move a damaged one aside (:func:`lowdose.imaging.store.read_waves`); who compares
    changes nothing.
    """
    again = "run the study again, which makes it anew"
    name = ""
    try:
        with open_shard(path) as entry:
            for name in json.loads(read_text(entry.attrs["models"])):
                yield read_wave(entry, name)
    except DamagedError as damage:
        raise UserError(f"The wave of {name} in {path} {damage}; {again}.") from None
    except UNREADABLE as error:
        refuse_unreadable(path, error)
        raise UserError(
            f"{path} is truncated or no file of waves ({type(error).__name__}); {again}."
        ) from error


def _frames(results: Path) -> pd.DataFrame | None:
    rows = []
    for path in sorted((results / "frames").glob("[!.]*.h5")):  # not the half-written ones
        frames = read_frames(path)
        with open_frames(path) as file:
            imaging = _leaves(json.loads(file.attrs["imaging"]))
            sums = {
                f"electrons_at_{dose}": file["counts"][dose][...].sum(axis=(1, 2), dtype=float)
                for dose in file["counts"]
            }
        number: dict[str, int] = {}
        for k, row in enumerate(frames.table.to_dict("records")):
            number[row["model_id"]] = number.get(row["model_id"], 0) + 1
            rows.append({
                "split": path.stem, "model_id": row["model_id"],
                "number": number[row["model_id"]], "n_pixels": frames.clean[k].size,
                **{key: row[key] for key in ("c1_nm", "contrast", "shift") if key in row},
                **imaging, **{name: total[k] for name, total in sums.items()},
                **_projected(frames.clean[k]),
            })  # fmt: skip
    return pd.DataFrame(rows) if rows else None


def _classes(results: Path) -> pd.DataFrame | None:
    table = _parquet(results / "frames" / "classes.parquet", OF_CLASSES, ())
    return None if table is None else table[[*OF_CLASSES]]


def _networks(results: Path) -> pd.DataFrame | None:
    rows = []
    for path in sorted((results / "networks").rglob("card.json")):
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
            rows.append({"denoiser": card["denoiser"],
                         **_leaves({key: card.get(key) for key in OF_CARD})})  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is damaged; delete its folder and run again.") from error
    return pd.DataFrame(rows) if rows else None


def _scores(results: Path) -> pd.DataFrame | None:
    """Return the mean scores by denoiser, dose and base shape."""
    parts = []
    for path in sorted((results / "evaluation").glob("*/frames.parquet")):
        table = _parquet(path, KEYS["scores"], (*MEANS, "n_matched", "n_true", "n_found"))
        if table is None:  # a folder of that name
            continue
        groups = with_sums(table).groupby([*KEYS["scores"]], sort=True)
        means = groups[[*MEANS]].mean()
        above, below = (groups[name].sum() for name in F1)
        means["f1"] = above / below
        parts.append(means.reset_index())
    return pd.concat(parts, ignore_index=True) if parts else None


def _projected(image) -> dict[str, float]:
    return {f"projection_{k:02d}": value for k, value in enumerate(projections(image))}


def _leaves(tree: Mapping) -> dict[str, object]:
    """Return the leaves of nested mappings by dotted name; lists as JSON."""
    return {k: as_json(v) if isinstance(v, list) else v for k, v in flat(tree)}
