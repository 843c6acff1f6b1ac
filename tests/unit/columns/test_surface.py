"""The alpha shape against the rule of the missing neighbour, on generated particles."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from shapely import MultiPoint, Point, unary_union
from shapely.ops import triangulate

from lowdose.columns.surface import (
    ALPHA_PER_NEIGHBOUR,
    NEIGHBOUR_NM,
    alpha_shape_edges,
    circumradius,
    surface_columns,
)
from lowdose.runtime import UserError

LAYER_NM = 0.2263
INTERFACE_NM = 0.11


def particle(rng):
    """Return columns (x, y) [nm] of a truncated particle; its bottom layer lies at y = 0.

    Rows are (111) planes 0.2263 nm apart, each shifted by a third of 0.240 nm against the last;
    the outline widens for some layers above the interface, then narrows.
    """
    n_bottom, n_layers, overhang = rng.integers(5, 12), rng.integers(4, 9), rng.integers(0, 3)
    taper, sense = rng.integers(0, 2, 2), rng.choice([-1, 1])
    points = []
    for k in range(n_layers):
        left = -min(k, overhang) + max(k - overhang, 0) * taper[0]
        right = n_bottom - 1 + min(k, overhang) - max(k - overhang, 0) * taper[1]
        shift = (sense * k * 0.08 + 0.12) % 0.24 - 0.12
        points += [(i * NEIGHBOUR_NM + shift, -k * LAYER_NM) for i in range(left, right + 1)]
    return np.array(points)


def truth(points):
    """Return which columns miss a neighbour: of six, or of four in the bottom layer."""
    neighbours = [len(n) - 1 for n in cKDTree(points).query_ball_point(points, 0.30)]
    return np.array(neighbours) < np.where(points[:, 1] > -0.1, 4, 6)


def precision_recall(jitter_nm, n=80):
    rng = np.random.default_rng(11)
    hits = found = true = 0
    for k in range(n):
        points = particle(rng)
        if k % 2:
            candidates = np.flatnonzero(truth(points) & (points[:, 1] < -0.1))
            points = np.delete(points, rng.choice(candidates), axis=0)
        expected = truth(points)
        moved = points + jitter_nm * rng.standard_normal(points.shape)
        got = surface_columns(moved, interface_y_nm=INTERFACE_NM)
        hits, found, true = hits + (got & expected).sum(), found + got.sum(), true + expected.sum()
    return hits / found, hits / true


@pytest.mark.parametrize(
    ("jitter_nm", "least"), [(0.0, 1), (0.003, 1), (0.02, 0.985), (0.03, 0.96)]
)
def test_agrees_with_the_rule_of_the_missing_neighbour(jitter_nm, least):
    precision, recall = precision_recall(jitter_nm)
    assert min(precision, recall) >= least


def test_lattice_triangles_and_notches_lie_either_side_of_alpha():
    bond, long_bond, gap = 1.0, 2 / np.sqrt(3), np.sqrt(8 / 3)
    alpha = ALPHA_PER_NEIGHBOUR

    def isosceles(base):
        return np.array([[[0, 0], [base, 0], [base / 2, np.sqrt(bond**2 - base**2 / 4)]]])

    assert circumradius(isosceles(long_bond)) == pytest.approx(0.6124, abs=1e-4)
    assert circumradius(isosceles(gap)) == pytest.approx(0.8660, abs=1e-4)
    assert circumradius(isosceles(long_bond)) < alpha < circumradius(isosceles(gap))
    assert circumradius(np.array([[[0, 0], [1, 1], [2, 2]]])) == np.inf


def hexagon(rings=3):
    """Return a free hexagonal patch of the lattice and the index of its centre."""
    i, j = np.mgrid[-rings : rings + 1, -rings : rings + 1]
    keep = np.abs(i + j) <= rings
    i, j = i[keep], j[keep]
    # Basis (0.24, 0) and (0.08, 0.2263): lengths 0.240 and 0.240, their difference 0.277.
    points = np.stack([0.24 * j + 0.08 * i, LAYER_NM * i], axis=1)
    order = np.maximum(np.maximum(abs(i), abs(j)), abs(i + j))
    return points, order


def test_a_column_missed_inside_makes_no_surface_but_a_missing_surface_column_does():
    points, order = hexagon(4)
    points += 1e-3 * np.random.default_rng(2).standard_normal(points.shape)
    rim = surface_columns(points, interface_y_nm=None)
    assert np.array_equal(rim, truth_free(points))
    for depth in (0, 2, 3):  # 3 is the second layer: its hole is closed by the rim alone
        gone = np.flatnonzero(order == depth)[0]
        rest = np.delete(np.arange(len(points)), gone)
        assert np.array_equal(surface_columns(points[rest], interface_y_nm=None), rim[rest])
    gone = np.flatnonzero((order == 4) & (np.abs(points[:, 1] + 4 * LAYER_NM) < 0.05))[1]
    rest = np.delete(np.arange(len(points)), gone)
    notch = surface_columns(points[rest], interface_y_nm=None)
    assert np.array_equal(notch, truth_free(points[rest]))
    assert notch.sum() == rim.sum() - 1 + 2  # two columns of the layer behind come to light


def truth_free(points):
    return np.array([len(n) for n in cKDTree(points).query_ball_point(points, 0.30)]) < 7


def test_interface_columns_are_no_surface_but_the_layer_s_ends_are():
    points = np.array([(0.24 * i - 0.08 * k, -LAYER_NM * k) for k in range(4) for i in range(8)])
    surface = surface_columns(points, interface_y_nm=INTERFACE_NM)
    assert surface[:8].tolist() == [True] + [False] * 6 + [True]
    assert surface_columns(points, interface_y_nm=None)[:8].all()
    # A column missed at the interface lets no vacuum in.
    rest = np.delete(np.arange(len(points)), 3)
    assert np.array_equal(surface_columns(points[rest], interface_y_nm=INTERFACE_NM), surface[rest])


def test_alpha_shape_edges_of_a_square_and_of_two_islands():
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * 0.2
    assert alpha_shape_edges(square, 0.2).tolist() == [[0, 1], [0, 3], [1, 2], [2, 3]]
    assert alpha_shape_edges(square, 0.1).shape == (0, 2)
    islands = np.concatenate([square, square + np.array([3.0, 0.0])])
    assert len(alpha_shape_edges(islands, 0.2)) == 8


@pytest.mark.parametrize("n", range(5))
def test_degenerate_sets_are_all_surface(n):
    line = np.stack([0.24 * np.arange(n), 0.1 * np.arange(n)], axis=1)
    assert surface_columns(line, interface_y_nm=5.0).tolist() == [True] * n
    assert alpha_shape_edges(line, 0.2).shape == (0, 2)
    assert surface_columns(np.zeros((n, 2)), interface_y_nm=None).tolist() == [True] * n


def test_a_column_alone_in_vacuum_is_on_the_surface():
    points, _ = hexagon(2)
    lonely = np.concatenate([points, [[0.0, -3.0]]])
    assert surface_columns(lonely, interface_y_nm=None)[-1]
    assert np.array_equal(
        surface_columns(lonely, interface_y_nm=None)[:-1],
        surface_columns(points, interface_y_nm=None),
    )


def test_impossible_input_is_told():
    with pytest.raises(UserError, match="alpha_nm"):
        surface_columns(hexagon(1)[0], interface_y_nm=None, alpha_nm=0.0)
    with pytest.raises(UserError, match="finite"):
        surface_columns([[np.nan, 0.0]], interface_y_nm=None)


def test_the_alpha_shape_is_that_of_shapely():
    """A second route: shapely's triangulation, the union of its small triangles, its outline."""
    rng = np.random.default_rng(21)
    alpha = ALPHA_PER_NEIGHBOUR * NEIGHBOUR_NM
    for k in range(12):
        points = particle(rng)
        if k % 2:
            points = np.delete(points, rng.integers(len(points)), axis=0)
        points = points + 0.01 * rng.standard_normal(points.shape)
        triangles = triangulate(MultiPoint(points))
        corners = np.array([np.array(t.exterior.coords)[:3] for t in triangles])
        small = [t for t, r in zip(triangles, circumradius(corners), strict=True) if r < alpha]
        outline = unary_union(small).boundary
        ends = alpha_shape_edges(points, alpha)
        length = np.linalg.norm(points[ends[:, 0]] - points[ends[:, 1]], axis=1).sum()
        assert length == pytest.approx(outline.length, rel=1e-9)
        on_it = np.array([outline.distance(Point(p)) < 1e-9 for p in points])
        assert set(np.unique(ends)) == set(np.flatnonzero(on_it))
