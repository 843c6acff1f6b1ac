"""The table of an architecture search: what was tried, what it cost, how far it came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lowdose.denoisers.cards import read_card
from lowdose.metrics import psnr
from lowdose.report.learning_curve_page import FALSE, PSNR, read
from lowdose.report.markdown import markdown_table
from lowdose.runtime import UserError

# Column -> title and how a number is written.
SHOWN = {
    "network": ("network", "{}"),
    "differs": ("differs from the first in", "{}"),
    "parameters": ("parameters", "{:,}"),
    "field_px": ("field [px]", "{:.0f}"),
    "effective_px": ("effective field [px]", "{:.0f}"),
    "steps": ("steps", "{:,}"),
    "seconds_a_step": ("seconds a step", "{:.3f}"),
    "psnr_db": ("validation PSNR [dB]", "{:.2f}"),
    "above_constant_db": ("above a constant image [dB]", "{:.2f}"),
    "false_per_100_nm2": ("columns in 100 nm² of vacuum", "{:.1f}"),
}
# What a cell without a number says.
UNKNOWN = {"field_px": "all", "effective_px": "all", "false_per_100_nm2": "-"}
# Of the training: what says how long it was allowed to last, or changes no result.
NO_DIFFERENCE = ("save_every_s", "validate_every")


def search_table(folders: Sequence[Path], constant_db: float) -> pd.DataFrame:
    """Return one row a trained network, the best first.

    Parameters
    ----------
    folders : sequence of Path
        Of trained networks, with card, history and timing; the first is what the others are
        compared with.
    constant_db : float
        Mean PSNR of the constant images of the validation frames [dB].

    Returns
    -------
    DataFrame
        ``network, differs, parameters, field_px`` (NaN for the whole frame), ``effective_px``
        (NaN if it was not measured), ``steps, minutes, seconds_a_step`` (validations included),
        ``psnr_db, above_constant_db`` of the validation at the end, ``false_per_100_nm2`` (columns
        that it shows in vacuum), ``threads``.

    Raises
    ------
    UserError
        If a folder holds no finished training, or two are the same.
    """
    cards = [read_card(folder) for folder in folders]
    rows = []
    for folder, card, curve in zip(folders, cards, read(folders), strict=True):
        missing = [key for key in ("parameters", "training", "threads") if key not in card]
        if missing:
            raise UserError(
                f"{folder}/card.json lacks {missing[0]!r}, so it is none of `lowdose train`; leave "
                "this folder out."
            )
        last = curve.records[-1]
        rows.append({
            "network": curve.name, "differs": differences(card, cards[0]) or "-",
            "parameters": card["parameters"], "field_px": card["receptive_field_px"],
            "effective_px": card.get("effective_field_px"), "steps": last["step"],
            "minutes": last["minutes"], "seconds_a_step": 60 * last["minutes"] / last["step"],
            "psnr_db": last[PSNR], "above_constant_db": last[PSNR] - constant_db,
            "false_per_100_nm2": last[FALSE], "threads": card["threads"],
        })  # fmt: skip
    table = pd.DataFrame(rows)
    if (twice := table["network"].duplicated()).any():
        raise UserError(
            f"{table.loc[twice, 'network'].iloc[0]} is named twice; name each folder once."
        )
    table = table.astype({"field_px": float, "effective_px": float})
    return table.sort_values("psnr_db", ascending=False, kind="stable", ignore_index=True)


def differences(card: Mapping, reference: Mapping) -> str:
    """Return in which keys of architecture and training a network differs: ``key value, ...``."""
    told = []
    for part in ("architecture", "training"):
        told += [
            f"{key} {_words(value)}"
            for key, value in card[part].items()
            if key not in NO_DIFFERENCE and value != reference[part].get(key)
        ]
    for key in ("training_set", "seed"):
        if card.get(key) != reference.get(key):
            value = card[key]
            told.append(f"{key} {value['name'] if isinstance(value, Mapping) else value}")
    return ", ".join(told)


def constant_psnr_db(cleans: Sequence[np.ndarray]) -> float:
    """Return the mean PSNR [dB] of the constant images at the means of clean ones (vacuum = 1)."""
    # PSNR is read at 0.45 e/px whatever the dose, so the relative images will do.
    return float(np.mean([psnr(c, np.full_like(c, c.mean()), dose_e_per_px=1.0) for c in cleans]))


def page(table: pd.DataFrame, constant_db: float, frames: int) -> str:
    """Return the table as a Markdown page.

    Parameters
    ----------
    table : DataFrame
        Of :func:`search_table`.
    constant_db : float
    frames : int
        Number of validation frames.
    """
    rows = [[form.format(row[key]) if pd.notna(row[key]) else UNKNOWN[key]
             for key, (_, form) in SHOWN.items()] for row in table.to_dict("records")]  # fmt: skip
    low, high = table["minutes"].min(), table["minutes"].max()
    minutes = f"{low:.1f}" if high - low < 0.05 else f"{low:.1f} to {high:.1f}"
    threads = " or ".join(map(str, sorted(set(table["threads"]))))
    return (
        f"# What was tried\n\n{len(table)} networks, each trained for {minutes} minutes on "
        f"{threads} thread(s), validations included.  PSNR at the end on {frames} validation "
        f"frames, whose constant image has {constant_db:.2f} dB.\n\n"
        + markdown_table([title for title, _ in SHOWN.values()], rows)
        + "\n"
    )


def _words(value: object) -> str:
    return ("-".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
