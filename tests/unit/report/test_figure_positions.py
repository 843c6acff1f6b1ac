"""The figure of positions shows what its tables say, and nothing that they hide."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from lowdose.report.figure_positions import draw
from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN, save, style

DOSES = (0.1, 0.45, 5.0, 100.0)


@pytest.fixture
def inputs(tmp_path):
    rows, atoms = [], []
    for k, dose in enumerate(DOSES):
        for m, method in enumerate(("blobs", "fits", "centroids", "network", "known site, chain")):
            for columns in ("all", "surface"):
                rms = (10 + m) / np.sqrt(dose)
                rows.append({
                    "method": method, "dose_e_per_px": dose, "columns": columns, "n_true": 400,
                    "n_located": 5 if dose == 0.1 and method == "blobs" else 390, "rms_pm": rms,
                    "rms_pm_low": 0.9 * rms, "rms_pm_high": 1.1 * rms,
                    "all_bound_pm": 9.6 / np.sqrt(dose), "failure_rate": 0.9 / 2**k,
                    "failure_rate_low": 0.8 / 2**k, "failure_rate_high": 1 / 2**k,
                })  # fmt: skip
        for averaging, frames, right in (("one frame", 1, 0.2 + 0.1 * k), ("film", 87.6, 0.8)):
            for columns in ("all", "surface"):
                atoms.append({
                    "dose_e_per_px": dose, "averaging": averaging, "columns": columns,
                    "frames": frames, "n_counts": 400, "right": right, "right_low": right - 0.1,
                    "right_high": right + 0.1, "chance": 0.22,
                })  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "positions.csv", index=False)
    pd.DataFrame(atoms).to_csv(tmp_path / "atom_counts.csv", index=False)
    yield Inputs(tables=tmp_path)
    plt.close("all")


def lines(axes) -> dict[str, np.ndarray]:
    found = {}
    for container in axes.containers:
        data = container.lines[0]
        found[container.get_label()] = np.column_stack(data.get_data()).astype(float)
    return found


def test_panels_show_the_tables(inputs):
    with style():
        figure, table = draw(inputs, {})
    errors, failures, atoms = figure.axes
    shown = lines(errors)
    assert list(shown) == ["blobs", "Gaussian fits", "centroids", "blobs, denoised"]
    # Where five columns are located there is no error to show; the rest is the table's.
    np.testing.assert_allclose(shown["blobs"][:, 0], DOSES[1:])
    np.testing.assert_allclose(shown["Gaussian fits"][:, 1], 11 / np.sqrt(DOSES))
    bound = [line for line in errors.get_lines() if line.get_color() in ("black", "#b5b5b5")]
    for line, factor in zip(bound, (1, 1.5), strict=True):
        np.testing.assert_allclose(line.get_ydata(), factor * 9.6 / np.sqrt(DOSES))
    np.testing.assert_allclose(lines(failures)["blobs"][:, 1], [0.9, 0.45, 0.225, 0.1125])
    assert "centroids" not in lines(failures)
    assert list(lines(atoms)) == ["sum of 88 frames", "one frame"]
    np.testing.assert_allclose(lines(atoms)["one frame"][:, 1], [0.2, 0.3, 0.4, 0.5])
    assert {axes.get_xscale() for axes in figure.axes} == {"log"}
    few = table[(table["method"] == "blobs") & (table["dose_e_per_px"] == 0.1)]
    assert few["rms_pm"].isna().all() and few["failure_rate"].item() == 0.9
    assert "known site, chain" not in set(table["method"])


def test_an_open_marker_says_that_most_are_missed(inputs):
    with style():
        figure, _ = draw(inputs, {})
    hollow = [
        line for line in figure.axes[0].get_lines()
        if line.get_linestyle() == "None" and line.get_markerfacecolor() == "white"
    ]  # fmt: skip
    # At 0.1 e/px nine tenths are missed, above 0.45 e/px less than half.
    places = {x for line in hollow for x in line.get_xdata()}
    assert places == {0.1}


def test_no_legend_hides_a_curve(inputs):
    with style():
        figure, _ = draw(inputs, {})
        figure.canvas.draw()
        for axes in figure.axes:
            box = axes.get_legend().get_window_extent()
            for line in axes.get_lines():
                if line.get_transform() == axes.transData and len(line.get_xdata()):
                    data = np.column_stack(line.get_data()).astype(float)
                    ends = axes.transData.transform(data)
                    # Points and what is between them.
                    along = np.linspace(0, len(ends) - 1, 200)
                    x, y = (np.interp(along, np.arange(len(ends)), part) for part in ends.T)
                    if line.get_linestyle() == "None":
                        x, y = ends.T
                    assert not any(map(box.contains, x, y))


def test_the_same_tables_give_the_same_bytes(inputs, tmp_path):
    for folder in ("a", "b"):
        with style():
            save(*draw(inputs, {}), tmp_path / folder, "positions")
    for suffix in ("png", "svg", "csv"):
        one, two = ((tmp_path / f / f"positions.{suffix}").read_bytes() for f in "ab")
        assert one == two
    image = imread(tmp_path / "a" / "positions.png")
    assert image.shape[1] <= WIDTH_IN * 200
    rim = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])[:, :3]
    assert (rim == 1).all()
