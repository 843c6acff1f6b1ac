"""Columns that an estimate shows in vacuum, on blobs at known places."""

import numpy as np
import pytest

from lowdose.columns.vacuum import false_columns, vacuum_of

PIXEL_NM = 0.0061


def test_blobs_in_vacuum_are_counted_and_those_of_the_particle_are_not():
    y, x = np.mgrid[:300, :400] * PIXEL_NM

    def blob(v, u, height):
        return height * np.exp(-((y - v) ** 2 + (x - u) ** 2) / 2 / 0.049**2)

    clean = 1 + blob(1.2, 1.2, 0.5)  # one column
    vacuum = vacuum_of(clean, PIXEL_NM)
    estimate = clean + blob(0.5, 0.5, 0.2) + blob(0.5, 2.0, -0.2) + blob(1.2, 1.35, 0.2)
    found = false_columns(estimate, vacuum, PIXEL_NM)
    # The bright and the dark one; that beside the column is too near, and 0.03 / 2 is below.
    assert found["false_columns"] == 2
    assert false_columns(clean + blob(0.5, 0.5, 0.03), vacuum, PIXEL_NM)["false_columns"] == 0
    # All but a rim of 0.15 nm and a disc about the column, squared: the radius at which a
    # Gaussian of 0.5 is 0.03, and 0.15 nm.
    side = 2 * (0.049 * np.sqrt(2 * np.log(0.5 / 0.03)) + 0.15)
    expected = (300 * PIXEL_NM - 0.3) * (400 * PIXEL_NM - 0.3) - 0.93 * side**2
    assert found["vacuum_100_nm2"] == pytest.approx(expected / 100, rel=0.03)


def test_a_frame_without_vacuum_has_none_to_search():
    clean = np.random.default_rng(3).normal(1, 0.1, (80, 90))
    vacuum = vacuum_of(clean, PIXEL_NM)
    assert not vacuum.any()
    assert false_columns(clean, vacuum, PIXEL_NM) == {"false_columns": 0, "vacuum_100_nm2": 0}
