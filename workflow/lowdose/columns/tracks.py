"""Follow columns over frames: which detections are one column, and where it is on average."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lowdose.columns.matching import GATE_NM, match
from lowdose.runtime import UserError

MEMORY = 2


def link(
    detections: Sequence[pd.DataFrame | np.ndarray],
    *,
    gate_nm: float = GATE_NM,
    memory: int = MEMORY,
    drift_nm: np.ndarray | None = None,
) -> pd.DataFrame:
    """Link detections of successive frames to tracks.

    Parameters
    ----------
    detections : sequence of DataFrames or arrays (column, 2)
        Of each frame, in order of time: tables with ``x_nm, y_nm`` and any other columns, which
        are kept, or positions (x, y) [nm].  A frame may have none.
    gate_nm : float
        Farthest that a column moves from where it was last seen [nm]; at most half the distance
        of neighbours, or they are exchanged.
    memory : int
        Frames that a column may be missing; seen again later it is a new track.
    drift_nm : array (frame, 2), optional
        How far the specimen is shifted in each frame, (x, y) [nm]; taken off the positions.

    Returns
    -------
    DataFrame
        A row for each detection, by frame and track: ``track`` (numbered by first appearance,
        within a frame from top to bottom), ``frame``, ``detection`` (its row within its frame),
        ``x_nm, y_nm`` without drift, and the tables' other columns.

    Raises
    ------
    UserError
        If a table has no positions or they are not finite, the drift does not fit the frames, or
        gate or memory are impossible.

    Notes
    -----
    Frame by frame the one-to-one matching of :func:`lowdose.columns.matching.match` between the
    last known positions and the new ones: as many pairs as possible inside the gate, and of these
    the shortest, so that the order of a frame's detections does not matter.  No motion is
    predicted: columns do not travel.
    """
    if memory < 0:
        raise UserError(f"memory is {memory}; give the frames a column may be missing, 0 or more.")
    drift = np.zeros((len(detections), 2)) if drift_nm is None else np.asarray(drift_nm, float)
    if drift.shape != (len(detections), 2) or not np.isfinite(drift).all():
        raise UserError(
            f"The drift has shape {drift.shape} for {len(detections)} frames; give one finite "
            "(x, y) [nm] for each."
        )
    tables, last, seen, alive = [], np.empty((0, 2)), np.empty(0, int), np.empty(0, int)
    known = 0
    for frame, found in enumerate(detections):
        table = _table(found, frame)
        here = table[["x_nm", "y_nm"]].to_numpy(dtype=np.float64) - drift[frame]
        kept = frame - seen <= memory + 1
        last, seen, alive = last[kept], seen[kept], alive[kept]
        old, new, _ = match(last, here, gate_nm)
        track = np.full(len(here), -1)
        track[new] = alive[old]
        last[old], seen[old] = here[new], frame
        first = np.flatnonzero(track < 0)
        first = first[np.lexsort((here[first, 0], here[first, 1]))]
        track[first] = np.arange(known, known + len(first))
        known += len(first)
        last = np.concatenate([last, here[first]])
        seen = np.concatenate([seen, np.full(len(first), frame)])
        alive = np.concatenate([alive, track[first]])
        others = table.drop(columns=["x_nm", "y_nm"])
        own = {"track": track, "frame": frame, "detection": np.arange(len(here))}
        own |= {"x_nm": here[:, 0], "y_nm": here[:, 1]}
        tables.append(pd.DataFrame(own).join(others).sort_values("track"))
    filled = [table for table in tables if len(table)] or tables[:1]
    if not filled:
        raise UserError("There are no frames to link; give the detections of one or more.")
    return pd.concat(filled, ignore_index=True)


def sites(tracks: pd.DataFrame, *, least_frames: int = 1) -> pd.DataFrame:
    """Return where each track is on average.

    Parameters
    ----------
    tracks : DataFrame
        From :func:`link`.
    least_frames : int
        Tracks that were seen in fewer frames are left out: false detections rarely return.

    Returns
    -------
    DataFrame
        Of each track: ``track, x_nm, y_nm``, the mean position; ``x_se_nm, y_se_nm``, its standard
        error, from the scatter over frames (missing for one frame); ``x_sd_nm, y_sd_nm``, that
        scatter, of noise and motion together; ``frames``, their number; ``first, last``.

    Notes
    -----
    The standard error takes errors in different frames to be independent.
    """
    groups = tracks.groupby("track", sort=True)
    mean, scatter = (getattr(groups[["x_nm", "y_nm"]], how)() for how in ("mean", "std"))
    number = groups.size()
    error = scatter.div(np.sqrt(number), axis=0)
    table = pd.concat(
        [
            mean,
            error.set_axis(["x_se_nm", "y_se_nm"], axis=1),
            scatter.set_axis(["x_sd_nm", "y_sd_nm"], axis=1),
            number.rename("frames"),
            groups["frame"].min().rename("first"),
            groups["frame"].max().rename("last"),
        ],
        axis=1,
    )
    return table[table["frames"] >= least_frames].reset_index()


def by_frame(tracks: pd.DataFrame, name: str, number_of_frames: int) -> np.ndarray:
    """Return a quantity of the tracks as an array (frame, track), NaN where a track is not seen.

    Parameters
    ----------
    tracks : DataFrame
        From :func:`link`, or a part of it; its tracks in increasing order are the second axis.
    name : str
        Column of the table.
    number_of_frames : int
        Length of the first axis.
    """
    wide = tracks.pivot(index="frame", columns="track", values=name)
    return wide.reindex(range(number_of_frames)).to_numpy(dtype=np.float64)


def _table(found, frame: int) -> pd.DataFrame:
    if isinstance(found, pd.DataFrame):
        table = found.reset_index(drop=True)
        if not {"x_nm", "y_nm"} <= set(table.columns):
            raise UserError(f"The detections of frame {frame} lack x_nm or y_nm; give both.")
    else:
        places = np.asarray(found, dtype=np.float64).reshape(-1, 2)
        table = pd.DataFrame(places, columns=["x_nm", "y_nm"])
    if not np.isfinite(table[["x_nm", "y_nm"]].to_numpy(dtype=np.float64)).all():
        raise UserError(f"A position of frame {frame} is not finite; leave that detection out.")
    return table
