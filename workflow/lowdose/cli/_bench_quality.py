"""Quality of the shipped networks on frames of shapes that they were never shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from lowdose import seeds
from lowdose.cli._bench_border import border_losses
from lowdose.cli._bench_rows import Row
from lowdose.data.frames import FrameSet
from lowdose.evaluation.release_metrics import HOME, Denoise, measured, of_frame, part, summary
from lowdose.evaluation.statistics import bootstrap_interval, summarise

REALISATIONS = {"white": 2, "all": 1, "shifted": 1, "siblings": 1}
TARGETS_DB = {"psnr_db": 37.5, "contrast_psnr_db": 12.0}  # of `white`
SSIM = 0.985
SIBLINGS_DB = 38.6  # of `white` on `split: paper`
GENERAL_DB = 10.0  # above the constant image, every contrast
PAPER_CONSTANT_DB = 26.2
LARGEST_LOSS_DB = 1.5  # on the shifted set
LARGEST_BORDER_LOSS_DB = 1.0


def quality(
    name: str, sets: Mapping[str, FrameSet], config, quick: bool, log: Callable[[str], None]
) -> list[Row]:
    """Measure one shipped network.

    Parameters
    ----------
    name : {"white", "general"}
    sets : mapping
        ``white, all, shifted``: frames of test shapes; ``siblings``: white ones of training shapes.
    config : lowdose.config.Config
        Of the release networks.
    quick : bool
        Take every fourth frame.
    log : callable
    """
    dose, seed = config.frames.reference_dose_e_per_px, config.seed
    draws, home = config.evaluation.bootstrap_draws, HOME[name]
    denoise = denoiser(name, sets[home].pixel_size_nm)
    if quick:
        sets = {k: part(v, np.arange(len(v.clean)) % 4 == 0) for k, v in sets.items()}

    def on(label: str) -> pd.DataFrame:
        log(f"{name} on {len(sets[label].clean)} frames: {label}")
        return measured(denoise, sets[label], dose, REALISATIONS[label], seed)

    rows = home_rows(name, on(home).assign(set=home), sets[home], draws, seed)
    if home == "white":
        rows.append(sibling_row(name, on("siblings"), sets["siblings"], draws, seed))
    rows += shift_rows(name, on("shifted"), sets["shifted"], draws, seed)
    perfect = part(sets[home], (sets[home].table["defect"] == "D0").to_numpy())
    log(f"{name}: border and orientations on {len(perfect.clean)} frames")
    borders = border_losses(denoise, perfect, dose, seed)
    rows += border_rows(name, borders, len(perfect.clean), draws, seed)
    eight = denoiser(name, perfect.pixel_size_nm, orientations=8)
    gains = orientation_gains(denoise, eight, perfect, dose, seed)
    gain = bootstrap_interval(gains, "gain_db", draws=draws, rng=stream(seed, "orientations"))
    rows.append(Row(f"{name}: gain of the mean over 8 orientations", gain.estimate, "dB",
                    low=gain.low, high=gain.high,
                    note=f"{len(perfect.clean)} {home} frames without defects"))  # fmt: skip
    return rows


def denoiser(name: str, pixel_size_nm: float, **options) -> Denoise:
    """Return a shipped network as (counts (y, x), dose [e/px]) -> expected counts."""
    from lowdose.denoisers import released

    return of_frame(released.load(name, **options), pixel_size_nm)


def home_rows(name: str, rows: pd.DataFrame, frames: FrameSet, draws: int, seed: int) -> list[Row]:
    """Return the lines of a network on the frames that it is made for.

    Parameters
    ----------
    name : {"white", "general"}
    rows : DataFrame
        Of :func:`measured`, with ``set``.
    frames : FrameSet
    draws, seed : int
    """
    total = summary(rows, ["set"], draws, seed).iloc[0]
    label = {"white": "white-contrast", "all": "all"}[total["set"]]
    where = f"{name}, {label} test frames"
    about = (f"{frames.digest[:12]}: {len(frames.clean)} frames of {total['n_units']} shapes, "
             f"{total['n_rows']} realisations")  # fmt: skip
    psnr = _row(f"{where}: PSNR", total, "psnr_db", "dB", note=about)
    above = _row(f"{where}: above the constant image", total, "contrast_psnr_db", "dB")
    ssim = _row(f"{where}: SSIM", total, "ssim", "")
    if name == "white":
        psnr = psnr._replace(target=TARGETS_DB["psnr_db"], at_least=True)
        above = above._replace(target=TARGETS_DB["contrast_psnr_db"], at_least=True)
        ssim = ssim._replace(target=SSIM, at_least=True)
    else:
        above = above._replace(target=GENERAL_DB, at_least=True)
    result = [psnr, above, ssim,
              _row(f"{where}: PSNR of their constant image", total, "constant_psnr_db", "dB"),
              _row(f"{where}: PSNR of their raw counts", total, "raw_psnr_db", "dB")]  # fmt: skip
    if name == "white":
        away = abs(total["constant_psnr_db"] - PAPER_CONSTANT_DB)
        result.append(Row(f"their constant image, distance from {PAPER_CONSTANT_DB} dB", away, "dB",
                          0.5))  # fmt: skip
        return result
    for row in summary(rows, ["contrast"], draws, seed).to_dict("records"):
        what = f"{where}, {row['contrast']} ones: above the constant image"
        note = f"PSNR {row['psnr_db']:.2f} dB, {row['n_rows']} frames"
        result.append(_row(what, row, "contrast_psnr_db", "dB", note=note))
    return result


def sibling_row(name: str, rows: pd.DataFrame, frames: FrameSet, draws: int, seed: int) -> Row:
    """Return the line of a network on shapes that it was trained on, with new noise.

    The paper splits by image at random, so that each of its test images has siblings in the
    training set: the same particle, 1 nm of defocus or one degree of tilt away.  A training set
    with half a nanometre of jitter in C1 holds the same of every image of its own shapes, so that
    these frames stand for that split (if anything, they are a little easier).
    """
    total = summary(rows.assign(set="siblings"), ["set"], draws, seed).iloc[0]
    note = (
        f"stands for `split: paper`; constant image {total['constant_psnr_db']:.2f} dB; "
        f"{frames.digest[:12]}: {len(frames.clean)} frames of {total['n_units']} shapes"
    )
    row = _row(f"{name}, frames of its training shapes, new noise: PSNR", total, "psnr_db", "dB",
               note=note)  # fmt: skip
    return row._replace(target=SIBLINGS_DB, at_least=True)


def shift_losses(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what each shifted frame loses against its unshifted twin.

    Parameters
    ----------
    rows : DataFrame
        Of :func:`measured` on the shifted set.

    Returns
    -------
    DataFrame
        One row a shifted frame and realisation: ``shift, base_shape``, ``loss_db`` of PSNR and
        ``contrast_loss_db`` of contrast PSNR, positive where the shifted one is worse.
    """
    keys = ["model_id", "c1_nm", "realisation"]
    twins = rows.loc[rows["shift"] == "none", [*keys, "psnr", "contrast_psnr"]]
    pairs = rows[rows["shift"] != "none"].merge(
        twins, on=keys, suffixes=("", "_none"), validate="many_to_one"
    )
    return pairs[["shift", "base_shape"]].assign(
        loss_db=pairs["psnr_none"] - pairs["psnr"],
        contrast_loss_db=pairs["contrast_psnr_none"] - pairs["contrast_psnr"],
    )


