"""Figures of sweeps: they show the numbers of their tables, and alike each time."""

from __future__ import annotations

import importlib
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from lowdose.cli import main
from lowdose.cli.figure import OF_SWEEPS
from lowdose.provenance import modules_of
from lowdose.report.figure_field import apart
from lowdose.report.inputs import Inputs
from lowdose.report.style import DPI, WIDTH_IN, style
from lowdose.runtime import UserError

FIELDS = (23, 119, 871)
SETS = ("all", "only-white", "only-black")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def row(rng, **about):
    for measure, base in (("psnr_db", 30), ("f1", 0.8), ("fill_in_rate", 0.3)):
        value = base * rng.uniform(0.9, 1.1)
        about |= {measure: value, f"{measure}_low": 0.97 * value, f"{measure}_high": 1.04 * value}
    return about


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Tables and learning curves of made-up sweeps, and the specification of each figure."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "tables").mkdir()
    rng = np.random.default_rng(6)
    trainings = []
    for field in FIELDS:
        for long, seeds in ((False, (0, 1)), (True, (0,))):
            if long and field == 119:
                continue
            name = f"{'long' if long else 'field'}-{field}"
            for seed in seeds:
                trainings.append(
                    {
                        "denoiser": f"{name}.native.seed{seed}",
                        "network": name,
                        "receptive_field_px": field,
                        "long": long,
                        "seed": seed,
                    }
                )
                where = folder / "networks" / name / "native" / f"seed{seed}"
                where.mkdir(parents=True)
                lines = [[], []]
                for step in (10, 20, 30):
                    lines[0].append({"step": step, "validation_psnr_db": 25 + step / 10 + seed,
                                     "loss": 0.1, "learning_rate": 1e-3})  # fmt: skip
                    # 871 px are twice as fast as 23.
                    lines[1].append(
                        {"step": step, "seconds": step * {23: 4, 119: 3, 871: 2}[field]}
                    )
                for file, records in zip(("history", "timing"), lines, strict=True):
                    text = "".join(json.dumps(r) + "\n" for r in records)
                    (where / f"{file}.jsonl").write_text(text)
    rows = [
        row(rng, network=n, long=long, receptive_field_px=f, receptive_field_nm=f * 0.0061,
            effective_field_px=f**0.9, minutes=30.0 if long else np.nan)
        for n, f, long in sorted({(t["network"], t["receptive_field_px"], t["long"])
                                  for t in trainings})
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "tables" / "field.csv", index=False)
    grid = [
        row(rng, network=f"law-{f}", own_pixel_size_nm=own, receptive_field_px=f,
            receptive_field_nm=f * own)
        for own in (0.0061, 0.0122, 0.0183) for f in (23, 55, 119, 199)
    ]  # fmt: skip
    pd.DataFrame(grid).to_csv(folder / "tables" / "field_law.csv", index=False)
    fits = [
        {"measure": m, "against": a, "r_squared": r, "low": r - 0.1, "high": r + 0.04}
        for m in ("psnr_db", "f1", "fill_in_rate")
        for a, r in (("px", 0.61), ("nm", 0.93), ("difference", 0.32))
    ]
    pd.DataFrame(fits).to_csv(folder / "tables" / "field_law_fit.csv", index=False)
    cells = [
        {"trained_on": t, "trained_axis": "all" if t == "all" else "contrast",
         "tested_axis": axis, "tested_on": on, "matched": t in ("all", f"only-{on}"),
         "contrast_psnr_db": rng.uniform(1, 10)}
        for t in SETS
        for axis, on in (("all", "all"), ("contrast", "black"), ("contrast", "white"),
                         ("layers", "16"), ("layers", "21"))
    ]  # fmt: skip
    pd.DataFrame(cells).to_csv(folder / "tables" / "geometry.csv", index=False)
    specs = {"field": trainings, "field_law": [], "geometry": [{"training_set": t} for t in SETS]}
    inputs = Inputs(networks=folder / "networks", tables=folder / "tables")
    return inputs, {name: {"figure": name, "trainings": t} for name, t in specs.items()}


def draw(name, swept):
    inputs, specs = swept
    with style():
        return importlib.import_module(f"lowdose.report.figure_{name}").draw(inputs, specs[name])


@pytest.mark.parametrize("name", OF_SWEEPS)
def test_a_figure_is_drawn_twice_alike(name, swept, tmp_path):
    inputs, specs = swept
    words = ["figure", "--figure", name, "--spec", json.dumps(specs[name]),
             "--networks", str(inputs.networks), "--tables", str(inputs.tables)]  # fmt: skip
    for folder in ("a", "b"):
        assert main([*words, "--output", str(tmp_path / folder)]) == 0
    for suffix in ("svg", "png", "csv"):
        one, two = ((tmp_path / f / f"{name}.{suffix}").read_bytes() for f in "ab")
        assert one == two, suffix
    image = imread(tmp_path / "a" / f"{name}.png")
    assert image.shape[1] <= WIDTH_IN * DPI
    rim = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])[:, :3]
    assert (rim == 1).all()


