"""All methods on the same frames, and the rows of the paper beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lowdose.denoisers import registry
from lowdose.denoisers.cards import network_info, read_card
from lowdose.denoisers.contract import DenoiserInfo
from lowdose.evaluation.arms import network_folder, tuned_parameters
from lowdose.evaluation.described import described
from lowdose.evaluation.summary import results_table
from lowdose.sampling import dose_e_per_a2

MEASURES = (
    *("psnr_db", "contrast_psnr_db", "ssim", "deviance"),
    *("precision", "recall", "f1", "jaccard", "localisation_pm"),
)
PAPER_CONSTANT_DB = 26.2  # of a constant image on four of the paper's frames
EXPLAINED_DB = 2.0  # differences from here on are explained


@dataclass(frozen=True)
class PaperRow:
    """A row of the paper's comparison, as far as it is known.

    Attributes
    ----------
    title : str
    psnr_db, spread_db, ssim : float
        On the paper's white test images; NaN where not known.
    source : str
        How sure it is.
    ours : tuple of str
        Denoisers of this comparison that are the same method; the best of them is compared.
    because : str
        What explains the difference, where there is one.
    """

    title: str
    psnr_db: float
    spread_db: float
    ssim: float
    source: str
    ours: tuple[str, ...]
    because: str = ""


_LOW = "recollection, not found in print"
_FIRM = "recollection, firm"
_LOGGED = "logged in the authors' code"
_BINS = (
    "ours sums 4 x 4 pixels or so before stabilising them and uses the exact variance and inverse; "
    "single pixels of 0.45 counts cannot be stabilised"
)
PAPER = (
    PaperRow("raw", 3.56, 0.03, 0.00, "recollection; 3.54 computed from four of its images",
             ("raw",)),
    PaperRow("constant image", PAPER_CONSTANT_DB, math.nan, math.nan,
             "computed from four of its images", ("constant",)),
    PaperRow("low-pass", 21.6, math.nan, 0.5, _LOW, ("gaussian", "butterworth"),
             "the paper's is 4.6 dB below a constant image: so much noise is what a Gaussian of "
             "2.3 pixels leaves, 0.45 / (4 pi sigma²); a tuned one is more than twice as wide"),
    PaperRow("adaptive Wiener", 23.0, 1.0, math.nan, _LOW, ("wiener",),
             "the paper's is below a constant image; ours knows that the noise of counts is their "
             "mean, and its window is tuned"),
    PaperRow("VST + non-local means", 26.5, 0.5, math.nan, _LOW, ("nlm",), _BINS),
    PaperRow("VST + BM3D", 28.0, math.nan, math.nan, _LOW, ("bm3d", "bm3d-package"),
             _BINS + ", and its patches hold a unit cell"),
    PaperRow("PURE-LET", 28.36, 0.9, 0.93, _FIRM, ("purelet",), _BINS.partition(" before")[0]),
    PaperRow("blind-spot network", 30.45, math.nan, 0.9, _LOW,
             ("blind-spot", "blind-spot-stopped"),
             "ours is shown a new part of the counts at each step, so that it cannot learn their "
             "noise by heart, and works on summed pixels"),
    PaperRow("DnCNN, 41 px", 30.47, math.nan, 0.93, _FIRM, ()),
    PaperRow("DURR, 45 px", 30.87, math.nan, 0.93, _FIRM, ()),
    PaperRow("U-Net, 6 scales", 36.26, 0.90, 0.984, _LOGGED, ("white",),
             "the paper's is run on frames larger than its crops of 400 pixels in training, "
             "which costs it 4 dB in its own logs"),
    PaperRow("U-Net, 4 scales (validation)", 38.16, math.nan, 0.9887, _LOGGED, ("white",),
             "ours filters the spectra of windows of 384 pixels; the paper's sees 220 pixels"),
    PaperRow("best U-Net", 42.87, 1.45, 0.99, _FIRM, ("white",),
             "the paper's split puts images of one structure into training and test, ours does "
             "not; its architecture also has forty times as many parameters"),
)  # fmt: skip


def methods_table(spec: Mapping, comparison: Path, networks: Path, baselines: Path) -> pd.DataFrame:
    """Return the table of all methods.

    Parameters
    ----------
    spec : mapping
        Of the stage ``methods``.
    comparison, networks, baselines : Path
        Folders of the evaluated frames, the trained networks and the tuned methods.

    Returns
    -------
    DataFrame
        One row a denoiser, objective of its tuning and dose: ``denoiser, title, kind, licence,
        tuned_for`` (psnr or f1), ``parameters`` (JSON), ``in_range`` (whether it is made for this
        dose), `MEASURES` with intervals over base shapes, ``seconds_per_frame``.
    """
    names = spec["denoisers"]
    frames = pd.concat(
        [pd.read_parquet(comparison / name / "frames.parquet") for name in names],
        ignore_index=True,
    )
    tables = []
    for objective, of_objective in frames.groupby("tuned_for", sort=False):
        present = [name for name in names if name in set(of_objective["denoiser"])]
        table = results_table(of_objective, present, spec["draws"], spec["seed"], MEASURES)
        table.insert(1, "tuned_for", objective)
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    about = described(spec, networks)
    info = {name: _info(name, spec, networks) for name in names if name != "clean"}
    about["licence"] = [info[n].licence if n in info else "" for n in about["denoiser"]]
    table = about.merge(table, on="denoiser", validate="one_to_many")
    table["parameters"] = [
        json.dumps(tuned_parameters(baselines, row.denoiser, row.tuned_for))
        if row.denoiser in spec["tuned"]
        else ""
        for row in table.itertuples()
    ]
    table["in_range"] = [
        _in_range(info.get(row.denoiser), row.dose_e_per_px, spec["pixel_size_nm"])
        for row in table.itertuples()
    ]
    return table


def beside_the_paper(table: pd.DataFrame, dose_e_per_px: float) -> pd.DataFrame:
    """Return the paper's rows with ours beside them.

    Frames differ, so that what is compared are the decibels above a constant image on each one's
    own frames.

    Returns
    -------
    DataFrame
        ``paper, paper_psnr_db, paper_spread_db, paper_ssim, source, ours, psnr_db, ssim,
        difference_db, because``; the last one only where the difference is 2 dB or more.
    """
    own = table[(table["dose_e_per_px"] == dose_e_per_px) & (table["tuned_for"] == "psnr")]
    own = own.set_index("denoiser")
    rows = []
    for row in PAPER:
        found = own.loc[[name for name in row.ours if name in own.index]]
        entry = {
            "paper": row.title, "paper_psnr_db": row.psnr_db, "paper_spread_db": row.spread_db,
            "paper_ssim": row.ssim, "source": row.source,
        }  # fmt: skip
        if len(found):
            best = found.loc[found["psnr_db"].idxmax()]
            above = best["contrast_psnr_db"] - (row.psnr_db - PAPER_CONSTANT_DB)
            entry |= {
                "ours": best["title"], "psnr_db": best["psnr_db"], "ssim": best["ssim"],
                "difference_db": above,
                "because": row.because if abs(above) >= EXPLAINED_DB else "",
            }  # fmt: skip
        rows.append(entry)
    return pd.DataFrame(rows)


def _info(name: str, spec: Mapping, networks: Path) -> DenoiserInfo:
    if name in spec["networks"]:
        return network_info(name, read_card(network_folder(networks, name)))
    return registry.info(name)


def _in_range(info: DenoiserInfo | None, dose_e_per_px: float, pixel_size_nm: float) -> bool:
    if info is None:
        return True
    low, high = info.dose_e_per_a2
    # A card's range is rounded.
    return 0.999 * low <= dose_e_per_a2(dose_e_per_px, pixel_size_nm) <= 1.001 * high
