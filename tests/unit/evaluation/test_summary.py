"""From sums to the table of results."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest

from lowdose.evaluation.statistics import holm
from lowdose.evaluation.summary import comparisons, headline, results_table, with_sums

SHAPES = ["PtNp1a", "PtNp2a", "PtNp3a"]
DRAWS = 200


def rows(denoiser, dose=0.45, psnr=30.0, matched=6, found=8, infinite=False):
    """Return two frames of each shape; the shapes' PSNR are 0, 1 and 2 dB above `psnr`."""
    return [
        {
            "denoiser": denoiser,
            "dose_e_per_px": dose,
            "frame": 2 * s + f,
            "realisation": 0,
            "base_shape": shape,
            "psnr": np.inf if infinite else psnr + s,
            "contrast_psnr": np.inf if infinite else psnr - 26 + s,
            "ssim": 1.0,
            "poisson_deviance": 0.001,
            "n_true": 10,
            "n_found": found,
            "n_matched": matched,
            "squared_error_nm2": matched * 0.02**2,
            "n_vacancies": f,
            "n_filled": f * (s == 0),
            "n_partners": 1 - f,
            "n_erased": 0,
            "seconds": 0.1 * (1 + s),
        }
        for s, shape in enumerate(SHAPES)
        for f in (0, 1)
    ]


@pytest.fixture(scope="module")
def frames():
    return pd.DataFrame(
        rows("clean", infinite=True, matched=10, found=10)
        + rows("constant", psnr=26, matched=0, found=0)
        + rows("gaussian", psnr=28, matched=5)
        + rows("wide.white.seed0", psnr=31)
        + rows("wide.white.seed0", dose=1.5, psnr=34)
    )


ORDER = ["clean", "constant", "gaussian", "wide.white.seed0"]


@pytest.fixture(scope="module")
def table(frames):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Of files that an earlier test left open: they are closed whenever memory is cleared.
        warnings.simplefilter("ignore", ResourceWarning)
        return results_table(frames, ORDER, DRAWS, seed=1)


def at(table, denoiser, dose=0.45):
    return table[(table["denoiser"] == denoiser) & (table["dose_e_per_px"] == dose)].iloc[0]


def test_known_sums_give_known_scores(table):
    wide = at(table, "wide.white.seed0")
    assert (wide["n_units"], wide["n_frames"]) == (3, 6)
    assert wide["psnr_db"] == pytest.approx(32.0)
    assert wide["contrast_psnr_db"] == pytest.approx(6.0)
    assert wide["precision"] == pytest.approx(36 / 48)
    assert wide["recall"] == pytest.approx(36 / 60)
    assert wide["f1"] == pytest.approx(2 * 36 / (60 + 48))
    assert wide["jaccard"] == pytest.approx(36 / (60 + 48 - 36))
    assert wide["localisation_pm"] == pytest.approx(20.0)
    # One of three vacancies is filled, no partner is erased; a frame without a vacancy counts
    # for nothing.
    assert wide["fill_in_rate"] == pytest.approx(1 / 3)
    assert wide["erasure_rate"] == 0
    assert wide["seconds_per_frame"] == pytest.approx(0.2)


def test_intervals_contain_the_estimate_and_stay_possible(table):
    for score in ("psnr_db", "ssim", "precision", "f1", "jaccard", "fill_in_rate", "erasure_rate"):
        known = table.dropna(subset=[f"{score}_low"])
        assert (known[f"{score}_low"] <= known[score] + 1e-9).all(), score
        assert (known[score] <= known[f"{score}_high"] + 1e-9).all(), score
    for score in ("precision", "f1", "jaccard", "fill_in_rate", "erasure_rate"):
        limits = table[[f"{score}_low", f"{score}_high"]].stack().dropna()
        assert limits.between(0, 1).all(), score


def test_the_interval_is_students_t_over_shapes(table):
    # Shapes score 31, 32 and 33 dB: mean 32, standard error 1 / sqrt(3), t(2) = 4.3027.
    wide = at(table, "wide.white.seed0")
    half = 4.30265 / np.sqrt(3)
    assert wide["interval_method"] == "jackknife t"
    assert wide["psnr_db_low"] == pytest.approx(32 - half, abs=1e-3)
    assert wide["psnr_db_high"] == pytest.approx(32 + half, abs=1e-3)


