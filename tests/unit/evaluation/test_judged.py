"""Denoisers judged by electrons that they have not seen, where no expectation is known."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest

from lowdose.denoisers import registry
from lowdose.evaluation.judged import judge, write_judged

PIXEL, DOSE = 0.0061, 2.0
SPEC = {"name": "movie", "reference_dose_e_per_px": 0.45, "seed": 3}


def expectation() -> np.ndarray:
    y, x = np.mgrid[:220, :260] * PIXEL
    fringes = np.cos(2 * np.pi * x / 0.23) * np.cos(2 * np.pi * y / 0.23)
    return DOSE * (1 + 0.3 * fringes * (y > 0.6))


class Known:
    """Answers with the expectation, at the dose of what it is given."""

    def denoise(self, counts, pixel_size_nm, *, dose=None):
        truth = expectation()
        return np.stack([truth * one.sum() / truth.sum() for one in counts])


@pytest.fixture(scope="module")
def judged():
    rng = np.random.default_rng(0)
    counts = rng.poisson(expectation(), (3, 220, 260)).astype(np.float32)
    names = ("raw", "constant", "gaussian", "white")
    arms = {name: registry.create(name) for name in names} | {"known": Known()}
    lines = []
    result = judge(counts, np.array([0, 4, 9]), PIXEL, arms, SPEC, lines.append)
    return counts, result, lines


def test_the_order_is_that_of_the_true_errors(judged):
    counts, result, _ = judged
    table = result.table
    assert sorted(table["frame"].unique()) == [0, 4, 9]
    gain = table.groupby("denoiser")["gain"].mean()
    truth = expectation()
    error = {
        name: np.mean((result.images[name] - truth) ** 2)
        for name in ("raw", "constant", "gaussian", "known")
    }
    assert sorted(error, key=error.get) == sorted(error, key=lambda n: -gain[n])
    # The gain of the expectation itself is the variance of the image.
    known = table[table["denoiser"] == "known"]
    assert (known["gain_low"] < truth.var()).all() and (truth.var() < known["gain_high"]).all()
    # A frame of counts has an error of its mean, here of nine tenths of the electrons.
    raw = table[table["denoiser"] == "raw"]
    expected = -10 * np.log10(DOSE / 0.9 * (0.45 / DOSE) ** 2)
    assert raw["upsnr_db"].to_numpy() == pytest.approx([expected] * 3, abs=0.15)
    np.testing.assert_array_equal(result.images["counts"], counts[0])


def test_residuals_of_the_expectation_are_white(judged):
    known = judged[1].table.query("denoiser == 'known'")
    assert known["variance"].to_numpy() == pytest.approx([1] * 3, abs=0.04)
    assert (known["whiteness_p"] > 1e-3).all()
    flat = judged[1].table.query("denoiser == 'constant'")
    assert (flat["variance"] > known["variance"].to_numpy()).all()


def test_a_network_for_other_pixels_says_so(judged):
    counts, _, _ = judged
    lines = []
    arms = {"general": registry.create("general"), "gaussian": registry.create("gaussian")}
    result = judge(counts[:1], np.array([0]), 0.03, arms, SPEC, lines.append)
    row = result.table.set_index("denoiser").loc["general"]
    assert "was trained for" in row["note"] and np.isnan(row["gain"])
    assert set(result.images) == {"counts", "gaussian"}
    assert any(line.startswith("general: The pixel size") for line in lines)


def test_it_is_written_and_the_same_again(judged, tmp_path):
    counts, result, _ = judged
    write_judged(tmp_path / "a", result, PIXEL)
    table = pd.read_csv(tmp_path / "a" / "judged.csv")
    np.testing.assert_allclose(table["gain"], result.table["gain"], rtol=1e-5)
    with h5py.File(tmp_path / "a" / "images.h5") as file:
        assert file.attrs["pixel_size_nm"] == PIXEL
        assert set(file) == {"counts", "raw", "constant", "gaussian", "white", "known"}
    again = judge(counts, np.array([0, 4, 9]), PIXEL, {"gaussian": registry.create("gaussian")},
                  SPEC, print)  # fmt: skip
    one = result.table.query("denoiser == 'gaussian'")
    np.testing.assert_array_equal(again.table["gain"], one["gain"])
