"""Figures: the CSV holds the inputs' numbers, and the same inputs give the same bytes."""

from __future__ import annotations

import dataclasses
import importlib
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from lowdose.cli import main
from lowdose.cli.figure import FIGURES
from lowdose.metrics import psnr
from lowdose.provenance import modules_of
from lowdose.report.style import DPI, WIDTH_IN, save, style
from lowdose.runtime import UserError


def draw(name, inputs, spec):
    module = importlib.import_module(f"lowdose.report.figure_{name}")
    with style():
        figure, table = module.draw(inputs, spec)
    return figure, table


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def options(inputs):
    return [
        word
        for field in dataclasses.fields(inputs)
        for word in (f"--{field.name}", str(getattr(inputs, field.name)))
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_twice_alike(name, inputs, spec, tmp_path):
    arguments = ["figure", "--figure", name, "--spec", json.dumps(spec), *options(inputs)]
    for folder in ("a", "b"):
        assert main([*arguments, "--output", str(tmp_path / folder)]) == 0
    for suffix in ("svg", "png", "csv"):
        one, two = ((tmp_path / f / f"{name}.{suffix}").read_bytes() for f in "ab")
        assert one == two, suffix
    assert b"<dc:date>" not in (tmp_path / "a" / f"{name}.svg").read_bytes()
    image = imread(tmp_path / "a" / f"{name}.png")
    assert image.shape[1] <= WIDTH_IN * DPI == 1600
    # Nothing is cut off: the outermost pixels are paper.
    rim = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])[:, :3]
    assert (rim == 1).all()


@pytest.mark.parametrize("name", FIGURES)
def test_editing_one_figure_redraws_that_figure_alone(name):
    others = {f"lowdose.report.figure_{other}" for other in FIGURES if other != name}
    assert not others & set(modules_of(f"lowdose.report.figure_{name}"))
    assert not {f"lowdose.report.figure_{n}" for n in FIGURES} & set(
        modules_of("lowdose.cli.figure")
    )


def test_images_table_has_the_psnr_and_the_intensity_at_the_vacancy(inputs, spec):
    _, table = draw("images", inputs, spec)
    assert list(table["denoiser"]) == [n for n in spec["denoisers"] if n != "constant"]
    frames = inputs.frame_set()
    assert table["ring_is_vacancy"].all() and set(table["frame"]) == {1}
    for row in table.itertuples():
        image = inputs.image(row.denoiser, 1)
        disc = [
            image[r, c]
            for r in range(image.shape[0])
            for c in range(image.shape[1])
            if (0.02 * r - 1.2) ** 2 + (0.02 * c - 1.78) ** 2 <= 0.05**2
        ]
        assert row.intensity_at_ring == pytest.approx(np.mean(disc), abs=1e-6)
        if row.denoiser != "clean":
            expected = psnr(frames.clean[1] * 0.45, image * 0.45, dose_e_per_px=0.45)
            assert row.psnr_db == pytest.approx(expected)


@pytest.mark.parametrize(("name", "metrics"), [("receptive_field", ("psnr_db", "f1")),
                                               ("dose", ("f1", "fill_in_rate"))])  # fmt: skip
def test_curves_show_the_table_of_results(name, metrics, inputs, spec):
    figure, table = draw(name, inputs, spec)
    results = inputs.results(spec).set_index(["denoiser", "dose_e_per_px"])
    assert set(table["metric"]) == set(metrics)
    for row in table.itertuples():
        source = results.loc[row.denoiser, row.dose_e_per_px]
        for key, end in (("value", ""), ("low", "_low"), ("high", "_high")):
            assert getattr(row, key) == source[row.metric + end]
    drawn = {
        round(float(y), 9)
        for axes in figure.axes
        for line in axes.get_lines()
        for y in np.ravel(line.get_ydata())
    }
    assert {round(float(v), 9) for v in table["value"]} <= drawn
    wanted = {0.45} if name == "receptive_field" else {0.2, 0.45}
    assert set(table["dose_e_per_px"]) == wanted


def test_receptive_field_axis_is_the_cards(inputs, spec):
    figure, table = draw("receptive_field", inputs, spec)
    networks = table[table["kind"] == "network"]
    assert sorted(set(networks["receptive_field_px"])) == [43, 639]
    top = figure.axes[0].child_axes[0]
    figure.canvas.draw()
    np.testing.assert_allclose(top.get_xlim(), np.array(figure.axes[0].get_xlim()) * 0.02)


