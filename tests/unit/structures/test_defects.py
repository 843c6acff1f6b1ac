"""Each defect changes the columns that it names and no others."""

import numpy as np
import pytest

from lowdose import seeds
from lowdose.runtime import UserError
from lowdose.structures.defects import DEFECTS, find_defect
from lowdose.structures.particles import cut
from lowdose.structures.shapes import recipe
from lowdose.structures.truth import column_means, group_columns, missing_neighbours

PT = 3.92
NEAR = PT * np.sqrt(3 / 8)
CASES = [("PtNp1", 2), ("PtNp1", 6), ("PtNp2", 4), ("PtNp3", 3), ("PtNp4", 5)]


def perfect(family: str, index: int) -> np.ndarray:
    return cut(recipe(family, index, 7, (15.0, 30.0)), PT).positions


def change_of(positions: np.ndarray, defect: str, rng, name: str = "particle"):
    label = group_columns(positions[:, :2])
    return label, find_defect(positions, label, defect, PT, rng, name)


@pytest.mark.parametrize(("family", "index"), CASES)
@pytest.mark.parametrize("defect", DEFECTS)
def test_only_the_named_columns_change(family, index, defect):
    positions = perfect(family, index)
    label, change = change_of(positions, defect, seeds.rng(1, family))
    before = np.bincount(label)
    after = np.bincount(label[change.kept], minlength=len(before) + 1)
    after[len(before)] = len(change.added)
    altered = np.flatnonzero(after[:-1] != before).tolist()
    altered += [len(before)] if len(change.added) else []
    assert sorted(change.columns) == altered
    assert len(altered) == {"D0": 0, "D1": 1, "D2": 2, "Dh": 1, "Ds": 1}[defect]
    for column in change.columns:
        expected = {"Dh": (before[column % len(before)] + 1) // 2, "Ds": len(change.added)}
        assert after[column] == expected.get(defect, 0)
    assert len(np.unique(change.kept)) == len(change.kept)


@pytest.mark.parametrize(("family", "index"), CASES)
def test_halved_column_keeps_half_of_its_atoms_in_one_piece(family, index):
    positions = perfect(family, index)
    label, change = change_of(positions, "Dh", seeds.rng(1, family))
    left = positions[change.kept][label[change.kept] == change.columns[0]]
    whole = positions[label == change.columns[0]]
    assert len(left) == (len(whole) + 1) // 2
    assert np.allclose(np.diff(np.sort(left[:, 2])), PT / np.sqrt(2))
    assert left[:, 2].min() == whole[:, 2].min()


class Chosen:
    """A generator that always takes site number `site`, and says how many there are."""

    def __init__(self, site: int) -> None:
        self.site, self.count = site, 0

    def integers(self, count: int) -> int:
        self.count = count
        return min(self.site, count - 1)


@pytest.mark.parametrize(("family", "index"), CASES)
def test_new_column_on_any_site_continues_the_lattice(family, index):
    positions = perfect(family, index)
    points = column_means(positions, group_columns(positions[:, :2]))[:, :2]
    site, count, resting = 0, 1, set()
    while site < count:
        rng = Chosen(site)
        _, change = change_of(positions, "Ds", rng)
        site, count = site + 1, rng.count
        new = change.added
        assert np.ptp(new[:, :2], axis=0).max() == 0
        distance = np.sort(np.linalg.norm(points - new[0, :2], axis=1))
        assert distance[0] == pytest.approx(NEAR, abs=0.01)
        neighbours = int(np.sum(distance < 3.3))  # next shell at 3.92 Å
        resting.add(neighbours)
        gap = np.linalg.norm(new[:, None] - positions[None], axis=2)
        assert gap.min() == pytest.approx(PT / np.sqrt(2), abs=1e-3)  # a bond, no closer
        bonds = np.sum(gap < 2.8, axis=1)
        if neighbours == 2:
            on_100 = distance[1] < 2.5  # both supports at 0.240 nm: a {100} facet, else {111}
            assert bonds.max() == (4 if on_100 else 3)
        assert bonds.min() >= 3
    assert count > 3
    assert resting <= {2, 3}
    assert 2 in resting


def test_a_stepped_shape_offers_its_step_edge():
    positions = perfect("PtNp1", 2)
    points = column_means(positions, group_columns(positions[:, :2]))[:, :2]
    top = points[points[:, 1] > points[:, 1].max() - 0.1]
    edge = top[top[:, 0].argmax()] + [NEAR, 0]
    added = [change_of(positions, "Ds", Chosen(n))[1].added for n in range(30)]
    at_edge = next(a for a in added if np.linalg.norm(a[0, :2] - edge) < 0.01)
    gap = np.linalg.norm(at_edge[:, None] - positions[None], axis=2)
    assert np.sum(gap < 2.8, axis=1).max() == 5  # three below and two beside


@pytest.mark.parametrize(("family", "index"), CASES)
def test_vacancy_lies_on_the_free_surface(family, index):
    positions = perfect(family, index)
    label, change = change_of(positions, "D1", seeds.rng(1, family))
    points = column_means(positions, label)[:, :2]
    assert missing_neighbours(points, PT)[change.columns[0]] in (2, 3)
    assert points[change.columns[0], 1] > 0.5  # not at the interface
    assert np.bincount(label)[change.columns[0]] >= 4


def test_defects_of_one_shape_share_their_first_site():
    positions = perfect("PtNp1", 2)
    first = {
        d: change_of(positions, d, seeds.rng(1, "a"))[1].columns[0] for d in ("D1", "D2", "Dh")
    }
    assert len(set(first.values())) == 1


def test_two_vacancies_are_no_neighbours():
    for family, index in CASES:
        positions = perfect(family, index)
        label, change = change_of(positions, "D2", seeds.rng(1, family))
        first, second = column_means(positions, label)[list(change.columns), :2]
        assert np.linalg.norm(first - second) > 6.5


def test_second_vacancy_of_a_small_particle_is_the_farthest_that_is_no_neighbour():
    # At 1.1 nm only three columns of a facet qualify, 2.4 Å apart: an end leaves the other end.
    positions = cut(recipe("PtNp1", 0, 1, (11.0, 11.0)), PT).positions
    found = set()
    for seed in range(12):
        try:
            label, change = change_of(positions, "D2", seeds.rng(seed), "small")
        except UserError as refusal:
            found.add(str(refusal).split(";")[0])
            continue
        first, second = column_means(positions, label)[list(change.columns), :2]
        found.add(round(float(np.linalg.norm(first - second)) / NEAR, 3))
    alone = "small has no second surface column for defect D2 away from the first"
    assert found == {2.0, alone}


def test_lowered_occupancy_does_not_move_the_vacancy():
    positions = perfect("PtNp1", 6)
    label = group_columns(positions[:, :2])
    full = np.bincount(label)
    order = np.argsort(positions[:, 2])
    rank = np.empty(len(label), dtype=int)
    for column in range(len(full)):
        mine = order[label[order] == column]
        rank[mine] = np.arange(len(mine))
    thin = rank < 3  # no column of four atoms is left
    found = [find_defect(p, n, "D1", PT, seeds.rng(3), "thin", full).columns
             for p, n in ((positions, label), (positions[thin], label[thin]))]  # fmt: skip
    assert found[0] == found[1]
    with pytest.raises(UserError, match=r"structures\.surface_occupancy"):
        find_defect(positions[thin], label[thin], "D1", PT, seeds.rng(3), "thin")


def test_particle_without_a_site_is_refused():
    tiny = cut(recipe("PtNp1", 0, 1, (7.0, 7.0)), PT).positions
    with pytest.raises(UserError, match=r"toy has no surface column of 4 atoms .* D1"):
        change_of(tiny, "D1", np.random.default_rng(0), "toy")
