"""Columns, neighbours, sites and their projection under tilt, against hand-made cases."""

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

from lowdose.structures.truth import (
    columns_of,
    group_columns,
    missing_neighbours,
    project,
    sites_of,
)

PT = 3.92  # Å

IN_ROW, UP = 2.4005, 2.2632  # Pt: a sqrt(3/8) within a row, a / sqrt(3) between rows


def rows(*counts_and_shifts: tuple[int, int]) -> np.ndarray:
    """Rows of columns, lowest first: (number of columns, index of the first one)."""
    return np.array(
        [
            [(first + i) * IN_ROW + r * IN_ROW / 3, r * UP]
            for r, (count, first) in enumerate(counts_and_shifts)
            for i in range(count)
        ]
    )


HEXAGON = rows((3, 0), (4, -1), (5, -2), (4, -2), (3, -2))


def test_hexagon_counts_by_hand():
    # The lowest row rests on the support: its ends lack one neighbour, its middle none.
    rows_of_hexagon = ([1, 0, 1], [2, 0, 0, 2], [3, 0, 0, 0, 3], [2, 0, 0, 2], [3, 2, 3])
    expected = [n for row in rows_of_hexagon for n in row]
    assert missing_neighbours(HEXAGON, PT).tolist() == expected


def test_sites_are_named_by_missing_neighbours():
    assert sites_of(np.arange(-1, 7)) == [
        "support",
        "bulk",
        "step",
        "facet",
        "edge",
        "corner",
        "adatom",
        "adatom",
    ]
    facet_middle = np.flatnonzero(np.isclose(HEXAGON[:, 1], 4 * UP))[1]
    assert sites_of(missing_neighbours(HEXAGON, PT))[facet_middle] == "facet"


def test_acute_corner_and_adatom_lack_four():
    triangle = rows((3, 0), (2, 0), (1, 0))
    assert missing_neighbours(triangle, PT)[-1] == 4
    adatom = np.vstack([HEXAGON, [HEXAGON[-2, 0] + IN_ROW / 3, 5 * UP]])
    missing = missing_neighbours(adatom, PT)
    assert missing[-1] == 4
    # The two columns that carry it are one neighbour richer than before.
    assert missing[-4:-1].tolist() == [3, 1, 2]


def test_vacancy_makes_its_six_neighbours_surface():
    centre = np.argmin(np.linalg.norm(HEXAGON - HEXAGON.mean(axis=0), axis=1))
    without = np.delete(HEXAGON, centre, axis=0)
    change = missing_neighbours(without, PT) - np.delete(missing_neighbours(HEXAGON, PT), centre)
    assert change.sum() == 6
    assert change.max() == 1


def test_lone_column_and_no_column():
    assert missing_neighbours(np.zeros((0, 2)), PT).tolist() == []
    assert missing_neighbours(np.array([[3.0, 4.0]]), PT).tolist() == [4]


def test_neighbours_reach_as_far_as_the_lattice_is_wide():
    gold = HEXAGON * 4.078 / PT
    assert missing_neighbours(gold, 4.078).tolist() == missing_neighbours(HEXAGON, PT).tolist()
    # In a lattice a third larger, the two neighbours at 0.277 nm are out of reach.
    assert missing_neighbours(HEXAGON * 1.34, PT)[9] == 2


def test_columns_are_those_of_the_labels_wherever_the_atoms_have_moved():
    atoms = Atoms(
        "PtPtPtCeOC",
        positions=[[5, 9, 2], [5.8, 9, 4.8], [7.4, 9, 3], [5, 4, 1], [6, 4, 1], [4, 4, 1]],
    )
    atoms.set_array("column", np.array([1, 1, 2, 3, 0, 0]))
    atoms.set_array("missing", np.array([2, 2, 0, -1, -1, 0]))
    columns = columns_of(atoms)
    assert columns["column"].tolist() == [3, 1, 2]
    assert columns["element"].tolist() == ["Ce", "Pt", "Pt"]
    assert columns["n_atoms"].tolist() == [1, 2, 1]
    assert columns["is_particle"].tolist() == [False, True, True]
    assert columns["is_surface"].tolist() == [False, True, False]
    assert columns["site"].tolist() == ["support", "facet", "bulk"]
    first = columns.iloc[1]
    assert (first.x, first.y, first.z_mean) == pytest.approx((5.4, 9.0, 3.4))


def test_atoms_that_coincide_in_projection_share_a_number():
    points = np.array([[0.0, 0.0], [2.4, 0.0], [0.2, 0.1], [0.4, 0.2], [2.4, 0.29], [9.0, 9.0]])
    # 0.2 and 0.4 are linked through each other although the ends are 0.45 apart.
    assert group_columns(points).tolist() == [0, 1, 0, 0, 1, 2]
    assert group_columns(np.zeros((0, 2))).tolist() == []


def test_projection_moves_by_depth_times_tangent_from_the_exit_plane():
    columns = pd.DataFrame({"x": [1.0, 1.0], "y": [2.0, 2.0], "z_mean": [0.0, 60.0]})
    xy = project(columns, (4.0, -2.0), exit_z=60.0)
    assert xy[1].tolist() == [1.0, 2.0]  # at the exit plane nothing moves
    # 4° over 6 nm is 0.42 nm from entrance to exit.
    assert xy[0] == pytest.approx([1 + 4.19561, 2 - 2.09525], abs=1e-4)
