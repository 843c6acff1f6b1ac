"""How precisely columns are located, and how often they are missed, on films with truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy.ndimage import maximum_filter

from lowdose import seeds
from lowdose.columns.blobs import centroids, find_blobs
from lowdose.columns.detection import detect_columns
from lowdose.columns.fitting import fit_columns
from lowdose.columns.matching import match
from lowdose.data.movies import Movie
from lowdose.denoisers import registry
from lowdose.evaluation.film_columns import (
    Look,
    counts_of,
    doses_of,
    look_of,
    places_of,
    true_columns,
    used_frames,
    well_inside,
    with_clean_fits,
)
from lowdose.evaluation.known_sites import known_sites
from lowdose.evaluation.statistics import bootstrap_interval
from lowdose.sampling import dose_e_per_a2

RAW = ("blobs", "fits", "centroids", "fits from the truth")
NETWORK = ("network", "network, fits")
# Of a blob's scale, in widths of a column: sqrt(2) scatters least in noise, but fringes and
# neighbours displace it by half as much again; here it scatters 7 % more.
SCALE = 1.2
DENOISED_THRESHOLD = 0.032
"""Of the detector on denoised frames, vacuum = 1: the paper's."""

# Vacuum: nothing of the clean image within this distance is farther from 1.
_EVEN, _AROUND_NM = 0.02, 0.1
_ERRORS = ["x_error", "y_error", "x_se", "y_se"]

Found = dict[str, dict[int, pd.DataFrame]]


def positions(
    films: Mapping[str, Movie], spec: Mapping, log: Callable[[str], None]
) -> pd.DataFrame:
    """Locate columns in films whose truth is known.

    Parameters
    ----------
    films : mapping
        Name -> movie.
    spec : mapping
        ``doses_e_per_px`` (mean over a film's frames, in vacuum); ``frames`` of each film that are
        used, evenly spaced; ``sigma_nm`` of the detector on denoised frames; ``gate_nm`` of the
        matching; ``denoiser`` and ``denoised_doses_e_per_px`` (may be empty); ``seed``.
    log : callable
        Takes a line of progress.

    Returns
    -------
    DataFrame
        One row a ``method``, ``dose_e_per_px`` and group of ``columns``: ``all`` and ``surface``,
        present and 0.15 nm or more inside the frame, and ``switching``, those that come and go,
        whether they are there or not.

        ``n_columns`` of the films; ``n_true``, in all frames; ``n_located``; ``failure_rate``:
        share of these without anything within the gate.  Of ``switching`` ones also
        ``invented_rate``, share of the absent ones with something there, and ``right``, share of
        right decisions.  ``false_vacuum`` detections in ``vacuum_nm2``, ``false_per_nm2``, and
        ``false_elsewhere`` (fringes and gaps) per true column.

        ``rms_pm``: error along one axis of those located, cut off by the gate at low dose;
        ``systematic_pm``: that of the same columns without noise, ``scatter_pm``: about it;
        ``bias_x_pm, bias_y_pm``: mean error; ``reported_pm``: median of the method's standard
        errors, ``pull``: RMS of error over standard error.

        ``bound_pm``: Cramér-Rao bound of the columns located, RMS over them; ``ratio`` and
        ``scatter_ratio``: error and scatter over it; ``patch_bound_pm`` etc. likewise, see
        :func:`lowdose.evaluation.film_columns.with_clean_fits`; ``all_bound_pm`` of all true ones.

        ``..._low, ..._high``: 95 % intervals over films' columns.

    Notes
    -----
    Blobs have a scale of `SCALE` times the median width of the Gaussians that fit the clean
    columns, and the threshold of 0.01 false alarms per nm² of vacuum.  Fits and centroids (level:
    the median of the fits'; radius: twice the width) start where blobs were found.  "Fits from the
    truth" start at the true places, so that they miss what cannot be fitted, not what was not
    seen.  What knows the lattice, as a network does, may fall below the bound, which holds for
    unbiased estimates from a column's own pixels.  "Known sites" are those of
    :mod:`lowdose.evaluation.known_sites`, over all frames.
    """
    raw, denoised = spec["doses_e_per_px"], spec["denoised_doses_e_per_px"]
    used = {name: used_frames(movie, spec["frames"]) for name, movie in films.items()}
    truth = {
        name: with_clean_fits(movie, true_columns(movie, used[name], name))
        for name, movie in films.items()
    }
    look = look_of(truth.values())
    vacuum = {name: {i: _vacuum(movie, i) for i in used[name]} for name, movie in films.items()}
    area = sum(
        films[name].pixel_size_nm ** 2 * sum(int(mask.sum()) for mask in masks.values())
        for name, masks in vacuum.items()
    )
    without_noise = {
        name: _compared(_in_counts(movie, {i: movie.clean[i] * doses_of(movie, max(raw))[i]
                                           for i in used[name]}, max(raw), look),
                        truth[name], vacuum[name], movie, spec["gate_nm"])[0]
        for name, movie in films.items()
    }  # fmt: skip
    network = registry.create(spec["denoiser"]) if denoised else None
    rows = []
    for dose in sorted({*raw, *denoised}):
        tables, false = [], []
        for name, movie in films.items():
            counts = counts_of(movie, dose, spec["seed"])
            found: Found = {}
            if dose in raw:
                found |= _in_counts(movie, {i: counts[i] for i in used[name]}, dose, look)
                tables.append(known_sites(movie, counts, dose, look.width_nm, name))
            if dose in denoised:
                found |= _in_denoised(movie, counts, dose, network, used[name], spec["sigma_nm"])
            own, others = _compared(found, truth[name], vacuum[name], movie, spec["gate_nm"])
            if dose in raw:  # the same rows, in the same order, as far as methods are the same
                clean = without_noise[name][["x_error", "y_error"]]
                own[["x_clean", "y_clean"]] = clean.reindex(own.index).to_numpy()
            tables.append(own)
            false.append(others)
        table = pd.concat([own for own in tables if len(own)], ignore_index=True)
        of_method = pd.concat(false).groupby("method").sum()
        rows += _rows(table, of_method, dose, area, spec["seed"])
        log(f"{dose:g} e/px: columns located in {sum(map(len, used.values()))} frames")
    return pd.DataFrame(rows).assign(width_nm=look.width_nm)


