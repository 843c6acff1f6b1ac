"""The numbers of a card, against denoisers whose error is known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from lowdose.data.frames import FrameSet
from lowdose.evaluation.release_metrics import (
    at_conditions,
    for_card,
    measured,
    summary,
)


@pytest.fixture
def frames():
    rng = np.random.default_rng(3)
    clean = (1 + 0.1 * rng.standard_normal((6, 40, 50))).astype(np.float32)
    table = pd.DataFrame({
        "frame": range(6), "model_id": [f"m{i}" for i in range(6)],
        "base_shape": list("aabbcc"), "c1_nm": 8.0, "contrast": ["white", "black"] * 3,
    })  # fmt: skip
    return FrameSet(table, clean, pd.DataFrame(), 0.0061, "digest")


def test_a_known_error_has_its_decibels(frames):
    """An estimate that is off by 0.02 of the vacuum everywhere."""
    clean = iter(np.repeat(frames.clean, 2, axis=0))
    off = lambda counts, dose: (next(clean) + 0.02) * np.float32(dose)  # noqa: E731
    rows = measured(off, frames, 0.45, 2, 1)
    assert len(rows) == 12
    # MAX = 1 at the reference dose: 10 log10(1 / (0.02 * 0.45)^2).
    assert rows["psnr"].to_numpy() == pytest.approx(-20 * np.log10(0.02 * 0.45), abs=1e-3)
    # A frame's constant is off by its standard deviation, its raw counts by sqrt(0.45).
    deviation = np.repeat(frames.clean.std(axis=(1, 2)), 2) * 0.45
    assert rows["constant_psnr"].to_numpy() == pytest.approx(-20 * np.log10(deviation), abs=1e-3)
    assert rows["raw_psnr"].mean() == pytest.approx(-10 * np.log10(0.45), abs=0.1)
    assert rows["contrast_psnr"].to_numpy() == pytest.approx(
        20 * np.log10(deviation / (0.02 * 0.45)), abs=1e-3
    )


def test_groups_have_the_means_of_their_frames(frames):
    rows = measured(lambda counts, dose: counts * 0 + dose, frames, 0.45, 1, 1)
    table = summary(rows, ["contrast"], 200, seed=2)
    assert list(table["contrast"]) == ["black", "white"]
    for _, row in table.iterrows():
        of_class = rows[rows["contrast"] == row["contrast"]]
        assert row["psnr_db"] == pytest.approx(of_class["psnr"].mean())
        assert row["psnr_db_low"] <= row["psnr_db"] <= row["psnr_db_high"]
        assert (row["n_units"], row["n_rows"]) == (3, 3)
    card = for_card(table, "abc")
    assert card[0]["psnr_db"] == round(table["psnr_db"].iloc[0], 4)
    assert {row["frames_sha256"] for row in card} == {"abc"}


def test_other_pixels_get_the_fluence_of_the_reference(frames):
    """A denoiser that returns the counts: its error is the noise, whose dose is known."""

    asked = []

    class Raw:
        def denoise(self, counts, pixel_size_nm, *, dose):
            asked.append((pixel_size_nm, dose, counts.mean()))
            return counts

    coarse = dataclasses.replace(frames, pixel_size_nm=0.0122, digest="coarse")
    rows = at_conditions(Raw(), [frames, coarse], [0.45, 2.0], 0.45, 100, seed=1)
    assert [(r["pixel_size_nm"], r["dose_e_per_px"], r["frames_sha256"]) for r in rows] == [
        (0.0061, 0.45, "digest"), (0.0061, 2.0, "digest"), (0.0122, 1.8, "coarse")
    ]  # fmt: skip
    fluence = 0.45 / 0.061**2
    for pixel, dose, mean in asked:
        assert dose == pytest.approx(2.0 / 0.061**2 if mean > 1.9 else fluence)
        assert mean == pytest.approx(dose * (10 * pixel) ** 2, rel=0.1)
    assert all(row["psnr_db"] == pytest.approx(row["raw_psnr_db"]) for row in rows)


def test_a_rate_without_vacuum_is_none(frames):
    rows = measured(lambda counts, dose: counts * 0 + dose, frames, 0.45, 1, 1)
    assert rows["vacuum_100_nm2"].sum() == 0
    card = for_card(summary(rows, ["contrast"], 50, seed=2), "abc")
    assert card[0]["false_per_100_nm2"] is None