def shift_rows(name: str, rows: pd.DataFrame, frames: FrameSet, draws: int, seed: int) -> list[Row]:
    """Return the lines of a network on the shifted set: the mean loss, and that of each shift.

    Both PSNR and contrast PSNR count for the mean: a shift that weakens the contrast (`camera`,
    `drift`) makes the error smaller, but what remains of the image too.
    """
    losses = shift_losses(rows)
    every = pd.concat([losses.assign(shift="mean of all"), losses])
    loss, contrast = (
        summarise(every, value, ["shift"], draws=draws, rng=stream(seed, "shifted", value))
        .set_index("shift")
        for value in ("loss_db", "contrast_loss_db")
    )  # fmt: skip

    def row(shift: str, what: str, table: pd.DataFrame, note: str) -> Row:
        value, low, high = table.loc[shift, ["estimate", "low", "high"]]
        return Row(f"{name}, shifted, {shift}: loss of {what}", value, "dB", LARGEST_LOSS_DB,
                   low=low, high=high, note=note)  # fmt: skip

    twins = rows.loc[rows["shift"] == "none"]
    about = (
        f"unshifted {twins['psnr'].mean():.2f} dB, {twins['contrast_psnr'].mean():.2f} above a "
        f"constant; {frames.digest[:12]}"
    )
    result = [
        row("mean of all", "PSNR", loss, about),
        row("mean of all", "contrast PSNR", contrast, ""),
    ]
    for shift in loss.index.drop("mean of all"):
        value, low, high = contrast.loc[shift, ["estimate", "low", "high"]]
        note = f"of contrast PSNR {value:.2f} [{low:.2f}, {high:.2f}]"
        result.append(row(shift, "PSNR", loss, note))
    return result


def border_rows(name: str, losses: pd.DataFrame, frames: int, draws: int, seed: int) -> list[Row]:
    """Return the two lines of the border, from :func:`border_losses`."""
    crops = f"{len(losses)} crops of {frames} frames without defects"
    there = (losses["against_interior_db"] - losses["against_frame_db"]).mean()
    # What lies at the border is harder than the rest, or easier, wherever the image ends.
    content = f"; {there:.2f} dB of it are what lies there, also inside a larger frame"
    result = []
    for value, what, target, note in (
        ("against_interior_db", "their interior", LARGEST_BORDER_LOSS_DB, crops + content),
        ("against_frame_db", "the same pixels inside a larger frame", None, crops),
    ):
        loss = bootstrap_interval(losses, value, draws=draws, rng=stream(seed, "border", value))
        result.append(
            Row(f"{name}: outer 20 px of crops of 384 px through the particle, loss against {what}",
                loss.estimate, "dB", target, low=loss.low, high=loss.high, note=note)
        )  # fmt: skip
    return result


def orientation_gains(
    one: Denoise, eight: Denoise, frames: FrameSet, dose_e_per_px: float, seed: int
) -> pd.DataFrame:
    """Return what the mean over orientations gains: one row a frame, ``gain_db, base_shape``."""
    values = [measured(d, frames, dose_e_per_px, 1, seed)["contrast_psnr"] for d in (one, eight)]
    return pd.DataFrame(
        {"base_shape": frames.table["base_shape"].to_numpy(), "gain_db": values[1] - values[0]}
    )


def stream(seed: int, *what: str) -> np.random.Generator:
    """Return the random numbers of an interval."""
    return seeds.rng(seed, "bootstrap", "bench", *what)


def _row(name: str, values: Mapping, key: str, unit: str, note: str = "") -> Row:
    return Row(name, values[key], unit, low=values[f"{key}_low"], high=values[f"{key}_high"],
               note=note)  # fmt: skip
