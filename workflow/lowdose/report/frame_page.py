"""A microscopist's denoised frames as one page that needs nothing else, and no network.

Images travel as PNG within the page, the numbers as JSON; ``pages/`` holds what shows them.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

import numpy as np
import pandas as pd
from PIL import Image

from lowdose.report.frame_pixels import (
    DENOISED_CODES,
    SPREAD_CODES,
    Coded,
    code_counts,
    code_smooth,
    grey_limits,
    residual,
    residual_facts,
    spectrum,
)
from lowdose.report.frame_rows import NOT_SUPPORTED, fields_of, rows_of, table_body
from lowdose.report.lengths import nice_length
from lowdose.runtime import UserError

STYLES = ("frames.css", "frames_paper.css")
SCRIPTS = tuple(
    f"{name}.js" for name in ("pixels", "stage", "marks", "panels", "frames", "drawing", "wiring")
)
KINDS = ("note", "warning")
SHORT_TABLE = 24  # rows that a reader is shown without asking
STILL_PX = 900  # greatest width of the image of a page without scripts
# Of a log-likelihood ratio: beyond it a colour needs no finer steps.
LEAST_LLR, MOST_LLR = 3.0, 30.0

SUPPORTED_MEANS = (
    "<b>Supported</b> means that the electrons alone, whatever the image shows, speak for the "
    "column: of the columns that are called so, at most {level} are expected not to be there (the "
    "false-discovery rate, to which the q-values refer).",
    "<b>Not supported is not absent.</b> It means that these electrons do not decide: at low dose "
    "many true columns are not supported. If your question is about such a column, sum frames or "
    "count longer.",
)


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """One frame of a file, with what is known of it.

    Attributes
    ----------
    number : int
        In the file, from 0.
    counts, denoised : float32 array (y, x)
        [e/px].
    spread : float32 array (y, x) or None
        Standard deviation of the network's answers over the orientations of its input [e/px].
    columns : DataFrame
        ``x_nm, y_nm`` (x to the right, y down, pixel i at i pixel sizes), and any of ``id, llr,
        p_value, q_value, supported, is_surface, where, site, x_se_nm, y_se_nm, amplitude_e``; NaN
        where unknown.
    vacuum : float or None
        Expected counts in vacuum [e/px].
    verdict : str
        One or two sentences.
    """

    number: int
    counts: np.ndarray
    denoised: np.ndarray
    spread: np.ndarray | None
    columns: pd.DataFrame
    vacuum: float | None
    verdict: str


@dataclass(frozen=True, eq=False)
class Page:
    """What a page shows and says.

    Attributes
    ----------
    title : str
    source : str
        Name of the file.
    frames : sequence of ShownFrame
        Some of the file's, all of one shape.
    n_frames : int
        In the file.
    pixel_size_nm : float
    facts : sequence of (str, str)
        Name and value: format, pixel size, beam energy, dose and so on.
    findings : sequence of (str, str)
        ``note`` or ``warning``, and a sentence.
    verdict : str
        Of the whole file.
    level : float
        False-discovery rate at which columns are called supported.
    trained_on : sequence of (str, str)
        Name and value.
    how : sequence of str
        How the columns were tested, in sentences.
    citation, version : str
    """

    title: str
    source: str
    frames: Sequence[ShownFrame]
    n_frames: int
    pixel_size_nm: float
    facts: Sequence[tuple[str, str]]
    findings: Sequence[tuple[str, str]]
    verdict: str
    level: float
    trained_on: Sequence[tuple[str, str]]
    how: Sequence[str]
    citation: str
    version: str


def frame_page(page: Page) -> str:
    """Return the page: HTML with style, script and images inside.

    Raises
    ------
    UserError
        If images and numbers do not belong together.
    """
    _check(page)
    frames = [_frame(frame, page.pixel_size_nm) for frame in page.frames]
    fields = fields_of([frame["columns"] for frame in frames])
    first = frames[0]
    data = {
        "pixel_size_nm": page.pixel_size_nm,
        "n_frames": page.n_frames,
        "level": page.level,
        "llr_limit": _llr_limit(frames),
        "fields": [{"key": f.key, "title": f.title, "sorts_by": f.sorts_by} for f in fields],
        "frames": frames,
    }
    surface = sum(column["surface"] for column in first["columns"])
    return _fill(
        _text("frames.html"),
        title=escape(page.title),
        about=escape(_about(page)),
        style="\n".join(map(_text, STYLES)),
        script="\n".join(map(_text, SCRIPTS)),
        data=in_script(data),
        verdict=escape(page.verdict),
        findings=_findings(page.findings),
        frame_verdict=escape(page.frames[0].verdict),
        # A page of many frames says it of each; of one, the verdict stands above already.
        one_frame="one-frame" if page.frames[0].verdict == page.verdict else "",
        first_name=f"Frame {page.frames[0].number + 1} of {page.n_frames}",
        still=_still(page, first),
        table_head="".join(f'<th scope="col">{escape(f.title)}</th>' for f in fields),
        table_body=table_body(first["columns"], fields),
        table_open="open" if surface <= SHORT_TABLE else "",
        table_hidden="" if fields else "hidden",
        table_caption=_caption(first["columns"], page.frames[0].number + 1),
        residual_facts=_residual_rows(first["residual_facts"]),
        whole="" if all(frame["counts"]["exact"] for frame in frames) else _NOT_WHOLE,
        trained_on=_pairs(page.trained_on),
        trained_hidden="" if page.trained_on else "hidden",
        how="".join(f"<li>{escape(sentence)}</li>" for sentence in page.how),
        means="".join(f"<p>{text}</p>" for text in SUPPORTED_MEANS).format(
            level=f"{100 * page.level:g} %"
        ),
        facts=_pairs(page.facts),
        citation=escape(page.citation),
        version=escape(page.version),
    )


_NOT_WHOLE = (
    "<p>The counts of this file are not whole electrons, so that their noise need not be that of "
    "counts, and what is expected here need not hold.</p>"
)


def in_script(data: object) -> str:
    """Return JSON that no HTML parser takes for the end, or a comment, of its script element."""
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _check(page: Page) -> None:
    if not page.frames:
        raise UserError(f"No frame of {page.source} is to be shown; choose one or more.")
    if not (page.pixel_size_nm > 0 and math.isfinite(page.pixel_size_nm)):
        raise UserError(f"pixel_size_nm is {page.pixel_size_nm}; give a positive number.")
    if not 0 < page.level < 1:
        raise UserError(f"level is {page.level}; give a number between 0 and 1.")
    wrong = [kind for kind, _ in page.findings if kind not in KINDS]
    if wrong:
        raise UserError(f"A finding is a {wrong[0]!r}; the page knows {' and '.join(KINDS)}.")
    numbers = [frame.number for frame in page.frames]
    if len(set(numbers)) < len(numbers) or not all(0 <= n < page.n_frames for n in numbers):
        raise UserError(
            f"The frames to show are {numbers} of {page.n_frames}; give each once, from 0."
        )
    shape = np.shape(page.frames[0].counts)
    for frame in page.frames:
        name = f"Frame {frame.number} of {page.source}"
        for kind in ("counts", "denoised", "spread"):
            image = getattr(frame, kind)
            if image is None and kind == "spread":
                continue
            if np.shape(image) != shape or len(shape) != 2 or min(shape) < 2:
                raise UserError(
                    f"{name}: {kind} of shape {np.shape(image)}; give all images of one shape "
                    "(y, x), 2 pixels or more either way."
                )
            if not np.isfinite(image).all():
                raise UserError(f"{name}: {kind} has values that are not finite.")
        missing = {"x_nm", "y_nm"} - set(frame.columns)
        if missing or not np.isfinite(frame.columns[["x_nm", "y_nm"]].to_numpy(float)).all():
            raise UserError(f"{name}: each column needs a finite x_nm and y_nm.")


def _frame(frame: ShownFrame, pixel_size_nm: float) -> dict:
    counts, denoised = (np.asarray(i, np.float32) for i in (frame.counts, frame.denoised))
    noise = residual(counts, denoised)
    power = spectrum(noise, pixel_size_nm)
    found = {
        "number": frame.number,
        "verdict": frame.verdict,
        "vacuum": frame.vacuum,
        "counts": code_counts(counts).packed(),
        "denoised": code_smooth(denoised, DENOISED_CODES).packed(),
        # Of counts the upper limit leaves out hot pixels, not the rare but true high counts.
        "grey": {"denoised": grey_limits(denoised, (0.5, 99.5)),
                 "counts": grey_limits(counts, (0.0, 99.9))},
        "spectrum": _byte_range(power.log_power).packed()
        | {"step_per_nm": power.step_per_nm, "centre_px": power.centre_px},
        "residual_facts": residual_facts(counts, denoised, noise, pixel_size_nm),
        "columns": rows_of(frame.columns),
    }  # fmt: skip
    if frame.spread is not None:
        spread = np.asarray(frame.spread, np.float32)
        found["spread"] = code_smooth(spread, SPREAD_CODES).packed()
        found["grey"]["spread"] = (0.0, grey_limits(spread, (0.0, 99.8))[1])
    return found


def _byte_range(values: np.ndarray) -> Coded:
    """Code a picture that is only looked at: 256 steps."""
    low, high = float(values.min()), float(values.max())
    step = (high - low) / 255 or 1.0
    return Coded(np.rint((values - low) / step).astype(np.uint16), step, low, False)


def _llr_limit(frames: Sequence[Mapping]) -> float:
    """Return where the colours of log-likelihood ratios end, one for all frames."""
    known = [abs(c["llr"]) for f in frames for c in f["columns"] if c["llr"] is not None]
    if not known:
        return LEAST_LLR
    most = float(np.clip(np.percentile(known, 90), LEAST_LLR, MOST_LLR))
    return float(next(end for end in (3, 5, 10, 15, 20, 30) if end >= most))


def _about(page: Page) -> str:
    rows, cols = np.shape(page.frames[0].counts)
    size = " × ".join(f"{n * page.pixel_size_nm:.3g}" for n in (cols, rows))
    frames = "1 frame" if page.n_frames == 1 else f"{page.n_frames} frames"
    return f"{page.source} · {frames} of {cols} × {rows} pixels, {size} nm"


def _findings(findings: Sequence[tuple[str, str]]) -> str:
    if not findings:
        return ""
    items = "".join(
        f'<li class="{kind}"><b>{kind.capitalize()}.</b> {escape(sentence)}</li>'
        # Warnings first, each kind in its order.
        for kind, sentence in sorted(findings, key=lambda f: f[0] != "warning")
    )
    return f'<ul class="findings" aria-label="Warnings and notes">{items}</ul>'


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>\n'
        for name, value in pairs
    )
    return f'<table class="pairs"><tbody>{rows}</tbody></table>' if rows else "<p>Not stated.</p>"


def _residual_rows(facts: Sequence[tuple[str, str, str]]) -> str:
    return "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td>'
        f"<td>{escape(expected)}</td></tr>\n"
        for name, value, expected in facts
    )


def _caption(columns: Sequence[Mapping], number: int) -> str:
    surface = [column for column in columns if column["surface"]]
    doubtful = sum(column["state"] == NOT_SUPPORTED for column in surface)
    n = len(surface)
    said = f", {doubtful} of them not supported by the counts" if doubtful else ""
    return f"Frame {number}: {n} surface column{'' if n == 1 else 's'}{said}"


def _still(page: Page, first: Mapping) -> str:
    """Return the first denoised frame for a reader without scripts, with a scale bar."""
    image = np.asarray(page.frames[0].denoised, np.float64)
    black, white = first["grey"]["denoised"]
    grey = np.rint(255 * np.clip((image - black) / (white - black), 0, 1)).astype(np.uint8)
    rows, cols = grey.shape
    picture = Image.fromarray(grey)
    if cols > STILL_PX:
        picture = picture.resize((STILL_PX, max(1, round(rows * STILL_PX / cols))))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    width_nm = cols * page.pixel_size_nm
    bar = nice_length(width_nm / 4)
    return (
        f'<figure class="still"><div><img alt="Denoised frame {page.frames[0].number + 1}" '
        f'src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
        f'<span class="scale"><i style="width:{100 * bar / width_nm:.2f}%"></i></span></div>'
        f"<figcaption>Frame {page.frames[0].number + 1}, denoised. Black is {black:g}, white "
        f"{white:g} e/px; the bar is {bar:g} nm long. {escape(page.frames[0].verdict)}"
        "</figcaption></figure>"
    )


def _text(name: str) -> str:
    path = resources.files("lowdose.report").joinpath("pages", name)
    return path.read_text(encoding="utf-8")


def _fill(template: str, **values: str) -> str:
    """Put values into a template's {{names}}; what a value holds is not looked at again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)