def test_the_expectation_itself_scores_infinity_without_limits(table):
    # Identical images have no error: the score is infinite and there is no scatter to tell.
    # The row is there all the same, with its surface scores.
    clean = at(table, "clean")
    for score in ("psnr_db", "contrast_psnr_db"):
        assert np.isposinf(clean[score])
        assert np.isnan(clean[f"{score}_low"]) and np.isnan(clean[f"{score}_high"])
    assert clean["f1"] == clean["f1_low"] == clean["f1_high"] == 1
    # So it is in the CSV, from which every figure is drawn.
    text = table.to_csv(index=False)
    again = pd.read_csv(io.StringIO(text))
    assert np.isposinf(at(again, "clean")["psnr_db"])
    assert np.isfinite(again.loc[again["denoiser"] != "clean", "psnr_db"]).all()


def test_nothing_found_has_a_recall_but_no_precision(table):
    constant = at(table, "constant")
    assert constant["recall"] == constant["f1"] == constant["jaccard"] == 0
    assert np.isnan(constant["precision"])
    assert np.isnan(constant["localisation_pm"])


def test_rows_are_ordered_by_dose_and_then_as_the_study_names_them(table):
    assert list(table["denoiser"]) == [*ORDER, "wide.white.seed0"]
    assert list(table["dose_e_per_px"]) == [0.45] * 4 + [1.5]


def test_a_further_denoiser_leaves_the_others_as_they_were(frames, table):
    fewer = results_table(frames[frames["denoiser"] != "gaussian"], ORDER, DRAWS, seed=1)
    kept = table[table["denoiser"] != "gaussian"].reset_index(drop=True)
    pd.testing.assert_frame_equal(fewer, kept)


def test_paired_comparisons_with_holm(frames):
    found = comparisons(frames, "wide.white.seed0", ["constant", "gaussian"], 0.45, DRAWS, seed=1)
    assert len(found) == 3 * 2
    psnr = found[(found["measure"] == "psnr_db") & (found["denoiser"] == "gaussian")].iloc[0]
    # The same 3 dB on every shape: no scatter, and with three shapes a p-value of 2 / 2^3.
    assert psnr["difference"] == pytest.approx(3.0)
    assert (psnr["low"], psnr["high"]) == pytest.approx((3.0, 3.0))
    assert psnr["p_value"] == pytest.approx(0.25)
    f1 = found[(found["measure"] == "f1") & (found["denoiser"] == "constant")].iloc[0]
    assert f1["difference"] == pytest.approx(2 * 36 / 108)
    assert found["p_holm"].to_numpy() == pytest.approx(holm(found["p_value"].to_numpy()))
    assert (found["p_holm"] >= found["p_value"]).all()
    # Six tests; the smallest p-value of 0.25 becomes 1.
    assert (found["p_holm"] == 1).all()


def test_sums_of_f1_and_jaccard():
    one = pd.DataFrame({"n_true": [10], "n_found": [8], "n_matched": [6]})
    row = with_sums(one).iloc[0]
    assert (row["twice_matched"], row["n_both"], row["n_either"]) == (12, 18, 12)


def test_the_headline_quotes_the_table(table):
    spec = {
        "reference_dose_e_per_px": 0.45,
        "widest": "wide.white.seed0",
        "baselines": ["gaussian"],
        "shipped": [],
    }
    lines = headline(table, spec)
    assert len(lines) == 3
    assert "at 0.45 e/pixel: network wide 32.00 [29.52 to 34.48] dB" in lines[0]
    assert "(gaussian) 29.00 dB, constant image 27.00 dB" in lines[0]
    assert "network wide 0.667" in lines[1]
    assert "ceiling of the detector on clean frames 1.000" in lines[1]
    assert "network wide 33 [0 to 100] %" in lines[2]
    assert not any("nan" in line or "inf" in line for line in lines)
    of_package = headline(table, {**spec, "shipped": ["gaussian", "clean"]})
    assert of_package[:3] == lines
    assert "package: gaussian 29.00 dB (surface F1 " in of_package[3]
    assert of_package[3].endswith("(surface F1 1.000).")
