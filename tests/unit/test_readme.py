"""The README's numbers are those of the tables that it names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLE = pd.read_csv(ROOT / "results" / "reference" / "quick" / "results.csv")
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


def said(cell: str) -> list[float]:
    """Return the numbers of a cell: value, lower and upper limit."""
    return [float(n) for n in re.findall(r"-?\d+\.\d+|∞", cell.replace("∞", "0.0"))]


def test_the_table_of_results():
    rows = TABLE[TABLE["dose_e_per_px"] == 0.45].set_index("title")
    found = ROW.findall(README)
    assert len(found) == len(rows)
    for title, psnr, f1, fill, erasure in found:
        row = rows.loc[re.sub(r" \(\d+ px\)$", "", title)]
        if np.isfinite(row["psnr_db"]):
            expected = [row["psnr_db"], row["psnr_db_low"], row["psnr_db_high"]]
            assert said(psnr) == pytest.approx(expected, abs=0.0051), title
        expected = [row["f1"], row["f1_low"], row["f1_high"]]
        assert said(f1) == pytest.approx(expected, abs=0.0051), title
        assert int(fill) == pytest.approx(100 * row["fill_in_rate"], abs=0.51), title
        assert int(erasure) == pytest.approx(100 * row["erasure_rate"], abs=0.51), title
        if field := re.search(r"\((\d+) px\)", title):
            assert int(field[1]) == row["receptive_field_px"]


def test_the_sentences_about_the_table():
    at = {dose: TABLE[TABLE["dose_e_per_px"] == dose].set_index("denoiser") for dose in (0.45, 1.5)}
    gain = float(re.search(r"network is (\d\.\d) dB above the best classical", README)[1])
    classical = at[0.45].loc[["gaussian", "wiener", "nlm", "tv"], "psnr_db"].max()
    assert gain == pytest.approx(at[0.45].loc["wide.white.seed0", "psnr_db"] - classical, abs=0.051)
    one, other = re.search(r"F1 (0\.\d\d)\s+against\s+(0\.\d\d)", README).groups()
    assert float(one) == pytest.approx(at[1.5].loc["gaussian", "f1"], abs=0.0051)
    assert float(other) == pytest.approx(at[1.5].loc["wide.white.seed0", "f1"], abs=0.0051)
