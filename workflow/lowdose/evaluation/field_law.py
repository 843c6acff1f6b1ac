"""Does quality follow nanometres of context or pixels of network?

Networks of several fields, each on several own pixels, see the same distance with different
numbers of pixels.  A smooth curve, a cubic in the logarithm of the field, is fitted to all of
them, once against the field in pixels and once in nanometres: of the two, the one that gathers
the points into one curve explains more of their variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from lowdose import seeds
from lowdose.denoisers.cards import read_card
from lowdose.evaluation.arms import network_folder
from lowdose.evaluation.field_sweep import frames_of
from lowdose.evaluation.statistics import Interval, interval_of
from lowdose.evaluation.summary import MEASURES

DEGREE = 3
MEASURED = ("psnr_db", "f1", "fill_in_rate")
BOUNDS = {"px": (0, 1), "nm": (0, 1), "difference": (-1, 1)}  # of R squared, and of a difference


class Explained:
    """Share of the variance between networks that a smooth curve explains (R squared).

    Parameters
    ----------
    top, bottom : array (shape, network)
        Numerator and denominator of each network's measure, by base shape.
    fields_px, fields_nm : array (network,)
        Receptive fields.
    of : {"px", "nm", "difference"}
        Against which field; "difference" is that of nm less that of px.
    """

    def __init__(
        self,
        top: np.ndarray,
        bottom: np.ndarray,
        fields_px: np.ndarray,
        fields_nm: np.ndarray,
        of: str,
    ) -> None:
        self.top, self.bottom, self.n_units = top, bottom, len(top)
        known = {"px": [(fields_px, 1)], "nm": [(fields_nm, 1)],
                 "difference": [(fields_nm, 1), (fields_px, -1)]}  # fmt: skip
        self._hats = [(sign, _hat(field)) for field, sign in known[of]]

    def of(self, times: np.ndarray) -> np.ndarray:
        """Return it for each row of multiplicities (draw, shape) of the base shapes."""
        with np.errstate(invalid="ignore", divide="ignore"):
            values = (times @ self.top) / (times @ self.bottom)
        centred = values - values.mean(axis=1, keepdims=True)
        total = np.sum(centred**2, axis=1)
        # Of equal values the rounding alone would be explained.
        total[total <= 1e-20 * np.sum(values**2, axis=1)] = np.nan
        result = np.zeros(len(values))
        for sign, hat in self._hats:
            left = np.sum((values - values @ hat) ** 2, axis=1)
            with np.errstate(invalid="ignore", divide="ignore"):
                result += sign * (1 - left / total)
        return result


def fits(spec: Mapping, evaluation: Path, networks: Path) -> pd.DataFrame:
    """Return how much of the variance between networks either field explains.

    Parameters
    ----------
    spec, evaluation, networks
        As for :func:`lowdose.evaluation.field_sweep.table`.

    Returns
    -------
    DataFrame
        ``measure, against`` (px, nm, difference), ``r_squared`` with ``low`` and ``high`` at
        95 % over base shapes, ``n_networks, n_shapes``.
    """
    fields_px, fields_nm, cells = [], [], []
    for one in spec["trainings"]:
        card = read_card(network_folder(networks, one["denoiser"]))
        fields_px.append(card["receptive_field_px"])
        fields_nm.append(card["receptive_field_nm"])
        cells.append(frames_of([one], evaluation, spec["reference_dose_e_per_px"]))
    rows = []
    for measure in MEASURED:
        value, weights, _ = MEASURES[measure]
        sums = []
        for frames in cells:
            valid = frames[frames[value].notna()]
            weight = pd.Series(1.0, valid.index) if weights is None else valid[weights]
            by = valid["base_shape"]
            sums.append((valid[value].groupby(by).sum(), weight.groupby(by).sum()))
        top, bottom = (pd.concat([one[k] for one in sums], axis=1).to_numpy(float) for k in (0, 1))
        for against in BOUNDS:
            effect = Explained(top, bottom, np.array(fields_px), np.array(fields_nm), against)
            rng = seeds.rng(spec["seed"], "law", measure)  # the same shapes for all three
            found = Interval(*[float("nan")] * 3)  # where all networks score alike
            if np.isfinite(effect.of(np.ones((1, len(top))))[0]):
                found = interval_of(effect, 0.95, spec["draws"], BOUNDS[against], rng)
            rows.append({"measure": measure, "against": against, "r_squared": found.estimate,
                         "low": found.low, "high": found.high, "n_networks": len(cells),
                         "n_shapes": len(top)})  # fmt: skip
    return pd.DataFrame(rows)


def _hat(field: np.ndarray) -> np.ndarray:
    """Projection on the cubics in the logarithm of the field, (network, network)."""
    x = np.log(np.asarray(field, dtype=float))
    x = (x - x.mean()) / max(x.std(), 1e-12)
    degree = min(DEGREE, len(np.unique(field)) - 1)
    basis, _ = np.linalg.qr(np.vander(x, degree + 1))
    return basis @ basis.T
