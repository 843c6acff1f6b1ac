"""A particle larger than its cell is refused, and what the message names does work."""

import re

import numpy as np
import pytest

from lowdose.runtime import UserError
from lowdose.structures.fit import check_room, interface_height
from lowdose.structures.library import build_structure


def test_room_is_that_of_the_margins(section):
    width = 8 * 5.411 * np.sqrt(1.5)
    # One bottom margin, five trilayers of CeO2 (a / sqrt(3) apart, O a sqrt(3)/12 around Ce).
    top = 1.0 + 4 * 5.411 / np.sqrt(3) + 2 * 5.411 * np.sqrt(3) / 12
    assert interface_height(section) == pytest.approx(top)
    highest = 50 - top - 2.3 - 1.0
    section = {**section, "base_shapes": {"PtNp1": 1}}
    check_room(section, np.array([width - 4.0, highest, 99.0]), "fits")
    with pytest.raises(UserError, match=r"wide, 4\.92 nm wide .* for the width of its cell"):
        check_room(section, np.array([width - 3.8, 10.0, 9.0]), "wide")
    with pytest.raises(UserError, match="for the height of its cell"):
        check_room(section, np.array([20.0, highest + 0.1, 9.0]), "high")


def test_named_values_work(section, model):
    large = {**section, "size_nm": [4.9, 5.2], "base_shapes": {"PtNp1": 1, "PtNp4": 1}}
    largest = model("PtNp4a", "D1")
    with pytest.raises(UserError, match=r"PtNp4a, 5\.\d\d nm wide") as refusal:
        build_structure(large, largest, 0)
    message = str(refusal.value)
    periods = int(re.search(r"structures\.periods: (\d+)", message)[1])
    height = float(re.search(r"structures\.cell_height_nm: ([\d.]+)", message)[1])
    size = [float(s) for s in re.search(r"size_nm: \[([\d., ]+)\]", message)[1].split(",")]
    assert periods == 9
    for base in ("PtNp1a", "PtNp1b", "PtNp4a", "PtNp4a"):
        for change in ({"periods": periods, "cell_height_nm": height}, {"size_nm": size}):
            build_structure({**large, **change}, model(base, "D1"), 0)
    # And nothing less does.
    with pytest.raises(UserError):
        build_structure({**large, "periods": periods - 1, "cell_height_nm": height}, largest, 0)


def test_a_flat_cell_names_its_height(section, model):
    flat = {**section, "cell_height_nm": 3.0, "base_shapes": {"PtNp1": 1}, "size_nm": [2.9, 2.9]}
    with pytest.raises(UserError, match=r"for the height of its cell") as refusal:
        build_structure(flat, model("PtNp1a"), 0)
    height = float(re.search(r"cell_height_nm: ([\d.]+)", str(refusal.value))[1])
    build_structure({**flat, "cell_height_nm": height}, model("PtNp1a"), 0)
    assert 3.0 < height < 4.0
