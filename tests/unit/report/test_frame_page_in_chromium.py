"""The page of denoised frames as a reader meets it: opened, looked at and worked with."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lowdose.report.frame_page import Page, ShownFrame, frame_page
from lowdose.report.frame_pixels import DENOISED_CODES, code_counts, code_smooth, residual

_spec = importlib.util.spec_from_file_location("chromium", Path(__file__).parent / "chromium.py")
chromium = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(chromium)

PROGRAM = chromium.executable()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium or google-chrome is installed")

SHAPE, PIXEL, N_FRAMES = (96, 120), 0.02, 100
PROBES = (Path(__file__).parent / "probes.js").read_text(encoding="utf-8")


def frame(number: int) -> ShownFrame:
    rng = np.random.default_rng(number)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] * PIXEL
    wave = np.cos(2 * np.pi * x / 0.24) * np.cos(2 * np.pi * y / 0.24)
    # The last frame has counts of more than 8 bits.
    denoised = ((400 if number == 6 else 2) * (1 + 0.4 * wave)).astype(np.float32)
    n = 5 + number
    columns = pd.DataFrame({
        "id": np.arange(1, n + 1), "x_nm": 0.24 + 0.19 * np.arange(n), "y_nm": 0.72,
        "llr": rng.normal(5, 4, n), "p_value": np.linspace(0.2, 1e-4, n),
        "q_value": np.linspace(0.25, 2e-4, n), "supported": np.arange(n) % 3 > 0,
        "is_surface": np.arange(n) != n - 1, "site": "corner", "where": "particle",
        "x_se_nm": 0.01, "y_se_nm": 0.012, "amplitude_e": 0.4,
    })  # fmt: skip
    return ShownFrame(
        number, rng.poisson(denoised).astype(np.float32), denoised,
        None if number == 5 else (0.1 + 0.05 * wave).astype(np.float32), columns, 2.0,
        f"What frame {number} says.",
    )  # fmt: skip


def page(frames, **changes) -> Page:
    own = {
        "title": "movie", "source": "movie.dm4", "frames": frames, "n_frames": N_FRAMES,
        "pixel_size_nm": PIXEL, "facts": [("beam energy", "300 kV")],
        "findings": [("warning", "A warning."), ("note", "A note.")], "verdict": "Of the file.",
        "level": 0.05, "trained_on": [("dose", "0.1 to 20")], "how": ["So."], "citation": "Cite.",
        "version": "0.1.0",
    }  # fmt: skip
    return Page(**{**own, **changes})


FRAMES = [frame(number) for number in (2, 5, 6)]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "movie.html"
    path.write_text(frame_page(page(FRAMES)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium.Browser(PROGRAM, tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture
def empty(browser):
    """A tab; at the end no script has failed, and nothing has left the page."""
    tab = chromium.Tab(browser)
    yield tab
    tab.close()
    assert tab.events("Runtime.exceptionThrown") == []
    said = [event["entry"] for event in tab.events("Log.entryAdded")]
    assert [entry for entry in said if entry["level"] == "error"] == []
    assert tab.events("Runtime.consoleAPICalled") == []
    asked = [event["request"]["url"] for event in tab.events("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith(("data:", "blob:", "file:"))] == []
    assert len([url for url in asked if url.startswith("file:")]) <= 1


@pytest.fixture
def tab(empty, file):
    return shown(empty, file)


def shown(tab, path):
    tab.open(path)
    tab.until("document.body.dataset.shown")
    tab.run(PROBES)
    tab.settle()
    return tab


def pixels(tab) -> np.ndarray:
    """Return the colours of all pixels of the image: (y, x, 3)."""
    found = tab.run(f"probe.pixels({SHAPE[0]}, {SHAPE[1]})")
    return np.array(found, dtype=np.int64).reshape(*SHAPE, 3)


def on_stage(tab, x_px: float, y_px: float) -> tuple[float, float]:
    """Return where a pixel of the whole image is in the window."""
    left, top, width, height = tab.run("probe.stage()")
    return (left + (x_px + 0.5) * width / SHAPE[1], top + (y_px + 0.5) * height / SHAPE[0])


def window(tab) -> list[float]:
    return tab.run("probe.window()")


def set_window(tab, black: float, white: float) -> None:
    tab.run(f"probe.setWindow({black}, {white})")
    tab.settle()


def greys(values: np.ndarray, black: float, white: float) -> np.ndarray:
    return np.floor(255 * np.clip((values - black) / (white - black), 0, 1) + 0.5)


def check_halves(tab, own: ShownFrame, divider: float) -> None:
    """Check that each pixel left of the divider is counts, right of it denoised, in one scale."""
    seen = pixels(tab)
    assert (seen == seen[..., :1]).all()
    left = greys(code_counts(own.counts).values, *window(tab))
    right = greys(code_smooth(own.denoised, DENOISED_CODES).values, *window(tab))
    at = divider * SHAPE[1]
    assert (seen[:, : int(at - 0.6), 0] == left[:, : int(at - 0.6)]).all()
    assert (seen[:, int(at + 1.6) :, 0] == right[:, int(at + 1.6) :]).all()


def test_both_halves_show_the_values_exactly_and_the_divider_moves(tab):
    assert tab.run("document.getElementById('unfaithful')") is None
    left, top, width, height = tab.run("probe.stage()")
    assert width > 2.5 * SHAPE[1]
    check_halves(tab, FRAMES[0], 0.5)
    middle = top + 0.3 * height
    tab.drag((left + 0.5 * width, middle), (left + 0.25 * width, middle))
    check_halves(tab, FRAMES[0], 0.25)
    tab.drag((left + 0.6 * width, middle), (left + 0.8 * width, middle))  # from anywhere
    check_halves(tab, FRAMES[0], 0.8)
    tab.run("document.getElementById('divider').focus()")
    tab.key("ArrowLeft", times=5)
    check_halves(tab, FRAMES[0], 0.7)
    assert tab.run("document.getElementById('divider').getAttribute('aria-valuenow')") == "70"
    tab.key("End")
    check_halves(tab, FRAMES[0], 1)


def test_black_and_white_hold_for_both_halves(tab):
    set_window(tab, 1.5, 3.25)
    assert window(tab) == [1.5, 3.25]
    check_halves(tab, FRAMES[0], 0.5)
    tab.press("#grey-counts")
    black, white = window(tab)
    assert (black, white) == (0, pytest.approx(np.percentile(FRAMES[0].counts, 99.9), abs=0.05))
    check_halves(tab, FRAMES[0], 0.5)
    tab.run("document.getElementById('white-slider').focus()")
    tab.key("ArrowLeft", times=3)
    assert window(tab)[1] < white
    tab.press("#grey-denoised")
    assert window(tab)[1] < white - 1
    set_window(tab, 9, 2)  # white stays above black
    assert window(tab)[0] < window(tab)[1]


def test_what_is_read_off_is_what_was_counted(tab):
    for x, y in ((3, 4), (100, 90)):
        tab.hover(*on_stage(tab, x, y))
        said = tab.text("#readout").replace("\u2212", "-").split("   ")
        assert said[:3] == [f"x {x * PIXEL:.3f} nm", f"y {y * PIXEL:.3f} nm",
                            f"counts {FRAMES[0].counts[y, x]:.0f}"]  # fmt: skip
        denoised = float(said[3].removeprefix("denoised ").removesuffix(" e/px"))
        assert denoised == pytest.approx(FRAMES[0].denoised[y, x], abs=0.002)


def test_a_column_under_the_pointer_says_its_values(tab):
    columns = FRAMES[0].columns
    wanted = {0: ("0.200", "0.250", "not supported"), 4: ("0.067", "0.083", "supported")}
    for k, values in wanted.items():
        place = columns.loc[k, ["x_nm", "y_nm"]] / PIXEL
        tab.hover(*on_stage(tab, *place))
        crossed = tab.run(f"probe.crossed({place.x_nm}, {place.y_nm}, {SHAPE[1]}, {0.085 / PIXEL})")
        assert crossed == (values[2] == "not supported")
        card = tab.run("document.getElementById('card').innerText")
        head, *lines = card.split("\n")
        facts = dict(zip(lines[::2], lines[1::2], strict=True))
        assert head == f"Column {k + 1}"
        assert (facts["p-value"], facts["q-value"], facts["By the counts"]) == values
        assert facts["x [nm]"] == f"{columns.x_nm[k]:.3f} ± 0.010"
    tab.hover(*on_stage(tab, 3, 90))
    assert tab.run("document.getElementById('card').hidden")


def test_columns_are_one_tab_stop_and_walked_by_keys(tab):
    tab.run("document.getElementById('stage').focus()")
    stops = []
    for _ in range(3):
        stops.append(tab.run("document.activeElement.id"))
        tab.key("Tab")
    assert stops == ["stage", "marks", "divider"]
    tab.run("document.getElementById('marks').focus()")
    tab.key("ArrowRight", times=2)
    tab.key("n")
    tab.key("p")
    said = tab.text("#said")
    assert said.startswith("Column 2: x 0.430 ± 0.010 nm, y 0.720 ± 0.012 nm, ")
    assert "p-value 0.167, q-value 0.208, By the counts supported. 2 of 6." in said
    assert tab.run("document.querySelector('tr.chosen').dataset.column") == "1"
    assert tab.run("document.getElementById('said').getAttribute('aria-live')") == "polite"
    tab.run("document.querySelector('input[value=all]').click()")
    tab.key("ArrowLeft", times=2)  # over the start to the end
    assert "By the counts not a surface column. 7 of 7." in tab.text("#said")
    tab.key("Escape")
    assert tab.run("document.querySelector('tr.chosen')") is None


def test_frames_change_image_words_and_table(tab):
    assert tab.text("#frame-name") == "Frame 3 of 100 (3 are in this page)"
    tab.press("#frame-next")
    tab.until("document.body.dataset.shown === '5'")
    tab.settle()
    assert tab.text("#frame-verdict") == "What frame 5 says."
    assert tab.text("#frame-name").startswith("Frame 6 of 100")
    assert tab.run("document.querySelectorAll('#table tbody tr').length") == 9
    assert tab.run("document.querySelector('input[value=spread]').parentElement.hidden")
    check_halves(tab, FRAMES[1], 0.5)
    tab.run("document.getElementById('stage').focus()")
    tab.key(".")
    tab.until("document.body.dataset.shown === '6'")
    tab.settle()
    check_halves(tab, FRAMES[2], 0.5)  # of more than 256 values, in two planes
    assert tab.run("document.getElementById('frame-next').disabled")
    tab.key(",")
    tab.until("document.body.dataset.shown === '5'")
    assert tab.text("#table caption").startswith("Frame 6: 9 surface columns, 3 of them not supp")


def test_zoom_pan_and_the_scale_bar(tab):
    def bar() -> tuple[float, float]:
        length = float(tab.run("document.getElementById('scale').dataset.length"))
        width = tab.run("document.querySelector('#scale i').getBoundingClientRect().width")
        return length, width

    def read(at: tuple[float, float]) -> tuple[float, float]:
        tab.hover(*at)
        return tuple(float(part.split()[1]) for part in tab.text("#readout").split("   ")[:2])

    left, top, width, height = tab.run("probe.stage()")
    length, wide = bar()
    assert tab.text("#scale span") == f"{length:g} nm"
    assert wide == pytest.approx(length / PIXEL * width / SHAPE[1], abs=0.6)
    tab.run("document.getElementById('stage').focus()")
    tab.key("+", times=3)
    assert tab.text("#zoom-value") == "338 %"
    shorter, wide = bar()
    assert shorter < length
    assert wide == pytest.approx(shorter / PIXEL * 1.5**3 * width / SHAPE[1], abs=0.6)
    start, end = ((left + f * width, top + g * height) for f, g in ((0.8, 0.2), (0.7, 0.3)))
    before = read(start)
    tab.key("ArrowRight")  # shows what is to the right: 50 px of the screen
    step = 50 * SHAPE[1] / (1.5**3 * width) * PIXEL
    assert read(start) == pytest.approx((before[0] + step, before[1]), abs=PIXEL)
    before = read(start)
    tab.drag(start, end)
    assert read(end) == pytest.approx(before, abs=PIXEL)
    tab.key("0")
    check_halves(tab, FRAMES[0], 0.5)
    tab.mouse("mouseWheel", left + 9, top + 9, deltaX=0, deltaY=-300)
    tab.settle()
    assert tab.text("#zoom-value") == "157 %"
    tab.press("#zoom-reset")
    assert tab.text("#zoom-value") == "100 %"
    left, top, _, _ = tab.run("probe.stage()")
    tab.click(left + 9, top + 9)
    tab.click(left + 9, top + 9, count=2)
    assert tab.text("#zoom-value") == "200 %"


def test_the_table_sorts_and_finds_columns_in_the_image(tab):
    tab.media(prefers_reduced_motion="reduce")  # else the next click meets a page that still moves
    tab.press("#table tbody tr:nth-child(4) button")
    assert not tab.run("document.getElementById('card').hidden")
    assert tab.text("#card b") == "Column 4"
    assert tab.text("#zoom-value") == "250 %"
    assert tab.run("document.querySelector('tr.chosen').getAttribute('aria-current')") == "true"
    heads = tab.run("[...document.querySelectorAll('#table thead th')].map((h) => h.textContent)")
    nth = heads.index("p-value") + 1
    for order, first in (("ascending", "6"), ("descending", "1")):
        tab.press(f"#table thead th:nth-child({nth}) button")
        head = f"document.querySelector('#table thead th:nth-child({nth})')"
        assert tab.run(f"{head}.getAttribute('aria-sort')") == order
        assert tab.text("#table tbody tr th") == first


def test_the_other_views(tab):
    own = FRAMES[0]
    for view, image in (("counts", code_counts(own.counts)),
                        ("denoised", code_smooth(own.denoised, DENOISED_CODES))):  # fmt: skip
        tab.run(f"document.querySelector('input[value={view}]').click()")
        tab.settle()
        assert (pixels(tab)[..., 0] == greys(image.values, *window(tab))).all()
    tab.run("document.querySelector('input[value=residual]').click()")
    tab.settle()
    left = residual(own.counts, own.denoised)
    red, _, blue = np.moveaxis(pixels(tab), -1, 0)
    clear = np.abs(left) > 0.2
    assert (np.sign(red - blue)[clear] == np.sign(left)[clear]).all()
    tab.run("document.getElementById('residual-sum').click()")
    tab.settle()
    assert (pixels(tab)[..., 0] != red).mean() > 0.3
    tab.press("button[data-view=spectrum]")
    assert tab.text("#scale span").endswith("nm⁻¹")
    tab.run("document.querySelector('input[value=spread]').click()")
    tab.settle()
    seen = pixels(tab).reshape(-1, 3)
    assert seen[own.spread.argmax()].tolist() == [254, 232, 56]
    assert seen[own.spread.argmin()].sum() < 390


def test_colours_can_be_read_in_both_schemes_and_on_paper(tab):
    words = ("body", ".about", ".verdict", ".findings .warning b", "h2 small", ".small", "caption",
             "#table tbody button", "#table .doubtful td:last-child", ".pairs th", "footer p",
             "#grey-counts", "input[value=slider] + span", "input[value=counts] + span",
             ".label.left", ".ticks span")  # fmt: skip
    paper = {}
    for scheme in ("light", "dark"):
        tab.media(prefers_color_scheme=scheme)
        paper[scheme] = tab.run("getComputedStyle(document.body).backgroundColor")
        for selector in words:
            assert tab.run(f"probe.contrast('{selector}')") >= 4.5, (scheme, selector)
    duration = "getComputedStyle(document.querySelector('.label')).transitionDuration"
    assert tab.run(duration) == "0.15s"
    tab.media(prefers_reduced_motion="reduce")
    assert tab.run(duration) == "0s"
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}
    tab.media("print", prefers_color_scheme="dark")
    assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.run("probe.contrast('.about')") >= 4.5
    drawn = tab.until("probe.paper()")
    assert min(drawn) > 5
    assert "Frame 3: counts on the left, denoised on the right" in tab.text("#paper-caption")


def test_a_narrow_window_and_two_fingers(empty, file):
    empty.resize(500, 900, mobile=True)
    empty.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    tab = shown(empty, file)
    for view in ("slider", "residual", "spectrum", "spread"):
        tab.run(f"document.querySelector('input[value={view}]').click()")
        tab.settle()
        assert tab.run("document.documentElement.scrollWidth") <= 500, view
    tab.run("document.querySelector('input[value=slider]').click()")
    left, top, width, height = tab.run("probe.stage()")
    for kind, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 90)):
        points = [{"x": left + width / 2 + side * apart, "y": top + height / 3, "id": side + 1}
                  for side in (-1, 1)]  # fmt: skip
        tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    tab.settle()
    assert tab.text("#zoom-value") == "225 %"


def test_without_scripts(empty, file):
    empty.call("Emulation.setScriptExecutionDisabled", value=True)
    empty.open(file)
    empty.call("Emulation.setScriptExecutionDisabled", value=False)
    found = empty.run("""[document.querySelector('.still img').naturalWidth,
      document.querySelector('.verdict').innerText, document.querySelector('.still').innerText,
      document.querySelectorAll('#table tbody tr').length,
      document.getElementById('viewer').getClientRects().length]""")
    assert found[:2] == [SHAPE[1], "Of the file."]
    assert "What frame 2 says." in found[2]
    assert found[3:] == [6, 0]


def test_one_frame_without_columns_and_with_a_nasty_name(empty, tmp_path):
    own = frame(0)
    bare = ShownFrame(0, own.counts, own.denoised, None, own.columns.iloc[:0], None, "Nothing.")
    nasty = "</script><img src=x onerror='window.pwned = 1'><script>window.pwned = 1</script>"
    path = tmp_path / "one.html"
    path.write_text(frame_page(page([bare], n_frames=1, title=nasty, verdict="Nothing.")), "utf-8")
    tab = shown(empty, path)
    assert tab.run("[document.title, document.querySelector('h1').innerText]") == [nasty, nasty]
    assert tab.run("window.pwned") is None
    for hidden in ("#frame-bar", "#rows", "#marks-box", "#vacuum", "#marks", "#frame-box"):
        assert tab.run(f"document.querySelector('{hidden}').getClientRects().length") == 0, hidden


def test_a_browser_that_alters_pixels_is_found_out(empty, file, tmp_path):
    path = tmp_path / "altered.html"
    path.write_text(file.read_text("utf-8").replace('"sum":', '"sum":1', 1), "utf-8")
    tab = shown(empty, path)
    assert "alters the pixels" in tab.text("#unfaithful")
