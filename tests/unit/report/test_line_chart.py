"""The line chart: round ticks, right places, words for who does not see it."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from lowdose.report.line_chart import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Line,
    chart,
    decades,
    ticks,
)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (28.65, 33.38, [28, 29, 30, 31, 32, 33, 34]),
        (0, 0.002, [0, 0.0005, 0.001, 0.0015, 0.002]),
        (0, 2200, [0, 500, 1000, 1500, 2000, 2500]),
        (-3, 3, [-3, -2, -1, 0, 1, 2, 3]),
    ],
)
def test_ticks_are_round_and_hold_the_range(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, 5.0, -2.0, 1e-9, 3e7])
def test_one_value_alone_has_an_axis(value):
    marks = ticks(value, value)
    assert marks[0] <= value <= marks[-1]
    assert marks[0] < marks[-1]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0018, 0.009, [0.001, 0.002, 0.005, 0.01]),
        (0.02, 0.05, [0.02, 0.05]),
        (0.03, 0.03, [0.02, 0.05]),
        (1e-5, 0.5, [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1]),
    ],
)
def test_logarithmic_ticks(low, high, expected):
    assert decades(low, high) == pytest.approx(expected)


def places(svg):
    return [(float(x), float(y)) for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg)]


def test_points_lie_where_the_axes_say():
    svg = chart([Line("a", [0, 5, 10], [2, 3, 4])], title="t", x_label="x")
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    middle = ((LEFT + right) / 2, (TOP + bottom) / 2)
    for found, expected in zip(places(svg), [(right, TOP), middle, (LEFT, bottom)], strict=True):
        assert found == pytest.approx(expected, abs=0.11)


def test_on_a_logarithmic_axis_factors_are_equally_far_apart():
    svg = chart([Line("a", [1, 2, 3], [1, 10, 100])], title="t", x_label="x", logarithmic=True)
    heights = [y for _, y in places(svg)][::-1]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.11)
    assert heights[0] == pytest.approx(HEIGHT - BOTTOM)


def test_it_is_xml_with_words():
    lines = [Line("<wide> & co", [1, 2], [30.0, 33.5]), Line("b", [1], [29.0])]
    root = ElementTree.fromstring(chart(lines, title="PSNR", x_label="steps", unit="dB"))
    assert root.find("title").text == "PSNR"
    assert root.find("desc").text == "<wide> & co ends at 33.5 dB; b ends at 29 dB."
    said = [t.text for t in root.iter("title")][1:]
    assert said == ["<wide> & co: 33.5 dB at 2 steps", "<wide> & co: 30 dB at 1 steps",
                    "b: 29 dB at 1 steps"]  # fmt: skip


def test_of_a_long_line_some_points_have_dots_and_the_last_one_does():
    steps = list(range(1, 1001))
    svg = chart([Line("a", steps, [1.0 + s for s in steps])], title="t", x_label="x")
    assert 40 <= len(places(svg)) <= 60
    assert "a: 1001 at 1000 x" in svg
    assert svg.count("L") >= 999  # the line itself has them all


def test_lines_beyond_the_colours_are_dashed():
    kinds = {(i % 6, Line.dashes(i)) for i in range(24)}
    assert len(kinds) == 24
