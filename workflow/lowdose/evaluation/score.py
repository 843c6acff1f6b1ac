"""Score estimates of a benchmark's counts: images, surface, columns at stake.

The measures are those of :mod:`lowdose.evaluation.evaluate` and ``credibility``, on images that
somebody else has made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from lowdose.columns.observer import log_ratio
from lowdose.data.frames import FrameSet
from lowdose.evaluation.benchmark_files import Benchmark
from lowdose.evaluation.credibility import MEASURES
from lowdose.evaluation.estimates import Source, kept
from lowdose.evaluation.limits import square
from lowdose.evaluation.measure import candidates, surface_counts, truth_of_frame
from lowdose.evaluation.stakes import outcomes, site_scores
from lowdose.evaluation.summary import MEASURES as OF_FRAMES
from lowdose.evaluation.summary import with_intervals, with_sums
from lowdose.evaluation.thresholds import best_threshold
from lowdose.metrics import contrast_psnr, psnr, ssim
from lowdose.runtime import UserError

CHOSEN_ON = "validation"
ALL_SHIFTS = "all"
NO_SHIFT = "none"
IMAGE_MEASURES = ("psnr_db", "contrast_psnr_db", "ssim")
COLUMN_MEASURES = ("precision", "recall", "f1")
SITE_MEASURES = ("fill_in_rate", "erasure_rate", "right_rate", "auc")
NUMBERS = (*IMAGE_MEASURES, *COLUMN_MEASURES, *SITE_MEASURES)
KEYS = ["set", "shift", "dose_e_per_px"]


class Scored(NamedTuple):
    """What came of the scoring of one method.

    Attributes
    ----------
    images : DataFrame
        One row an image: ``set, dose_e_per_px, image, frame, realisation``, the frame's row of
        the truth, ``psnr, contrast_psnr, ssim``, counts of the surface (missing without a
        threshold), ``threshold, counts_kept``.
    sites : DataFrame
        One row a column at stake and realisation: ``score``, ``reported``, and ``decided``, false
        where there is no threshold.
    missing : list of (str, float)
        Sets and doses without estimates.
    """

    images: pd.DataFrame
    sites: pd.DataFrame
    missing: list[tuple[str, float]]


class Scorer:
    """Scores methods on one benchmark.

    Parameters
    ----------
    benchmark : Benchmark
    log : callable
        Receives a line a set and dose.
    """

    def __init__(
        self, benchmark: Benchmark, log: Callable[[str], None] = lambda line: None
    ) -> None:
        self.benchmark, self.log = benchmark, log
        self.sigma_nm, self.gate_nm, self.draws = (
            benchmark.manifest["scoring"][key] for key in ("sigma_nm", "gate_nm", "draws")
        )
        self.frames = {kind: benchmark.frames(kind) for kind in benchmark.sets}
        self.truth = {kind: _truths(frames) for kind, frames in self.frames.items()}
        self.sites = {kind: benchmark.table(kind, "sites") for kind in benchmark.sets}

    @property
    def scored_sets(self) -> list[str]:
        """All but the one on which thresholds are chosen."""
        return [kind for kind in self.benchmark.sets if kind != CHOSEN_ON]

    def score(self, source: Source) -> Scored:
        """Score the estimates of one method.

        Parameters
        ----------
        source : callable
            (set, dose) -> estimates (image, y, x) [e/px], or None.
        """
        images, sites, missing = [], [], []
        for dose in self.benchmark.doses:
            threshold = self.threshold(source(CHOSEN_ON, dose), dose)
            if threshold is None:
                missing.append((CHOSEN_ON, dose))
            for kind in self.scored_sets:
                estimates = source(kind, dose)
                if estimates is None:
                    missing.append((kind, dose))
                    continue
                rows, at_stake = self._rows(kind, dose, estimates, threshold)
                images.append(rows)
                sites.append(at_stake)
                self.log(f"{kind} at {dose:g} e/px")
        if not images:
            raise UserError("None of the sets that are scored has estimates; add one of them.")
        return Scored(
            pd.concat(images, ignore_index=True), pd.concat(sites, ignore_index=True), missing
        )

    def threshold(self, estimates: np.ndarray | None, dose: float) -> float | None:
        """Choose the detection threshold on the validation estimates; None without them."""
        if estimates is None:
            return None
        frames = self.frames[CHOSEN_ON]
        found = [
            (i % len(frames.clean), self._candidates(frames, i % len(frames.clean), image / dose))
            for i, image in enumerate(estimates)
        ]
        return best_threshold(found, frames, self.truth[CHOSEN_ON], self.gate_nm)[0]

    def ideal(self) -> pd.DataFrame:
        """Ask the ideal observer, who knows both expectations, about the same counts.

        Returns
        -------
        DataFrame
            As ``sites`` of :class:`Scored`; ``score`` is the log-likelihood ratio [nat].
        """
        tables = []
        for kind in self.scored_sets:
            frames, at_stake = self.frames[kind], self.sites[kind]
            for dose in self.benchmark.doses:
                counts = self.benchmark.counts(kind, dose)
                for _, pair in at_stake.groupby("pair", sort=True):
                    present = pair[pair["present"]].iloc[0]
                    absent = pair[~pair["present"]].iloc[0]
                    place = square(frames, present["x_nm"], present["y_nm"])
                    expected = [dose * frames.clean[side["frame"]][place].astype(np.float64)
                                for side in (present, absent)]  # fmt: skip
                    for _, side in pair.iterrows():
                        own = counts[side["frame"] :: len(frames.clean)]
                        score = log_ratio(own[:, *place], *expected)
                        rows = pd.DataFrame([side] * len(own)).assign(
                            set=kind, dose_e_per_px=dose, realisation=range(len(own)),
                            score=score, reported=score > 0, decided=True,
                        )  # fmt: skip
                        tables.append(rows)
        return pd.concat(tables, ignore_index=True)

    def table(self, method: str, images: pd.DataFrame | None, sites: pd.DataFrame) -> pd.DataFrame:
        """Return the numbers of one method with 95 % intervals over base shapes.

        Parameters
        ----------
        method : str
            Its name.
        images, sites : DataFrame
            From :meth:`score`, or None and those of :meth:`ideal`.

        Returns
        -------
        DataFrame
            One row a set, shift (of ``shifted``: each, and `all` but the unshifted ``none``) and
            dose, those without estimates too: ``method``, `KEYS`, ``status`` (``scored`` or
            ``missing``), ``n_units`` (base shapes), ``n_images, n_pairs, interval_method,
            threshold, counts_kept``, and each of `NUMBERS` with ``_low`` and ``_high``; empty
            where a number does not exist.
        """
        table = self._groups()
        if images is not None:
            wanted = {name: OF_FRAMES[name] for name in (*IMAGE_MEASURES, *COLUMN_MEASURES)}
            every = with_sums(_with_all_shifts(images))
            table = self._joined(table, every, wanted)
            of = every.groupby(KEYS)
            told = of[["threshold", "counts_kept"]].first().assign(n_images=of.size())
            table = table.merge(told.reset_index(), on=KEYS, how="left")
        decided = _with_all_shifts(_decisions(sites))
        wanted = {name: MEASURES[name] for name in SITE_MEASURES}
        table = self._joined(table, decided, wanted)
        pairs = decided.groupby(KEYS)["pair"].nunique().rename("n_pairs").reset_index()
        table = table.merge(pairs, on=KEYS, how="left")
        here = table["n_pairs" if images is None else "n_images"].notna()
        table["status"] = np.where(here, "scored", "missing")
        table.insert(0, "method", method)
        ends = ("", "_low", "_high")
        columns = [
            "method", *KEYS, "status", "n_units", "n_images", "n_pairs", "interval_method",
            "threshold", "counts_kept", *(f"{name}{end}" for name in NUMBERS for end in ends),
        ]  # fmt: skip
        table = table.reindex(columns=columns)
        for name in ("n_units", "n_images", "n_pairs"):
            table[name] = table[name].astype("Int64")
        return table

    def _groups(self) -> pd.DataFrame:
        rows = []
        for kind in self.scored_sets:
            shifts = self.benchmark.sets[kind].get("shifts")
            for shift in [ALL_SHIFTS, *shifts] if shifts else [""]:
                rows += [(kind, shift, dose) for dose in self.benchmark.doses]
        return pd.DataFrame(rows, columns=KEYS)

    def _joined(self, table: pd.DataFrame, rows: pd.DataFrame, measures: dict) -> pd.DataFrame:
        """Add measures to a table of groups; one that no row has is left empty."""
        there = {name: m for name, m in measures.items() if rows[m[0]].notna().any()}
        if not there:
            return table
        found = with_intervals(
            rows, there, KEYS, self.draws, self.benchmark.manifest["seed"], "benchmark"
        )
        found = found.rename(columns={"method": "interval_method"}).drop(columns="n_rows")
        known = [c for c in ("n_units", "interval_method") if c in table]
        return table.merge(found.drop(columns=known), on=KEYS, how="left")

    def _rows(
        self, kind: str, dose: float, estimates: np.ndarray, threshold: float | None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        frames, truth = self.frames[kind], self.truth[kind]
        at_stake = dict(list(self.sites[kind].groupby("frame")))
        share = kept(estimates, self.benchmark.counts(kind, dose))
        n = len(frames.clean)
        rows, tables = [], []
        for image, estimate in enumerate(estimates):
            frame, realisation = image % n, image // n
            clean = frames.clean[frame] * np.float32(dose)
            interface = frames.table["interface_y_nm"].iloc[frame]
            found = self._candidates(frames, frame, estimate / dose)
            row = {
                "set": kind, "dose_e_per_px": dose, "image": image, "frame": frame,
                "realisation": realisation, "threshold": threshold, "counts_kept": share,
                **{m.__name__: m(clean, estimate, dose_e_per_px=dose)
                   for m in (psnr, contrast_psnr, ssim)},
            }  # fmt: skip
            if threshold is not None:
                reported = found[found["response"] >= threshold].reset_index(drop=True)
                row |= surface_counts(reported, truth[frame], interface, self.gate_nm)
            rows.append(row)
            if frame in at_stake:
                shown = site_scores(found, at_stake[frame], self.gate_nm)
                decided = threshold is not None
                tables.append(at_stake[frame].assign(
                    set=kind, dose_e_per_px=dose, realisation=realisation, **shown,
                    reported=shown["score"] >= (threshold if decided else np.inf),
                    decided=decided,
                ))  # fmt: skip
        images = pd.DataFrame(rows).merge(frames.table, on="frame", validate="many_to_one")
        needed = ("n_true", "n_found", "n_matched")
        images = images.assign(
            **{name: np.nan for name in needed if name not in images},
            shift=images.get("shift", ""),
        )
        return images, pd.concat(tables, ignore_index=True)

    def _candidates(self, frames: FrameSet, frame: int, relative: np.ndarray) -> pd.DataFrame:
        interface = frames.table["interface_y_nm"].iloc[frame]
        return candidates(relative, frames.pixel_size_nm, interface, self.sigma_nm)


def _truths(frames: FrameSet) -> list[pd.DataFrame]:
    # What is asked at the sites of missing columns is asked of the columns at stake.
    columns = frames.columns.assign(is_partner=False)
    return [truth_of_frame(own) for _, own in columns.groupby("frame")]


def _decisions(sites: pd.DataFrame) -> pd.DataFrame:
    """Return how each pair is told apart, with its set and shift."""
    rows = outcomes(sites)
    where = sites.groupby(["pair", "dose_e_per_px"])[["set", "shift", "decided"]].first()
    rows = rows.merge(where.reset_index(), on=["pair", "dose_e_per_px"])
    for name in ("n_erased", "n_filled", "n_right"):
        rows[name] = rows[name].astype(float).where(rows["decided"])
    return rows


def _with_all_shifts(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the rows of all shifts but `NO_SHIFT` once more, as the shift `ALL_SHIFTS`."""
    shifted = rows[~rows["shift"].isin(["", NO_SHIFT])]
    return pd.concat([rows, shifted.assign(shift=ALL_SHIFTS)], ignore_index=True)
