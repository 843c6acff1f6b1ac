"""What another training geometry costs: the published matrices beside ours.

Levels differ (frames, networks, length of training), so that losses are compared: decibels below
what the network reaches on the same kind of test frames that was trained on that kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from lowdose.evaluation import geometry

# PSNR [dB] by what was trained on (rows) and tested on (columns), from the logs and tables in the
# authors' repository (6-scale U-Net).  Of the defects, Ds is left out: its file equals that of Dh.
PUBLISHED: dict[str, tuple[tuple[str, ...], dict[str, tuple[float, ...]]]] = {
    "contrast": (
        ("black", "intermediate", "white"),
        {
            "black": (39.11, 29.32, 27.93),
            "intermediate": (37.18, 35.34, 35.31),
            "white": (36.95, 34.43, 36.26),
        },
    ),
    "family": (
        ("PtNp1", "PtNp2", "PtNp3", "PtNp4"),
        {
            "PtNp1": (38.33, 37.83, 38.40, 37.72),
            "PtNp2": (37.27, 37.19, 37.04, 37.01),
            "PtNp3": (34.42, 33.95, 37.84, 33.30),
            "PtNp4": (37.49, 37.02, 37.77, 37.24),
        },
    ),
    "defect": (
        ("D0", "D1", "D2", "Dh"),
        {
            "D0": (35.59, 35.00, 34.77, 34.68),
            "D1": (34.37, 34.46, 34.50, 34.45),
            "D2": (36.80, 36.71, 36.79, 36.40),
            "Dh": (35.42, 35.28, 35.31, 35.21),
        },
    ),
}
# Names of our training sets, where they are not the kind in small letters after "only-".
OWN_NAMES = {"intermediate": "only-mixed"}


def table(spec: Mapping, evaluation: Path, networks: Path) -> pd.DataFrame:
    """Return :func:`beside` of the matrices of a study; arguments as of `geometry.table`."""
    return beside(geometry.table(spec, evaluation, networks))


def beside(own: pd.DataFrame) -> pd.DataFrame:
    """Return published and own losses of every pair of kinds that both have.

    Parameters
    ----------
    own : DataFrame
        From :func:`lowdose.evaluation.geometry.table`.

    Returns
    -------
    DataFrame
        ``axis, trained_on, tested_on, paper_psnr_db, paper_loss_db, own_contrast_psnr_db,
        own_loss_db``; losses are positive where the matching training is better.
    """
    values = own.set_index(["trained_on", "tested_axis", "tested_on"])["contrast_psnr_db"]
    rows = []
    for axis, (tested, matrix) in PUBLISHED.items():
        for trained, row in matrix.items():
            for kind, psnr in zip(tested, row, strict=True):
                keys = [(_own_name(name), axis, kind) for name in (trained, kind)]
                if any(key not in values.index for key in keys):
                    continue
                here, matched = (float(values[key]) for key in keys)
                rows.append(
                    {
                        "axis": axis, "trained_on": trained, "tested_on": kind,
                        "paper_psnr_db": psnr,
                        "paper_loss_db": matrix[kind][tested.index(kind)] - psnr,
                        "own_contrast_psnr_db": here, "own_loss_db": matched - here,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def _own_name(kind: str) -> str:
    return OWN_NAMES.get(kind, f"only-{kind.lower()}")
