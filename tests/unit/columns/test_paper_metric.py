"""The paper's own surface metric, on its known answers."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.columns.paper_metric import (
    CLEAN_THRESHOLD,
    DENOISED_THRESHOLD,
    VACUUM,
    Region,
    paper_columns,
    paper_counts,
    paper_scores,
    paper_surface,
    surface_of_paper,
)
from lowdose.runtime import UserError

GIVEN = 15  # surface columns
# px between columns of a row.  At the paper's own 38.7 px its alpha of 40 px bridges the hollow
# beside an adatom, whose neighbours are then no surface: an extra column costs two others.
PITCH = 42.0
WIDE = Region(left=50, right=640)


def adatom(place: float, pitch: float = PITCH) -> list[float]:
    """In the hollow of the top row that lies so many columns right of its middle."""
    return [200.0 - pitch * np.sqrt(3) / 2, 335.0 + pitch * place]


def particle(pitch: float = PITCH) -> np.ndarray:
    """Rows of 10, 11 and 12 columns and an adatom: 10 + 2 + 2 + 1 = 15 are on the surface."""
    rows = ((n, 200.0 + k * pitch * np.sqrt(3) / 2) for k, n in enumerate((10, 11, 12)))
    points = [(y, 335.0 + pitch * (i - (n - 1) / 2)) for n, y in rows for i in range(n)]
    return np.array([*points, adatom(-3, pitch)])


def surface(points, interface=255.0):
    return paper_surface(points, interface)


def image_of(points) -> np.ndarray:
    rows, cols = np.mgrid[:727, :687]
    image = np.full(rows.shape, VACUUM)
    for y, x in points:
        image += 0.12 * np.exp(-((rows - y) ** 2 + (cols - x) ** 2) / (2 * 8.0**2))
    return image


def fifteen() -> np.ndarray:
    """Exactly 15 separate surface columns, for the metric on points."""
    return np.stack([np.full(GIVEN, 200.0), 40.0 * np.arange(GIVEN)], axis=1)


KNOWN = [
    ("as it is", False, False, 1.0, 1.0),
    ("one missing", True, False, 28 / 29, 14 / 15),
    ("one extra", False, True, 30 / 31, 15 / 16),
    ("one of either", True, True, 28 / 30, 14 / 16),
]


@pytest.mark.parametrize(("what", "missing", "extra", "f1", "jaccard"), KNOWN)
def test_known_answers_on_point_sets(what, missing, extra, f1, jaccard):
    found = fifteen()[1:] if missing else fifteen()
    if extra:
        found = np.vstack([found, [[100.0, 300.0]]])
    scores = paper_scores(paper_counts(fifteen(), found))
    assert scores["f1"] == pytest.approx(f1), what
    assert scores["jaccard"] == pytest.approx(jaccard)


def test_the_surface_of_the_alpha_shape():
    points = particle()
    found = surface(points)
    # All of the top row, the ends of the middle one, and the ends of the lowest, whose edges to
    # the middle row reach above the line; its own edges do not.
    expected = np.vstack([points[:10], points[[10, 20]], points[[21, 32, 33]]])
    assert {tuple(p) for p in found} == {tuple(p) for p in expected}


@pytest.mark.parametrize(("missing", "extra"), [(False, False), (True, False), (False, True),
                                                (True, True)])  # fmt: skip
def test_through_the_surface_finder(missing, extra):
    """From images: detection, alpha shape, match; an adatom more, an adatom less."""
    clean = particle()
    seen = clean[:-1] if missing else clean
    if extra:
        seen = np.vstack([seen, adatom(2)])
    n = len(surface(clean))
    assert n == GIVEN
    found = [
        surface(paper_columns(image_of(points), threshold, WIDE))
        for points, threshold in ((clean, CLEAN_THRESHOLD), (seen, DENOISED_THRESHOLD))
    ]
    counts = paper_counts(*found)
    assert counts == {"shared": n - missing, "missing": int(missing), "extra": int(extra),
                      "found": n - missing + extra}  # fmt: skip
    scores = paper_scores(counts)
    _, _, _, f1, jaccard = next(k for k in KNOWN if k[1:3] == (missing, extra))
    assert (scores["f1"], scores["jaccard"]) == pytest.approx((f1, jaccard))


def test_the_gate_is_ten_pixels_and_not_one_to_one():
    clean = np.array([[0.0, 0.0], [0.0, 12.0]])
    assert paper_counts(clean, clean + np.array([10.0, 0.0]))["shared"] == 2
    assert paper_counts(clean, clean + np.array([10.01, 0.0]))["shared"] == 0
    between = paper_counts(clean, np.array([[0.0, 6.0]]))
    assert between == {"shared": 2, "missing": 0, "extra": 0, "found": 1}
    assert paper_scores(between)["precision"] == 2  # the paper's metric allows it


def test_at_the_papers_pitch_an_adatom_hides_its_neighbours():
    points = particle(38.7)
    with_it, without = (len(surface(p, 250.0)) for p in (points, points[:-1]))
    assert (with_it, without) == (GIVEN - 2, GIVEN - 1)


def test_only_the_particle_is_looked_at():
    outside = image_of([(50.0, 300.0), (200.0, 40.0), (500.0, 300.0), (200.0, 300.0)])
    found = paper_columns(outside, CLEAN_THRESHOLD)
    np.testing.assert_allclose(found, [[200, 300]], atol=0.5)
    wide = paper_columns(outside, CLEAN_THRESHOLD, Region(0, 727, 0, 687))
    assert len(wide) == 4


def test_on_frames_of_any_size_the_interface_is_the_end():
    """What lies below the interface is not looked at, and edges count from 30 px above it."""
    points = particle()
    support = [(200.0 + PITCH * 3, 335.0 + PITCH * i) for i in range(-5, 6)]
    image = image_of([*points, *support]) / VACUUM
    found = surface_of_paper(image, CLEAN_THRESHOLD, 255.0 + 30.0)
    assert len(found) == GIVEN
    assert found[:, 0].max() < 285


def test_nothing_to_count():
    assert paper_surface(particle()[:3]).shape == (0, 2)
    scores = paper_scores(paper_counts(np.empty((0, 2)), np.empty((0, 2))))
    assert all(np.isnan(value) for value in scores.values())
    with pytest.raises(UserError, match="one frame"):
        paper_columns(np.zeros((2, 3, 4)), 0.02)
