"""The page of denoised frames: complete, escaped, and with the numbers that it was given."""

from __future__ import annotations

import base64
import fnmatch
import html
import io
import json
import re
import tomllib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import lowdose
from lowdose.report.frame_page import Page, ShownFrame, frame_page
from lowdose.report.frame_pixels import (
    DENOISED_CODES,
    code_counts,
    code_smooth,
    grey_limits,
    png,
    residual,
    residual_facts,
    spectrum,
)
from lowdose.runtime import UserError

PAGES = Path(lowdose.__file__).parent / "report" / "pages"
PIXEL = 0.02
NASTY = "</script><script>alert(1)</script><!-- <b>bold</b> & \"quoted\" 'so' {{data}}"


def columns(n: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": range(1, n + 1), "x_nm": 0.1 + 0.1 * np.arange(n), "y_nm": 0.25,
            "llr": -1.5 + np.arange(n), "p_value": np.linspace(0.2, 1e-5, n),
            "q_value": np.linspace(0.3, 2e-5, n), "supported": np.linspace(0.3, 2e-5, n) <= 0.05,
            "is_surface": True, "where": "particle", "site": "corner", "x_se_nm": 0.011,
            "y_se_nm": np.nan, "amplitude_e": 0.2,
        }
    )  # fmt: skip


def frame(number: int = 0, shape=(40, 50), mean: float = 0.5, **changes) -> ShownFrame:
    rng = np.random.default_rng(number)
    denoised = np.full(shape, mean, np.float32) + rng.normal(0, 0.05 * mean, shape)
    own = ShownFrame(
        number=number, counts=rng.poisson(denoised).astype(np.float32),
        denoised=denoised.astype(np.float32), spread=np.full(shape, 0.01, np.float32),
        columns=columns(), vacuum=mean, verdict=f"Verdict of {number}.",
    )  # fmt: skip
    return replace(own, **changes)


def page(*frames: ShownFrame, **changes) -> Page:
    own = Page(
        title="movie.dm4, denoised", source="movie.dm4", frames=frames or (frame(),), n_frames=9,
        pixel_size_nm=PIXEL, facts=[("beam energy", "300 kV")],
        findings=[("note", "A note."), ("warning", "A warning.")], verdict="The file's verdict.",
        level=0.05, trained_on=[("dose", "0.1 to 20")], how=["Tested so."], citation="Cite this.",
        version="0.1.0",
    )  # fmt: skip
    return replace(own, **changes)


