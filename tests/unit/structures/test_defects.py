"""Each defect changes the columns that it names and no others."""

import numpy as np
import pytest

from lowdose import seeds
from lowdose.runtime import UserError
from lowdose.structures.defects import DEFECTS, apply_defect
from lowdose.structures.particles import particle
from lowdose.structures.truth import missing_neighbours

CASES = [("PtNp1", 20.0), ("PtNp2", 24.0), ("PtNp3", 22.0), ("PtNp4", 26.0)]


def columns(positions: np.ndarray) -> dict[tuple[float, float], int]:
    """Projected position -> number of atoms."""
    points, counts = np.unique(np.round(positions[:, :2], 2) + 0.0, axis=0, return_counts=True)
    return {tuple(map(float, p)): int(n) for p, n in zip(points, counts, strict=True)}


def make(family: str, size: float, defect: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    perfect = particle(family, size, (0.0, 0.0), 3.92)
    rng = seeds.rng(1, "structures", family)
    return perfect, *apply_defect(perfect, defect, rng, family)


@pytest.mark.parametrize(("family", "size"), CASES)
@pytest.mark.parametrize("defect", DEFECTS)
def test_number_of_changed_columns(family, size, defect):
    perfect, positions, changed = make(family, size, defect)
    before, after = columns(perfect), columns(positions)
    lost = [p for p in before if p not in after]
    won = [p for p in after if p not in before]
    halved = [p for p in after if p in before and after[p] != before[p]]
    expected = {"D0": (0, 0, 0), "D1": (1, 0, 0), "D2": (2, 0, 0), "Dh": (0, 0, 1),
                "Ds": (0, 1, 0)}  # fmt: skip
    assert (len(lost), len(won), len(halved)) == expected[defect]
    # What it says it changed is what changed.
    told = {(round(x, 2) + 0.0, round(y, 2) + 0.0) for x, y, _ in changed}
    assert told == set(lost + won + halved)
    # All other atoms stayed exactly where they were.
    keep = {tuple(p) for p in np.round(perfect, 6)} & {tuple(p) for p in np.round(positions, 6)}
    assert len(keep) == min(len(perfect), len(positions))


@pytest.mark.parametrize(("family", "size"), CASES)
def test_halved_column_keeps_half_of_its_atoms_in_one_piece(family, size):
    perfect, positions, changed = make(family, size, "Dh")
    where = np.hypot(*(positions[:, :2] - changed[0, :2]).T) < 0.3
    whole = np.hypot(*(perfect[:, :2] - changed[0, :2]).T) < 0.3
    assert where.sum() == (whole.sum() + 1) // 2
    assert np.allclose(np.diff(np.sort(positions[where, 2])), 3.92 / np.sqrt(2))


class Chosen:
    """A generator that always takes site number `site`, and says how many there are."""

    def __init__(self, site: int) -> None:
        self.site, self.count = site, 0

    def integers(self, count: int) -> int:
        self.count = count
        return min(self.site, count - 1)


@pytest.mark.parametrize(("family", "size"), CASES)
def test_adatom_on_any_site_sits_in_a_hollow_of_the_lattice(family, size):
    perfect = particle(family, size, (0.0, 0.0), 3.92)
    points = np.array(list(columns(perfect)))
    facets, site, count = set(), 0, 1
    while site < count:
        rng = Chosen(site)
        positions, changed = apply_defect(perfect, "Ds", rng, family)
        site, count = site + 1, rng.count
        distance = np.sort(np.linalg.norm(points - changed[0, :2], axis=1))
        assert distance[0] == pytest.approx(2.4005, abs=0.01)
        assert distance[2] > 3.3
        new = positions[len(perfect) :]
        gap = np.linalg.norm(new[:, None] - perfect[None], axis=2)
        assert gap.min() == pytest.approx(3.92 / np.sqrt(2), abs=1e-3)  # a bond, no closer
        on_100 = distance[1] < 2.5  # both supports at 0.240 nm: a {100} facet, else {111}
        assert np.all(np.sum(gap < 2.8, axis=1) == (4 if on_100 else 3))
        facets.add(bool(on_100))
    assert count > 3
    assert False in facets


def test_adatoms_are_tried_on_both_facets():
    # Wulff's ratio 1.15 shows {100} facets at this size: their hollows bind four-fold.
    perfect = particle("PtNp1", 28.0, (0.0, 0.0), 3.92)
    points = np.array(list(columns(perfect)))
    second = []
    for site in range(20):
        changed = apply_defect(perfect, "Ds", Chosen(site), "PtNp1")[1]
        second.append(np.sort(np.linalg.norm(points - changed[0, :2], axis=1))[1])
    assert {round(d, 1) for d in second} == {2.4, 2.8}


@pytest.mark.parametrize(("family", "size"), CASES)
def test_vacancy_lies_on_the_free_surface(family, size):
    perfect, _, changed = make(family, size, "D1")
    points = np.array(list(columns(perfect)))
    index = np.argmin(np.linalg.norm(points - changed[0, :2], axis=1))
    assert missing_neighbours(points)[index] in (2, 3)
    assert points[index, 1] > 0.5  # not at the interface


def test_defects_of_one_shape_share_their_first_site():
    sites = {d: make("PtNp1", 20.0, d)[2][0] for d in ("D1", "D2", "Dh")}
    assert np.array_equal(sites["D1"], sites["D2"])
    assert np.array_equal(sites["D1"], sites["Dh"])


def test_two_vacancies_are_no_neighbours():
    for family, size in CASES:
        changed = make(family, size, "D2")[2]
        assert np.linalg.norm(changed[0, :2] - changed[1, :2]) > 6.6


def test_particle_without_a_site_is_refused():
    tiny = particle("PtNp1", 6.0, (0.0, 0.0), 3.92)
    with pytest.raises(UserError, match=r"toy has no surface column of 4 atoms .* D1"):
        apply_defect(tiny, "D1", np.random.default_rng(0), "toy")
