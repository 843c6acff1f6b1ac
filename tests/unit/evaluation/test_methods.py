"""The table of all methods, and the paper beside it."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest

from lowdose import config, contest
from lowdose.denoisers import registry
from lowdose.evaluation.methods import PAPER, beside_the_paper, methods_table
from lowdose.runtime import UserError

SHAPES = ["PtNp1a", "PtNp2a", "PtNp3a"]


def rows(denoiser, tuned_for="psnr", dose=0.45, psnr=30.0):
    return [
        {
            "denoiser": denoiser, "tuned_for": tuned_for, "dose_e_per_px": dose, "frame": s,
            "realisation": 0, "base_shape": shape, "psnr": psnr + s, "contrast_psnr": psnr - 25 + s,
            "ssim": 0.9, "poisson_deviance": 1e-3, "n_true": 10, "n_found": 8, "n_matched": 6,
            "squared_error_nm2": 6 * 0.02**2, "n_vacancies": 0, "n_filled": 0, "n_partners": 0,
            "n_erased": 0, "seconds": 0.5,
        }
        for s, shape in enumerate(SHAPES)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A comparison of one method and a shipped network, as the stages leave it."""
    folder = tmp_path_factory.mktemp("comparison")
    values = {"comparison": {"methods": {"bm3d": {}}, "doses_e_per_px": [0.45, 20]},
              "sweep": [{"networks": ["wide"], "training_sets": ["white"], "seeds": [0]}],
              "baselines": {}, "shipped": ["white"]}  # fmt: skip
    made = config.load([], values)
    spec = {**contest.table_spec(made), "draws": 200}
    # The network that a study would train is not needed here.
    spec |= {"networks": [], "denoisers": ["clean", "constant", "raw", "bm3d", "white"],
             "baselines": ["bm3d"], "tuned": ["bm3d"]}  # fmt: skip
    frames = {
        "clean": rows("clean", psnr=math.inf), "constant": rows("constant", psnr=25),
        "raw": rows("raw", psnr=2.6), "white": rows("white", psnr=38) + rows("white", dose=20),
        "bm3d": rows("bm3d", psnr=32.5) + rows("bm3d", "f1", psnr=31) + rows("bm3d", dose=20),
    }  # fmt: skip
    for name, listed in frames.items():
        (folder / name).mkdir()
        pd.DataFrame(listed).to_parquet(folder / name / "frames.parquet")
    objectives = {"psnr": {"parameters": {"binning": 6}}, "f1": {"parameters": {"binning": 4}}}
    tuned = json.dumps({"objectives": objectives})
    (folder / "bm3d" / "tuned.json").write_text(tuned)
    return spec, methods_table(spec, folder, folder, folder)


def test_both_tunings_and_all_doses_have_rows(study):
    _, table = study
    found = set(zip(table["denoiser"], table["tuned_for"], table["dose_e_per_px"], strict=True))
    assert found == {
        *((name, "psnr", 0.45) for name in ("clean", "constant", "raw", "bm3d", "white")),
        ("bm3d", "psnr", 20), ("white", "psnr", 20), ("bm3d", "f1", 0.45),
    }  # fmt: skip
    best = table.set_index(["denoiser", "tuned_for", "dose_e_per_px"]).loc["bm3d"]
    assert best.loc[("psnr", 0.45), "psnr_db"] == pytest.approx(33.5)
    assert best.loc[("f1", 0.45), "psnr_db"] == pytest.approx(32)
    assert best.loc[("psnr", 0.45), "f1"] == pytest.approx(12 / 18)
    assert best.loc[("psnr", 0.45), "psnr_db_low"] < 33.5 < best.loc[("psnr", 0.45), "psnr_db_high"]
    parameters = best["parameters"].to_dict()
    assert json.loads(parameters["psnr", 0.45]) == {"binning": 6}
    assert json.loads(parameters["f1", 0.45]) == {"binning": 4}
    assert best.loc[("psnr", 0.45), "licence"] == registry.info("bm3d").licence


def test_a_network_outside_of_its_doses_says_so(study):
    _, table = study
    ranges = {(r.denoiser, r.dose_e_per_px): r.in_range for r in table.itertuples()}
    assert ranges["white", 0.45] and not ranges["white", 20]
    assert ranges["bm3d", 20] and ranges["clean", 0.45]


def test_the_papers_rows_are_compared_above_a_constant_image(study):
    _, table = study
    paper = beside_the_paper(table, 0.45).set_index("paper")
    assert len(paper) == len(PAPER)
    bm3d = paper.loc["VST + BM3D"]
    # Ours: 33.5 with a constant image at 25; the paper's: 28.0 with one at 26.2.
    assert bm3d["difference_db"] == pytest.approx(33.5 - 25 - (28 - 26.2))
    assert bm3d["ours"] == registry.info("bm3d").title and len(bm3d["because"]) > 20
    raw = paper.loc["raw"]
    assert abs(raw["difference_db"]) < 2 and raw["because"] == ""
    assert pd.isna(paper.loc["DnCNN, 41 px", "ours"])


def test_every_row_of_the_paper_names_methods_that_there_are():
    known = set(registry.names())
    for row in PAPER:
        assert set(row.ours) <= known and row.source


def test_who_takes_part():
    one = config.load([], {"comparison": {"methods": {"tv": {}, "purelet": {}}}})
    # Those of `baselines` as well, in the order of the registry.
    assert contest.methods(one) == ["gaussian", "wiener", "nlm", "tv", "purelet"]
    assert contest.networks(one) == ["narrow.white.seed0", "medium.white.seed0", "wide.white.seed0"]
    assert contest.contenders(one)[:3] == ["clean", "constant", "raw"]
    assert contest.contenders(one)[-2:] == ["general", "white"]
    assert contest.methods(config.load()) == []


def test_what_is_not_installed_is_left_out_and_named(monkeypatch):
    one = config.load([], {"comparison": {"methods": {"topaz": {}, "tv": {}}}})
    monkeypatch.setattr(registry, "missing", lambda n: "install it" if n == "topaz" else None)
    assert "topaz" not in contest.methods(one)
    assert contest.not_run(one) == {"topaz": "install it"}
    monkeypatch.setattr(registry, "missing", lambda n: None)
    assert "topaz" in contest.methods(one) and contest.not_run(one) == {}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("bm3dd", "did you mean bm3d"),
        ("white", "comparison.methods names white, a network that comes with the package"),
        ("temporal-sum", "comparison.methods names temporal-sum, which works along time"),
        ("raw", "comparison.methods names raw, a reference"),
    ],
)
def test_impossible_names_are_refused(name, sentence):
    with pytest.raises(UserError, match=sentence):
        contest.check(config.load([], {"comparison": {"methods": {name: {}}}}))