def _vacuum(movie: Movie, frame: int) -> np.ndarray:
    """Return where a detection is false for sure: bool (y, x)."""
    clean, pixel = movie.clean[frame], movie.pixel_size_nm
    off = maximum_filter(np.abs(clean - 1), 2 * round(_AROUND_NM / pixel) + 1)
    y, x = np.indices(clean.shape, sparse=True)
    return (off < _EVEN) & well_inside(x * pixel, y * pixel, clean.shape, pixel)


def _in_counts(movie: Movie, images: Mapping, dose: float, look: Look) -> Found:
    """Return what each method finds in counts [e/px]: method -> frame -> positions."""
    pixel, doses, dark = movie.pixel_size_nm, doses_of(movie, dose), movie.dark_e_per_px
    found: Found = {method: {} for method in RAW}
    for i, image in images.items():
        # With the mean dark counts, which were taken off, counts are Poisson, as is assumed.
        image, level = image + dark, doses[i] * look.level + dark
        blobs = find_blobs(
            image, pixel, doses[i] + dark, width_nm=look.width_nm, sigma_nm=SCALE * look.width_nm
        )
        start = places_of(blobs)
        fits = fit_columns(image, start, pixel)
        masses = centroids(image, start, pixel, level, 2 * look.width_nm)
        true = movie.truth[(movie.truth["frame"] == i) & (movie.truth["n_atoms"] > 0)]
        given = fit_columns(image, places_of(true), pixel)
        tables = (blobs, fits[fits["fitted"]], masses[masses["found"]], given[given["fitted"]])
        for method, table in zip(RAW, tables, strict=True):
            found[method][i] = table
    return found


def _in_denoised(movie: Movie, counts, dose: float, network, used, sigma_nm: float) -> Found:
    pixel, doses = movie.pixel_size_nm, doses_of(movie, dose)[used]
    images = network.denoise(counts[used], pixel, dose=dose_e_per_a2(doses, pixel))
    images = images / doses[:, None, None].astype(np.float32)
    found: Found = {method: {} for method in NETWORK}
    for i, image in zip(used, images, strict=True):
        seen = detect_columns(image, pixel, threshold=DENOISED_THRESHOLD, sigma_nm=sigma_nm)
        fits = fit_columns(np.maximum(image, 0), places_of(seen), pixel)
        found[NETWORK[0]][i] = seen[["x_nm", "y_nm"]]
        # The fits' standard errors are those of counts, which a denoised image is not.
        found[NETWORK[1]][i] = fits.loc[fits["fitted"], ["x_nm", "y_nm"]]
    return found


