"""One tuning procedure for every method: same frames, same number of trials, best PSNR."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import qmc

from lowdose import metrics
from lowdose.denoisers.contract import Denoiser, Parameter
from lowdose.runtime import UserError
from lowdose.sampling import dose_e_per_px

# First half of the trials: the whole range, evenly.  Second half: around the best.
_DESIGN_SHARE = 0.5
_FINEST_STEP = 0.005


def tune(
    kind: type[Denoiser],
    clean: np.ndarray,
    counts: np.ndarray,
    pixel_size_nm: float,
    dose_e_per_a2: float,
    *,
    trials: int,
    rng: np.random.Generator,
    fixed: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Find the parameters of a denoiser that give the highest mean PSNR.

    The defaults come first, then a scrambled Halton design over the declared ranges (on the
    declared scale), then a pattern search: steps up and down along each parameter from the
    best point, halved when none helps.

    Parameters
    ----------
    kind : subclass of Denoiser
        What to tune, e.g. ``registry.kind("tv")``.
    clean, counts : array (frame, y, x)
        Expected counts and counts of the validation frames, electrons per pixel.
    pixel_size_nm : float
        Pixel size, nm.
    dose_e_per_a2 : float
        Dose in vacuum, e/Å² per frame.
    trials : int
        Parameter sets to evaluate, at least 1; fewer only where there are no more.
    rng : numpy.random.Generator
        Scrambles the design.
    fixed : mapping, optional
        Parameters that are not tuned, with their values.

    Returns
    -------
    best : dict
        All parameters of the best trial (built-in types, JSON-safe).
    table : pandas.DataFrame
        One row a trial: ``trial``, ``stage`` (default, design or refine), the parameters,
        ``psnr_db``.

    Raises
    ------
    UserError
        If `trials` is below 1, the stacks differ in shape, or a parameter is not possible.
    """
    if np.shape(clean) != np.shape(counts):
        raise UserError(
            f"Clean frames {np.shape(clean)} and counts {np.shape(counts)} differ in shape; "
            "tune on pairs of the same frames."
        )
    vacuum = dose_e_per_px(dose_e_per_a2, pixel_size_nm)

    def score(parameters: Mapping[str, Any]) -> float:
        estimate = kind(**parameters).denoise(counts, pixel_size_nm, dose=dose_e_per_a2)
        return mean_psnr(clean, estimate, vacuum)

    best, table = search(kind, score, trials=trials, rng=rng, fixed=fixed)
    return best, table.rename(columns={"score": "psnr_db"})


def mean_psnr(clean: np.ndarray, estimate: np.ndarray, dose_e_per_px: float) -> float:
    """Return the mean PSNR of a stack of frames [dB], which is what a tuning maximises.

    Parameters
    ----------
    clean, estimate : array (frame, y, x)
        Expected counts and their estimates, electrons per pixel.
    dose_e_per_px : float
        In vacuum.
    """
    pairs = zip(clean, estimate, strict=True)
    return float(np.mean([metrics.psnr(c, e, dose_e_per_px=dose_e_per_px) for c, e in pairs]))


def search(
    kind: type[Denoiser],
    score: Callable[[Mapping[str, Any]], float],
    *,
    trials: int,
    rng: np.random.Generator,
    fixed: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Find the parameters of a denoiser that have the highest score.

    The procedure of :func:`tune`, for any score.

    Parameters
    ----------
    kind : subclass of Denoiser
    score : callable
        All parameters -> how good they are.
    trials, rng, fixed
        As for :func:`tune`.

    Returns
    -------
    best : dict
        All parameters of the best trial.
    table : DataFrame
        One row a trial: ``trial, stage``, the parameters, ``score``.

    Raises
    ------
    UserError
        If `trials` is below 1, or a parameter is not possible.
    """
    if trials < 1:
        raise UserError(f"Tuning with {trials} trials is not possible; give 1 or more.")
    start = kind(**(fixed or {})).parameters
    free = {n: p for n, p in kind.info.parameters.items() if n not in (fixed or {})}
    tried: dict[tuple, float] = {}
    rows: list[dict[str, Any]] = []

    def scored(parameters: dict[str, Any], stage: str) -> float:
        key = tuple(parameters.values())
        if key not in tried:
            tried[key] = score(parameters)
            rows.append({"trial": len(rows), "stage": stage, **parameters, "score": tried[key]})
        return tried[key]

    best, highest = start, scored(start, "default")
    design = round(_DESIGN_SHARE * (trials - 1)) if free else 0
    if design:
        for point in qmc.Halton(len(free), scramble=True, rng=rng).random(design):
            values = {n: _value(free[n], u) for n, u in zip(free, point, strict=True)}
            if (found := scored(start | values, "design")) > highest:
                best, highest = start | values, found

    step = 0.5 / max(design, 1) ** (1.0 / max(len(free), 1))
    while free and len(rows) < trials and step >= _FINEST_STEP:
        improved = False
        for candidate in _neighbours(best, free, step):
            if len(rows) == trials:
                break
            if (found := scored(candidate, "refine")) > highest:
                best, highest, improved = candidate, found, True
        if not improved:
            step /= 2
    return best, pd.DataFrame(rows)


def _neighbours(
    centre: dict[str, Any], free: dict[str, Parameter], step: float
) -> Iterator[dict[str, Any]]:
    """Yield the points one step up and down each parameter (at least one whole value)."""
    for name, sign in itertools.product(free, (1, -1)):
        parameter = free[name]
        count = _count(parameter)
        size = max(step, 1.0 / (count - 1)) if count and count > 1 else step
        position = np.clip(_position(parameter, centre[name]) + sign * size, 0.0, 1.0)
        yield centre | {name: _value(parameter, float(position))}


def _count(parameter: Parameter) -> int | None:
    """Return the number of possible values, None for a continuous parameter."""
    if parameter.scale == "choice":
        return len(parameter.choices)
    return int(parameter.high - parameter.low) + 1 if parameter.scale == "integer" else None


def _value(parameter: Parameter, position: float) -> Any:
    """Return the value at `position` (0 to 1) of the parameter's range, on its scale."""
    if (count := _count(parameter)) is not None:
        index = round(position * (count - 1))
        choice = parameter.scale == "choice"
        return parameter.choices[index] if choice else int(parameter.low) + index
    low, high = parameter.low, parameter.high
    if parameter.scale == "log":
        # Rounded: the last digits of a tuned width mean nothing and hide equal trials.
        return min(max(float(f"{low * (high / low) ** position:.4g}"), low), high)
    return min(max(float(f"{low + (high - low) * position:.4g}"), low), high)


def _position(parameter: Parameter, value: Any) -> float:
    """Return where `value` lies in the parameter's range: the inverse of `_value`."""
    if parameter.scale == "choice":
        return parameter.choices.index(value) / max(len(parameter.choices) - 1, 1)
    low, high = parameter.low, parameter.high
    if high == low:
        return 0.0
    if parameter.scale == "log":
        return float(np.log(value / low) / np.log(high / low))
    return float((value - low) / (high - low))
