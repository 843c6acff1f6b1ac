"""From tables of frames to the table of results, with intervals over base shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lowdose import seeds
from lowdose.evaluation.statistics import holm, paired_difference, summarise

# name -> (value or numerator, denominator or None, lower and upper bound)
MEASURES: dict[str, tuple[str, str | None, tuple[float, float] | None]] = {
    "psnr_db": ("psnr", None, None),
    "contrast_psnr_db": ("contrast_psnr", None, None),
    "ssim": ("ssim", None, None),
    "deviance": ("poisson_deviance", None, None),
    "precision": ("n_matched", "n_found", (0, 1)),
    "recall": ("n_matched", "n_true", (0, 1)),
    "f1": ("twice_matched", "n_both", (0, 1)),
    "jaccard": ("n_matched", "n_either", (0, 1)),
    "paper_f1": ("paper_twice_shared", "paper_both", (0, 1)),
    "paper_jaccard": ("paper_shared", "paper_either", (0, 1)),
    "localisation_pm": ("squared_error_nm2", "n_matched", None),
    "fill_in_rate": ("n_filled", "n_vacancies", (0, 1)),
    "erasure_rate": ("n_erased", "n_partners", (0, 1)),
}
COMPARED = ("psnr_db", "f1", "fill_in_rate")


def results_table(
    frames: pd.DataFrame,
    order: Sequence[str],
    draws: int,
    seed: int,
    measures: Sequence[str] = tuple(MEASURES),
) -> pd.DataFrame:
    """Summarise frames by denoiser and dose.

    Ratios (precision, F1, rates) are pooled: the sums over all frames are divided, so that a
    frame in which nothing is found counts for what it misses.  The localisation error is the
    root of the mean squared distance of matched surface columns.

    Parameters
    ----------
    frames : DataFrame
        Rows of all ``frames.parquet``.
    order : sequence of str
        Denoisers, as the rows shall be ordered.
    draws : int
        Bootstrap draws.
    seed : int
        Root seed.
    measures : sequence of str
        Those of `MEASURES` that are wanted.

    Returns
    -------
    DataFrame
        ``denoiser, dose_e_per_px, n_units, n_frames, interval_method``, and for each measure
        its estimate, ``_low`` and ``_high`` at 95 %.
    """
    frames = with_sums(frames)
    by = ["denoiser", "dose_e_per_px"]
    # The paper's own metric belongs to evaluations that ran it.
    wanted = {name: MEASURES[name] for name in measures if MEASURES[name][0] in frames}
    result = with_intervals(frames, wanted, by, draws, seed, "bootstrap")
    result = result.rename(columns={"n_rows": "n_frames", "method": "interval_method"})
    if "localisation_pm" in wanted:
        squares = [f"localisation_pm{end}" for end in ("", "_low", "_high")]
        result[squares] = 1e3 * np.sqrt(np.maximum(result[squares], 0))
    seconds = frames.groupby(by)["seconds"].median().rename("seconds_per_frame").reset_index()
    result = result.merge(seconds, on=by)
    place = {name: i for i, name in enumerate(order)}
    return result.sort_values(
        ["dose_e_per_px", "denoiser"], key=lambda c: c.map(place) if c.name == "denoiser" else c
    ).reset_index(drop=True)


def with_intervals(
    frames: pd.DataFrame,
    measures: Mapping[str, tuple[str, str | None, tuple[float, float] | None]],
    by: Sequence[str],
    draws: int,
    seed: int,
    *stream: str,
) -> pd.DataFrame:
    """Return the estimate and 95 % interval over base shapes of several measures.

    Parameters
    ----------
    frames : DataFrame
        One row a frame and realisation.
    measures : mapping
        As `MEASURES`.
    by : sequence of str
        Columns that define the groups.
    draws : int
        Bootstrap draws.
    seed : int
        Root seed.
    *stream : str
        Name of the random stream; each measure has its own of that name.

    Returns
    -------
    DataFrame
        The columns of `by`, ``n_units, n_rows, method`` (of the first measure), and for each
        measure its estimate, ``_low`` and ``_high``.
    """
    result: pd.DataFrame | None = None
    for name, (value, weights, bounds) in measures.items():
        one = summarise(
            frames, value, by, weights=weights, statistic="mean" if weights is None else "ratio",
            draws=draws, bounds=bounds, rng=seeds.rng(seed, *stream, name),
        )  # fmt: skip
        limits = {"estimate": name, "low": f"{name}_low", "high": f"{name}_high"}
        one = one.rename(columns=limits)
        if result is None:
            result = one[[*by, "n_units", "n_rows", "method", *limits.values()]]
        else:
            # Left: some measures are only there at the reference dose.
            result = result.merge(one[[*by, *limits.values()]], on=list(by), how="left")
    return result


def comparisons(
    frames: pd.DataFrame, widest: str, others: Sequence[str], dose_e_per_px: float, draws: int,
    seed: int,
) -> pd.DataFrame:  # fmt: skip
    """Compare the widest network with each other denoiser on the same frames, Holm-corrected.

    Returns
    -------
    DataFrame
        ``measure, denoiser, difference`` (widest minus the other), ``low, high, p_value,
        p_holm`` (over all others and measures), ``n_units, method``.
    """
    frames = with_sums(frames[frames["dose_e_per_px"] == dose_e_per_px])
    rows = []
    for measure in COMPARED:
        value, weights, _ = MEASURES[measure]
        for other in others:
            found = paired_difference(
                frames, value, widest, other, pair=["frame", "realisation"], weights=weights,
                statistic="mean" if weights is None else "ratio", draws=draws,
                rng=seeds.rng(seed, "paired", measure, other),
            )  # fmt: skip
            rows.append({"measure": measure, "denoiser": other, **found._asdict()})
    table = pd.DataFrame(rows)
    table.insert(6, "p_holm", holm(table["p_value"].to_numpy()))
    return table


def with_sums(frames: pd.DataFrame) -> pd.DataFrame:
    """Add the sums from which F1 and Jaccard are made."""
    matched, both = frames["n_matched"], frames["n_true"] + frames["n_found"]
    frames = frames.assign(twice_matched=2 * matched, n_both=both, n_either=both - matched)
    if "paper_shared" in frames:
        shared = frames["paper_shared"]
        either = frames["paper_missing"] + frames["paper_extra"] + shared
        frames = frames.assign(
            paper_twice_shared=2 * shared, paper_either=either, paper_both=either + shared
        )
    return frames


def headline(table: pd.DataFrame, spec: Mapping) -> list[str]:
    """Say the three numbers of the study in three sentences, those of the package in one more."""
    dose = spec["reference_dose_e_per_px"]
    rows = table[table["dose_e_per_px"] == dose].set_index("denoiser")
    wide = rows.loc[spec["widest"]]
    rivals = rows.loc[spec["baselines"]]
    name = spec["widest"].split(".")[0]
    best, constant = rivals["psnr_db"].idxmax(), rows.loc["constant", "psnr_db"]
    best_f1 = rivals["f1"].idxmax()
    best_fill = rivals.loc[best_f1]

    def span(row: pd.Series, key: str, digits: int, factor: float = 1) -> str:
        low, high = factor * row[f"{key}_low"], factor * row[f"{key}_high"]
        return f"{factor * row[key]:.{digits}f} [{low:.{digits}f} to {high:.{digits}f}]"

    shipped = [
        f"{one} {rows.loc[one, 'psnr_db']:.2f} dB (surface F1 {rows.loc[one, 'f1']:.3f})"
        for one in spec["shipped"]
    ]
    of_package = [f"Networks of the package: {', '.join(shipped)}."] if shipped else []
    return [
        f"PSNR at {dose:g} e/pixel: network {name} {span(wide, 'psnr_db', 2)} dB; best tuned "
        f"baseline ({best}) {rivals.loc[best, 'psnr_db']:.2f} dB, constant image "
        f"{constant:.2f} dB.",
        f"Surface F1: network {name} {span(wide, 'f1', 3)}; best tuned baseline ({best_f1}) "
        f"{rivals.loc[best_f1, 'f1']:.3f}; ceiling of the detector on clean frames "
        f"{rows.loc['clean', 'f1']:.3f}.",
        f"Fill-in rate at true vacancies: network {name} {span(wide, 'fill_in_rate', 0, 100)} %; "
        f"{best_f1} {100 * best_fill['fill_in_rate']:.0f} %. Columns erased at the same sites: "
        f"{100 * wide['erasure_rate']:.0f} % and {100 * best_fill['erasure_rate']:.0f} %.",
        *of_package,
    ]