def _compared(
    found: Found, truth: pd.DataFrame, vacuum: Mapping, movie: Movie, gate_nm: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the true columns with each method's errors [nm], and its false detections."""
    tables, false = [], []
    known = {i: (own.index, places_of(own)) for i, own in truth.groupby("frame")}
    for method, by_frame in found.items():
        values, located = np.full((len(truth), 4), np.nan), np.zeros(len(truth), dtype=bool)
        for i, table in by_frame.items():
            rows, true = known.get(i, (truth.index[:0], np.empty((0, 2))))
            places = places_of(table)
            one, other, _ = match(true, places, gate_nm)
            row = rows[one]
            located[row] = True
            values[row, :2] = places[other] - true[one]
            if "x_se_nm" in table:
                values[row, 2:] = table[["x_se_nm", "y_se_nm"]].to_numpy()[other]
            rest = np.delete(places, other, axis=0)
            rest = rest[well_inside(*rest.T, movie.clean.shape[1:], movie.pixel_size_nm)]
            column, line = np.rint(rest / movie.pixel_size_nm).astype(int).T
            in_vacuum = int(vacuum[i][line, column].sum())
            false.append((method, in_vacuum, len(rest) - in_vacuum))
        own = truth.assign(method=method, located=located)
        own[_ERRORS] = values
        tables.append(own)
    others = pd.DataFrame(false, columns=["method", "vacuum", "elsewhere"])
    return pd.concat(tables, ignore_index=True), others


def _rows(table, false, dose: float, vacuum_nm2: float, seed: int) -> list[dict]:
    rows = []
    for method, own in table.groupby("method", sort=False):
        for group in ("all", "surface", "switching"):
            part = own[own[group].astype(bool)]
            if not len(part):
                continue
            row = {"method": method, "dose_e_per_px": dose, "columns": group}
            row |= _decided(part, group == "switching", seed)
            if group == "all":
                number = false.loc[method]
                row |= {
                    "false_vacuum": number["vacuum"], "vacuum_nm2": vacuum_nm2,
                    "false_per_nm2": number["vacuum"] / vacuum_nm2 if vacuum_nm2 else np.nan,
                    "false_elsewhere": number["elsewhere"] / len(part),
                }  # fmt: skip
            if group != "switching":
                row |= _precision(part, dose, seed)
            rows.append(row)
    return rows


def _decided(part: pd.DataFrame, switching: bool, seed: int) -> dict:
    there, located = (part[name].to_numpy(dtype=bool) for name in ("there", "located"))
    row = {"n_columns": part["unit"].nunique(), "n_true": int(there.sum()),
           "n_located": int((located & there).sum())}  # fmt: skip
    if there.any():
        row |= _with_interval("failure_rate", part[there], ~located[there], seed)
    if switching:
        row["invented_rate"] = located[~there].mean() if (~there).any() else np.nan
        row |= _with_interval("right", part, located == there, seed)
    return row


def _precision(part: pd.DataFrame, dose: float, seed: int) -> dict:
    def pm(rows: pd.DataFrame, what: str) -> np.ndarray:
        names = [f"x_{what}", f"y_{what}"]
        return 1e3 * rows.reindex(columns=names).to_numpy(dtype=np.float64)

    row = {"all_bound_pm": _rms(pm(part, "bound")) / np.sqrt(dose)}
    rows = part[part["located"]]
    if not len(rows):
        return row
    error, se, clean = (pm(rows, what) for what in ("error", "se", "clean"))
    square = _with_interval("rms_pm", rows, np.mean(error**2, axis=1), seed, np.inf)
    row |= {name: np.sqrt(value) for name, value in square.items()}
    row |= {"systematic_pm": _rms(clean), "scatter_pm": _rms(error - clean)}
    row |= dict(zip(("bias_x_pm", "bias_y_pm"), error.mean(axis=0), strict=True))
    if np.isfinite(se).any():
        row |= {"reported_pm": float(np.nanmedian(se)), "pull": _rms(error / se)}
    for name, prefix in (("bound", ""), ("patch", "patch_")):
        limit = pm(rows, name) / np.sqrt(dose)
        known = np.isfinite(limit).all(axis=1)
        row[f"{prefix}bound_pm"] = _rms(limit)
        row[f"{prefix}ratio"] = _rms(error[known]) / _rms(limit)
        row[f"{prefix}scatter_ratio"] = _rms((error - clean)[known]) / _rms(limit)
    return row


def _rms(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(known**2))) if len(known) else float("nan")


def _with_interval(name: str, part: pd.DataFrame, values, seed: int, most: float = 1.0) -> dict:
    own = pd.DataFrame({"unit": part["unit"].to_numpy(), "value": np.asarray(values, float)})
    found = bootstrap_interval(
        own, "value", "unit", bounds=(0.0, most), rng=seeds.rng(seed, "positions")
    )
    return dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))
