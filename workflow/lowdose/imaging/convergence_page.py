"""The convergence study as a table and as a page to read."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields

from lowdose.imaging.convergence_bench import Row

LIMIT_PERCENT = 1.0
TIMING_NOISE = 1.25  # of two runs of one setting on a busy machine
WAVES = ("grid", "slice", "engine")
TITLES = {
    "grid": "Grid, with a slice for each atomic plane",
    "slice": "Slices, on the configured grid (atoms within this depth share one)",
    "engine": "abTEM's own potential and equal slices",
    "parametrization": "The other scattering factors",
    "coherence": "Coherence: focal spread",
    "phonons": "Debye-Waller factors against frozen phonons",
}


def table(rows: Sequence[Row]) -> str:
    """Return all rows as CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    for row in rows:
        values = asdict(row).values()
        writer.writerow([f"{v:.4g}" if isinstance(v, float) else v for v in values])
    return stream.getvalue()


def conclusion(rows: Sequence[Row]) -> str:
    """Say which setting is the cheapest good one, whether it is the configured one, and what
    the approximations cost that no grid mends.
    """
    worst: dict[tuple[str, str], float] = {}
    for row in rows:
        key = row.study, row.setting
        worst[key] = max(worst.get(key, 0.0), row.error_rms_percent)
    seconds = {(r.study, r.setting): r.seconds for r in rows}
    good = [k for k in worst if k[0] in WAVES and worst[k] < LIMIT_PERCENT]
    default = next((k for k in worst if k[0] in WAVES and _is_default(rows, k)), None)
    words = []
    if good:
        best = min(good, key=lambda k: seconds[k])
        words.append(
            f"The cheapest setting whose images are within {LIMIT_PERCENT:g} % of their contrast "
            f"at every defocus and tilt is {best[1]} ({worst[best]:.2f} %, {seconds[best]:.2g} s "
            "of one core a wave)."
        )
    else:
        words.append(f"No setting is within {LIMIT_PERCENT:g} % of the contrast everywhere.")
    if default is not None:
        words.append(_verdict(default, good, worst, seconds))
    for study, text in (
        ("coherence", "The configured coherence model differs from the incoherent sum over foci"),
        ("phonons", "Debye-Waller factors differ from frozen phonons"),
        ("parametrization", "The two parametrisations differ"),
    ):
        part = [r for r in rows if r.study == study]
        if study != "parametrization" and any(r.is_default for r in part):
            part = [r for r in part if r.is_default]
        if study == "phonons":
            part = [r for r in part if r.setting.startswith("model")]
        if part:
            span = [r.error_rms_percent for r in part]
            where = max(part, key=lambda r: r.error_rms_percent)
            words.append(
                f"{text} by {min(span):.2g} to {max(span):.2g} % of the contrast of the model's "
                f"images, most at C1 = {where.c1_nm:g} nm and {where.tilt_deg:g}° of tilt."
            )
    return " ".join(words)


def page(model: str, rows: Sequence[Row]) -> str:
    """Return the study as Markdown: the conclusion, then a table for each part."""
    conditions = sorted({(r.tilt_deg, r.c1_nm) for r in rows})
    lines = [
        "# Convergence of the simulation",
        "",
        conclusion(rows),
        "",
        f"Model: {model}, the whole cell, at tilts of "
        + " and ".join(f"{t:g}°" for t in sorted({t for t, _ in conditions}))
        + ". Each number is the root mean square difference of the expected counts, behind the "
        "configured lens and camera, from the reference, in per cent of the standard deviation "
        "of the reference's counts; `convergence.csv` has the mean absolute difference too. "
        "Seconds are of one core, for one wave of a structure simulated at two tilts (coherence: "
        "for one image; phonons: for all configurations of one tilt). The configured setting is "
        "in bold. A per cent is large where the contrast itself is nearly nothing: that of a "
        "crystal seen along its columns passes through zero where black turns to white.",
    ]
    for study, title in TITLES.items():
        part = [r for r in rows if r.study == study]
        if not part:
            continue
        shown = [c for c in conditions if any((r.tilt_deg, r.c1_nm) == c for r in part)]
        lines += ["", f"## {title}", "", f"Reference: {part[0].reference}.", ""]
        lines.append(
            "| setting | " + " | ".join(f"{t:g}°, C1 {c:g} nm" for t, c in shown) + " | s |"
        )
        lines.append("|---" * (len(shown) + 2) + "|")
        for setting in dict.fromkeys(r.setting for r in part):
            here = {(r.tilt_deg, r.c1_nm): r for r in part if r.setting == setting}
            one = next(iter(here.values()))
            name = f"**{setting}**" if one.is_default else setting
            cells = [f"{here[c].error_rms_percent:.3g}" if c in here else "" for c in shown]
            lines.append("| " + " | ".join([name, *cells, f"{one.seconds:.2g}"]) + " |")
    return "\n".join(lines) + "\n"


def _is_default(rows: Sequence[Row], key: tuple[str, str]) -> bool:
    return any(r.is_default for r in rows if (r.study, r.setting) == key)


def _verdict(
    default: tuple[str, str],
    good: Sequence[tuple[str, str]],
    worst: dict[tuple[str, str], float],
    seconds: dict[tuple[str, str], float],
) -> str:
    if default not in good:
        return (
            f"The configured one ({default[1]}) errs by up to {worst[default]:.2g} %; set "
            "simulation.grid and simulation.slice_thickness_nm accordingly."
        )
    if seconds[default] <= TIMING_NOISE * min(seconds[k] for k in good):
        return f"The configured one ({default[1]}) is it, within the noise of the timing."
    return (
        f"The configured one ({default[1]}) is good too ({worst[default]:.2g} %) but takes "
        f"{seconds[default]:.2g} s."
    )
