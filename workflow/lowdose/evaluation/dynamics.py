"""Order, strain and rates of switching of a surface, from films whose truth is known.

What is measured is measured as from an experiment (:mod:`lowdose.evaluation.surface_layer`); the
truth only judges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.stats import norm

from lowdose.columns.order import order_from_templates, switching
from lowdose.columns.own_lattice import fit_lattice
from lowdose.data.movies import Movie
from lowdose.evaluation.surface_layer import (
    METHODS,
    Layer,
    Recovered,
    binned,
    bins_of,
    find_layer,
    outward,
    recover,
)
from lowdose.runtime import UserError

MEAN = "mean"  # in place of a column's number
STEPS = {"disordering": "rate_down", "ordering": "rate_up"}
STRAIN = ("dose_e_per_px", "realisation", "method", "column", "x_nm", "y_nm", "outward_nm", "se_nm",
          "noiseless_nm", "true_nm", "inside_noiseless", "inside_true", "frames")  # fmt: skip
STILL_NM, STILL_DEG = 0.01, 0.2  # beyond it the sum of a film is blurred

_SAME_NM = 0.08
_INSIDE = norm.ppf(0.975)  # standard errors


def rates(movie: Movie, spec: Mapping, log: Callable[[str], None] = lambda _: None) -> pd.DataFrame:
    """Recover order and rates of switching at each dose and frame time, and judge them.

    Parameters
    ----------
    movie : Movie
        With a process ``disorder``, at rest.
    spec : mapping
        ``doses_e_per_px`` of one frame of the film [e/px]; ``summed``, numbers of frames that are
        one frame of a slower camera in the same beam; ``realisations`` of the noise; ``seed``.
    log : callable
        Told after each dose.

    Returns
    -------
    DataFrame
        For each dose, number of summed frames, realisation, way to know the two states
        (``templates``: ``film``, from the frames alone; ``known``, true mean images) and step
        (``disordering, ordering``): ``frame_time_s``; ``rate, low, high``, 95 % [1/s];
        ``true_rate``, as configured, and ``realised_rate``, counted in the film's true states;
        ``inside, inside_realised``; ``error, error_realised``, relative; for the frames
        ``order_rmse`` against the noiseless order, ``state_rmse`` against the share of the frame's
        time that was ordered, ``order_se`` as said, ``right``, share of frames in their true state
        (halves left out).  NaN where no surface was found.

    Raises
    ------
    UserError
        If the film moves, its dose changes or its surface does not.
    """
    dose, (means, noiseless) = _steady_dose(movie), _noiseless(movie)
    ordered, targets = true_order(movie), true_rates(movie)
    rows = []
    for one_dose in spec["doses_e_per_px"]:
        for realisation in range(spec["realisations"]):
            counts = movie.counts(realisation, spec["seed"], one_dose / dose)
            layer = _layer_or_none(counts, movie.pixel_size_nm)
            counts = binned(counts, bins_of(movie.pixel_size_nm))
            for summed in spec["summed"]:
                here, time = _summed(counts, summed), summed * movie.frame_time_s
                truth = _summed(noiseless, summed) / summed, _summed(ordered, summed) / summed
                about = {"dose_e_per_px": one_dose, "summed": summed, "frame_time_s": time,
                         "realisation": realisation}  # fmt: skip
                own = None if layer is None else recover(here, layer, time)
                rows += _judged({**about, "templates": "film"}, own, truth, targets)
                known = _with_templates(here, means * (one_dose * summed), time)
                rows += _judged({**about, "templates": "known"}, known, truth, targets)
        log(f"{one_dose:g} e/px: {spec['realisations']} realisations of the film")
    return pd.DataFrame(rows)


def trace(movie: Movie, spec: Mapping) -> pd.DataFrame:
    """Return the order parameter of each frame at the reference dose, with the truth.

    Parameters
    ----------
    movie : Movie
    spec : mapping
        ``reference_dose_e_per_px, seed``.

    Returns
    -------
    DataFrame
        ``frame, time_s``, its middle; ``order, order_se``; ``posterior`` of order, ``recovered``
        (the likeliest history) and ``ordered`` (the true one), 1 ordered; ``noiseless`` order.

    Raises
    ------
    UserError
        As :func:`rates`; also if no surface is found.
    """
    dose, (_, noiseless) = _steady_dose(movie), _noiseless(movie)
    counts = movie.counts(0, spec["seed"], spec["reference_dose_e_per_px"] / dose)
    layer = find_layer(counts, movie.pixel_size_nm)
    found = recover(layer.binned(counts), layer, movie.frame_time_s)
    frame = np.arange(len(counts))
    return pd.DataFrame(
        {
            "frame": frame,
            "time_s": (frame + 0.5) * movie.frame_time_s,
            "order": found.order,
            "order_se": found.order_se,
            "posterior": found.chain.posterior[:, 0],
            "recovered": found.chain.path[:, 0].astype(int),
            "ordered": true_order(movie).astype(int),
            "noiseless": noiseless,
        }
    )


def strain(movie: Movie, spec: Mapping) -> pd.DataFrame:
    """Measure how far surface columns are moved outwards against the particle's own lattice.

    Parameters
    ----------
    movie : Movie
    spec : mapping
        As :func:`rates`.

    Returns
    -------
    DataFrame
        For each dose, realisation and way to locate columns (``method``: ``blob, fit``), a row for
        each surface column (``column``, its number in the truth; ``x_nm, y_nm``) and one for their
        mean: ``outward_nm, se_nm``; ``noiseless_nm``, the same from the expected image of the
        ordered state, which imaging has shifted, and ``true_nm``, from the true positions;
        ``inside_noiseless, inside_true``, whether they are within 1.96 standard errors, for the
        mean too; ``frames``, those taken as ordered, whose sum it is.

    Raises
    ------
    UserError
        As :func:`rates`; also if fewer than six columns have all their neighbours in the frame.

    Notes
    -----
    Outwards is against the sum of the steps to the neighbours.  The lattice is fitted to columns
    with all six neighbours; its error is part of the displacements'.
    """
    dose, pixel = _steady_dose(movie), movie.pixel_size_nm
    ordered = true_order(movie)
    expected = movie.clean[ordered].sum(axis=0, dtype=np.float64)
    bare = {method: outward(expected, pixel, method)[0] for method in METHODS}
    truth = movie.truth[movie.truth["frame"] == np.flatnonzero(ordered)[0]]
    truth = truth[truth["n_atoms"] > 0].reset_index(drop=True)
    places = truth[["x_nm", "y_nm"]].to_numpy()
    inner = ~truth["is_surface"].to_numpy()
    truth[["dx", "dy"]] = places - fit_lattice(places, reference=inner).nodes()
    tables = []
    for one_dose in spec["doses_e_per_px"]:
        for realisation in range(spec["realisations"]):
            counts = movie.counts(realisation, spec["seed"], one_dose / dose)
            layer = _layer_or_none(counts, pixel)
            if layer is None:
                continue
            found = recover(layer.binned(counts), layer, movie.frame_time_s)
            kept = found.chain.path[:, 0]
            image = counts[kept].sum(axis=0, dtype=np.float64)
            about = {"dose_e_per_px": one_dose, "realisation": realisation, "frames": kept.sum()}
            for method in METHODS:
                table = _compared(*outward(image, pixel, method), bare[method], truth)
                tables.append(table.assign(method=method, **about))
    if not tables:
        raise UserError("No surface was found at any dose; give higher ones.")
    return pd.concat(tables, ignore_index=True)[list(STRAIN)]


def true_order(movie: Movie) -> np.ndarray:
    """Return whether the surface is ordered in each frame: bool (frame,).

    Raises
    ------
    UserError
        If it is so always or never.
    """
    acted = movie.truth[movie.truth["process"] == "disorder"]
    disordered = acted.loc[acted["state"] == "disordered", "frame"].unique()
    ordered = ~np.isin(np.arange(len(movie.clean)), disordered)
    if ordered.all() or not ordered.any():
        raise UserError(
            "The surface is in one state in all frames; film it with a process `disorder`."
        )
    return ordered


def true_rates(movie: Movie) -> dict[str, tuple[float, float]]:
    """Return the configured and the realised rate of each step [1/s].

    Notes
    -----
    A film is drawn frame by frame, with a probability of 1 / dwell time of leaving a state; the
    rates are those of the process in continuous time that has these probabilities within a frame,
    a little higher than 1 / dwell time.  Realised: from the steps that the film has.
    NaN where the film has none, or was not drawn from dwell times.
    """
    ordered = true_order(movie)
    process = next(p for p in movie.spec["processes"] if p["kind"] == "disorder")
    configured = np.array([1 / process["off_frames"], 1 / process["on_frames"]])
    if process["schedule"] is not None:
        configured[:] = np.nan
    before, after = ordered[:-1], ordered[1:]
    realised = np.array([np.mean(after[before] != 1), np.mean(after[~before])])
    pairs = np.stack([configured, realised], axis=1)
    both = pairs.sum(axis=0)
    with np.errstate(all="ignore"):
        pairs = np.where(both < 1, pairs / both * -np.log1p(-both) / movie.frame_time_s, np.nan)
    return {step: tuple(map(float, pair)) for step, pair in zip(STEPS, pairs, strict=True)}


def _judged(about, found, truth, targets) -> list[dict]:
    """Return the rows of what was recovered, one for each step."""
    noiseless, share = truth
    if found is not None:
        clear = share != 0.5
        right = (found.chain.posterior[:, 0] > 0.5) == (share > 0.5)
        about = about | {
            "order_rmse": np.sqrt(np.mean((found.order - noiseless) ** 2)),
            "state_rmse": np.sqrt(np.mean((found.order - share) ** 2)),
            "order_se": np.sqrt(np.mean(found.order_se**2)),
            "right": np.mean(right[clear]),
        }
    rows = []
    for step, name in STEPS.items():
        true, realised = targets[step]
        row = about | {"step": step, "true_rate": true, "realised_rate": realised}
        if found is not None:
            rate = getattr(found.chain, name)
            row |= {
                "rate": rate.value, "low": rate.low, "high": rate.high,
                "inside": int(rate.low <= true <= rate.high),
                "inside_realised": int(rate.low <= realised <= rate.high),
                "error": rate.value / true - 1, "error_realised": rate.value / realised - 1,
            }  # fmt: skip
        rows.append(row)
    return rows


def _with_templates(counts, templates, frame_time_s) -> Recovered:
    found = order_from_templates(counts, *templates)
    order, se = found["order"].to_numpy(), found["order_se"].to_numpy()
    return Recovered(order, se, switching(order, se, frame_time_s))


def _compared(
    table: pd.DataFrame, covariance: np.ndarray, bare: pd.DataFrame, truth: pd.DataFrame
) -> pd.DataFrame:
    """Return displacements with the noiseless and the true ones, and their mean as last row."""
    number, known = _nearest(truth, table)
    same, again = _nearest(bare, table)
    used = np.flatnonzero(known & again)
    table, true, bare = table.iloc[used], truth.iloc[number[used]], bare.iloc[same[used]]
    moved = table["normal_x"].to_numpy() * true["dx"] + table["normal_y"].to_numpy() * true["dy"]
    table = table.assign(
        column=true["column"].astype(str).to_numpy(), true_nm=moved.to_numpy(),
        noiseless_nm=bare["outward_nm"].to_numpy(),
    )  # fmt: skip
    mean = table.mean(numeric_only=True).to_dict() | {"column": MEAN}
    mean["se_nm"] = np.sqrt(covariance[np.ix_(used, used)].mean())
    table = pd.concat([table, pd.DataFrame([mean])], ignore_index=True)
    for name in ("noiseless", "true"):
        off = (table["outward_nm"] - table[f"{name}_nm"]).abs()
        table[f"inside_{name}"] = (off < _INSIDE * table["se_nm"]).astype(int)
    return table


def _nearest(known: pd.DataFrame, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the known column nearest to each of a table, and whether it is that column."""
    names = ["x_nm", "y_nm"]
    distance, number = cKDTree(known[names].to_numpy()).query(table[names].to_numpy())
    return number, distance < _SAME_NM


