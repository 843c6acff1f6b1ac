"""Surface counts on particles made by hand."""

import numpy as np
import pandas as pd
import pytest

from lowdose.evaluation.measure import (
    candidates,
    mark_partners,
    per_column,
    pooled_f1,
    surface_counts,
    truth_of_frame,
)

GATE_NM = 0.072


def found_at(points):
    return pd.DataFrame(points, columns=["x_nm", "y_nm"])


def counts(particle, points, truth, partner=()):
    table = truth_of_frame(truth).assign(is_partner=False)
    table.loc[list(partner), "is_partner"] = True
    return surface_counts(found_at(points), table, particle.interface_nm, GATE_NM)


def test_the_surface_of_the_lattice(particle):
    # Rows of 5, 4, 5, 4, 5 columns: the ends of each row and the whole top, by hand.
    points = particle.lattice()
    assert len(points) == 23
    # Lowest row: its ends see 1 + 1 neighbours; inner columns 2 + 2.  Rows of four lie between
    # two rows of five and have all six inside, rows of five lose some at their ends.
    surface = particle.on_surface(points)
    assert surface.sum() == 2 + 2 + 2 + 2 + 5


def test_perfect_detection(particle):
    points = particle.lattice()
    found = counts(particle, points, particle.table_of(points))
    n = int(particle.on_surface(points).sum())
    assert found == {
        "n_true": n,
        "n_found": n,
        "n_matched": n,
        "squared_error_nm2": 0.0,
        "n_vacancies": 0,
        "n_filled": 0,
        "n_partners": 0,
        "n_erased": 0,
    }


def test_positions_off_by_a_known_distance(particle):
    points = particle.lattice()
    found = counts(particle, points + np.array([0.03, -0.04]), particle.table_of(points))
    assert found["n_matched"] == found["n_true"]
    assert found["squared_error_nm2"] == pytest.approx(found["n_true"] * 0.05**2)
    # Beyond the gate nothing matches, and every column is an error of either kind.
    far = counts(particle, points + np.array([0.09, 0.0]), particle.table_of(points))
    assert far["n_matched"] == 0
    assert far["n_found"] == far["n_true"]


@pytest.mark.parametrize("which", [0, 4, -1, -3])
def test_one_missing(particle, which):
    points = particle.lattice()
    left = np.delete(points, which % len(points), axis=0)
    surface, exposed = particle.on_surface(points), particle.on_surface(left)
    found = counts(particle, left, particle.table_of(points))
    kept = np.delete(surface, which % len(points))
    assert surface[which]
    assert found["n_true"] == surface.sum()
    # Columns that lost a neighbour appear on the surface, though in truth they are not.
    assert found["n_found"] == exposed.sum()
    assert found["n_matched"] == (kept & exposed).sum() == surface.sum() - 1


def test_one_extra(particle):
    points = particle.lattice()
    adatom = points[-3] + np.array([0.12, -particle.layer_nm])
    surface = particle.on_surface(points)
    more = np.vstack([points, adatom])
    found = counts(particle, more, particle.table_of(points))
    # Above the middle of the top row, it is a surface column of its own and hides no other:
    # the columns below it still lack their second upper neighbour.
    assert particle.on_surface(more).sum() == surface.sum() + 1
    assert found["n_found"] == surface.sum() + 1
    assert found["n_matched"] == found["n_true"] == surface.sum()


@pytest.mark.parametrize("filled", [False, True])
def test_a_vacancy_is_filled_or_not(particle, filled):
    points = particle.lattice()
    truth = particle.table_of(points[:-1], vacancies=points[-1])
    found = counts(particle, points if filled else points[:-1], truth)
    assert found["n_vacancies"] == 1
    assert found["n_filled"] == int(filled)
    assert found["n_true"] == particle.on_surface(points[:-1]).sum()


