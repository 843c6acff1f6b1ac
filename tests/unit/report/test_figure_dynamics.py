"""The figure of the dynamics shows the numbers of its tables, and alike each time."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.image import imread

from lowdose.report.figure_dynamics import COLOURS, FRAMES, METHODS, draw
from lowdose.report.inputs import Inputs
from lowdose.report.style import DPI, WIDTH_IN, save, style
from lowdose.runtime import UserError

SPEC = {"reference_dose_e_per_px": 0.45}
TRUE = {"disordering": 6.0, "ordering": 9.0}


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("dynamics"), np.random.default_rng(1)
    rows = []
    for dose in (0.1, 0.45, 2.0):
        for summed in (1, 4, 16):
            for realisation in range(3):
                for templates in ("film", "known"):
                    for step, true in TRUE.items():
                        # What no surface was found in has no rate, and slow frames no limit.
                        rate = np.nan if dose == 0.1 and realisation == 2 else true
                        rate *= rng.uniform(0.8, 1.2) if templates == "film" else 5.0
                        rows.append(
                            {"dose_e_per_px": dose, "summed": summed, "realisation": realisation,
                             "frame_time_s": 0.01 * summed, "templates": templates, "step": step,
                             "rate": rate, "low": 0.6 * rate, "true_rate": true,
                             "high": np.inf if summed == 16 else 1.7 * rate,
                             "realised_rate": 1.1 * true}
                        )  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "dynamics.csv", index=False)
    frame = np.arange(300)
    ordered = (frame // 25 % 2 == 0).astype(int)
    pd.DataFrame(
        {"frame": frame, "time_s": (frame + 0.5) * 0.01, "order_se": 0.12, "ordered": ordered,
         "order": ordered + rng.normal(0, 0.12, 300), "recovered": ordered}
    ).to_csv(folder / "dynamics_trace.csv", index=False)  # fmt: skip
    moved = [
        {"dose_e_per_px": dose, "realisation": 0, "method": method, "column": name, "x_nm": x,
         "outward_nm": 0.007 + rng.normal(0, 0.001), "se_nm": 0.001, "noiseless_nm": 0.0072,
         "true_nm": 0.008}
        for dose in (0.1, 0.45) for method in METHODS
        for name, x in (("40", 0.9), ("33", 0.3), ("41", 0.6), ("mean", 0.6))
    ]  # fmt: skip
    pd.DataFrame(moved).to_csv(folder / "strain.csv", index=False)
    return Inputs(tables=folder)


def points(axes, colour):
    lines = [line for line in axes.lines if to_hex(line.get_color()) == colour]
    return [line.get_ydata() for line in lines if line.get_marker() == "o"]


def test_the_rates_are_those_recovered_from_the_film(inputs):
    with style():
        figure, table = draw(inputs, SPEC)
    trace, left, middle, _ = figure.axes
    whole = pd.read_csv(inputs.tables / "dynamics.csv")
    assert set(table["templates"]) == {"film"} and table["rate"].notna().all()
    assert len(table) == ((whole["templates"] == "film") & whole["rate"].notna()).sum()
    for step, colour in COLOURS.items():
        own = table[table["step"] == step]
        for axes, rows in (
            (left, own[own["summed"] == 1]), (middle, own[own["dose_e_per_px"] == 0.45]),
        ):  # fmt: skip
            (shown,) = points(axes, colour)
            assert sorted(shown) == pytest.approx(sorted(rows["rate"]))
            flat = [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "None"]
            assert TRUE[step] in flat and pytest.approx(1.1 * TRUE[step]) in flat
    # Of limits that are infinite the axis shows no more than its end.
    top = middle.get_ylim()[1]
    assert np.isfinite(top) and top == left.get_ylim()[1]
    # The shortest dwell time is marked, and is longer than the shortest frames.
    dwell = [line.get_xdata()[0] for line in middle.lines if line.get_linestyle() == ":"]
    assert dwell == pytest.approx([1e3 / 9.0])
    assert trace.get_xlim() == pytest.approx((0, 0.01 * FRAMES))


def test_the_trace_and_the_displacements_are_shown(inputs):
    with style():
        figure, _ = draw(inputs, SPEC)
    trace, *_, strain = figure.axes
    table = pd.read_csv(inputs.tables / "dynamics_trace.csv").head(FRAMES)
    np.testing.assert_allclose(trace.lines[0].get_ydata(), table["order"])
    spans = [p for p in trace.patches if to_hex(p.get_facecolor()) == "#dcdcdc"]
    widths = sum(p.get_width() for p in spans)
    assert widths == pytest.approx(0.01 * (table["ordered"] == 0).sum())
    moved = pd.read_csv(inputs.tables / "strain.csv")
    moved = moved[moved["dose_e_per_px"] == 0.45]
    for method, (colour, marker, _) in METHODS.items():
        own = moved[moved["method"] == method].set_index("column")
        (line,) = [
            one for one in strain.lines
            if to_hex(one.get_color()) == colour and one.get_marker() == marker
        ]  # fmt: skip
        order = np.argsort(line.get_xdata())
        wanted = 1e3 * own.loc[["33", "41", "40", "mean"], "outward_nm"]
        np.testing.assert_allclose(line.get_ydata().astype(float)[order], wanted)
    labels = [label.get_text() for label in strain.get_xticklabels()]
    assert labels == ["1", "2", "3", "mean"]


def test_it_is_drawn_twice_alike_and_as_wide_as_the_others(inputs, tmp_path):
    for folder in ("a", "b"):
        with style():
            save(*draw(inputs, SPEC), tmp_path / folder, "dynamics")
    for suffix in ("svg", "png", "csv"):
        one, two = (tmp_path / folder / f"dynamics.{suffix}" for folder in ("a", "b"))
        assert one.read_bytes() == two.read_bytes()
    assert imread(tmp_path / "a" / "dynamics.png").shape[1] == WIDTH_IN * DPI


def test_a_missing_table_names_the_command(tmp_path):
    with style(), pytest.raises(UserError, match="dynamics"):
        draw(Inputs(tables=tmp_path), SPEC)
