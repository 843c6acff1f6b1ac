"""What the electrons allow at the columns at stake: the ideal observer on the same counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from lowdose.columns.observer import IdealObserver, log_ratio, position_bound
from lowdose.data.frames import FrameSet
from lowdose.evaluation.stakes import realisations

REACH_NM = 0.5  # half the side of the square about a column in which the two images are compared
DOSES = tuple(float(f"{d:.4g}") for d in np.geomspace(0.002, 50, 23))  # of the exact curves, e/px
ERROR = 0.05


def square(frames: FrameSet, x_nm: float, y_nm: float) -> tuple[slice, slice]:
    """Return rows and columns of the square about a place."""
    reach = round(REACH_NM / frames.pixel_size_nm)
    at = (round(y_nm / frames.pixel_size_nm), round(x_nm / frames.pixel_size_nm))
    rows, cols = (slice(max(0, k - reach), k + reach + 1) for k in at)
    return rows, cols


def limits_table(frames: FrameSet, stakes: pd.DataFrame, spec: Mapping) -> pd.DataFrame:
    """Return how well the ideal observer decides each column at stake, exactly.

    Parameters
    ----------
    frames : FrameSet
    stakes : DataFrame
        From :func:`lowdose.evaluation.stakes.stakes`.
    spec : mapping
        ``doses_e_per_px``, to which `DOSES` are added.

    Returns
    -------
    DataFrame
        One row a pair and dose: ``pair, kind, site, n_atoms, base_shape, dose_e_per_px, d_prime,
        auc, error``; ``dose_for_5_percent``, at which it errs that often [e/px];
        ``bound_x_pm, bound_y_pm``, the Cramér-Rao bound of the column's position (not for the
        kind ``half``, whose other frame shows the column too).
    """
    doses = sorted({*DOSES, *spec["doses_e_per_px"]})
    rows = []
    for _, present, absent in _pairs(stakes):
        place = square(frames, present.x_nm, present.y_nm)
        with_it = frames.clean[present.frame][place].astype(np.float64)
        without = frames.clean[absent.frame][place].astype(np.float64)
        observer = IdealObserver(with_it, without)
        needed = observer.dose_for(ERROR)
        for dose in doses:
            bounds = (np.nan, np.nan)
            if present.kind != "half":
                bounds = position_bound(with_it - without, with_it, frames.pixel_size_nm, dose)
            rows.append(
                {
                    **{k: getattr(present, k) for k in
                       ("pair", "kind", "site", "n_atoms", "base_shape")},
                    "dose_e_per_px": dose,
                    **vars(observer.at(dose)),
                    "dose_for_5_percent": needed,
                    "bound_x_pm": 1e3 * bounds[0],
                    "bound_y_pm": 1e3 * bounds[1],
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def ideal_sites(
    frames: FrameSet,
    stakes: pd.DataFrame,
    spec: Mapping,
    log: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Ask the ideal observer about the very counts that the denoisers are given.

    Parameters
    ----------
    frames, stakes
        As :func:`limits_table`.
    spec : mapping
        Doses and realisations of the evaluation, ``seed``.
    log : callable
        Receives a line a dose.

    Returns
    -------
    DataFrame
        As ``sites`` of :class:`lowdose.evaluation.evaluate.Evaluated`: ``score`` is the
        log-likelihood ratio [nat], and a column is reported where it is positive.
    """
    tables = []
    for dose in spec["doses_e_per_px"]:
        known: dict[tuple[int, int], np.ndarray] = {}
        many = realisations(spec, dose)
        for _, present, absent in _pairs(stakes):
            place = square(frames, present.x_nm, present.y_nm)
            images = [dose * frames.clean[one.frame][place] for one in (present, absent)]
            for one in (present, absent):
                for k in range(many):
                    if (one.frame, k) not in known:
                        known[one.frame, k] = frames.counts(one.frame, dose, k, spec["seed"])
                counts = np.stack([known[one.frame, k][place] for k in range(many)])
                score = log_ratio(counts, *images)
                rows = pd.DataFrame([one._asdict()] * many).drop(columns="Index")
                tables.append(
                    rows.assign(dose_e_per_px=dose, realisation=range(many), score=score,
                                reported=score > 0)
                )  # fmt: skip
        log(f"ideal observer at {dose:g} e/px")
    return pd.concat(tables, ignore_index=True)


def _pairs(stakes: pd.DataFrame):
    """Yield the name and the two rows of each pair, that with the column first."""
    for pair, rows in stakes.groupby("pair", sort=True):
        sides = {row.present: row for row in rows.itertuples()}
        yield pair, sides[True], sides[False]
