"""The figures of the data set show what is in the files."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lowdose.report import figure_dataset, figure_defocus, figure_library
from lowdose.report.class_table import CLASSES
from lowdose.report.frozen_sets import read_frozen
from lowdose.report.information_limit import information_limit_nm
from lowdose.report.inputs import Inputs
from lowdose.report.style import style


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture
def gallery(world):
    with style():
        return figure_library.draw(Inputs(structures=world.structures), {})


def test_the_gallery_shows_every_shape_once(gallery, world):
    _, table = gallery
    shapes = set(zip(world.models["base_shape"], world.models["defect"], strict=True))
    shown = list(zip(table["base_shape"], table["defect"], strict=True))
    assert len(shown) == len(set(shown)) == 6
    assert set(shown) == shapes - {("vacuum", "D0")}
    # The least tilted, and of those the thinnest: 21 layers, since the 16 are tilted.
    assert set(table["layers"]) == {21} and set(table["tilt_x_deg"]) == {0}


def test_the_gallery_measures_its_shapes(gallery):
    table = gallery[1].set_index(["base_shape", "defect"])
    # Squares of 4 x 5, 5 x 7 and 2 x 6 columns, 0.24 nm apart, on an interface 0.115 nm below.
    for shape, rows, across in (("PtNp1a", 4, 5), ("PtNp1b", 5, 7), ("PtNp2a", 2, 6)):
        for defect, gone in (("D0", 0), ("D1", 1)):
            one = table.loc[shape, defect]
            assert (one["n_columns"], one["n_changed"]) == (rows * across - gone, gone)
            assert one["n_surface"] == across - gone
            assert one["n_atoms"] == 4 * (rows * across - gone)
            assert one["width_nm"] == pytest.approx(0.24 * (across - 1))
            assert one["height_nm"] == pytest.approx(0.24 * (rows - 1) + 0.115)


def test_discs_stand_to_scale_and_vacancies_are_open(gallery):
    figure, table = gallery
    cations, plain, changed, vacant = figure.axes[0].collections
    assert len(plain.get_offsets()) == table["n_columns"].sum()
    assert len(changed.get_offsets()) == 0
    assert len(vacant.get_offsets()) == 3
    assert (vacant.get_facecolor()[:, 3] == 0).all()
    # Neighbours are 0.24 nm apart and a disc 0.23 nm wide: diameter over distance is 0.958.
    points = plain.get_offsets().data
    distance = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    nearest = distance[distance > 1e-6].min() * 72  # points: the page is in inches
    figure.canvas.draw()
    assert np.sqrt(plain.get_sizes()[0]) / nearest == pytest.approx(0.23 / 0.24, rel=1e-6)
    assert len(cations.get_offsets()) > 6
    # The bar is as long as it says, on the same scale.
    bar = next(p for p in figure.axes[0].patches if p.get_facecolor()[:3] == (0, 0, 0))
    (label,) = (t.get_text() for t in figure.axes[0].texts if t.get_text().endswith(" nm"))
    assert bar.get_width() * 72 == pytest.approx(float(label[:-3]) / 0.24 * nearest)


def test_every_panel_of_the_gallery_has_room(gallery):
    figure, _ = gallery
    width, height = figure.get_size_inches()
    for part in figure.axes[0].collections:
        points = part.get_offsets().data
        if len(points):
            assert points.min() > 0 and (points.max(axis=0) < (width, height)).all()


def test_the_defocus_figure_shows_the_shares(world):
    with style():
        figure, table = figure_defocus.draw(Inputs(classes=world.folder / "classes.parquet"), {})
    images = world.classes[world.classes["contrast"] != "none"]
    shares = table[(table["table"] == "shares") & (table["by"] == "c1_nm")]
    for c1, group in images.groupby("c1_nm"):
        row = shares[shares["value"] == c1].iloc[0]
        for name in CLASSES:
            expected = 100 * (group["contrast"] == name).mean()
            assert row[f"{name}_percent"] == pytest.approx(expected)
    bars = [p for p in figure.axes[0].patches if p.get_width() == pytest.approx(0.86)]
    assert len(bars) == 3 * 4
    heights = np.array([bar.get_height() for bar in bars]).reshape(3, 4)
    np.testing.assert_allclose(heights.sum(axis=0), 100)
    np.testing.assert_allclose(heights[0], shares["white_percent"])
    middle = table[(table["table"] == "contrast") & (table["by"] == "layers")]
    for row in middle.itertuples():
        of = images[(images["layers"] == row.value) & (images["c1_nm"] == row.c1_nm)]
        assert row.median_contrast == pytest.approx(np.median(of["mean_contrast"]))
    assert len(middle) == 3 * 4


def test_the_histograms_count_every_image_and_every_pixel(world):
    spec = world.spec
    frozen = read_frozen(world.frozen, spec["frames"]["reference_dose_e_per_px"])
    with style():
        _, table = figure_dataset.draw(
            Inputs(classes=world.folder / "classes.parquet"), frozen, spec
        )
    number = world.classes["contrast"].value_counts()
    contrast = table[table["panel"] == "column contrast"]
    for name in CLASSES:
        assert contrast.loc[contrast["series"] == name, "value"].sum() == number[name]
    counts = table[table["panel"] == "expected counts"]
    for one in frozen:
        rows = counts[counts["series"] == one.name]
        assert rows["value"].sum() == pytest.approx(1)
        dose = spec["frames"]["reference_dose_e_per_px"]
        middle = (rows["from"] + rows["to"]) / 2 / dose
        # The mean of the binned values is that of the pixels, within half a bin.
        assert np.sum(middle * rows["value"]) == pytest.approx(one.mean, abs=0.0025)
    series = set(table.loc[table["panel"] == "transfer", "series"])
    limit = table[table["series"] == "information limit [nm], lens"].iloc[0]
    assert limit["value"] == information_limit_nm(spec["optics"], 300.0)
    assert limit["from"] == pytest.approx(1 / limit["value"])
    assert {"E sin chi, C1 = 7 nm", "E, C1 = 11 nm", "camera and vibration"} <= series


def test_the_curves_shown_are_least_third_and_most():
    shown = figure_dataset.curves_c1_nm
    assert shown({"c1_nm": list(range(21))}) == [0, 6, 20]
    assert shown({"c1_nm": [8]}) == [8]


def test_one_c1_and_one_thickness_can_be_drawn(world, tmp_path):
    one = world.classes[(world.classes["c1_nm"] == 6) & (world.classes["layers"] == 21)]
    one.to_parquet(tmp_path / "classes.parquet")
    with style():
        _, table = figure_defocus.draw(Inputs(classes=tmp_path / "classes.parquet"), {})
    assert table.loc[table["by"] == "layers", "value"].tolist() == [21]
    assert pd.isna(table["low"]).sum() == len(table) - 1
