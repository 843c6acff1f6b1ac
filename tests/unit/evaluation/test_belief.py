"""Evidence for columns: calibrated where there is none, strong where there is one."""

import numpy as np
import pandas as pd
import pytest

from lowdose.data.frames import FrameSet
from lowdose.evaluation.belief import SHARE, column_table, surface_of

DOSE = 0.45
THRESHOLD = 0.1


def ghosts(counts, dose, expectation):
    """Draw columns wherever the counts happen to be high: the worst of all denoisers."""
    from scipy import ndimage

    return dose + 3 * (ndimage.gaussian_filter(counts, 4.0) - dose)


def clean(counts, dose, expectation):
    return expectation.copy()


@pytest.fixture(scope="module")
def vacuum(particle):
    """Frames of nothing at all, whose table nevertheless says that there is a particle."""
    some = particle.frame_set(*(f"PtNp1{chr(97 + i)}" for i in range(20)))
    return FrameSet(some.table, np.ones_like(some.clean), some.columns, some.pixel_size_nm, "")


def test_e_values_are_calibrated_on_vacuum(vacuum, spec):
    table = column_table(vacuum, ghosts, spec, 0.05, 0.05)
    e_values = table["e_value"].to_numpy()
    # A few hundred ghosts; those that the first half proposed too have been tested.
    tested = e_values[e_values > 0]
    assert len(tested) > 100
    error = tested.std(ddof=1) / np.sqrt(len(tested))
    assert tested.mean() <= 1 + 3 * error
    # Markov: an e-value of 20 or more has at most 5 %.
    share = np.mean(tested >= 20)
    assert share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(tested))
    # The same ghosts, weighed on the counts that made them, look convincing.
    assert table["llr_total"].mean() > 1
    assert np.exp(np.minimum(table["llr_total"], 50)).mean() > 20
    # So a false discovery is rare: no more than the rate allows of frames with any.
    false = table.groupby("frame")["supported"].any().mean()
    assert false <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(vacuum.table))


def test_true_columns_have_evidence(particle, spec):
    frames = particle.frame_set("PtNp1a")
    table = column_table(frames, clean, spec, THRESHOLD, THRESHOLD)
    surface = frames.columns[frames.columns["is_surface"]]
    assert len(table) == len(surface)
    assert table["true"].all()
    assert set(table["site"]) == {"facet"}
    assert (table["n_proposed"] == table.groupby("frame")["x_nm"].transform("size")).all()
    # The expected evidence of a half: a disc of radius 0.05 nm, the column's mean in it.
    pixels = table["n_pixels"].to_numpy()
    assert np.abs(pixels - np.pi * (0.05 / particle.pixel_nm) ** 2).max() < 8
    ratio = table["lambda_column"] / DOSE
    expected = (1 - SHARE) * DOSE * pixels * (ratio * np.log(ratio) - (ratio - 1))
    spread = np.sqrt((1 - SHARE) * DOSE * pixels * ratio) * np.log(ratio)
    score = (table["log_e_value"] - expected) / spread
    assert abs(score.mean()) < 4 / np.sqrt(len(score))
    # Everything is weighed against vacuum at the frame's dose.
    assert table["lambda_vacuum"].to_numpy() == pytest.approx(DOSE)


def test_at_a_high_dose_every_column_is_supported(particle, spec):
    frames = particle.frame_set("PtNp1a")
    table = column_table(frames, clean, spec | {"dose_e_per_px": 20.0}, THRESHOLD, THRESHOLD)
    assert table["supported"].all()
    assert np.isfinite(table["log_e_value"]).all()


def test_a_column_that_the_first_half_does_not_propose_has_no_evidence(particle, spec):
    frames = particle.frame_set("PtNp1a")
    table = column_table(frames, clean, spec, THRESHOLD, threshold_of_half=10.0)
    assert (table["e_value"] == 0).all()
    assert np.isneginf(table["log_e_value"]).all()
    assert not table["supported"].any()
    assert (table["n_proposed"] == 0).all()
    assert (table["llr_total"] > 0).mean() > 0.9


def test_a_frame_without_a_column_gives_no_row(vacuum, spec):
    table = column_table(vacuum, clean, spec, THRESHOLD, THRESHOLD)
    assert len(table) == 0
    assert {"frame", "e_value", "supported", "true", "site"} <= set(table.columns)


def test_only_the_surface_is_weighed(particle):
    points = particle.lattice()
    found = surface_of(
        particle.image_of(points), particle.pixel_nm, particle.interface_nm, 0.049, THRESHOLD
    )
    true = pd.DataFrame(points)[particle.on_surface(points)].to_numpy()
    assert len(found) == len(true)
    distance = np.linalg.norm(found[:, None] - true[None], axis=2).min(axis=1)
    assert distance.max() < 0.005
