"""The columns of a frame as a page shows them: numbers, the words for them, rows of a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import pandas as pd

SUPPORTED, NOT_SUPPORTED = "supported", "not supported"
NOT_TESTED, INSIDE = "not tested", "not a surface column"


@dataclass(frozen=True)
class Field:
    """One thing that is said of a column.

    Attributes
    ----------
    key : str
        Its name in the page's data.
    title : str
        With the unit.
    sorts_by : str
        The number, or word, by which the table is sorted.
    text : callable
        A column's values -> the words, "" where nothing is known.
    """

    key: str
    title: str
    sorts_by: str
    text: Callable[[Mapping], str]


def number(value: object, digits: int) -> str:
    """Return a number with so many decimals and a true minus, "" for none."""
    known = _number(value)
    return "" if known is None else f"{known:.{digits}f}".replace("-", "−")


def probability(value: object) -> str:
    """Return a p- or q-value: 0.032, or 1.2e-05 where decimals would hide it; "" for none."""
    known = _number(value)
    if known is None:
        return ""
    if known == 0:
        return "0"
    return f"{known:.3f}" if known >= 0.001 else f"{known:.1e}"


def _place(axis: str) -> Callable[[Mapping], str]:
    def text(column: Mapping) -> str:
        error = number(column.get(f"{axis}_se_nm"), 3)
        return number(column[f"{axis}_nm"], 3) + (f" ± {error}" if error else "")

    return text


FIELDS = (
    Field("id", "Column", "id", lambda c: str(c["id"])),
    Field("x", "x [nm]", "x_nm", _place("x")),
    Field("y", "y [nm]", "y_nm", _place("y")),
    Field("site", "Site", "site", lambda c: c["site"]),
    Field("amplitude", "Amplitude [e/px]", "amplitude_e", lambda c: number(c["amplitude_e"], 3)),
    Field("llr", "Log-likelihood ratio", "llr", lambda c: number(c["llr"], 1)),
    Field("p", "p-value", "p_value", lambda c: probability(c["p_value"])),
    Field("q", "q-value", "q_value", lambda c: probability(c["q_value"])),
    Field("state", "By the counts", "state", lambda c: c["state"]),
)
NUMBERS = ("x_nm", "y_nm", "llr", "p_value", "q_value", "x_se_nm", "y_se_nm", "amplitude_e")
WORDS = ("where", "site")


def rows_of(columns: pd.DataFrame) -> list[dict]:
    """Return what a page holds of each column: its numbers, its state, and words for them.

    Parameters
    ----------
    columns : DataFrame
        With ``x_nm, y_nm`` and any of ``id, llr, p_value, q_value, supported, is_surface, where,
        site, x_se_nm, y_se_nm, amplitude_e``.  Without ``is_surface`` all are taken as surface.

    Returns
    -------
    list of dict
        ``id``, the numbers (None where unknown), ``where, site, surface, state`` and ``text``, the
        words by the key of each of `FIELDS`.
    """
    rows = []
    for place, values in enumerate(columns.to_dict("records")):
        row: dict = {name: _number(values.get(name)) for name in NUMBERS}
        row |= {name: _word(values.get(name)) for name in WORDS}
        row["id"] = values.get("id", place)
        if not isinstance(row["id"], str):
            row["id"] = int(row["id"])
        row["surface"] = bool(values.get("is_surface", True))
        row["state"] = _state(row, values.get("supported"))
        row["text"] = {field.key: field.text(row) for field in FIELDS}
        rows.append(row)
    return rows


def fields_of(frames: Sequence[Sequence[Mapping]]) -> list[Field]:
    """Return the fields of which anything is known of any surface column."""
    surface = [row for rows in frames for row in rows if row["surface"]]
    return [field for field in FIELDS if any(row["text"][field.key] for row in surface)]


def table_body(rows: Sequence[Mapping], fields: Sequence[Field]) -> str:
    """Return the rows of the surface columns as HTML."""
    return "".join(_row(row, fields) for row in rows if row["surface"])


def _row(row: Mapping, fields: Sequence[Field]) -> str:
    first, *others = (escape(row["text"][field.key]) or "–" for field in fields)
    cells = "".join(f"<td>{cell}</td>" for cell in others)
    kind = ' class="doubtful"' if row["state"] == NOT_SUPPORTED else ""
    return f'<tr{kind}><th scope="row">{first}</th>{cells}</tr>\n'


def _state(row: Mapping, supported: object) -> str:
    if not row["surface"]:
        return INSIDE
    if row["p_value"] is None and row["q_value"] is None:
        return NOT_TESTED
    return NOT_SUPPORTED if pd.isna(supported) or not supported else SUPPORTED


def _number(value: object) -> float | None:
    if value is None or pd.isna(value) or not math.isfinite(value):
        return None
    return float(value)


def _word(value: object) -> str:
    return "" if value is None or pd.isna(value) else str(value)
