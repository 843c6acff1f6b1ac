"""The figure of all ways to denoise a movie shows its table and the frame of an event."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Circle

from lowdose.data.movies import Movie, digest_of, write_movie
from lowdose.evaluation.stored import write_images
from lowdose.report.figure_movies import draw
from lowdose.report.inputs import Inputs
from lowdose.report.style import style
from lowdose.runtime import UserError

SPEC = {
    "methods": {"raw": "raw", "sum": "gaussian", "udvd": "udvd"},
    "films": ["one"],
    "first_frames": 4,
    "reference_dose_e_per_px": 0.45,
    "seed": 1,
}
GONE = range(10, 15)


@pytest.fixture
def inputs(tmp_path) -> Inputs:
    frames, side = 20, 60
    clean = 1 + 0.01 * np.random.default_rng(0).random((frames, side, side), dtype=np.float32)
    rows = [
        (f, c, 0.1 + 0.1 * c, 0.2, 0 if c == 1 and f in GONE else 5, 5, True, "facet",
         "absent" if c == 1 and f in GONE else "present", "vacancy1" if c == 1 else "")
        for f in range(frames) for c in range(3)
    ]  # fmt: skip
    names = ["frame", "column", "x_nm", "y_nm", "n_atoms", "n_full", "is_surface", "site", "state",
             "process"]  # fmt: skip
    zero = np.zeros(frames)
    movie = Movie(clean, zero + 0.45, zero, zero, np.zeros((frames, 2)),
                  pd.DataFrame(rows, columns=names), 0.0061, 0.025, (0, 0), {}, 0, "")  # fmt: skip
    movie = replace(movie, digest=digest_of(clean, movie.dose_e_per_px, movie.truth))
    write_movie(tmp_path / "movies" / "one.h5", movie)
    for number, name in enumerate(SPEC["methods"]):
        write_images(tmp_path / "movies" / name / "images.h5", [clean[0] + number], 0.0061)
    table = [
        {"method": name, "dose_e_per_px": dose, "shortest": shortest, "recall_1": 0.5,
         "recall_4": 1.0, "f1": np.nan if name == "ideal" else 0.5 + dose / 10,
         "psnr_db": np.nan if name == "ideal" else 30 + dose}
        for name, shortest in {"ideal": 1, "raw": np.nan, "sum": 4, "udvd": 1}.items()
        for dose in (0.45, 2.0)
    ]  # fmt: skip
    (tmp_path / "tables").mkdir()
    pd.DataFrame(table).to_csv(tmp_path / "tables" / "movies.csv", index=False)
    return Inputs(movies=tmp_path / "movies", tables=tmp_path / "tables")


def test_it_shows_the_table(inputs):
    with style():
        figure, table = draw(inputs, SPEC)
    images, charts = figure.axes[:4], figure.axes[4:]
    assert [a.get_title().split("\n")[1] for a in images] == [
        "what is to be found", "30.4 dB", "30.4 dB", "30.4 dB",
    ]  # fmt: skip
    events, surface, accuracy = charts
    shown = {line.get_label(): line.get_ydata() for line in events.lines}
    # Moved apart by less than half of the step to the next length.
    assert shown["UDVD"] == pytest.approx([1, 1], rel=0.05)
    assert shown["sum of frames"] == pytest.approx([4, 4], rel=0.05)
    assert shown["counts"] == pytest.approx([8, 8], rel=0.05)  # not even the longest
    labels = dict(zip(events.get_yticks(), [t.get_text() for t in events.get_yticklabels()],
                      strict=True))  # fmt: skip
    assert labels[8] == "none" and labels[4] == "4"
    own = table[table["method"] == "udvd"]
    assert surface.lines[-1].get_ydata() == pytest.approx(own["f1"].to_numpy())
    assert accuracy.lines[-1].get_ydata() == pytest.approx(own["psnr_db"].to_numpy())
    assert len(accuracy.lines) == 2  # raw counts, far below, are left out


def test_rings_mark_what_is_not_as_usual(inputs):
    with style():
        figure, _ = draw(inputs, SPEC)
    for axes in figure.axes[:4]:
        rings = [p for p in axes.patches if isinstance(p, Circle)]
        assert [ring.center for ring in rings] == [(0.2, 0.2)]
    # Each panel has the image of its own method.
    means = [axes.images[0].get_array().mean() for axes in figure.axes[:4]]
    assert means[0] == pytest.approx(1.005, abs=0.01) and means[3] == pytest.approx(3.0, abs=0.02)
    assert means[1] == pytest.approx(0.45, abs=0.05)  # counts


def test_a_missing_film_is_said(inputs):
    (inputs.movies / "one.h5").unlink()
    with style(), pytest.raises(UserError, match=r"one\.h5 does not exist; simulate it first"):
        draw(inputs, SPEC)
