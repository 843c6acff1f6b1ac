"""Width, direction and periodicity of filters whose answers are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lowdose.evaluation.filter_shape import reciprocal_lattice, shape_of, similarity

PIXEL = 0.01
SIDE = 161
D111, ROW = 0.2263, 0.2401  # Pt along [110]: rows 0.2263 nm apart, columns in them 0.2401 nm


def lattice():
    points = [(ROW * (i + 2 * k / 3), D111 * k) for k in range(6) for i in range(6)]
    return pd.DataFrame(points, columns=["x_nm", "y_nm"])


def grid():
    rows, cols = (np.mgrid[:SIDE, :SIDE] - SIDE // 2) * PIXEL
    return cols, rows


def described(weights):
    return shape_of(weights, SIDE // 2, SIDE // 2, PIXEL, reciprocal_lattice(lattice()))


def test_the_spots_are_those_of_platinum():
    spots = reciprocal_lattice(lattice())
    length = np.sort(np.linalg.norm(spots, axis=1))
    # Four {111} at 1 / 0.2263 nm (two of them of the rows) and two {200} at 1 / 0.196 nm.
    np.testing.assert_allclose(length[:4], 1 / D111, rtol=0.01)
    np.testing.assert_allclose(length[4:], 1 / 0.196, rtol=0.01)
    points = lattice().to_numpy()
    phases = points @ spots.T
    np.testing.assert_allclose(np.cos(2 * np.pi * (phases - phases[0])), 1, atol=1e-6)


def test_a_gaussian():
    x, y = grid()
    found = described(np.exp(-(x**2 + y**2) / (2 * 0.1**2)))
    assert found["extent_nm"] == pytest.approx(0.1 * np.sqrt(np.log(10)), rel=0.03)
    assert found["elongation"] == pytest.approx(1, abs=0.01)
    assert found["lattice_contrast"] == pytest.approx(1, abs=0.6)


@pytest.mark.parametrize("angle", [0, 30, -60, 85])
def test_an_oblique_gaussian(angle):
    x, y = grid()
    a = np.deg2rad(angle)
    # Anticlockwise on the screen, whose y runs downwards.
    along, across = x * np.cos(a) - y * np.sin(a), x * np.sin(a) + y * np.cos(a)
    found = described(np.exp(-(along**2) / (2 * 0.16**2) - across**2 / (2 * 0.08**2)))
    assert found["elongation"] == pytest.approx(2, rel=0.02)
    assert found["direction_deg"] == pytest.approx(angle, abs=1)


def test_what_repeats_with_the_lattice():
    x, y = grid()
    envelope = np.exp(-(x**2 + y**2) / (2 * 0.25**2))
    spots = reciprocal_lattice(lattice())
    wave = sum(np.cos(2 * np.pi * (x * kx + y * ky)) for kx, ky in spots[:3])
    assert described(envelope * wave)["lattice_contrast"] > 8
    turned = sum(np.cos(2 * np.pi * (x * ky + y * kx)) for kx, ky in spots[:3] @ np.diag([1, -1]))
    assert described(envelope * turned)["lattice_contrast"] < 1
    noise = np.random.default_rng(1).normal(size=x.shape)
    assert described(noise)["lattice_contrast"] == pytest.approx(1, abs=0.3)


def test_similarity():
    x, y = grid()
    one = np.exp(-(x**2 + y**2))
    assert similarity(one, 3 * one) == pytest.approx(1)
    assert similarity(x, y) == pytest.approx(0, abs=1e-12)
    assert similarity(x, -x) == pytest.approx(-1)
