"""Events: a column goes or comes for so many frames.  Which of them does a denoised movie show?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lowdose.columns.detection import log_response
from lowdose.columns.discs import disc_pixels
from lowdose.columns.fitting import FIT_RADIUS_NM

FLOOR = 0.05  # of vacuum; expectations of a patch are positive


def events_of(truth: pd.DataFrame, first_frame: int = 0) -> pd.DataFrame:
    """Return the spells in which a column is not what it usually is.

    Parameters
    ----------
    truth : DataFrame
        Of a movie: columns that are present or absent alone count, not those that keep a part
        of their atoms or are out of order.
    first_frame : int
        Spells that begin before it are left out.

    Returns
    -------
    DataFrame
        ``column, process, first, last, length`` (frames), ``sign``: -1 where a column is gone, 1
        where one has come.
    """
    rows = []
    for column, own in _switching(truth):
        sign, changed = _changed(own)
        for first, last in _spells(changed, own["frame"].to_numpy()):
            if first >= first_frame:
                rows.append((column, own["process"].iloc[0], first, last, last - first + 1, sign))
    names = ["column", "process", "first", "last", "length", "sign"]
    return pd.DataFrame(rows, columns=names)


def values_at_sites(
    images: np.ndarray, truth: pd.DataFrame, pixel_size_nm: float, sigma_nm: float
) -> pd.DataFrame:
    """Return how much of a column a denoised movie shows where one comes and goes.

    Parameters
    ----------
    images : array (frame, y, x)
        Vacuum = 1.
    truth : DataFrame
    pixel_size_nm, sigma_nm : float
        Pixel size and scale of the detector [nm].

    Returns
    -------
    DataFrame
        ``column, frame, value`` (response at the true place), ``changed`` (true state).
    """
    responses = [log_response(image, sigma_nm / pixel_size_nm) for image in images]

    rows = []
    height, width = images.shape[1:]
    for column, own in _switching(truth):
        _, changed = _changed(own)
        x = np.clip(np.rint(own["x_nm"] / pixel_size_nm).astype(int), 0, width - 1)
        y = np.clip(np.rint(own["y_nm"] / pixel_size_nm).astype(int), 0, height - 1)
        for frame, i, j, on in zip(own["frame"], x, y, changed, strict=True):
            rows.append((column, int(frame), float(responses[frame][j, i]), bool(on)))
    return pd.DataFrame(rows, columns=["column", "frame", "value", "changed"])


def ideal_values(
    counts: np.ndarray, clean: np.ndarray, dose: np.ndarray, truth: pd.DataFrame,
    pixel_size_nm: float, radius_nm: float = 2 * FIT_RADIUS_NM,
) -> pd.DataFrame:  # fmt: skip
    """Return what the counts say to one who knows how a site looks with its column and without.

    The log-likelihood ratio of a frame's counts around the site, present against absent, from the
    mean expected images of both: no denoiser can know more (to half a pixel, by which both are
    laid over each other).

    Parameters
    ----------
    counts, clean : array (frame, y, x)
        Counts [e/px], expected image (vacuum = 1).
    dose : array (frame,)
        In vacuum [e/px].
    truth : DataFrame
    pixel_size_nm, radius_nm : float
        Pixel size and radius of what is looked at [nm].

    Returns
    -------
    DataFrame
        As :func:`values_at_sites`.
    """
    tables = []
    for column, own in _switching(truth):
        places = own[["x_nm", "y_nm"]].to_numpy()
        shape = clean.shape[1:]
        whole = np.rint(places / pixel_size_nm) * pixel_size_nm
        rows, cols, inside = disc_pixels(shape, whole, pixel_size_nm, radius_nm)
        frames = own["frame"].to_numpy()
        seen = counts[frames[:, None], rows, cols]
        expected = clean[frames[:, None], rows, cols]
        there = (own["n_atoms"] > 0).to_numpy()
        always = inside.all(axis=0)
        present, absent = (
            np.maximum(expected[mask][:, always].mean(axis=0), FLOOR) for mask in (there, ~there)
        )
        d = dose[frames]
        ratio = seen[:, always] @ np.log(present / absent) - d * (present - absent).sum()
        _, changed = _changed(own)
        tables.append(
            pd.DataFrame({"column": column, "frame": frames, "value": ratio, "changed": changed})
        )
    return pd.concat(tables, ignore_index=True)


def seen_events(
    values: pd.DataFrame, events: pd.DataFrame, first_frame: int, false_alarms: float
) -> pd.DataFrame:
    """Say which events stand out.

    The mean value over an event's frames is compared with the means over as many frames in which
    nothing happened: it is seen if no more than a share `false_alarms` of these are as far off.
    Values are those of one site in units of their scatter there when nothing happens, so that
    all sites tell what is usual.  A method that blurs time shows an event also before and after
    it, which makes such values usual and the event less of one.

    Parameters
    ----------
    values : DataFrame
        From :func:`values_at_sites`.
    events : DataFrame
        From :func:`events_of`.
    first_frame : int
        Frames before it are left out.
    false_alarms : float

    Returns
    -------
    DataFrame
        `events` with ``statistic, limit, seen``.
    """
    usual: dict[int, list[np.ndarray]] = {}
    lengths = sorted(set(events["length"]))
    tables = dict(list(values[values["frame"] >= first_frame].groupby("column")))
    signs = dict(zip(events["column"], events["sign"], strict=True))
    scaled = {}
    for column, sign in signs.items():
        own = tables[column].sort_values("frame")
        quiet = own.loc[~own["changed"], "value"]
        spread = max(float(quiet.std()), 1e-12)
        score = sign * (own["value"].to_numpy() - quiet.mean()) / spread
        frames = own["frame"].to_numpy()
        scaled[column] = dict(zip(frames, score, strict=True))
        for first, last in _spells(~own["changed"].to_numpy(), frames):
            run = score[(frames >= first) & (frames <= last)]
            for length in lengths:
                if len(run) >= length:
                    means = np.convolve(run, np.full(length, 1 / length), "valid")
                    usual.setdefault(length, []).append(means)
    longest = max(usual, default=0)
    limits = {}
    for length in lengths:
        # Of long spells there may be none as quiet; the means of shorter ones scatter more.
        pool = np.concatenate(usual.get(length) or usual.get(longest) or [np.array([np.inf])])
        limits[length] = float(np.quantile(pool, 1 - false_alarms))
    statistic = [
        np.mean([scaled[e.column][f] for f in range(e.first, e.last + 1) if f in scaled[e.column]])
        for e in events.itertuples()
    ]
    table = events.assign(statistic=statistic, limit=events["length"].map(limits))
    return table.assign(seen=table["statistic"] > table["limit"])


def shortest_seen(recall: Mapping[int, float], wanted: float = 0.9) -> float:
    """Return the shortest event that is seen, with all longer ones, at a recall [frames].

    Parameters
    ----------
    recall : mapping
        Length -> share of events that is seen.
    wanted : float

    Returns
    -------
    float
        NaN if not even the longest is.
    """
    shortest = float("nan")
    for length in sorted(recall, reverse=True):
        if recall[length] < wanted:
            break
        shortest = float(length)
    return shortest


def _switching(truth: pd.DataFrame):
    """Yield the columns that come or go, each with its rows by frame."""
    acted = truth[(truth["process"] != "") & truth["state"].isin(["present", "absent"])]
    for column, own in acted.groupby("column"):
        if own["n_atoms"].gt(0).any() and own["n_atoms"].eq(0).any():
            yield int(column), own.sort_values("frame")


def _changed(own: pd.DataFrame) -> tuple[int, np.ndarray]:
    """Return the sign of a column's event, and in which frames it is on."""
    there = (own["n_atoms"] > 0).to_numpy()
    sign = 1 if own["process"].iloc[0].startswith("adatom") else -1
    return sign, there if sign == 1 else ~there


def _spells(on: np.ndarray, frames: np.ndarray) -> list[tuple[int, int]]:
    """Return first and last frame of each run of True in consecutive frames."""
    edges = np.flatnonzero(np.diff(np.r_[False, on, False].astype(int)))
    return [(int(frames[a]), int(frames[b - 1])) for a, b in zip(edges[::2], edges[1::2],
                                                                  strict=True)]  # fmt: skip
