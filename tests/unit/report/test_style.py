"""Scale bar, names, labels, the frame that is shown."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowdose.report.shown_frame import choose_frame, particle_crop, zoom_crop
from lowdose.report.style import (
    looks,
    network_titles,
    nice_length,
    scale_bar,
    show_image,
    spread,
    style,
)


@pytest.mark.parametrize(("shape", "pixel"), [((300, 500), 0.0061), ((120, 90), 0.02)])
def test_the_bar_covers_the_pixels_that_its_label_says(shape, pixel):
    with style():
        figure, axes = plt.subplots(figsize=(3, 3))
        show_image(axes, np.ones(shape), pixel, (7, 11))
        bar, length = scale_bar(axes, 0.3)
        figure.canvas.draw()
        # On the screen: length of the bar against the width of one image pixel.
        ends = axes.transData.transform([(bar.get_x(), 0), (bar.get_x() + bar.get_width(), 0)])
        edges = axes.get_images()[0].get_window_extent()
        pixels = (ends[1, 0] - ends[0, 0]) / (edges.width / shape[1])
        (label,) = (t.get_text() for t in axes.texts)
        plt.close(figure)
    assert label == f"{length:g} nm"
    assert pixels * pixel == pytest.approx(float(label.split()[0]), rel=1e-9)


def test_pixel_centres_lie_at_whole_multiples_and_rows_run_down():
    with style():
        figure, axes = plt.subplots()
        image = show_image(axes, np.ones((4, 6)), 0.5, (2, 3))
        left, right, bottom, top = image.get_extent()
        plt.close(figure)
    assert (left, right, top, bottom) == (1.25, 4.25, 0.75, 2.75)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


@pytest.mark.parametrize(
    ("limit", "length"), [(1.0, 1.0), (0.99, 0.5), (0.21, 0.2), (7, 5), (0.3, 0.2), (20.0, 20)]
)
def test_nice_length(limit, length):
    assert nice_length(limit) == pytest.approx(length)


def test_networks_are_named_by_what_tells_them_apart():
    assert network_titles(["wide.white.seed0", "narrow.white.seed0"]) == {
        "wide.white.seed0": "wide",
        "narrow.white.seed0": "narrow",
    }
    assert network_titles(["wide.white.seed0", "wide.all.seed1"]) == {
        "wide.white.seed0": "wide, white, seed 0",
        "wide.all.seed1": "wide, all, seed 1",
    }


def test_no_two_denoisers_look_alike(spec):
    seen = [str(sorted(look.items(), key=str)) for look in looks(spec).values()]
    assert len(seen) == len(spec["denoisers"])
    assert len(set(seen)) >= len(seen) - 1  # raw and constant never share a panel


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=12), st.floats(0.01, 1))
def test_labels_keep_their_distance_and_order(values, gap):
    placed = spread(values, gap)
    order = np.argsort(values, kind="stable")
    assert (np.diff(placed[order]) >= gap - 1e-9).all()
    assert placed.sum() == pytest.approx(np.sum(values), abs=1e-6)


def test_labels_that_have_room_stay():
    np.testing.assert_array_equal(spread([3.0, 1.0, 2.0], 0.5), [3.0, 1.0, 2.0])
    np.testing.assert_allclose(spread([0.0, 0.1], 0.5), [-0.2, 0.3])


def test_the_shown_frame_has_the_vacancy_inside_its_crops(inputs):
    frames = inputs.frame_set()
    frame, x, y, vacancy = choose_frame(frames)
    assert (frame, vacancy) == (1, True)
    assert (x, y) == pytest.approx((1.78, 1.2))
    zoom, whole = zoom_crop(frames, x, y, 0.8, 0.6), particle_crop(frames, frame)
    assert zoom.of(frames.clean[1]).shape == (30, 40)
    assert (zoom.top + zoom.bottom) / 2 == pytest.approx(y / 0.02, abs=1)
    assert (zoom.left + zoom.right) / 2 == pytest.approx(x / 0.02, abs=1)
    metal = frames.columns[frames.columns["frame"] == 1]
    assert whole.left * 0.02 < metal["x_nm"].min() < metal["x_nm"].max() < whole.right * 0.02
    assert whole.top * 0.02 < metal["y_nm"].min() < metal["y_nm"].max() < whole.bottom * 0.02
