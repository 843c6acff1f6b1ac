"""The comparison of all methods as a page of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pandas as pd

from lowdose.report.table import MEASURES, Measure, network_notes, page, shown, table_html, text

SHOWN = [m for m in MEASURES if m.key not in ("fill_in_rate", "erasure_rate")]
SECONDS = Measure("seconds_per_frame", "time", "s/frame", 2, False, compared=False)


def methods_html(table: pd.DataFrame, paper: pd.DataFrame, spec: Mapping) -> str:
    """Return the page.

    Parameters
    ----------
    table, paper : DataFrame
        From :mod:`lowdose.evaluation.methods`.
    spec : mapping
        Of the stage ``methods``.
    """
    dose = spec["reference_dose_e_per_px"]
    tuned = {key: table[table["tuned_for"] == key] for key in ("psnr", "f1")}
    f1 = tuned["f1"]
    # Networks and references are tuned for nothing: the same rows stand in both tables.
    same = tuned["psnr"][
        (tuned["psnr"]["dose_e_per_px"] == dose) & ~tuned["psnr"]["denoiser"].isin(f1["denoiser"])
    ]
    order = {name: place for place, name in enumerate(spec["denoisers"])}
    f1 = pd.concat([f1, same]).sort_values("denoiser", key=lambda names: names.map(order))
    columns = [*SHOWN, SECONDS]
    body = (
        "<h1>All methods on the same frames</h1>\n"
        f"{_introduction(table, spec)}\n"
        f"<h1>Tuned for PSNR</h1>\n{table_html(tuned['psnr'], columns, _notes)}\n"
        f"<h1>Tuned for the surface</h1>\n{_of_f1(dose)}\n{table_html(f1, columns, _notes)}\n"
        f"<h1>The paper's own rows</h1>\n{_paper(paper)}\n"
        f"<h1>What was tuned</h1>\n{_parameters(table)}"
    )
    return page("All methods", body)


def _introduction(table: pd.DataFrame, spec: Mapping) -> str:
    n = int(table["n_units"].max())
    missing = "".join(f" {text(s)}" for s in spec["not_run"].values())
    return (
        f"<p>One frame of each of {n} base shapes of the test set, "
        f"{spec['realisations']} noise realisation{'s' if spec['realisations'] > 1 else ''} at "
        "each dose; below each value its 95 % interval over the shapes. Every method was tuned by "
        f"one procedure, {spec['trials']} trials on the same validation frames at "
        f"{spec['reference_dose_e_per_px']:g} electrons per pixel, the pixels that it sums among "
        "its parameters; the detection threshold is each one's best on the validation frames at "
        "that dose. PSNR with MAX = 1 at 0.45 electrons per pixel, to which other doses are "
        "scaled. Bold: best of methods and networks at that dose. Times are medians of one thread "
        f"on the machine of the run.{missing}</p>"
    )


def _of_f1(dose: float) -> str:
    return (
        f"<p>The same trials, of which those with the best F1 of the surface columns were taken; "
        f"at {dose:g} electrons per pixel. Networks and references are tuned for nothing and are "
        "the rows of above.</p>"
    )


def _notes(row: pd.Series) -> list[str]:
    licence = row["licence"] if isinstance(row["licence"], str) else ""
    notes = [*network_notes(row), licence]
    if not row["in_range"]:
        notes.append("outside the doses that it is made for")
    return [note for note in notes if note]


def _paper(paper: pd.DataFrame) -> str:
    head = "".join(
        f'<th scope="col">{title}<small>{unit or "&nbsp;"}</small></th>'
        for title, unit in (
            ("the paper's", ""), ("PSNR", "dB"), ("SSIM", ""), ("how sure", ""), ("ours", ""),
            ("PSNR", "dB"), ("SSIM", ""), ("difference", "dB above constant"), ("why", ""),
        )
    )  # fmt: skip
    lines = []
    for _, row in paper.iterrows():
        spread = "" if pd.isna(row["paper_spread_db"]) else f" ± {row['paper_spread_db']:g}"
        ours = row["ours"] if isinstance(row["ours"], str) else "–"
        why = row["because"] if isinstance(row["because"], str) else ""
        cells = [
            f"{row['paper_psnr_db']:.2f}{spread}", shown(row["paper_ssim"], "g"),
            row["source"], ours, shown(row["psnr_db"], ".2f"), shown(row["ssim"], ".3f"),
            shown(row["difference_db"], "+.1f"), why,
        ]  # fmt: skip
        lines.append(
            f'<tr><th scope="row">{text(row["paper"])}</th>'
            + "".join(f'<td class="words">{text(cell)}</td>' for cell in cells)
            + "</tr>\n"
        )
    return (
        "<p>Vincent et al. 2021, as far as its numbers are known; its frames are not ours, so that "
        "decibels above a constant image are compared (26.2 dB on its frames). Differences of "
        "2 dB or more are explained.</p>\n"
        f'<table class="wide">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{"".join(lines)}</tbody>\n'
        "</table>"
    )


def _parameters(table: pd.DataFrame) -> str:
    lines = []
    chosen = table[table["parameters"] != ""].drop_duplicates(["denoiser", "tuned_for"])
    for name, rows in chosen.groupby("denoiser", sort=False):
        for _, row in rows.iterrows():
            found = json.loads(row["parameters"])
            listed = ", ".join(f"{key} {value}" for key, value in found.items())
            lines.append(
                f'<tr><th scope="row">{text(row["title"])}<small>{text(str(name))}</small></th>'
                f'<td class="words">{row["tuned_for"].upper()}</td>'
                f'<td class="words">{text(listed)}</td></tr>\n'
            )
    return (
        '<table class="wide">\n<thead><tr><th scope="col">method</th><th scope="col">for</th>'
        f'<th scope="col">parameters</th></tr></thead>\n<tbody>\n{"".join(lines)}</tbody>\n</table>'
    )
