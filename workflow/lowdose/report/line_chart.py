"""A line chart as inline SVG, coloured by the page's style sheet; for pages without a script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 12, 46
COLOURS = 6  # classes s0 to s5 of the page
MOST_DOTS = 60  # of a line; the table has the rest


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes
    ----------
    name : str
    x, y : sequence of float
        Of one length, finite; y above 0 on a logarithmic axis.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]

    @staticmethod
    def dashes(number: int) -> str:
        """Return the dashes of the number-th line: another kind for each round of colours."""
        return ("none", "7 4", "2 3", "9 3 2 3")[number // COLOURS % 4]


def chart(
    lines: Sequence[Line], *, title: str, x_label: str, unit: str = "", logarithmic: bool = False
) -> str:
    """Return an SVG element with axes, lines, and dots that name their numbers.

    Parameters
    ----------
    lines : sequence of Line
        Colour and dashes follow from the place in the list.
    title : str
        What is drawn, for readers who do not see it.
    x_label, unit : str
        Name of the x axis, unit of y.
    logarithmic : bool
        Of the y axis.
    """
    values = [v for line in lines for v in line.y]
    y_ticks = decades(min(values), max(values)) if logarithmic else ticks(min(values), max(values))
    x_ticks = ticks(0, max(v for line in lines for v in line.x))

    def scaled(value: float) -> float:
        return math.log10(value) if logarithmic else value

    low, high = (scaled(f(v)) for f, v in ((min, [*values, *y_ticks]), (max, [*values, *y_ticks])))

    def across(value: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * value / x_ticks[-1], 1)

    def down(value: float) -> float:
        share = (scaled(value) - low) / (high - low)
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)

    parts = [_grid(x_ticks, y_ticks, across, down), _label(x_label)]
    for number, line in enumerate(lines):
        places = [(across(x), down(y)) for x, y in zip(line.x, line.y, strict=True)]
        path = "M" + "L".join(f"{x} {y}" for x, y in places)
        parts.append(
            f'<path class="line s{number % COLOURS}" stroke-dasharray="{Line.dashes(number)}" '
            f'd="{path}"/>'
        )
        every = -(-len(places) // MOST_DOTS)
        # From the end, so that the last one is always there.
        for i in range(len(places) - 1, -1, -every):
            said = f"{line.name}: {line.y[i]:.5g} {unit}".strip() + f" at {line.x[i]:.5g} {x_label}"
            parts.append(
                f'<circle class="dot s{number % COLOURS}" cx="{places[i][0]}" cy="{places[i][1]}" '
                f'r="2.6"><title>{escape(said)}</title></circle>'
            )
    ends = "; ".join(f"{line.name} ends at {line.y[-1]:.4g} {unit}".strip() for line in lines)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(ends)}.</desc>\n"
        + "\n".join(parts)
        + "</svg>"
    )


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers, equally far apart, from at most `low` to at least `high`."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(m * power for m in (1, 2, 5, 10, 20) if m * power * most >= span * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return [round(i * step, 12) for i in range(first, last + 1)]


def decades(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten (powers alone over 3 decades) around a range > 0."""
    factors = (1, 2, 5) if high < 1000 * low else (1,)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1
    marks = [f * 10.0**power for power in range(first, last + 1) for f in factors]
    below = [i for i, mark in enumerate(marks) if mark <= low * (1 + 1e-9)]
    above = [i for i, mark in enumerate(marks) if mark >= high * (1 - 1e-9)]
    return marks[below[-1] : max(above[0], below[-1] + 1) + 1]


def _grid(x_ticks: Sequence[float], y_ticks: Sequence[float], across, down) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for value in y_ticks:
        y = down(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{right}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{y + 4}" text-anchor="end">{value:.6g}</text>')
    for value in x_ticks:
        x = across(value)
        parts.append(f'<path class="frame" d="M{x} {bottom}v5"/>')
        parts.append(f'<text x="{x}" y="{bottom + 19}" text-anchor="middle">{value:.6g}</text>')
    parts.append(f'<path class="frame" d="M{LEFT} {bottom}H{right}"/>')
    return "\n".join(parts)


def _label(text: str) -> str:
    x = (LEFT + WIDTH - RIGHT) / 2
    return f'<text x="{x:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(text)}</text>'
