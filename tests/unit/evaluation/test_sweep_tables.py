"""Tables of sweeps on made-up evaluations with known answers."""

import json

import numpy as np
import pandas as pd
import pytest

from lowdose.cli import main
from lowdose.evaluation import field_law, field_sweep, geometry
from lowdose.evaluation.field_law import Explained

SHAPES = [f"{family}{k}" for family in ("PtNp1", "PtNp2") for k in "abcd"]
MODEL = {"n_true": 10, "n_found": 10, "n_matched": 8, "n_filled": 1, "n_vacancies": 2,
         "n_erased": 0, "n_partners": 1}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """A function that writes the evaluation and card of one training."""

    def of(denoiser, psnr, field, own=0.0061, **changes):
        """`psnr` and `changes`: functions of (shape number, contrast) or values."""
        rows = []
        for s, shape in enumerate(SHAPES):
            for contrast in ("white", "black"):
                row = {**MODEL, "base_shape": shape, "family": shape[:-1], "contrast": contrast,
                       "defect": "D0", "layers": 16 + 5 * (s % 2), "tilt_x_deg": 2.0 * (s < 4),
                       "tilt_y_deg": 0.0, "psnr": psnr(s, contrast),
                       "contrast_psnr": psnr(s, contrast) - 26}  # fmt: skip
                rows += [{**row, "dose_e_per_px": d, **changes} for d in (0.45, 5.0)]
        table = pd.DataFrame(rows)
        table.loc[table["dose_e_per_px"] == 5.0, ["psnr", "contrast_psnr"]] = 99.0
        (tmp_path / "evaluation" / denoiser).mkdir(parents=True)
        table.to_parquet(tmp_path / "evaluation" / denoiser / "frames.parquet")
        folder = tmp_path / "networks" / denoiser.replace(".", "/")
        folder.mkdir(parents=True)
        card = {
            "name": denoiser,
            "architecture": {},
            "weights_sha256": "",
            "test_vector": "",
            "pixel_size_nm": [own, own],
            "dose_e_per_a2": [1, 2],
            "parameters": 100,
            "receptive_field_px": field,
            "receptive_field_nm": field * own,
            "own_pixel_size_nm": own,
            "effective_field_px": field / 2 + len(denoiser) % 2,
        }
        (folder / "card.json").write_text(json.dumps(card))
        network, training_set, seed = denoiser.split(".")
        return {"denoiser": denoiser, "network": network, "training_set": training_set,
                "seed": int(seed[4:]), "steps": 10, "minutes": None, "long": False}  # fmt: skip

    return of


def spec(trainings):
    return {"trainings": trainings, "reference_dose_e_per_px": 0.45, "draws": 300, "seed": 1}


def test_the_table_of_fields_has_means_over_seeds_and_their_scatter(write, tmp_path):
    rng = np.random.default_rng(0)
    shape = rng.normal(0, 0.5, 8)
    shape -= shape.mean()
    offsets = {"narrow": [-0.3, 0.0, 0.3], "wide": [-0.01, 0.0, 0.01]}
    trainings = [
        write(f"{name}.white.seed{k}", lambda s, _, m=mean, o=o: m + shape[s] + o, field)
        for name, mean, field in (("wide", 32.0, 871), ("narrow", 29.0, 23))
        for k, o in enumerate(offsets[name])
    ]
    long = {**write("long.white.seed0", lambda s, _: 33 + shape[s], 871), "long": True}
    table = field_sweep.table(
        spec([*trainings, long]), tmp_path / "evaluation", tmp_path / "networks"
    )
    assert list(table["network"]) == ["narrow", "wide", "long"]
    assert list(table["receptive_field_px"]) == [23, 871, 871]
    assert list(table["n_seeds"]) == [3, 3, 1] and set(table["n_shapes"]) == {8}
    assert table["psnr_db"].to_numpy() == pytest.approx([29, 32, 33])
    # F1 = 2 * 8 / 20; one of two vacancies is filled.
    assert table["f1"].to_numpy() == pytest.approx([0.8] * 3)
    assert table["fill_in_rate"].to_numpy() == pytest.approx([0.5] * 3)
    width = (table["psnr_db_high"] - table["psnr_db_low"]).to_numpy()
    # The same shapes, but seeds that differ by 0.3 dB or by 0.01.
    error = np.sqrt(shape.var(ddof=1) / 8 + np.array([0.09, 1e-4]) / 3)
    assert width[0] > width[1]
    assert 2 * 1.96 * error[0] < width[0] < 2 * 4.31 * error[0]
    assert width[1] == pytest.approx(2 * 2.365 * error[1], rel=0.02)


def law(values, fields_px, fields_nm, of):
    top = np.tile(values, (8, 1))
    effect = Explained(top, np.ones_like(top), fields_px, fields_nm, of)
    return effect.of(np.ones((1, 8)))[0]


