"""All ways to denoise a movie, on the same films with truth: what each does, and their table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from lowdose import seeds
from lowdose.data.movies import Movie
from lowdose.denoisers.without_truth import SHARE, psnr_of, thinned_risk
from lowdose.evaluation.film_columns import counts_of, doses_of
from lowdose.evaluation.measure import pooled_f1
from lowdose.evaluation.movie_events import (
    events_of,
    ideal_values,
    seen_events,
    shortest_seen,
    values_at_sites,
)
from lowdose.evaluation.movie_methods import Chosen, choose, run
from lowdose.evaluation.movie_scores import frame_scores

IDEAL = "ideal"  # the row of one who knows both states of every site


def counts_at(movie: Movie, dose_e_per_px: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the counts of a film and the dose of its frames, at a mean dose [e/px]."""
    return counts_of(movie, dose_e_per_px, seed), doses_of(movie, dose_e_per_px)


def tried(
    method: Mapping, film: str, movie: Movie, dose_e_per_px: float, spec: Mapping
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, Chosen]:
    """Denoise a film at a dose and score it.

    Parameters
    ----------
    method : mapping
        ``denoiser, parameters, sum``.
    film : str
    movie : Movie
    dose_e_per_px : float
        Mean over the film's frames, in vacuum.
    spec : mapping
        ``first_frames, false_alarms, evaluation`` (sigma_nm, gate_nm), ``seed``.

    Returns
    -------
    frames : DataFrame
        Of :func:`frame_scores`, frames after the first ones alone, with ``film, dose_e_per_px,
        threshold, seconds`` (a frame's).
    events : DataFrame
        Of :func:`seen_events`, with ``film, dose_e_per_px``.
    images : float32 array (frame, y, x)
        Vacuum = 1.
    chosen : Chosen
        With the parameters that were chosen.
    """
    counts, dose = counts_at(movie, dose_e_per_px, spec["seed"])
    first, pixel, own = spec["first_frames"], movie.pixel_size_nm, spec["evaluation"]
    chosen = choose(method, counts[:first], movie.clean[:first], dose[:first], pixel)
    done = run(chosen, counts, dose, pixel)
    scores, threshold = frame_scores(
        done.images, movie.clean, movie.truth, pixel, first, own["sigma_nm"], own["gate_nm"]
    )
    where = {"film": film, "dose_e_per_px": dose_e_per_px}
    seconds = done.seconds / len(counts)
    frames = scores[first:].assign(**where, threshold=threshold, seconds=seconds)
    values = values_at_sites(done.images, movie.truth, pixel, own["sigma_nm"])
    events = seen_events(values, events_of(movie.truth, first), first, spec["false_alarms"])
    return frames, events.assign(**where), done.images, chosen


def ideal_events(film: str, movie: Movie, dose_e_per_px: float, spec: Mapping) -> pd.DataFrame:
    """Return which events the counts show to one who knows both states, as :func:`tried`."""
    counts, dose = counts_at(movie, dose_e_per_px, spec["seed"])
    values = ideal_values(counts, movie.clean, dose, movie.truth, movie.pixel_size_nm)
    first = spec["first_frames"]
    events = seen_events(values, events_of(movie.truth, first), first, spec["false_alarms"])
    return events.assign(film=film, dose_e_per_px=dose_e_per_px)


def without_truth(chosen: Chosen, movie: Movie, dose_e_per_px: float, seed: int) -> dict:
    """Return the PSNR of a method on a film as its counts alone give it, and the true one.

    Returns
    -------
    dict
        ``upsnr_db, upsnr_low, upsnr_high`` and ``psnr_db`` of the same estimate, which was made
        from nine tenths of the electrons.
    """
    counts, dose = counts_at(movie, dose_e_per_px, seed)
    made = []

    def denoise(seen: np.ndarray) -> np.ndarray:
        images = run(chosen, seen.astype(np.float32), SHARE * dose, movie.pixel_size_nm).images
        made.append(images)
        return images * (SHARE * dose[:, None, None])

    risk = thinned_risk(denoise, counts, seeds.rng(seed, "movie risk"), share=SHARE)
    level = float(dose.mean())
    estimated, low, high = psnr_of(risk, level)
    error = (made[0] - movie.clean) * dose[:, None, None]
    true = risk._replace(mse=float(np.mean(error**2)))
    return {
        "upsnr_db": estimated,
        "upsnr_low": low,
        "upsnr_high": high,
        "psnr_db": psnr_of(true, level)[0],
    }


def table_of(frames: pd.DataFrame, events: pd.DataFrame, lengths: list[int]) -> pd.DataFrame:
    """Return one row for each method and dose.

    Parameters
    ----------
    frames, events : DataFrame
        Of :func:`tried`, with ``method``; events also of `IDEAL`.
    lengths : list of int
        Of the films' events [frames].

    Returns
    -------
    DataFrame
        ``method, dose_e_per_px, psnr_db`` with ``psnr_low, psnr_high`` (95 % over films),
        ``f1, flicker, seconds, shortest`` (event seen at 90 % recall [frames]; NaN: not even the
        longest), ``recall_K, low_K, high_K`` (Wilson) and ``events_K`` for each length K.
    """
    rows = []
    for (method, dose), seen in events.groupby(["method", "dose_e_per_px"], sort=False):
        own = frames[(frames["method"] == method) & (frames["dose_e_per_px"] == dose)]
        row: dict = {"method": method, "dose_e_per_px": dose}
        if len(own):
            mean, low, high = _over_films(own.groupby("film")["psnr_db"].mean().to_numpy())
            row |= {"psnr_db": mean, "psnr_low": low, "psnr_high": high, "f1": pooled_f1(own),
                    "flicker": own["flicker"].mean(), "seconds": own["seconds"].mean()}  # fmt: skip
        recall = {}
        for length in lengths:
            of_length = seen.loc[seen["length"] == length, "seen"]
            if not len(of_length):
                continue
            k, n = int(of_length.sum()), len(of_length)
            low, high = stats.binomtest(k, n).proportion_ci(method="wilson")
            recall[length] = k / n
            row |= {f"recall_{length}": k / n, f"low_{length}": low, f"high_{length}": high,
                    f"events_{length}": n}  # fmt: skip
        rows.append({**row, "shortest": shortest_seen(recall)})
    return pd.DataFrame(rows)


def _over_films(values: np.ndarray) -> tuple[float, float, float]:
    """Return mean and 95 % limits over films, by Student's t."""
    mean = float(values.mean())
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    reach = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return mean, mean - float(reach), mean + float(reach)


def shown_frame(movie: Movie, first_frame: int) -> int:
    """Return a frame in the middle of a long event, for a figure."""
    events = events_of(movie.truth, first_frame)
    longest = events[events["length"] == events["length"].max()].iloc[0]
    return int((longest["first"] + longest["last"]) // 2)
