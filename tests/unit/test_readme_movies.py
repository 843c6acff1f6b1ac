"""What the README says of films is what the tables of the films say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "results" / "reference" / "movies" / "tables"
TEXT = " ".join(
    (ROOT / "README.md")
    .read_text(encoding="utf-8")
    .split("## What learns from the recording itself")[1]
    .split("\n## ")[0]
    .split()
)
REFERENCE = 0.45
SHIFTED = ["none", "phonons", "second-code", "coherence", "optics", "camera", "drift",
           "contamination", "registry"]  # fmt: skip
NUMBER = r"(−?\d+(?:\.\d+)?)"


def said(pattern: str) -> list[float]:
    """Return the numbers of a sentence, in which # stands for each."""
    found = re.search(re.escape(pattern).replace(r"\#", NUMBER), TEXT)
    assert found, pattern
    return [float(n.replace("−", "-")) for n in found.groups()]


def at(table: str, *keys: str) -> pd.DataFrame:
    return pd.read_csv(TABLES / f"{table}.csv").set_index(list(keys)).sort_index()


def test_images_and_events():
    table = at("movies", "method", "dose_e_per_px").xs(REFERENCE, level=1)
    psnr = said("has # dB at 0.45 electrons per pixel, where the best sum of frames and pixels has "
                "# dB, the specialist `white`, which learned from simulations, # dB on single "
                "frames and # dB on sums")  # fmt: skip
    order = ["udvd", "sum", "white", "white-of-sum"]
    assert psnr == pytest.approx(table.loc[order, "psnr_db"].tolist(), abs=0.051)
    f1 = said("F1 of its surface columns is # against #, # and #")
    assert f1 == pytest.approx(table.loc[order, "f1"].tolist(), abs=0.0051)
    [minutes] = said("trained on the film alone in # minutes")
    assert minutes == pytest.approx(table.loc["udvd", "seconds"] * 120 / 60, abs=0.51)
    shortest = said("lasts # frames for the ideal observer, # for the counts themselves, # for "
                    "`white`, # for UDVD, and # for the best sum")  # fmt: skip
    order = ["ideal", "raw", "white", "udvd", "sum"]
    assert shortest == table.loc[order, "shortest"].tolist()


def test_adaptation():
    table = at("adaptation", "network", "case").loc["white"]
    alone = table[table["left_alone"] == 1].index
    assert {"in distribution", "Au on TiO2"} <= set(alone)
    frames = at("adaptation_frames", "network", "case").loc["white"]
    shifted = frames.loc[SHIFTED, "gain_db"]
    same, of, gain, loss = said("on # of # frames of the shifted set (of the others one gains # "
                                "and one loses # dB)")  # fmt: skip
    assert [same, of] == [(shifted == 0).sum(), len(shifted)] and of - same == 2
    assert [gain, -loss] == pytest.approx([shifted.max(), shifted.min()], abs=0.0051)
    gains = said("it gains # dB [#, #] at forty times the dose and # dB [#, #] where the contrast")
    columns = ["gain_db", "gain_low", "gain_high"]
    expected = table.loc[["dose x 40", "inverted contrast"], columns].to_numpy().ravel()
    assert gains == pytest.approx(expected.tolist(), abs=0.051)
    photographs = said("ours gains # dB [#, #] at twice the noise of its training and # dB [#, #]")
    natural = at("natural_images", "case")
    expected = natural.loc[["noise 60", "in distribution"], columns].to_numpy().ravel()
    assert photographs == pytest.approx(expected.tolist(), abs=0.051)


def test_positions_and_atoms():
    table = at("positions", "columns", "method", "dose_e_per_px").loc["all"]
    ratios = said("within # times the Cramér-Rao bound at 5 electrons per pixel and # times at 20 "
                  "(Gaussian fits: # and #)")  # fmt: skip
    expected = [table.loc[(m, d), "ratio"] for m in ("blobs", "fits") for d in (5, 20)]
    assert ratios == pytest.approx(expected, abs=0.0051)
    missed = said("they miss # % of the columns in counts and # % in the image")
    expected = [100 * table.loc[(m, REFERENCE), "failure_rate"] for m in ("blobs", "network")]
    assert missed == pytest.approx(expected, abs=0.51)
    atoms = at("atom_counts", "columns", "averaging", "dose_e_per_px").loc["all"]
    rightly = said("counted rightly in # % at 0.45 in the sum of a film, in # % in one frame "
                   "(chance: # %)")  # fmt: skip
    keys = (("film", "right"), ("one frame", "right"), ("film", "chance"))
    expected = [atoms.loc[(averaging, REFERENCE), column] for averaging, column in keys]
    assert rightly == pytest.approx(100 * np.array(expected), abs=0.51)


def test_order_rates_and_strain():
    table = pd.read_csv(TABLES / "dynamics.csv")
    own = table[(table["templates"] == "film") & (table["dose_e_per_px"] == REFERENCE)]
    fast = own[own["summed"] == 1]
    right, inside, of = said("right state in # % of frames of 10 ms at 0.45 electrons per pixel, "
                             "and the true rate of switching lies within its 95 % interval in # "
                             "of # cases")  # fmt: skip
    assert right == pytest.approx(100 * fast["right"].mean(), abs=0.051)
    assert [inside, of] == [fast["inside"].sum(), len(fast)]
    [milliseconds] = said("in frames of # ms, which are longer than the spells")
    endless = own.groupby("frame_time_s")["high"].apply(lambda high: np.isinf(high).any())
    assert endless.idxmax() == pytest.approx(milliseconds / 1000)
    moved = at("strain", "column", "dose_e_per_px", "method").loc[("mean", REFERENCE)]
    outward = said("lie # pm outward are found at # pm by Gaussian fits and at # pm by blobs")
    means = moved.groupby("method")[["true_nm", "outward_nm"]].mean() * 1000
    expected = [means.loc["fit", "true_nm"], *means.loc[["fit", "blob"], "outward_nm"]]
    assert outward == pytest.approx(expected, abs=0.051)
