"""The table of a benchmark's scores, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lowdose.evaluation.score import ALL_SHIFTS, NO_SHIFT
from lowdose.report.markdown import markdown_table

# Column of the table, heading, factor, digits.
SHOWN = (
    ("psnr_db", "PSNR [dB]", 1, 2),
    ("contrast_psnr_db", "contrast PSNR [dB]", 1, 2),
    ("ssim", "SSIM", 1, 3),
    ("f1", "surface F1", 1, 3),
    ("precision", "precision", 1, 3),
    ("recall", "recall", 1, 3),
    ("fill_in_rate", "fill-in [%]", 100, 0),
    ("erasure_rate", "erasure [%]", 100, 0),
    ("right_rate", "right [%]", 100, 0),
    ("auc", "AUC", 1, 3),
)
EXPLAINED = """\
In brackets: 95 % intervals over base shapes. PSNR has MAX = 1 at 0.45 electrons per pixel (a raw
frame scores 3.5 dB there); contrast PSNR is the dB above a constant image. F1, precision and
recall are those of the surface columns. At the columns at stake of the matched pairs: fill-in is
the share of truly empty sites at which a column is shown, erasure that of true columns that are
not shown, right that of right decisions where both are equally frequent, AUC how often the frame
with the column shows it more strongly than the one without. The detection threshold of every
method is the one with the best F1 on its own estimates of the set `validation`, at each dose.
`ideal` knows both possible expectations and makes no image: on average no method that looks at
the counts alone is right more often. `shifted` are all its shifts together, `shifted: none` the
same particles in the training world; the CSV has each shift."""


def score_page(table: pd.DataFrame, benchmark: str, scorer: str, notes: Sequence[str] = ()) -> str:
    """Return the scores of one or several methods.

    Parameters
    ----------
    table : DataFrame
        From :meth:`lowdose.evaluation.score.Scorer.table`.
    benchmark, scorer : str
        SHA-256 of the benchmark; digest of the scorer's code.
    notes : sequence of str
        Sentences below the tables.
    """
    parts = [f"Benchmark `{benchmark}`, scored by code `{scorer}`."]
    shown = table[table["shift"].isin(["", ALL_SHIFTS, NO_SHIFT])]
    for (kind, shift, dose), rows in shown.groupby(["set", "shift", "dose_e_per_px"], sort=False):
        name = f"{kind}: {shift}" if shift == NO_SHIFT else kind
        units = rows["n_units"].dropna()
        about = f", {units.iloc[0]} base shapes" if len(units) else ""
        parts += [
            f"### {name} at {dose:g} electrons per pixel{about}",
            markdown_table(
                ("method", *(heading for _, heading, *_ in SHOWN)),
                [_line(row) for _, row in rows.iterrows()],
            ),
        ]
    return "\n\n".join([*parts, EXPLAINED, *(f"- {note}" for note in notes)]) + "\n"


def _line(row: pd.Series) -> list[str]:
    if row["status"] == "missing":
        return [row["method"], *["missing"] * len(SHOWN)]
    return [row["method"], *(_cell(row, *shown) for shown in SHOWN)]


def _cell(row: pd.Series, name: str, heading: str, factor: float, digits: int) -> str:
    value, low, high = (factor * row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if pd.isna(value):
        return "missing" if row["n_images"] is not pd.NA else "-"
    if np.isinf(value):
        return "∞" if value > 0 else "-∞"
    if not np.isfinite([low, high]).all():
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