@pytest.mark.parametrize("name", OF_SWEEPS)
def test_each_figure_depends_on_its_own_code(name):
    others = {f"lowdose.report.figure_{other}" for other in OF_SWEEPS if other != name}
    assert not others & set(modules_of(f"lowdose.report.figure_{name}"))


def test_the_figure_of_fields_shows_its_table(swept):
    figure, shown = draw("field", swept)
    source = pd.read_csv(swept[0].tables / "field.csv").set_index("network")
    for measure in ("psnr_db", "f1", "fill_in_rate"):
        part = shown[shown["panel"] == measure].set_index("network")
        assert set(part.index) == set(source.index)
        for key, end in (("value", ""), ("low", "_low"), ("high", "_high")):
            np.testing.assert_allclose(part[key], source.loc[part.index, measure + end])
    assert set(shown.loc[shown["long"], "network"]) == {"long-23", "long-871"}
    assert set(shown[shown["panel"] == "effective_field_px"]["network"]) == {
        f"field-{f}" for f in FIELDS
    }
    drawn = {
        round(float(y), 9) for axes in figure.axes for line in axes.get_lines()
        for y in np.ravel(line.get_ydata())
    }  # fmt: skip
    assert {round(float(v), 9) for v in source["psnr_db"]} <= drawn


def test_learning_curves_are_means_over_seeds_and_are_read_at_one_time(swept):
    _, shown = draw("field", swept)
    curve = shown[(shown["panel"] == "learning_curve") & (shown["network"] == "field-23")]
    assert curve["x"].tolist() == [40, 80, 120]
    # 25 + step / 10 for seed 0, one more for seed 1.
    assert curve["value"].tolist() == pytest.approx([26.5, 27.5, 28.5])
    # The fastest ends after 60 s: 15 steps of the narrowest, 20 of the middle one.
    equal = shown[shown["panel"] == "equal_time"].set_index("network")["value"]
    assert equal["field-871"] == pytest.approx(28.5)
    assert equal["field-119"] == pytest.approx(27.5)
    assert equal["field-23"] == pytest.approx(27.0)


def test_the_law_shows_both_axes_and_what_they_explain(swept):
    figure, shown = draw("field_law", swept)
    texts = [axes.get_title(loc="right") for axes in figure.axes]
    assert texts == ["$R^2$ = 0.61 [0.51 to 0.65]", "$R^2$ = 0.93 [0.83 to 0.97]"] * 2
    networks = shown[shown["kind"] == "network"]
    px, nm = (networks[networks["against"] == a].reset_index(drop=True) for a in ("px", "nm"))
    np.testing.assert_allclose(nm["field"], px["field"] * px["own_pixel_size_nm"])
    assert shown.loc[shown["kind"] == "r_squared", "against"].tolist() == [
        "px", "nm", "difference"] * 3  # fmt: skip


def test_the_matrix_has_a_number_in_each_cell_and_frames_what_matches(swept):
    figure, table = draw("geometry", swept)
    axes = figure.axes[0]
    image = np.asarray(axes.images[0].get_array())
    columns = [t.get_text() for t in axes.get_xticklabels()]
    rows = [t.get_text() for t in axes.get_yticklabels()]
    assert rows == list(SETS) and columns == ["all", "black", "white", "16", "21"]
    for one in table.itertuples():
        i, k = rows.index(one.trained_on), columns.index(one.tested_on)
        assert image[i, k] == pytest.approx(one.contrast_psnr_db)
        assert any(t.get_position() == (k, i) and t.get_text() == f"{one.contrast_psnr_db:.1f}"
                   for t in axes.texts)  # fmt: skip
    framed = {(round(p.get_y() + 0.44), round(p.get_x() + 0.43)) for p in axes.patches}
    assert framed == {(1, 2), (2, 1)}


def test_a_missing_table_says_what_to_run(swept, tmp_path):
    with pytest.raises(UserError, match="does not exist; run the stage `compare` first"):
        Inputs(tables=tmp_path).compared("field")


def test_labels_stand_apart_and_in_order():
    assert apart([30.0, 31.0, 29.0], 0.5) == pytest.approx([30, 31, 29])
    # Two that would overlap share the way; a third that they are pushed into moves with them.
    assert apart([33.1, 33.0, 20.0], 0.5) == pytest.approx([33.3, 32.8, 20])
    assert apart([1.0, 1.0, 1.0], 1.0) == pytest.approx([0, 1, 2])
    assert apart([], 1.0).size == 0
