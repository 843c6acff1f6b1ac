"""Denoisers on frames of an experiment: judged by counts that they have not seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd

from lowdose import seeds
from lowdose.denoisers.contract import Denoiser
from lowdose.denoisers.without_truth import SHARE, psnr_of, residuals, thinned_risk
from lowdose.runtime import UserError, atomic_path

SPLITS = 4  # how often the electrons are dealt anew, against the noise of the dealing


class Judged(NamedTuple):
    """What came of it.

    Attributes
    ----------
    table : DataFrame
        One row a denoiser and frame, see :func:`judge`.
    images : dict
        Denoiser -> image of the first frame (y, x) [e/px]; ``counts`` are these.
    """

    table: pd.DataFrame
    images: dict[str, np.ndarray]


def judge(
    counts: np.ndarray,
    numbers: np.ndarray,
    pixel_size_nm: float,
    denoisers: Mapping[str, Denoiser],
    spec: Mapping,
    log: Callable[[str], None],
) -> Judged:
    """Estimate the error of denoisers on frames whose expectation nobody knows.

    Parameters
    ----------
    counts : array (frame, y, x)
        Whole electrons per pixel.
    numbers : int array (frame,)
        Which frames of the recording these are.
    pixel_size_nm : float
    denoisers : mapping
        By name, in the order of the table.
    spec : mapping
        ``name`` of the recording, ``reference_dose_e_per_px``, ``seed``.
    log : callable

    Returns
    -------
    Judged
        Its table has ``recording, denoiser, frame``; ``upsnr_db, upsnr_low, upsnr_high``, the PSNR
        that the unbiased estimate of the error stands for, at nine tenths of the dose and scaled to
        the reference dose (the mean counts are taken for the dose in vacuum), infinite where the
        estimate is not positive; ``gain`` and its interval, by how much the error is below that of
        a constant image [(e/px)²]; ``variance`` of the residuals of unseen counts and
        ``whiteness_p`` (:class:`lowdose.denoisers.without_truth.Residuals`); ``seconds``.  A
        denoiser that is not made for this pixel size has no numbers, and ``note`` says why.
    """
    rows, images = [], {"counts": np.asarray(counts[0], np.float32)}
    for name, one in denoisers.items():
        for number, frame in zip(numbers, counts, strict=True):
            row = {"recording": spec["name"], "denoiser": name, "frame": int(number)}
            try:
                begun = time.perf_counter()
                image = one.denoise(frame[None], pixel_size_nm)[0]
                row |= {"seconds": time.perf_counter() - begun, **_scores(one, frame, row,
                        pixel_size_nm, spec)}  # fmt: skip
            except UserError as error:
                rows.append({**row, "note": str(error)})
                log(f"{name}: {error}")
                break
            rows.append(row)
            images.setdefault(name, np.asarray(image, np.float32))
        else:
            log(f"{name}: {rows[-1]['upsnr_db']:.2f} dB")
    order = ["recording", "denoiser", "frame", "upsnr_db", "upsnr_low", "upsnr_high", "gain",
             "gain_low", "gain_high", "variance", "whiteness_p", "seconds", "note"]  # fmt: skip
    return Judged(pd.DataFrame(rows).reindex(columns=order), images)


def _scores(one: Denoiser, frame: np.ndarray, row: Mapping, pixel_size_nm: float, spec) -> dict:
    dealt: list[tuple[np.ndarray, np.ndarray]] = []

    def of_part(seen: np.ndarray) -> np.ndarray:
        dealt.append((seen, one.denoise(seen[None], pixel_size_nm)[0]))
        return dealt[-1][1]

    # The same electrons for every denoiser, so that they differ in nothing else.
    rng = seeds.rng(spec["seed"], "judge", row["recording"], str(row["frame"]))
    risk = thinned_risk(of_part, frame, rng, splits=SPLITS)
    seen, estimate = dealt[-1]
    reach = min(48, min(frame.shape) // 2 - 1)
    left = residuals(frame - seen, estimate * ((1 - SHARE) / SHARE), reach)
    dose = float(frame.mean(dtype=np.float64))
    psnr, low, high = psnr_of(risk, dose, spec["reference_dose_e_per_px"])
    return {"upsnr_db": psnr, "upsnr_low": low, "upsnr_high": high, "gain": risk.gain,
            "gain_low": risk.gain_low, "gain_high": risk.gain_high, "variance": left.variance,
            "whiteness_p": left.whiteness_p}  # fmt: skip


def write_judged(folder: Path, judged: Judged, pixel_size_nm: float) -> None:
    """Write ``images.h5`` and ``judged.csv``."""
    with atomic_path(folder / "images.h5") as path, h5py.File(path, "w", libver="latest") as file:
        file.attrs["pixel_size_nm"] = pixel_size_nm
        for name, image in judged.images.items():
            one = file.create_dataset(name, data=image, compression="lzf")
            one.attrs["units"] = "e/pixel"
    with atomic_path(folder / "judged.csv") as path:
        judged.table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
