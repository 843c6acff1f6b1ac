"""The table of results as a page of its own: HTML that needs no network and no script."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from lowdose.runtime import UserError


@dataclass(frozen=True)
class Measure:
    """One measure of the table.

    Attributes
    ----------
    key : str
        Column of ``results.csv``, with ``_low`` and ``_high`` beside it.
    title, unit : str
        Head of the column.
    digits : int
        Digits after the point.
    higher : bool
        Whether more is better.
    factor : float
        What the value is multiplied by to have the unit.
    compared : bool
        Whether the best one is marked.
    """

    key: str
    title: str
    unit: str
    digits: int
    higher: bool
    factor: float = 1.0
    compared: bool = True


MEASURES = (
    Measure("psnr_db", "PSNR", "dB", 2, True),
    Measure("contrast_psnr_db", "contrast PSNR", "dB", 2, True),
    Measure("ssim", "SSIM", "", 3, True),
    Measure("deviance", "Poisson deviance", "mnat/px", 2, False, 1e3),
    Measure("precision", "precision", "", 3, True),
    Measure("recall", "recall", "", 3, True),
    Measure("f1", "F1", "", 3, True),
    Measure("jaccard", "Jaccard", "", 3, True),
    Measure("localisation_pm", "localisation", "pm", 1, False),
    Measure("fill_in_rate", "fill-in", "%", 0, False, 100),
    Measure("erasure_rate", "erasure", "%", 0, False, 100),
)

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #1b1b1b;
  background: #fff; margin: 0 auto; padding: 1rem; max-width: 1400px; }
h1 { font-size: 1.25rem; margin: 0 0 .3rem; }
p { max-width: 62rem; margin: .3rem 0 .9rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .45rem; text-align: right; vertical-align: top; }
th { font-weight: 600; }
thead th { border-bottom: 2px solid #1b1b1b; font-size: .82rem; line-height: 1.25;
  vertical-align: bottom; }
thead small, td small { display: block; color: #6b6b6b; font-weight: 400; font-size: .7rem;
  white-space: nowrap; }
thead small { font-size: .74rem; }
tbody th { text-align: left; font-weight: 500; white-space: nowrap; }
tbody th small { color: #6b6b6b; font-weight: 400; font-size: .74rem; display: block;
  white-space: normal; max-width: 15rem; }
tbody tr { border-bottom: 1px solid #e6e6e6; }
tbody tr.dose { border-bottom: 1px solid #1b1b1b; }
tbody tr.dose th { padding-top: 1.3rem; font-weight: 700; font-size: .95rem; }
tbody tr.reference { color: #5c5c5c; }
tbody tr.network { background: #eef4fb; }
td b { font-weight: 700; }
th:first-child { text-align: left; }
td.words { text-align: left; }
table.wide thead th { text-align: left; }
table + h1 { margin-top: 2.2rem; }
@media (max-width: 1050px) {
  thead { display: none; }
  table, tbody, th, td { display: block; }
  tbody tr { display: flex; flex-wrap: wrap; padding: .5rem .4rem; }
  tbody tr th { flex: 0 0 100%; padding: .1rem .3rem; font-weight: 700; }
  td { flex: 0 0 8.8rem; }
  td { text-align: left; padding: .2rem .3rem; }
  td::before { content: attr(data-label); display: block; font-size: .74rem; color: #444; }
}
@media print { tbody tr { break-inside: avoid; } }
"""


def results_html(table: pd.DataFrame) -> str:
    """Return the table of results as a self-contained page.

    One block a dose; in each, the best value of every measure among baselines and networks is
    bold (references are bounds, not rivals; ties are all bold).  Intervals stand small below.
    On narrow screens each row becomes a card with the name of the measure over its value.

    Parameters
    ----------
    table : DataFrame
        ``results.csv``: one row a denoiser and dose, with the columns of :data:`MEASURES`.

    Returns
    -------
    str
        HTML 5.

    Raises
    ------
    UserError
        If columns are missing.
    """
    wanted = ["denoiser", "title", "kind", "dose_e_per_px"]
    wanted += [f"{m.key}{end}" for m in MEASURES for end in ("", "_low", "_high")]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise UserError(
            f"results.csv lacks the column {missing[0]!r}; run the stage `summarise` again."
        )
    body = (
        f"<h1>Results on the test frames</h1>\n{_introduction(table)}\n"
        f"{table_html(table, MEASURES)}"
    )
    return page("Results", body)