def _noiseless(movie: Movie) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean images of both states (2, y, x), and the order of each frame between them."""
    ordered = true_order(movie)
    clean = binned(movie.clean, bins_of(movie.pixel_size_nm))
    means = np.stack([clean[s].mean(axis=0, dtype=np.float64) for s in (ordered, ~ordered)])
    return means, order_from_templates(clean, *means)["order"].to_numpy()


def _summed(frames: np.ndarray, number: int) -> np.ndarray:
    """Return the sums of so many successive frames; what is left over is cut."""
    whole = frames[: len(frames) // number * number]
    return whole.reshape(-1, number, *frames.shape[1:]).sum(axis=1)


def _layer_or_none(counts: np.ndarray, pixel_size_nm: float) -> Layer | None:
    try:
        return find_layer(counts, pixel_size_nm)
    except UserError:  # of a dose that is too low for it, which is a result
        return None


def _steady_dose(movie: Movie) -> float:
    """Return the dose of a film that neither moves nor changes its dose."""
    moved = np.hypot(*np.ptp(movie.drift_nm, axis=0))
    if moved > STILL_NM or np.ptp(movie.rotation_deg) > STILL_DEG:
        raise UserError(
            f"The film moves by {moved:.3f} nm and {np.ptp(movie.rotation_deg):.2f}°; give one at "
            "rest, since its frames are summed."
        )
    if np.ptp(movie.dose_e_per_px) > 1e-6 * movie.dose_e_per_px.max():
        raise UserError("The dose of the film changes; give the first and last frame the same.")
    return float(movie.dose_e_per_px[0])
