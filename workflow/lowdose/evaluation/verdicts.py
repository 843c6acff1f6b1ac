"""Do the verdicts on columns keep what they promise?  False discoveries and power, counted.

Four ways to believe the surface columns of a denoised frame, on many frames whose truth is known:
all that are detected; those whose log-likelihood ratio on the same counts is positive (Vincent et
al. 2021); Benjamini-Hochberg on the p-values, and e-BH on the e-values, of the cross-fitted test;
and Benjamini-Hochberg on the p-values of the parametric null, for which the whole pipeline is run
again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from lowdose import seeds
from lowdose.columns.likelihood import benjamini_hochberg, e_bh
from lowdose.columns.matching import match
from lowdose.columns.nulls import monte_carlo_p_values, null_statistics
from lowdose.data.frames import FrameSet
from lowdose.evaluation.belief import cross_fitted, surface_of, weighed
from lowdose.evaluation.evaluate import Denoise
from lowdose.evaluation.measure import truth_of_frame
from lowdose.evaluation.statistics import summarise

LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
TESTS = {
    "cross-fitted, BH": ("p_value", benjamini_hochberg),
    "cross-fitted, e-BH": ("e_value", e_bh),
    "parametric null, BH": ("p_null", benjamini_hochberg),
}
PLAIN = ("all detected", "LLR > 0, same counts")


class Verdicts:
    """Weighs the surface columns that a denoiser shows, frame by frame.

    Parameters
    ----------
    frames : FrameSet
    denoise : Denoise
    spec : mapping
        ``evaluation`` (sigma_nm, gate_nm), ``dose_e_per_px``, ``seed``.
    threshold, threshold_of_half : float
        Detection thresholds at the whole dose and at the proposing half's.
    """

    def __init__(
        self, frames: FrameSet, denoise: Denoise, spec: Mapping, threshold: float,
        threshold_of_half: float,
    ) -> None:  # fmt: skip
        self.frames, self.denoise, self.spec = frames, denoise, spec
        self.dose, self.pixel = spec["dose_e_per_px"], frames.pixel_size_nm
        self.threshold, self.threshold_of_half = threshold, threshold_of_half

    def table(self, number: int, realisation: int, null_draws: int = 0) -> pd.DataFrame:
        """Weigh the columns of one frame.

        Parameters
        ----------
        number, realisation : int
        null_draws : int
            Frames that are drawn for each group of columns of the parametric null; none at 0.

        Returns
        -------
        DataFrame
            One row a column that is shown on the whole frame (``proposed_by`` "all") or proposed by
            one half of its electrons ("half"): ``x_nm, y_nm, llr_total`` or ``p_value, e_value``,
            ``p_null``; ``true`` (a column is there), ``true_surface`` (one of the surface); and
            ``n_surface``, how many the frame has.
        """
        frames, dose = self.frames, self.dose
        row = frames.table.iloc[number]
        counts = frames.counts(number, dose, realisation, self.spec["seed"])
        clean = frames.clean[number] * np.float32(dose)
        places, llr, whole = self._shown(counts, clean, row["interface_y_nm"])
        every = pd.DataFrame({"x_nm": places[:, 0], "y_nm": places[:, 1], "llr_total": llr})
        every["proposed_by"] = "all"
        name = row["model_id"], f"{dose:g} e/px", realisation
        if null_draws and len(places):
            null = null_statistics(
                lambda new: self._shown(new, clean, row["interface_y_nm"])[:2], whole, places,
                self.pixel, draws=null_draws, gate_nm=self.spec["evaluation"]["gate_nm"],
                rng=seeds.rng(self.spec["seed"], "null", *name),
            )  # fmt: skip
            every["p_null"] = monte_carlo_p_values(llr, null, pooled=True)
        half = cross_fitted(
            counts, clean, self.denoise, dose, self.pixel, row["interface_y_nm"],
            self.spec["evaluation"]["sigma_nm"], self.threshold_of_half,
            seeds.rng(self.spec["seed"], "thin", *name),
        )  # fmt: skip
        half = half[["x_nm", "y_nm", "p_value", "e_value"]].assign(proposed_by="half")
        table = pd.concat([every, half], ignore_index=True)
        return self._with_truth(table, number).assign(
            frame=number, realisation=realisation, base_shape=row["base_shape"]
        )

    def _shown(self, counts, clean, interface_y_nm):
        """Return places, log-likelihood ratios and the denoised image of a frame of counts."""
        whole = self.denoise(counts, self.dose, clean)
        places = surface_of(
            whole / self.dose, self.pixel, interface_y_nm, self.spec["evaluation"]["sigma_nm"],
            self.threshold,
        )  # fmt: skip
        table = weighed(counts, whole, places, self.pixel, self.dose)
        return places, table["llr_total"].to_numpy(), whole

    def _with_truth(self, table: pd.DataFrame, number: int) -> pd.DataFrame:
        columns = self.frames.columns
        truth = truth_of_frame(columns[columns["frame"] == number])
        truth = truth[truth["n_atoms"] > 0]
        gate = self.spec["evaluation"]["gate_nm"]
        table = table.assign(
            true=False, true_surface=False, n_surface=int(truth["is_surface"].sum())
        )
        for name, points in (("true", truth), ("true_surface", truth[truth["is_surface"]])):
            for _, rows in table.groupby("proposed_by"):
                i, _, _ = match(
                    rows[["x_nm", "y_nm"]].to_numpy(), points[["x_nm", "y_nm"]].to_numpy(), gate
                )
                table.loc[rows.index[i], name] = True
        return table


def schedule(frames: FrameSet, wanted: int) -> list[tuple[int, int]]:
    """Return (frame, realisation) of so many frames: all once, then with new noise."""
    n = len(frames.table)
    return [(k % n, k // n) for k in range(wanted)]


def counted(table: pd.DataFrame) -> pd.DataFrame:
    """Count false discoveries and found surface columns, by frame, test and nominal level.

    Parameters
    ----------
    table : DataFrame
        Tables of :class:`Verdicts`, of frames all.

    Returns
    -------
    DataFrame
        One row a frame, realisation, test and level: ``believed``, ``false`` (of these, where no
        column is), ``share_false`` (0 if none is believed), ``found`` (true surface columns among
        them), ``n_surface``; ``level`` is missing for the tests that promise nothing.
    """
    rows = []
    for (frame, realisation), own in table.groupby(["frame", "realisation"], sort=True):
        about = {"frame": frame, "realisation": realisation, **own.iloc[0][
            ["base_shape", "n_surface"]].to_dict()}  # fmt: skip
        every = own[own["proposed_by"] == "all"]
        half = own[own["proposed_by"] == "half"]
        chosen: list[tuple[str, float, pd.DataFrame]] = [
            (PLAIN[0], np.nan, every),
            (PLAIN[1], np.nan, every[every["llr_total"] > 0]),
        ]
        for test, (column, choose) in TESTS.items():
            tested = every if column == "p_null" else half
            if column == "p_null" and (column not in own or every[column].isna().all()):
                continue
            chosen += [
                (test, level, tested[choose(tested[column].to_numpy(), level)]) for level in LEVELS
            ]
        for test, level, believed in chosen:
            n, false = len(believed), int((~believed["true"].astype(bool)).sum())
            rows.append({**about, "test": test, "level": level, "believed": n, "false": false,
                         "share_false": false / n if n else 0.0,
                         "found": int(believed["true_surface"].sum())})  # fmt: skip
    return pd.DataFrame(rows)


def achieved(counts: pd.DataFrame, draws: int, rng: Callable[[], np.random.Generator]):
    """Return the achieved false-discovery rate and the power of each test and level.

    Parameters
    ----------
    counts : DataFrame
        From :func:`counted`.
    draws : int
        Bootstrap draws.
    rng : callable
        Returns a generator, the same each time.

    Returns
    -------
    DataFrame
        ``test, level, n_frames, false_discovery_rate, power``, each with ``_low, _high`` over base
        shapes: the mean share of false ones among the believed, and the true surface columns among
        them over all that there are.
    """
    tests: Sequence[str] = [*PLAIN, *TESTS]
    keyed = counts.assign(level=counts["level"].fillna(-1.0))
    tables = []
    for name, value, weights in (
        ("false_discovery_rate", "share_false", None), ("power", "found", "n_surface"),
    ):  # fmt: skip
        one = summarise(
            keyed, value, ["test", "level"], weights=weights, draws=draws, bounds=(0, 1),
            statistic="ratio" if weights else "mean", rng=rng(),
        )  # fmt: skip
        names = {"estimate": name, "low": f"{name}_low", "high": f"{name}_high"}
        one = one.rename(columns={**names, "n_rows": "n_frames"})
        tables.append(one[["test", "level", "n_frames", *names.values()]])
    table = tables[0].merge(tables[1].drop(columns="n_frames"), on=["test", "level"])
    table["level"] = table["level"].where(table["level"] >= 0)
    rank = {name: i for i, name in enumerate(tests)}
    order = np.lexsort((table["level"], table["test"].map(rank)))
    return table.iloc[order].reset_index(drop=True)