def test_a_law_of_nanometres_is_told_from_one_of_pixels():
    pixels = np.repeat([0.0061, 0.0122, 0.0183], 4)
    px = np.tile([23.0, 55.0, 119.0, 199.0], 3)
    nm = px * pixels
    follows_nm = 28 + 2 * np.log(nm) - 0.3 * np.log(nm) ** 2
    assert law(follows_nm, px, nm, "nm") == pytest.approx(1)
    assert law(follows_nm, px, nm, "px") < 0.8
    follows_px = 28 + np.log(px)
    assert law(follows_px, px, nm, "px") == pytest.approx(1)
    assert law(follows_px, px, nm, "difference") == pytest.approx(law(follows_px, px, nm, "nm") - 1)
    # R squared of a cubic by the textbook.
    noisy = follows_nm + np.random.default_rng(3).normal(0, 0.3, 12)
    left = noisy - np.polyval(np.polyfit(np.log(nm), noisy, 3), np.log(nm))
    assert law(noisy, px, nm, "nm") == pytest.approx(1 - left.var() / noisy.var())


def test_the_fits_of_a_grid(write, tmp_path):
    shape = np.linspace(-1, 1, 8)
    trainings = [
        write(f"law-{f}.p{k}.seed0", lambda s, _, x=f * own: 30 + 2 * np.log(x) + shape[s], f, own)
        for k, own in enumerate((0.0061, 0.0122, 0.0183))
        for f in (23, 55, 119, 199)
    ]
    fits = field_law.fits(spec(trainings), tmp_path / "evaluation", tmp_path / "networks")
    fits = fits.set_index(["measure", "against"])
    assert fits.loc[("psnr_db", "nm"), "r_squared"] == pytest.approx(1)
    # Shapes shift all networks alike, so that resampling them changes no R squared.
    one = fits.loc[("psnr_db", "px")]
    assert one["low"] == pytest.approx(one["r_squared"]) == pytest.approx(one["high"])
    difference = fits.loc[("psnr_db", "difference"), "r_squared"]
    assert difference == pytest.approx(1 - one["r_squared"]) and difference > 0.1
    assert fits.loc["f1", "r_squared"].isna().all()  # the same for all: nothing to explain
    assert set(fits["n_networks"]) == {12} and set(fits["n_shapes"]) == {8}


def test_the_matrix_of_geometries(write, tmp_path):
    def specialist(s, contrast):
        return 34.0 if contrast == "white" else 27.0

    trainings = [
        {**write("wide.all.seed0", lambda s, _: 32.0 + (s < 4), 871), "shown": {}},
        {**write("wide.only-white.seed0", specialist, 871), "shown": {"contrast": ["white"]}},
    ]
    table = geometry.table(spec(trainings), tmp_path / "evaluation", tmp_path / "networks")
    cell = table.set_index(["trained_on", "tested_axis", "tested_on"])
    assert cell.loc[("only-white", "contrast", "white"), "contrast_psnr_db"] == pytest.approx(8)
    assert cell.loc[("only-white", "contrast", "black"), "contrast_psnr_db"] == pytest.approx(1)
    assert cell.loc[("only-white", "all", "all"), "contrast_psnr_db"] == pytest.approx(4.5)
    assert cell.loc[("all", "family", "PtNp1"), "contrast_psnr_db"] == pytest.approx(7)
    assert cell.loc[("all", "tilt", "none"), "contrast_psnr_db"] == pytest.approx(6)
    assert cell.loc[("all", "tilt", "tilted"), "n_frames"] == 8
    assert cell.loc[("all", "layers", "21"), "n_shapes"] == 4
    assert cell.loc[("only-white", "contrast", "white"), "matched"]
    assert not cell.loc[("only-white", "contrast", "black"), "matched"]
    assert set(table["trained_axis"]) == {"all", "contrast"}


def test_the_command_writes_a_table_and_names_what_is_missing(write, tmp_path, capsys):
    trainings = [{**write("wide.all.seed0", lambda s, _: 30.0 + s, 871), "shown": {}}]
    words = ["compare", "--table", "geometry", "--evaluation", str(tmp_path / "evaluation"),
             "--networks", str(tmp_path / "networks"), "--output", str(tmp_path / "tables"),
             "--spec"]  # fmt: skip
    assert main([*words, json.dumps(spec(trainings))]) == 0
    table = pd.read_csv(tmp_path / "tables" / "geometry.csv")
    assert table.loc[table["tested_axis"] == "all", "contrast_psnr_db"].item() == 7.5
    capsys.readouterr()
    assert main([*words, json.dumps(spec([]))]) == 2
    assert "has no sweep for the table 'geometry'" in capsys.readouterr().err
    absent = [{**trainings[0], "denoiser": "none.all.seed0"}]
    assert main([*words, json.dumps(spec(absent))]) == 2
    assert (
        "frames.parquet does not exist; run the stage `evaluate` first" in capsys.readouterr().err
    )
