"""The error that counts alone give, beside the true one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lowdose import seeds
from lowdose.data.frames import FrameSet
from lowdose.denoisers.without_truth import SHARE, residuals, thinned_risk
from lowdose.evaluation.evaluate import Denoise

REALISATION = 0


def risk_table(frames: FrameSet, denoise: Denoise, spec: Mapping) -> pd.DataFrame:
    """Estimate the error of a denoiser on every frame without its expectation, and with it.

    Parameters
    ----------
    frames : FrameSet
    denoise : Denoise
    spec : mapping
        ``dose_e_per_px``, ``seed``.

    Returns
    -------
    DataFrame
        One row a frame: ``frame, base_shape``; ``mse, mse_low, mse_high, gain, gain_low,
        gain_high`` [(e/px)²], see :class:`lowdose.denoisers.without_truth.Risk`; ``true_mse`` and
        ``true_gain`` of the same estimate, at the share of the dose that the denoiser was given;
        ``full_mse`` of the frame with all its electrons; ``variance, excess, whiteness_p,
        deviance`` of the residuals on the electrons that it was not given.
    """
    dose = spec["dose_e_per_px"]
    rows = []
    for number, row in frames.table.iterrows():
        clean = frames.clean[number] * np.float32(dose)
        counts = frames.counts(number, dose, REALISATION, spec["seed"])
        dealt: list[tuple[np.ndarray, np.ndarray]] = []

        def of_part(seen: np.ndarray, clean=clean, dealt=dealt) -> np.ndarray:
            dealt.append((seen, denoise(seen, SHARE * dose, np.float32(SHARE) * clean)))
            return dealt[-1][1]

        risk = thinned_risk(of_part, counts, seeds.rng(spec["seed"], "risk", row["model_id"]))
        ((seen, estimate),) = dealt
        constant = seen.mean(dtype=np.float64) / SHARE
        left = residuals(counts - seen, estimate * ((1 - SHARE) / SHARE))
        full = denoise(counts, dose, clean)
        true = np.mean(np.square(estimate / SHARE - clean, dtype=np.float64))
        flat = np.mean(np.square(constant - clean, dtype=np.float64))
        rows.append(
            {
                "frame": number, "base_shape": row["base_shape"],
                **{k: v for k, v in risk._asdict().items() if k != "share"},
                "true_mse": true, "true_gain": flat - true,
                "full_mse": np.mean(np.square(full - clean, dtype=np.float64)),
                **{k: getattr(left, k) for k in ("variance", "excess", "whiteness_p", "deviance")},
            }
        )  # fmt: skip
    return pd.DataFrame(rows)