@pytest.mark.parametrize("erased", [False, True])
def test_a_partner_is_erased_or_not(particle, erased):
    points = particle.lattice()
    last = len(points) - 1
    truth = particle.table_of(points)
    found = counts(particle, points[:-1] if erased else points, truth, partner=[last])
    assert found["n_partners"] == 1
    assert found["n_erased"] == int(erased)


def test_nothing_found(particle):
    points = particle.lattice()
    truth = particle.table_of(points[:-1], vacancies=points[-1])
    found = counts(particle, np.empty((0, 2)), truth, partner=[3])
    assert (found["n_found"], found["n_matched"], found["n_filled"]) == (0, 0, 0)
    assert (found["n_erased"], found["n_partners"]) == (1, 1)
    assert pooled_f1(pd.DataFrame([found])) == 0


def test_per_column_says_which(particle):
    points = particle.lattice()
    truth = particle.table_of(points[:-1], vacancies=points[-1]).assign(is_partner=False)
    # All but one end of a row is seen, and the vacancy is filled.
    seen = np.delete(points, 5, axis=0) + np.array([0.01, 0.0])
    table = per_column(found_at(seen), truth, particle.interface_nm, GATE_NM)
    assert list(table.index[~table["reported"]]) == [5]
    assert table.loc[table["site"] == "vacancy", "reported"].all()
    assert table["distance_nm"].isna().sum() == 1
    assert table["distance_nm"].dropna().to_numpy() == pytest.approx(0.01)
    expected = particle.on_surface(np.delete(points, 5, axis=0))
    assert np.array_equal(table.loc[table["reported"], "reported_surface"], expected)


def test_partners_stand_where_the_sibling_has_its_vacancy(particle):
    frames = particle.frame_set("PtNp1a", "PtNp1b")
    marked = mark_partners(frames.columns, frames.table)
    assert "is_partner" not in frames.columns
    partners = marked[marked["is_partner"]]
    assert list(partners["frame"]) == [0, 2]  # the perfect model of either pair
    vacancies = marked[marked["site"] == "vacancy"]
    assert partners[["x_nm", "y_nm"]].to_numpy() == pytest.approx(
        vacancies[["x_nm", "y_nm"]].to_numpy()
    )
    assert (partners["n_atoms"] > 0).all()


@pytest.mark.parametrize("key", ["base_shape", "layers", "tilt_x_deg", "tilt_y_deg", "c1_nm"])
def test_frames_under_other_conditions_are_no_siblings(particle, key):
    frames = particle.frame_set("PtNp1a")
    table = frames.table.copy()
    table.loc[0, key] = "PtNp1z" if key == "base_shape" else 31
    assert not mark_partners(frames.columns, table)["is_partner"].any()


def test_candidates_lie_above_the_interface(particle):
    points = particle.lattice()
    below = np.array([[0.8, particle.interface_nm + 0.1]])
    image = particle.image_of(np.vstack([points, below]))
    found = candidates(image, particle.pixel_nm, particle.interface_nm, 0.049)
    strong = found[found["response"] > 0.1]
    assert len(strong) == len(points)
    assert (strong["y_nm"] < particle.interface_nm).all()
    distance = np.linalg.norm(
        strong[["x_nm", "y_nm"]].to_numpy()[:, None] - points[None], axis=2
    ).min(axis=1)
    assert distance.max() < 0.005


def test_truth_of_a_frame_is_its_particle(particle):
    table = particle.table_of(particle.lattice()[:4])
    table.loc[1, "is_particle"] = False
    assert list(truth_of_frame(table)["x_nm"]) == list(table["x_nm"].drop(1))


def test_f1_is_pooled_over_frames():
    table = pd.DataFrame({"n_true": [10, 2], "n_found": [8, 4], "n_matched": [6, 1]})
    assert pooled_f1(table) == pytest.approx(2 * 7 / 24)
    assert pooled_f1(pd.DataFrame({"n_true": [0], "n_found": [0], "n_matched": [0]})) == 1.0
