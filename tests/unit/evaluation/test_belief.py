"""Evidence for columns: calibrated where there is none, strong where there is one."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from lowdose.data.frames import FrameSet
from lowdose.evaluation.belief import RADIUS_NM, SHARE, column_table, surface_of

DOSE = 0.45
THRESHOLD = 0.1


def ghosts(counts, dose, expectation):
    """Draw columns wherever the counts happen to be high: the worst of all denoisers."""
    return dose + 3 * (ndimage.gaussian_filter(counts, 4.0) - dose)


def clean(counts, dose, expectation):
    return expectation.copy()


@pytest.fixture(scope="module")
def vacuum(particle):
    """Frames of nothing at all, whose table nevertheless says that there is a particle."""
    some = particle.frame_set(*(f"PtNp1{chr(97 + i)}" for i in range(20)))
    return FrameSet(some.table, np.ones_like(some.clean), some.columns, some.pixel_size_nm, "")


def test_evidence_is_calibrated_on_vacuum(vacuum, spec):
    table = column_table(vacuum, ghosts, spec, 0.05, 0.05)
    # Hundreds of ghosts; those that the first half proposed too have been tested.
    tested = table[table["e_value"] > 0]
    assert len(tested) > 100
    e_values = tested["e_value"].to_numpy()
    error = e_values.std(ddof=1) / np.sqrt(len(tested))
    assert e_values.mean() <= 1 + 3 * error
    # Markov for e-values; exact for p-values, up to the steps of discrete counts.
    for level in (0.05, 0.2, 0.5):
        slack = 3 * np.sqrt(level * (1 - level) / len(tested))
        assert np.mean(e_values >= 1 / level) <= level + slack
        assert np.mean(tested["p_value"] <= level) <= level + slack
    assert np.mean(tested["p_value"] <= 0.5) >= 0.3
    # The same ghosts, weighed on the counts that made them, look convincing: a
    # calibrated ratio would average 1.
    assert np.exp(np.minimum(table["llr_total"], 50)).mean() > 5
    # Every discovery is false here, so frames with any are as rare as the rate says.
    of_frame = table.groupby("frame")[["supported", "supported_e"]].any().mean()
    rate = spec["evaluation"]["false_discovery_rate"]
    slack = 3 * np.sqrt(rate * (1 - rate) / len(vacuum.table))
    assert (of_frame <= rate + slack).all()


def test_true_columns_have_evidence(particle, spec):
    frames = particle.frame_set("PtNp1a")
    table = column_table(frames, clean, spec, THRESHOLD, THRESHOLD)
    surface = frames.columns[frames.columns["is_surface"]]
    assert len(table) == len(surface)
    assert table["true"].all()
    assert set(table["site"]) == {"facet"}
    assert (table["n_proposed"] == table.groupby("frame")["x_nm"].transform("size")).all()
    pixels = table["n_pixels"].to_numpy()
    assert np.abs(pixels - np.pi * (RADIUS_NM / particle.pixel_nm) ** 2).max() < 8
    # Kullback-Leibler: the expected evidence of the second half for the column's mean.
    ratio = table["lambda_column"] / DOSE
    expected = (1 - SHARE) * DOSE * pixels * (ratio * np.log(ratio) - (ratio - 1))
    spread = np.sqrt((1 - SHARE) * DOSE * pixels * ratio) * np.log(ratio)
    score = (np.log(table["e_value"]) - expected) / spread
    assert abs(score.mean()) < 4 / np.sqrt(len(score))
    # The fit has the height and width of the columns, and where they are, with the error that the
    # Fisher information of the counts allows.
    true = surface.groupby("frame")[["x_nm", "y_nm"]].apply(lambda t: t.to_numpy())
    for number, own in table.groupby("frame"):
        points = own[["x_fit_nm", "y_fit_nm"]].to_numpy()
        distance = np.linalg.norm(points[:, None] - true[number][None], axis=2).min(axis=1)
        assert distance.max() < 0.003
    np.testing.assert_allclose(table["amplitude"], 0.5 * DOSE, rtol=0.05)
    np.testing.assert_allclose(table["width_nm"], 0.05, rtol=0.05)
    y, x = np.mgrid[-10:11, -10:11] * particle.pixel_nm
    square = x**2 + y**2
    bell = 0.5 * DOSE * np.exp(-square / 2 / 0.05**2)
    information = np.sum((bell * x / 0.05**2) ** 2 / (DOSE + bell), where=square < 0.12**2)
    np.testing.assert_allclose(table[["x_se_nm", "y_se_nm"]], information**-0.5, rtol=0.04)
    # Everything is weighed against vacuum at the frame's dose.
    assert table["lambda_vacuum"].to_numpy() == pytest.approx(DOSE)


def test_at_a_high_dose_every_column_is_supported(particle, spec):
    frames = particle.frame_set("PtNp1a")
    table = column_table(frames, clean, spec | {"dose_e_per_px": 20.0}, THRESHOLD, THRESHOLD)
    assert table["supported"].all()
    assert table["supported_e"].all()
    assert (table["p_value"] < 1e-6).all()


def test_a_column_that_the_first_half_does_not_propose_has_no_evidence(particle, spec):
    frames = particle.frame_set("PtNp1a")
    table = column_table(frames, clean, spec, THRESHOLD, threshold_of_half=10.0)
    assert (table["e_value"] == 0).all()
    assert (table["p_value"] == 1).all()
    assert not table["supported"].any()
    assert not table["supported_e"].any()
    assert (table["n_proposed"] == 0).all()
    assert (table["llr_total"] > 0).mean() > 0.7


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