class Parsed(HTMLParser):
    """Elements and the text of each, as a browser with scripts would take them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict, list[str]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))

    def handle_data(self, data):
        if self.elements:
            self.elements[-1][2].append(data)

    def all(self, tag: str) -> list[tuple[dict, str]]:
        return [(attrs, "".join(text)) for name, attrs, text in self.elements if name == tag]


def data_of(text: str) -> dict:
    (found,) = [t for attrs, t in Parsed(text).all("script") if attrs.get("id") == "page-data"]
    return json.loads(found)


def values_of(packed: dict) -> np.ndarray:
    planes = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(plane["png"])))).astype(np.int64)
        for plane in packed["planes"]
    ]
    assert [int(plane.sum()) for plane in planes] == [plane["sum"] for plane in packed["planes"]]
    codes = sum(plane << (8 * k) for k, plane in enumerate(planes))
    return packed["offset"] + packed["scale"] * codes


def test_the_page_needs_nothing_else():
    text = frame_page(page())
    for _, attributes, _ in Parsed(text).elements:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("data:", "#"))
    assert "url(" not in text
    assert "@import" not in text
    (policy,) = [a["content"] for a, _ in Parsed(text).all("meta") if "http-equiv" in a]
    wanted = "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'"
    assert policy.startswith(f"{wanted}; script-src 'unsafe-inline'")
    assert not re.search(r"\{\{\w+\}\}", text)


def test_what_it_says_stands_in_it():
    text = frame_page(page(frame(4), frame(7)))
    assert "<title>movie.dm4, denoised</title>" in text
    for said in ("The file&#x27;s verdict.", "Verdict of 4.", "9 frames of 50 × 40 pixels, 1 × 0.8",
                 "Tested so.", "Cite this.", "300 kV", "0.1 to 20", "lowdose 0.1.0", "at most 5 %",
                 "Not supported is not absent"):  # fmt: skip
        assert said in text
    assert text.index("A warning.") < text.index("A note.")


def test_nothing_in_a_name_is_taken_for_markup():
    nasty = frame(columns=columns().assign(site=NASTY, id=NASTY), verdict=NASTY)
    text = frame_page(
        page(
            nasty, title=NASTY, source=NASTY, verdict=NASTY, citation=NASTY, version=NASTY,
            how=[NASTY], facts=[(NASTY, NASTY)], trained_on=[(NASTY, NASTY)],
            findings=[("note", NASTY)],
        )
    )  # fmt: skip
    parsed = Parsed(text)
    assert len(parsed.all("script")) == 3  # of the head, the data, the page's own
    assert "alert(1)" not in parsed.all("script")[2][1]
    assert "bold" not in {words for _, words in parsed.all("b")}
    assert parsed.all("title")[0][1].strip() == NASTY
    found = data_of(text)["frames"][0]
    assert found["verdict"] == NASTY
    assert {c["site"] for c in found["columns"]} == {NASTY}
    rows = text[text.index("<tbody>\n") : text.index("</tbody>")]
    assert html.escape(NASTY) in rows


def test_numbers_come_back_as_they_were():
    table = columns().assign(llr=[-0.1, np.nan, np.inf])
    own = frame(columns=table)
    found = data_of(frame_page(page(own)))
    assert found["pixel_size_nm"] == PIXEL
    assert (found["n_frames"], found["level"]) == (9, 0.05)
    shown = found["frames"][0]
    assert (shown["number"], shown["vacuum"]) == (0, 0.5)
    for name in ("x_nm", "y_nm", "p_value", "q_value", "x_se_nm"):
        assert [column[name] for column in shown["columns"]] == table[name].tolist()
    assert [column["llr"] for column in shown["columns"]] == [-0.1, None, None]
    assert [column["y_se_nm"] for column in shown["columns"]] == [None] * 3
    states = [column["state"] for column in shown["columns"]]
    assert states == ["not supported", "not supported", "supported"]
    assert shown["columns"][0]["text"] == {
        "id": "1", "x": "0.100 ± 0.011", "y": "0.250", "site": "corner", "amplitude": "0.200",
        "llr": "−0.1", "p": "0.200", "q": "0.300", "state": "not supported",
    }  # fmt: skip
    assert shown["columns"][2]["text"]["p"] == "1.0e-05"


@pytest.mark.parametrize(
    ("state", "changes"),
    [
        ("not tested", {"p_value": np.nan, "q_value": np.nan, "supported": False}),
        ("supported", {"supported": True}),
        ("not supported", {"supported": None}),
        ("not a surface column", {"is_surface": False, "supported": True}),
    ],
)
def test_states_of_a_column(state, changes):
    found = data_of(frame_page(page(frame(columns=columns().assign(**changes)))))
    assert {column["state"] for column in found["frames"][0]["columns"]} == {state}


def test_columns_need_no_more_than_a_place():
    bare = columns()[["x_nm", "y_nm"]]
    found = data_of(text := frame_page(page(frame(columns=bare))))
    assert [field["key"] for field in found["fields"]] == ["id", "x", "y", "state"]
    assert [column["id"] for column in found["frames"][0]["columns"]] == [0, 1, 2]
    assert text.count('<th scope="row">0</th><td>0.100</td><td>0.250</td><td>not tested') == 1


def test_the_table_is_there_without_scripts():
    text = frame_page(page(frame(columns=columns(30).assign(is_surface=[True] * 29 + [False]))))
    body = text[text.index("<tbody>\n") : text.index("</tbody>")]
    assert body.count("<tr") == 29
    assert body.count('class="doubtful"') == 25
    assert "Frame 1: 29 surface columns, 25 of them not supported by the counts" in text
    assert '<details class="rows" id="rows"  >' in text  # long: folded
    assert '<details class="rows" id="rows" open >' in frame_page(page())
    empty = frame_page(page(frame(columns=columns().iloc[:0])))
    assert '<details class="rows" id="rows" open hidden>' in empty
    (still,) = Parsed(text).all("img")
    picture = Image.open(io.BytesIO(base64.b64decode(still[0]["src"].partition(",")[2])))
    assert picture.size == (50, 40)


def test_images_come_back():
    own = frame(mean=3)
    shown = data_of(frame_page(page(own)))["frames"][0]
    assert (values_of(shown["counts"]) == own.counts).all()
    assert shown["counts"]["exact"]
    for name in ("denoised", "spread"):
        values, image = values_of(shown[name]), getattr(own, name)
        assert np.abs(values - image).max() <= 0.5001 * shown[name]["scale"]
    assert shown["denoised"]["scale"] <= np.ptp(own.denoised) / DENOISED_CODES
    assert "spread" not in data_of(frame_page(page(replace(own, spread=None))))["frames"][0]


@pytest.mark.parametrize("most", [1, 255, 256, 65535])
def test_whole_counts_are_exact(most):
    counts = np.random.default_rng(0).integers(0, most + 1, (30, 40)).astype(np.float32)
    counts[0, 0] = most
    coded = code_counts(counts)
    assert (values_of(coded.packed()) == counts).all()
    assert len(coded.packed()["planes"]) == (1 if most < 256 else 2)
    negative = code_counts(counts - 3)
    assert (negative.values == counts - 3).all()


@pytest.mark.parametrize("hot", [0.0, 3e5])
def test_other_counts_are_coded_below_their_noise(hot):
    counts = np.random.default_rng(0).normal(5, 1, (200, 200)).astype(np.float32)
    counts[3, 4] += hot
    coded = code_counts(counts)
    assert not coded.exact
    assert np.abs(values_of(coded.packed()) - counts).max() <= 0.5001 * coded.scale
    assert coded.scale < (0.2 if not hot else 6)


def test_flat_images_are_no_trouble():
    flat = np.full((20, 30), 0.7, np.float32)
    assert np.allclose(code_smooth(flat, 1023).values, flat)
    assert grey_limits(flat, (0.5, 99.5)) == pytest.approx((0.2, 1.2))
    frame_page(page(frame(counts=0 * flat, denoised=0 * flat, spread=0 * flat)))


def test_a_png_says_nothing_of_colour():
    data = png(np.arange(12, dtype=np.uint8).reshape(3, 4))
    chunks, place = [], 8
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        chunks.append(data[place + 4 : place + 8])
        place += length + 12
    assert chunks == [b"IHDR", b"IDAT", b"IEND"]


def test_the_spectrum_of_counting_noise_is_one():
    counts = np.random.default_rng(0).poisson(2.0, (300, 200)).astype(np.float32)
    found = spectrum(residual(counts, np.full_like(counts, 2.0)), 0.01)
    assert (10**found.log_power).mean() == pytest.approx(1, abs=0.03)
    assert found.step_per_nm == pytest.approx(1 / 3)
    assert found.log_power.shape == (75, 75)  # 37 steps of a third to either side: 12.5 per nm


@pytest.mark.parametrize(("shape", "pixel"), [((300, 200), 0.01), ((2000, 1500), 0.03)])
def test_a_lattice_is_where_it_should_be(shape, pixel):
    kx, ky = 2.5, -5.0
    y, x = (pixel * np.arange(n) for n in shape)
    found = spectrum(np.cos(2 * np.pi * (kx * x + ky * y[:, None])), pixel)
    assert max(found.log_power.shape) <= 512
    row, column = np.unravel_index(found.log_power.argmax(), found.log_power.shape)
    place = (np.array([column, row]) - found.centre_px) * found.step_per_nm
    wanted = np.array([kx, ky])
    off = min(np.abs(place - wanted).max(), np.abs(place + wanted).max())
    assert off <= found.step_per_nm


def test_residual_facts_know_right_from_wrong():
    rng = np.random.default_rng(0)
    x = np.broadcast_to(np.arange(300) * 0.01, (400, 300))
    lattice = (2 + 0.4 * np.cos(2 * np.pi * x / 0.2)).astype(np.float32)
    counts = rng.poisson(lattice).astype(np.float32)

    def facts(image):
        rows = residual_facts(counts, image, residual(counts, image), 0.01)
        return [value for _, value, _ in rows], rows[3][2]

    right, chance = facts(lattice)
    assert float(right[1]) == pytest.approx(1, abs=0.01)
    assert float(right[2]) == pytest.approx(1, abs=0.1)
    assert "less than" not in chance
    wrong, chance = facts(np.full_like(lattice, 2.0))
    assert wrong[3].endswith(" at 0.200\u00a0nm")
    assert "one as strong in less than 0.1" in chance
    assert float(wrong[1]) > 1.02
    coarse = residual_facts(counts, lattice, residual(counts, lattice), 0.5)
    assert len(coarse) == 2  # no lattice is seen on such pixels


@pytest.mark.parametrize(
    ("changes", "of_frame", "said"),
    [
        ({"pixel_size_nm": 0.0}, {}, "pixel_size_nm is 0.0; give a positive number"),
        ({"level": 1.0}, {}, "level is 1.0"),
        ({"findings": [("refusal", "no")]}, {}, "A finding is a 'refusal'; the page knows"),
        ({"n_frames": 0}, {}, r"are \[0\] of 0; give each once"),
        ({}, {"spread": np.zeros((3, 3))}, r"spread of shape \(3, 3\); give all images of one"),
        ({}, {"counts": np.full((40, 50), np.nan)}, "counts has values that are not finite"),
        ({}, {"columns": columns()[["x_nm"]]}, "each column needs a finite x_nm and y_nm"),
        ({}, {"columns": columns().assign(y_nm=np.nan)}, "each column needs a finite"),
    ],
)
def test_bad_input_is_one_sentence(changes, of_frame, said):
    with pytest.raises(UserError, match=said):
        frame_page(replace(page(frame(**of_frame)), **changes))


def test_no_frames_and_a_frame_twice_are_refused():
    with pytest.raises(UserError, match=r"No frame of movie\.dm4 is to be shown"):
        frame_page(replace(page(), frames=()))
    with pytest.raises(UserError, match="give each once"):
        frame_page(page(frame(1), frame(1)))


def test_the_front_end_is_packaged_short_and_ends_no_element():
    settings = tomllib.loads((PAGES.parents[3] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["lowdose.report"]
    for path in PAGES.iterdir():
        assert any(fnmatch.fnmatch(f"pages/{path.name}", pattern) for pattern in patterns)
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 400
        if path.suffix != ".html":
            assert "</" not in text
            assert "<!--" not in text