def test_learning_curves_join_steps_and_seconds(inputs, spec):
    _, table = draw("learning_curves", inputs, spec)
    assert len(table) == 2 * 3
    np.testing.assert_allclose(table["seconds"], table["step"] / 4)
    np.testing.assert_allclose(table["validation_psnr_db"], 25 + table["step"] / 10)


def test_likelihood_verdict_counts_the_supported_columns(inputs, spec):
    from lowdose.columns.likelihood import e_bh
    from lowdose.report.figure_likelihood import evidence, verdict

    figure, table = draw("likelihood", inputs, spec)
    source = inputs.likelihood().sort_values(["y_nm", "x_nm"], ignore_index=True)
    own = table[table["image"] == spec["widest"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(own[list(source)], source, check_dtype=False)
    # The counts are asked about the true surface, and about that of the perfect particle, too.
    frames = inputs.frame_set()
    counts = frames.counts(1, 0.45, 0, spec["seed"])
    for name, columns_of in (("clean", 1), ("wrong", 0)):
        rows = table[table["image"] == name]
        truth = frames.columns[(frames.columns["frame"] == columns_of)]
        assert len(rows) == truth["is_surface"].sum()
        for one in rows.itertuples():
            y, x = (np.arange(n) * 0.02 for n in frames.clean.shape[1:])
            disc = np.hypot(y[:, None] - one.y_nm, x[None, :] - one.x_nm) <= 0.06 + 1e-9
            level = 0.45 * frames.clean[columns_of][disc].mean(dtype=float)
            n = counts[disc].sum()
            ratio = n * np.log(level / 0.45) - disc.sum() * (level - 0.45)
            assert one.llr_total == pytest.approx(ratio, rel=1e-4, abs=1e-4)
    at_vacancy = table[(table["image"] == "wrong") & (table["x_nm"].sub(1.78).abs() < 0.01)
                       & (table["y_nm"].sub(1.2).abs() < 0.01)]  # fmt: skip
    assert len(at_vacancy) == 1
    said = verdict(int(source["supported"].sum()), len(source), 0.05)
    assert said in [text.get_text() for text in figure.texts]
    # Eight tested: the first alone needs e = 8 / 0.05 = 160, as e-BH has it.
    strong = pd.DataFrame({"e_value": [160.0] + 7 * [1.0], "p_value": [0.003] + 7 * [0.4]})
    strong["supported_e"] = e_bh(strong["e_value"].to_numpy(), 0.05)
    assert evidence(strong, 0.05) == (
        "strongest evidence for one column: p = 0.003, e = 160; by e-BH at 5 %, which holds under "
        "any dependence: 1"
    )
    assert evidence(strong[:0], 0.05) == "the network shows none in this frame"
    assert verdict(1, 9, 0.1) == (
        "1 of 9 surface columns is supported by the counts at 10 % false discoveries"
    )


def test_filters_lie_where_their_pixel_is(inputs, spec):
    figure, table = draw("filters", inputs, spec)
    assert len(table) == 4
    for axes in figure.axes[:8]:
        (picture,) = axes.get_images()
        row, column = np.unravel_index(np.argmax(picture.get_array()), picture.get_array().shape)
        left, _, _, top = picture.get_extent()
        centre = left + (column + 0.5) * 0.02, top + (row + 0.5) * 0.02
        middle = np.mean(axes.get_xlim()), np.mean(axes.get_ylim())
        np.testing.assert_allclose(centre, middle, atol=1e-9)
        assert picture.norm.vmax == -picture.norm.vmin == 0.5
    wide = table[(table["denoiser"] == spec["widest"]) & (table["where"] == "bulk")].iloc[0]
    cells = 161 * 161  # reach 80 on each side; the frame cuts nothing off here
    near = sum(r**2 + c**2 <= 6**2 for r in range(-9, 10) for c in range(-9, 10))
    expected = (0.5 + (near - 1) * 1e-4) / (0.5 + (cells - 1) * 1e-4)
    assert wide["weight_within_0.12_nm"] == pytest.approx(expected, rel=1e-5)


def test_a_missing_result_is_one_sentence(inputs, spec, tmp_path):
    lost = dataclasses.replace(inputs, tables=tmp_path)
    with pytest.raises(UserError, match=r"results.csv does not exist; run the stage `summarise`"):
        draw("dose", lost, spec)
    broken = tmp_path / "filters.h5"
    broken.write_bytes(b"no HDF5")
    with pytest.raises(UserError, match=r"filters.h5 is damaged"):
        draw("filters", dataclasses.replace(inputs, mechanism=broken), spec)


def test_the_csv_holds_six_digits(tmp_path):
    with style():
        figure = plt.figure(figsize=(1, 1))
        save(figure, pd.DataFrame({"a": [1 / 3], "b": ["x"]}), tmp_path, "t")
    assert (tmp_path / "t.csv").read_text() == "a,b\n0.333333,x\n"


def test_likelihood_draws_a_frame_without_surface_columns(inputs, spec, tmp_path):
    none = inputs.likelihood().iloc[:0]
    none.to_parquet(tmp_path / "likelihood.parquet")
    bare = dataclasses.replace(inputs, columns=tmp_path / "likelihood.parquet")
    figure, table = draw("likelihood", bare, spec)
    assert set(table["image"]) == {"clean", "wrong"}
    said = [text.get_text() for text in figure.texts]
    assert "0 of 0 surface columns are supported by the counts at 5 % false discoveries" in said


def test_credibility_where_everybody_is_right_has_no_efficiency(inputs, spec, tmp_path):
    table = pd.read_csv(inputs.tables / "credibility.csv")
    sure = table.assign(auc=1.0, **{f"efficiency{end}": np.nan for end in ("", "_low", "_high")})
    sure.to_csv(tmp_path / "credibility.csv", index=False)
    _, drawn = draw("credibility", dataclasses.replace(inputs, tables=tmp_path), spec)
    assert set(drawn["panel"]) == {"a", "auc", "right_rate"}
    # The ROC's dots are the shares at the study's threshold.
    for name in ("ideal", "gaussian"):
        sites = inputs.sites(name)
        dot = drawn[(drawn["denoiser"] == name) & (drawn["what"] == "threshold of the study")]
        shares = sites.groupby("present")["reported"].mean()
        assert dot[["x", "value"]].iloc[0].tolist() == pytest.approx([shares[False], shares[True]])


def test_credibility_draws_a_network_of_several_seeds_once(inputs, spec, tmp_path):
    """All its seeds together, in place of the first; not the single ones."""
    first, second = spec["networks"]
    table = pd.read_csv(inputs.tables / "credibility.csv")
    both = table[table["denoiser"] == first].assign(denoiser="of.both", auc=0.777)
    pd.concat([table, both]).to_csv(tmp_path / "credibility.csv", index=False)
    pooled = {**spec, "pooled": {"of.both": [first, second]}, "shown": spec["denoisers"][:-1]}
    _, drawn = draw("credibility", dataclasses.replace(inputs, tables=tmp_path), pooled)
    assert second not in set(drawn["denoiser"]) and "of.both" not in set(drawn["denoiser"])
    of_auc = drawn[(drawn["panel"] == "auc") & (drawn["denoiser"] == first)]
    assert (of_auc["value"] == 0.777).all()
    dot = drawn[(drawn["denoiser"] == first) & (drawn["what"] == "threshold of the study")]
    sites = pd.concat([inputs.sites(first), inputs.sites(second)])
    shares = sites.groupby("present")["reported"].mean()
    assert dot[["x", "value"]].iloc[0].tolist() == pytest.approx([shares[False], shares[True]])


def test_strata_are_in_their_own_order_with_the_number_of_shapes(inputs, spec):
    figure, table = draw("strata", inputs, spec)
    assert set(table["factor"]) == {"defect", "layers", "tilt_deg", "c1_nm", "family", "site"}
    # A site has its recall alone; the rest is F1.
    measure = table.groupby("factor")["measure"].unique().str[0]
    assert measure["site"] == "recall" and measure["defect"] == "f1"
    ticks = [[label.get_text() for label in axes.get_xticklabels()] for axes in figure.axes]
    assert ticks[1] == ["16\n(1)", "21\n(2)"]
    assert ticks[5] == ["facet\n(1)", "corner\n(2)"]
    assert not {"raw", "constant"} & set(table["denoiser"])
