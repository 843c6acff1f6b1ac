"""The rows of a benchmark: a value, its interval, its target and whether it is met."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lowdose.report.markdown import markdown_table


class Row(NamedTuple):
    """One line of a benchmark.

    Attributes
    ----------
    name : str
    value : float or None
        None where there is none; the note says why.
    unit : str
    target : float or None
    at_least : bool
        Whether the target is a lower limit; else an upper one.
    low, high : float or None
        95 % interval of the value.
    note : str
        What the value was measured on, or how it is read.
    """

    name: str
    value: float | None
    unit: str
    target: float | None = None
    at_least: bool = False
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the value meets its target; None without a target.  No value meets none."""
        if self.target is None:
            return None
        if self.value is None:
            return False
        return bool(self.value >= self.target if self.at_least else self.value <= self.target)

    @property
    def limit(self) -> str:
        """Which side of the target is met."""
        return "at least" if self.at_least else "at most"

    def as_json(self) -> dict:
        """Return the row for the result's file, numbers to four digits."""
        result = {
            "name": self.name,
            "value": _rounded(self.value),
            "unit": self.unit,
            "target": self.target,
            "met": self.met,
        }
        if self.target is not None:
            result["limit"] = self.limit
        if self.low is not None:
            result["interval"] = [_rounded(self.low), _rounded(self.high)]
        if self.note:
            result["note"] = self.note
        return result


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = []
    for row in rows:
        verdict = {None: "", True: "met", False: "MISSED"}[row.met]
        lines.append((row.name, _value(row), _limit(row), verdict, row.note))
    return markdown_table(("what", "value", "target", "", "note"), lines)


def _value(row: Row) -> str:
    if row.value is None:
        return "none"
    interval = "" if row.low is None else f" [{row.low:.4g}, {row.high:.4g}]"
    return f"{row.value:.4g}{interval} {row.unit}".rstrip()


def _limit(row: Row) -> str:
    if row.target is None:
        return ""
    return f"{row.limit} {row.target:.4g} {row.unit}".rstrip()


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
