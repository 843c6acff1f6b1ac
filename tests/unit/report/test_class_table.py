"""Contrast classes: the table counts what is in the images, and quotes what the paper has."""

from __future__ import annotations

import math

import pytest

from lowdose.report.class_table import CLASSES, PAPER, PAPER_IMAGES, PAPER_LAYERS, class_counts


def test_every_number_is_that_of_the_images(world):
    table = class_counts(world.classes)
    images = [row for row in world.classes.to_dict("records") if row["contrast"] != "none"]
    assert len(images) < len(world.classes)  # there are blanks, and they are left out
    key = {
        "all": lambda row: "all",
        "tilt": lambda row: f"x{row['tilt_x_deg']} y{row['tilt_y_deg']}",
    }
    for row in table.to_dict("records"):
        of = key.get(row["by"], lambda image, by=row["by"]: image[by])
        mine = [image for image in images if of(image) == row["value"]]
        assert row["images"] == len(mine) > 0
        for name in CLASSES:
            number = sum(image["contrast"] == name for image in mine)
            assert row[name] == number
            assert row[f"{name}_percent"] == pytest.approx(100 * number / len(mine))
        mean = sum(image["mean_contrast"] for image in mine) / len(mine)
        assert row["mean_contrast"] == pytest.approx(mean)
    for by, values in table.groupby("by"):
        assert values["images"].sum() == len(images), by
    assert set(table["by"]) == {"all", "c1_nm", "layers", "tilt", "family", "defect", "split"}
    assert set(table.loc[table["by"] == "tilt", "value"]) == {"x0 y0", "x2 y0"}


def test_the_papers_numbers_are_consistent_and_stand_beside():
    # 4.6, 64.1 and 31.3 % of 3,567 images, as the project's facts quote them.
    shares = [round(100 * PAPER[name] / PAPER_IMAGES, 1) for name in ("black", *CLASSES[1::-1])]
    assert shares == [4.6, 64.1, 31.3]
    assert sum(PAPER.values()) == sum(PAPER_LAYERS.values()) == PAPER_IMAGES


def test_what_is_not_known_of_the_paper_is_empty(world):
    table = class_counts(world.classes).set_index(["by", "value"])
    assert table.loc[("all", "all"), "paper_white_percent"] == pytest.approx(31.31, abs=0.01)
    assert table.loc[("layers", 26), "paper_images"] == 1993
    assert math.isnan(table.loc[("layers", 26), "paper_white_percent"])
    # No white at 0 nm, no black above 1 nm; 102 of 181 white at 20 nm.
    at = table.loc["c1_nm"]
    assert at.loc[0.0, "paper_white_percent"] == 0 and math.isnan(
        at.loc[0.0, "paper_black_percent"]
    )
    assert math.isnan(at.loc[1.0, "paper_black_percent"])
    assert at.loc[6.0, "paper_black_percent"] == 0 and math.isnan(
        at.loc[6.0, "paper_white_percent"]
    )
    assert at.loc[20.0, "paper_white_percent"] == pytest.approx(100 * 102 / 181)
