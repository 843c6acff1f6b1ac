"""Learning curves of one or more trainings as one page that needs nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from lowdose.report.line_chart import Line, chart
from lowdose.runtime import UserError

PSNR, LOSS, RATE = "validation_psnr_db", "loss", "learning_rate"
FALSE = "validation_false_per_100_nm2"
PANELS = ((PSNR, "Validation PSNR", "dB", False), (LOSS, "Training loss", "", True),
          (FALSE, "Columns shown in 100 nm² of vacuum", "", False),
          (RATE, "Learning rate", "", False))  # fmt: skip
AXES = (("step", "optimiser steps"), ("minutes", "minutes of training"))

STYLE = """
:root { --ink: #1c1c1c; --paper: #fff; --faint: #8a8a8a; --grid: #e2e2e2;
  --c0: #0072b2; --c1: #d55e00; --c2: #007a5a; --c3: #b0568a; --c4: #a87400; --c5: #2b7fb8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181b; --faint: #9a9a9a;
  --grid: #34383d; --c0: #56b4e9; --c1: #ff8a3d; --c2: #2fc494; --c3: #e79cc6; --c4: #f0c14a;
  --c5: #9ad0f5; } }
@media print { :root { --ink: #000; --paper: #fff; --faint: #555; --grid: #ccc; } details { display:
  none; } figure { break-inside: avoid; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .4rem; } h2 { font-size: 1.1rem; margin: 1.4rem 0 .4rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr));
  gap: .6rem 1.4rem; }
figure { margin: 0; } figcaption { font-weight: 600; } svg { width: 100%; height: auto; }
ul.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; }
.legend svg { width: 2.2rem; height: .8rem; margin-right: .4rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; }
th, td { padding: .15rem .8rem .15rem 0; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; border-bottom: 1px solid var(--grid); }
th:first-child, td:first-child { text-align: left; }
text { fill: var(--ink); font: 12px system-ui, sans-serif; }
.grid { stroke: var(--grid); } .frame { stroke: var(--faint); }
.line { fill: none; stroke-width: 1.8; } .dot { stroke: var(--paper); stroke-width: .5; }
""" + "".join(
    f".s{i} {{ stroke: var(--c{i}); }} .dot.s{i} {{ fill: var(--c{i}); }}\n" for i in range(6)
)


@dataclass(frozen=True)
class Curve:
    """One training: its records, in order.

    Attributes
    ----------
    name : str
        ``<network>.<training set>.seed<k>``, or the folder where no card says it.
    records : list of dict
        ``step, minutes, loss, learning_rate``, ``validation_psnr_db`` [dB] and
        ``validation_false_per_100_nm2`` (NaN where it was not counted).
    """

    name: str
    records: list[dict]


def read(folders: Sequence[Path]) -> list[Curve]:
    """Read the trainings of some folders.

    Parameters
    ----------
    folders : sequence of Path
        Each with ``history.jsonl`` and ``timing.jsonl``; ``card.json`` gives the name.

    Raises
    ------
    UserError
        If a file is missing or damaged, or times and history do not belong together.
    """
    curves = []
    for folder in folders:
        history, timing = (_lines(folder / f"{name}.jsonl") for name in ("history", "timing"))
        seconds = {record.get("step"): record.get("seconds") for record in timing}
        try:
            records = [
                {key: float(record[key]) for key in (PSNR, LOSS, RATE)}
                | {FALSE: float(record.get(FALSE, "nan"))}
                | {"step": int(record["step"]), "minutes": seconds[record["step"]] / 60}
                for record in history
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{folder}/history.jsonl and timing.jsonl are no complete history of one training "
                f"({type(error).__name__}: {error}); train the network anew."
            ) from error
        curves.append(Curve(_name(folder), records))
    names = [curve.name for curve in curves]
    return [
        Curve(curve.name if names.count(curve.name) == 1 else str(folder), curve.records)
        for curve, folder in zip(curves, folders, strict=True)
    ]


def page(curves: Sequence[Curve]) -> str:
    """Return the page: HTML with inline SVG, no script; dark where the reader's system is."""
    names = ", ".join(curve.name for curve in curves)
    figures = "".join(
        f"<figure><figcaption>{title}{f' [{unit}]' if unit else ''}</figcaption>"
        + chart(
            [Line(c.name, [r[axis] for r in c.records], [r[key] for r in c.records])
             for c in curves],
            title=f"{title} against {label}", x_label=label, unit=unit, logarithmic=logarithmic,
        )
        + "</figure>\n"
        for key, title, unit, logarithmic in PANELS
        if all(math.isfinite(r[key]) for c in curves for r in c.records)
        for axis, label in AXES
    )  # fmt: skip
    legend = "".join(
        f'<li><svg viewBox="0 0 36 12" aria-hidden="true"><path class="line s{i % 6}" '
        f'stroke-dasharray="{Line.dashes(i)}" d="M0 6H36"/></svg>{escape(curve.name)}</li>'
        for i, curve in enumerate(curves)
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Learning curves: {escape(names)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><style>{STYLE}</style></head><body>
<h1>Learning curves</h1>
<p>Validations with the averaged weights; time is that spent training, over all pieces, on the
machine that trained. Rest the pointer on a dot to read its numbers; all of them stand below.</p>
<ul class="legend">{legend}</ul>
<div class="panels">
{figures}</div>
<h2>At the end</h2>
{
        _table(
            (
                "training",
                "steps",
                "minutes",
                "steps a second",
                "loss",
                "PSNR [dB]",
                "best PSNR [dB]",
            ),
            [_summary(curve) for curve in curves],
        )
    }
<details><summary>All records</summary>
{
        _table(
            ("training", "step", "minutes", "loss", "learning rate", "PSNR [dB]"),
            [
                (
                    c.name,
                    r["step"],
                    f"{r['minutes']:.2f}",
                    f"{r[LOSS]:.5g}",
                    f"{r[RATE]:.3g}",
                    f"{r[PSNR]:.2f}",
                )
                for c in curves
                for r in c.records
            ],
        )
    }
</details>
</body></html>
"""


def _summary(curve: Curve) -> tuple:
    last = curve.records[-1]
    speed = last["step"] / (60 * last["minutes"]) if last["minutes"] else float("nan")
    best = max(record[PSNR] for record in curve.records)
    return (curve.name, last["step"], f"{last['minutes']:.1f}", f"{speed:.2f}",
            f"{last[LOSS]:.5g}", f"{last[PSNR]:.2f}", f"{best:.2f}")  # fmt: skip


def _table(head: Sequence[str], rows: Sequence[Sequence]) -> str:
    titles = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>\n"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{titles}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _lines(path: Path) -> list[dict]:
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} does not exist; name the folder of a finished training.") from None
    except ValueError as error:
        raise UserError(
            f"{path} is damaged ({type(error).__name__}); train the network anew."
        ) from None
    if not records or not all(isinstance(record, dict) for record in records):
        raise UserError(f"{path} holds no records; name the folder of a finished training.")
    return records


def _name(folder: Path) -> str:
    try:
        return str(json.loads((folder / "card.json").read_text(encoding="utf-8"))["denoiser"])
    except (OSError, ValueError, KeyError, TypeError):
        return str(folder)
