"""Evaluate denoisers on the frozen frames: the same procedure for every one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from lowdose.columns.paper_metric import (
    CLEAN_THRESHOLD,
    DENOISED_THRESHOLD,
    paper_counts,
    surface_of_paper,
)
from lowdose.data.frames import FrameSet
from lowdose.evaluation.measure import candidates, per_column, surface_counts
from lowdose.evaluation.stakes import realisations, site_scores
from lowdose.evaluation.thresholds import best_threshold, truths
from lowdose.metrics import image_metrics

# (counts [e/pixel], dose [e/pixel in vacuum], expectation [e/pixel]) -> estimate [e/pixel]; only
# the reference "clean", the ceiling of detector and metrics, looks at the expectation.
Denoise = Callable[[np.ndarray, float, np.ndarray], np.ndarray]

VALIDATION_REALISATIONS = 2
# What is slow is computed on the first ones: the paper's five.
SLOW_REALISATIONS = 5


class Evaluated(NamedTuple):
    """What came of the evaluation of one denoiser.

    Attributes
    ----------
    frames : DataFrame
        One row a frame, dose and realisation: metrics, counts of the surface, threshold,
        seconds.
    columns : DataFrame
        One row a true column or vacancy of each of them.
    images : array (frame, y, x), float32
        Estimates, vacuum = 1, at the reference dose, realisation 0.
    sites : DataFrame
        One row a column at stake of each of them, ``score`` and ``reported``; empty if the
        evaluation was given none.
    """

    frames: pd.DataFrame
    columns: pd.DataFrame
    images: np.ndarray
    sites: pd.DataFrame


class Evaluation:
    """Evaluates on fixed frames, doses and noise.

    Parameters
    ----------
    validation, test : FrameSet
        The detection threshold is chosen on the validation frames, nothing on the test frames.
    spec : mapping
        ``evaluation`` (sigma_nm, gate_nm), doses and realisations, ``seed``.
    stakes : DataFrame, optional
        Columns at stake in the test frames, from :func:`lowdose.evaluation.stakes.stakes`.
    """

    def __init__(
        self,
        validation: FrameSet,
        test: FrameSet,
        spec: Mapping,
        stakes: pd.DataFrame | None = None,
    ) -> None:
        self.validation, self.test, self.spec = validation, test, spec
        self.stakes = {} if stakes is None else dict(list(stakes.groupby("frame")))
        self.sigma_nm = spec["evaluation"]["sigma_nm"]
        self.gate_nm = spec["evaluation"]["gate_nm"]
        self._paper_surface: dict[int, np.ndarray] = {}
        self._truth = {id(frames): truths(frames) for frames in (validation, test)}

    def run(
        self,
        denoise: Denoise,
        log: Callable[[str], None] = lambda line: None,
        thresholds: Mapping[float, float] | None = None,
        full_grid: bool = False,
    ) -> Evaluated:
        """Evaluate one denoiser.

        Parameters
        ----------
        denoise : callable
            See `Denoise`; all images are (y, x), float32.
        log : callable
            Receives a line a dose.
        thresholds : mapping, optional
            Dose -> detection threshold, where it is known from the same validation frames.
        full_grid : bool
            As many noise realisations at every dose as at the reference dose.

        Returns
        -------
        Evaluated
        """
        frame_rows, column_tables, images, site_tables = [], [], [], []
        for dose in self.spec["doses_e_per_px"]:
            threshold = (thresholds or {}).get(dose) or self.threshold(denoise, dose)
            reference = dose == self.spec["reference_dose_e_per_px"]
            many = realisations(self.spec, dose, full_grid)
            for number, row in self.test.table.iterrows():
                truth = self._truth[id(self.test)][number]
                clean = self.test.clean[number] * np.float32(dose)
                for realisation in range(many):
                    counts = self.test.counts(number, dose, realisation, self.spec["seed"])
                    begun = time.perf_counter()
                    estimate = denoise(counts, dose, clean)
                    seconds = time.perf_counter() - begun
                    every = self._detect(estimate / dose, row["interface_y_nm"], 0.0)
                    found = every[every["response"] >= threshold].reset_index(drop=True)
                    key = {"frame": number, "dose_e_per_px": dose, "realisation": realisation}
                    surface = surface_counts(found, truth, row["interface_y_nm"], self.gate_nm)
                    slow = realisation < SLOW_REALISATIONS
                    metrics = image_metrics(clean, estimate, dose_e_per_px=dose, slow=slow)
                    of_paper = self._paper(number, estimate / dose) if slow and reference else {}
                    frame_rows.append(
                        {
                            **key, **metrics, **surface, **of_paper, "threshold": threshold,
                            "seconds": seconds,
                        }
                    )  # fmt: skip
                    columns = per_column(found, truth, row["interface_y_nm"], self.gate_nm)
                    column_tables.append(columns.assign(**key))
                    if number in self.stakes:
                        at_stake = self.stakes[number]
                        shown = site_scores(every, at_stake, self.gate_nm)
                        site_tables.append(
                            at_stake.assign(**key, **shown, reported=shown["score"] >= threshold)
                        )
                    if reference and realisation == 0:
                        images.append(estimate / np.float32(dose))
            log(f"{dose:g} e/px: threshold {threshold:.4f}")
        frames = pd.DataFrame(frame_rows).merge(self.test.table, on="frame", validate="many_to_one")
        return Evaluated(
            frames,
            pd.concat(column_tables, ignore_index=True),
            np.stack(images),
            pd.concat(site_tables, ignore_index=True) if site_tables else pd.DataFrame(),
        )

    def threshold(self, denoise: Denoise, dose: float) -> float:
        """Choose the detection threshold: the best surface F1 on the validation frames.

        Equal for all: a threshold that suits one denoiser's contrast would decide the others'
        scores.
        """
        found = []
        for number, row in self.validation.table.iterrows():
            for realisation in range(
                self.spec.get("validation_realisations", VALIDATION_REALISATIONS)
            ):
                counts = self.validation.counts(number, dose, realisation, self.spec["seed"])
                clean = self.validation.clean[number] * np.float32(dose)
                relative = denoise(counts, dose, clean) / dose
                found.append((number, self._detect(relative, row["interface_y_nm"], 0.0)))
        truth = self._truth[id(self.validation)]
        return best_threshold(found, self.validation, truth, self.gate_nm)[0]

    def _paper(self, number: int, relative: np.ndarray) -> dict[str, int]:
        """Return the counts of the paper's own metric, ``paper_shared`` and so on."""
        interface = self.test.table["interface_y_nm"].iloc[number] / self.test.pixel_size_nm
        if number not in self._paper_surface:
            clean = self.test.clean[number]
            self._paper_surface[number] = surface_of_paper(clean, CLEAN_THRESHOLD, interface)
        found = surface_of_paper(relative, DENOISED_THRESHOLD, interface)
        counts = paper_counts(self._paper_surface[number], found)
        return {f"paper_{name}": value for name, value in counts.items()}

    def _detect(
        self, relative: np.ndarray, interface_y_nm: float, threshold: float
    ) -> pd.DataFrame:
        found = candidates(relative, self.test.pixel_size_nm, interface_y_nm, self.sigma_nm)
        return found[found["response"] >= threshold].reset_index(drop=True)
