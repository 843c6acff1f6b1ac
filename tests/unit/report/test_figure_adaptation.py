"""The figure of adaptation shows what its tables say, all of it, and nothing over anything else."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from lowdose.evaluation import adaptation, natural_images
from lowdose.report.figure_adaptation import HOME, OF_IMAGES, TITLES, draw
from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN, save, style

NETWORKS = ("white", "general")


def row(number: int, **about) -> dict:
    gain = [-0.05, 0.2, 1.5, 4.0, -0.4][number % 5]
    improved = (number % 4) / 4
    return {
        **about, "n_frames": 8, "n_units": 4, "gain_db": gain, "gain_low": gain - 0.3,
        "gain_high": gain + 0.1 + 0.2 * number % 1, "improved": improved,
        "improved_low": 0.9 * improved, "improved_high": 0.2 + improved,
        "left_alone": 0.75 - improved, "worse": 0.25,
    }  # fmt: skip


@pytest.fixture
def inputs(tmp_path):
    frames = [row(k + 3 * n, network=name, case=case)
              for k, case in enumerate(TITLES) for n, name in enumerate(NETWORKS)
              if (name, case) != ("white", "pixel x 1.4")]  # fmt: skip
    pd.DataFrame(frames).to_csv(tmp_path / "adaptation.csv", index=False)
    images = [row(k, case=case) for k, case in enumerate(OF_IMAGES)]
    pd.DataFrame(images).to_csv(tmp_path / "natural_images.csv", index=False)
    yield Inputs(tables=tmp_path)
    plt.close("all")


def test_every_case_has_a_line():
    own = {adaptation.HOME, *adaptation.DOSES, *adaptation.CONTRASTS, adaptation.TOLD,
           adaptation.UNTOLD, adaptation.MATERIAL, adaptation.VACUUM}  # fmt: skip
    assert own < set(TITLES)
    noises = {f"noise {sigma}" for sigma in natural_images.OTHER_SIGMAS}
    assert set(OF_IMAGES) == {HOME, *noises, *natural_images.OTHER_KINDS}


def test_shifts_are_those_of_the_shifted_set():
    from lowdose.data.shifted import MEANINGS

    assert set(MEANINGS) < set(TITLES)


def test_dots_intervals_and_shares_are_the_tables(inputs):
    with style():
        figure, table = draw(inputs, {})
    frames, images = figure.axes
    titles = [title.get_text() for title in frames.get_yticklabels()]
    lines = dict(zip(titles, frames.get_yticks(), strict=True))
    assert list(lines) == list(TITLES.values())
    for name, dots in zip(NETWORKS, frames.containers, strict=True):
        rows = table[table["network"] == name]
        np.testing.assert_allclose(dots.lines[0].get_xdata(), rows["gain_db"])
        places = [lines[TITLES[case]] for case in rows["case"]]
        assert np.abs(dots.lines[0].get_ydata() - places).max() < 0.2
        (bars,) = dots.lines[2]
        ends = np.array([path[:, 0] for path in bars.get_segments()])
        np.testing.assert_allclose(ends, rows[["gain_low", "gain_high"]])
    written = [t.get_text() for t in frames.texts if t.get_text()[0].isdigit()]
    shown = table[table["panel"] == "frames"]
    better = [f"{100 * r.improved:.0f} ({100 * r.improved_low:.0f}–{100 * r.improved_high:.0f})"
              for r in shown.itertuples()]  # fmt: skip
    alone = [f"{100 * share:.0f}" for share in shown["left_alone"]]
    assert sorted(written) == sorted(better + alone)
    assert len(images.containers[0].lines[0].get_xdata()) == len(OF_IMAGES)
    assert len(table) == 2 * len(TITLES) - 1 + len(OF_IMAGES)


def test_a_loss_is_seen_beside_gains_of_decibels(inputs):
    """The line of -0.1 dB is apart from zero by more than a dot is wide, beside 4 dB."""
    with style():
        figure, _ = draw(inputs, {})
    axes = figure.axes[0]
    x = axes.transData.transform([[-0.1, 0], [0, 0]])[:, 0]
    assert (x[1] - x[0]) * 72 / figure.dpi > 4
    (limit,) = (line for line in axes.get_lines() if line.get_linestyle() == "--")
    home = axes.get_yticks()[list(TITLES).index(HOME)]
    np.testing.assert_allclose(limit.get_xdata(), -0.1)
    assert tuple(limit.get_ydata()) == (home - 0.5, home + 0.5)


def test_a_study_without_shifted_set_or_second_network_is_drawn(inputs):
    path = inputs.tables / "adaptation.csv"
    table = pd.read_csv(path)
    table[(table["network"] == "white") & table["case"].isin([HOME, "dose / 4"])].to_csv(path)
    with style():
        figure, shown = draw(inputs, {})
    assert len(figure.axes[0].get_yticks()) == 2
    assert len(shown) == 2 + len(OF_IMAGES)


def test_nothing_is_written_over_anything_and_bytes_repeat(inputs, tmp_path):
    with style():
        figure, _ = draw(inputs, {})
        figure.canvas.draw()
        for axes in figure.axes:
            boxes = [t.get_window_extent() for t in axes.texts + axes.get_yticklabels()]
            for number, box in enumerate(boxes):
                assert not any(box.overlaps(other) for other in boxes[number + 1 :])
    for folder in ("a", "b"):
        with style():
            save(*draw(inputs, {}), tmp_path / folder, "adaptation")
    for suffix in ("png", "svg", "csv"):
        one, two = ((tmp_path / f / f"adaptation.{suffix}").read_bytes() for f in "ab")
        assert one == two
    image = imread(tmp_path / "a" / "adaptation.png")
    assert image.shape[1] == WIDTH_IN * 200
    rim = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])[:, :3]
    assert (rim == 1).all()