def page(title: str, body: str) -> str:
    """Return a self-contained page in the style of the tables: HTML 5."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"{body}\n</body>\n</html>\n"
    )


def table_html(
    table: pd.DataFrame,
    measures: Sequence[Measure],
    notes: Callable[[pd.Series], list[str]] | None = None,
) -> str:
    """Return a table of denoisers and measures, one block a dose.

    Parameters
    ----------
    table : DataFrame
        ``denoiser, title, kind, dose_e_per_px`` and the columns of the measures.
    measures : sequence of Measure
    notes : callable, optional
        Row -> what stands small below its name; by default the network's field and training.
    """
    notes = notes or network_notes
    head = "".join(
        f'<th scope="col">{text(m.title)}<small>{text(m.unit) or "&nbsp;"}</small></th>'
        for m in measures
    )
    blocks = [
        _block(float(dose), rows, measures, notes)
        for dose, rows in table.groupby("dose_e_per_px", sort=True)
    ]
    return (
        f'<table>\n<thead><tr><th scope="col">denoiser</th>{head}</tr></thead>\n'
        f"{''.join(blocks)}</table>"
    )


def best_rows(rows: pd.DataFrame, measure: Measure) -> set:
    """Return the index labels of the best rivals (baselines and networks), as they are shown."""
    rivals = rows[rows["kind"] != "reference"]
    texts = {i: _number(v, measure) for i, v in rivals[measure.key].items() if math.isfinite(v)}
    if not texts:
        return set()
    ends = max if measure.higher else min
    best = ends(float(one) for one in texts.values())
    return {i for i, one in texts.items() if float(one) == best}


def _introduction(table: pd.DataFrame) -> str:
    units = ""
    if "n_units" in table.columns:
        n = int(table["n_units"].max())
        units = f" over {n} base shape{'s' if n != 1 else ''} of the test set"
    if "interval_method" in table.columns:
        methods = sorted(set(table["interval_method"]) - {"none"})
        units += f" ({', '.join(map(text, methods))})" if methods else ""
    return (
        f"<p>Below each value: its 95 % interval{units}. Bold: best of baselines "
        "and networks at that dose; a best value whose interval overlaps with the next is no "
        "proof. Grey rows are bounds: the clean frame is the ceiling of the column detector, the "
        "constant image and the raw counts are floors. Fill-in is the share of true vacancies "
        "that are shown as filled, erasure the share of true columns at the same sites that are "
        "not shown: only both together say something, since an empty image fills nothing in.</p>"
    )


def _block(
    dose: float,
    rows: pd.DataFrame,
    measures: Sequence[Measure],
    notes: Callable[[pd.Series], list[str]],
) -> str:
    best = {m.key: best_rows(rows, m) if m.compared else set() for m in measures}
    lines = [
        f'<tbody>\n<tr class="dose"><th colspan="{len(measures) + 1}" scope="rowgroup">'
        f"{dose:g} electrons per pixel</th></tr>\n"
    ]
    for i, row in rows.iterrows():
        cells = "".join(_cell(row, m, i in best[m.key]) for m in measures)
        small = "; ".join(notes(row))
        name = text(str(row["title"])) + (f"<small>{text(small)}</small>" if small else "")
        lines.append(
            f'<tr class="{text(str(row["kind"]))}"><th scope="row">{name}</th>{cells}</tr>\n'
        )
    return "".join([*lines, "</tbody>\n"])


def network_notes(row: pd.Series) -> list[str]:
    """Return what tells a network from the others: its field, its training set and seed."""
    notes = []
    field = row.get("receptive_field_px")
    if field is not None and pd.notna(field):
        notes.append(f"field {field:.0f} px = {row['receptive_field_nm']:.2f} nm")
    parts = str(row["denoiser"]).split(".")
    if row["kind"] == "network" and len(parts) == 3:
        notes.append(f"{parts[1]}, {parts[2].replace('seed', 'seed ')}")
    return notes


def _cell(row: pd.Series, measure: Measure, best: bool) -> str:
    label = f"{measure.title} [{measure.unit}]" if measure.unit else measure.title
    value = _number(row[measure.key], measure)
    limits = [row.get(f"{measure.key}_{end}", math.nan) for end in ("low", "high")]
    interval = ""
    if all(pd.notna(v) and math.isfinite(v) for v in limits):
        low, high = (_number(v, measure) for v in limits)
        interval = f"<small>{low} to {high}</small>"
    return f'<td data-label="{text(label)}">{f"<b>{value}</b>" if best else value}{interval}</td>'


def _number(value: float, measure: Measure) -> str:
    return shown(value * measure.factor, f".{measure.digits}f")


def shown(value: float, form: str) -> str:
    """Return a number as tables show it: none as a dash, what rounds to zero without a sign."""
    if pd.isna(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    number = format(value, form)
    return number.lstrip("+-") if float(number) == 0 else number


def text(plain: str) -> str:
    """Return a text as HTML."""
    return html.escape(plain, quote=True)
