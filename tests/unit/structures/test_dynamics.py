"""Surfaces that change: dwell times, sites, and the structure and truth of each state."""

import copy
import functools
import json

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from lowdose import seeds
from lowdose.config_movies import MovieProcess, movie_spec
from lowdose.runtime import UserError
from lowdose.structures.dynamics import ChangingParticle
from lowdose.structures.library import build_structure, true_columns
from lowdose.structures.shapes import LEFT_100, RIGHT_111, TOP
from lowdose.structures.switching import scheduled, switching
from lowdose.structures.truth import NEIGHBOUR_REACH

LATTICE = 3.92  # Å
SEED = 1
KINDS = ("adatom", "vacancy", "partial", "corner", "step")


def everywhere(xy):
    return np.ones(len(xy))


def only(place):
    """Let a movie show one place of the cell alone."""
    return lambda xy: (np.linalg.norm(xy - place, axis=1) < 0.01).astype(float)


def process(kind, **values):
    return MovieProcess(kind=kind, **values).model_dump()


@functools.cache
def built(shape, section):
    return ChangingParticle(json.loads(section), shape, 16, SEED)


def changing(section, *processes, shape="PtNp1f", seen=everywhere, frames=20, seed=3):
    particle = copy.deepcopy(built(shape, json.dumps(section)))
    particle.add_processes(processes, frames, seen, lambda name: seeds.rng(seed, name))
    return particle


def dwells(states, value):
    """Return the lengths of all whole runs of a value."""
    edges = np.flatnonzero(np.diff(states)) + 1
    runs = np.split(states, edges)[1:-1]
    return np.array([len(run) for run in runs if run[0] == value])


@pytest.mark.parametrize(("on", "off"), [(5.0, 8.0), (1.0, 3.0), (20.0, 2.5)])
def test_dwell_times_are_geometric_with_the_stated_means(on, off):
    states = switching(200_000, on, off, np.random.default_rng(1))
    for value, mean in ((1, on), (0, off)):
        found = dwells(states, value)
        # A geometric time of mean m has the variance m (m - 1) and ends at once with 1 / m.
        spread = np.sqrt(mean * (mean - 1))
        assert abs(found.mean() - mean) <= 4 * spread / np.sqrt(len(found))
        assert found.std() == pytest.approx(spread, rel=0.05, abs=1e-9)
        at_once = np.mean(found == 1)
        assert abs(at_once - 1 / mean) <= 4 * np.sqrt((1 - 1 / mean) / mean / len(found))


def test_the_first_frame_is_drawn_from_the_stationary_distribution():
    rng = np.random.default_rng(2)
    starts = np.array([switching(1, 5.0, 8.0, rng)[0] for _ in range(8000)])
    assert abs(starts.mean() - 5 / 13) < 4 * np.sqrt(5 / 13 * 8 / 13 / 8000)


def test_a_schedule_is_kept(section):
    assert scheduled(8, [(1, 2), (5, 7)]).tolist() == [0, 1, 1, 0, 0, 1, 1, 1]
    two = [process("vacancy", sites=2, schedule=[(1, 2)]), process("adatom", on_frames=2)]
    states = changing(section, *two, frames=6).states(6)
    assert states.shape == (6, 3)
    assert states[:, :2].T.tolist() == [[0, 1, 1, 0, 0, 0]] * 2


def test_a_particle_without_processes_is_that_of_the_library(section, model):
    particle = changing(section, shape="PtNp1c")
    expected = build_structure(section, model("PtNp1c"), SEED)
    made = particle.structure_of(())
    np.testing.assert_array_equal(made.positions, expected.positions)
    for name in ("column", "missing", "numbers"):
        np.testing.assert_array_equal(made.arrays[name], expected.arrays[name])
    assert particle.states(7).shape == (7, 0)


DEFORMED = {
    "surface_occupancy": (0.6, 1.0), "shift_nm": 0.1, "rotation_deg": 3.0, "strain_percent": 2.0,
}  # fmt: skip


@pytest.mark.parametrize("changes", [{}, DEFORMED], ids=["perfect", "deformed"])
@pytest.mark.parametrize(("kind", "defect"), [("vacancy", "D1"), ("partial", "Dh"),
                                              ("adatom", "Ds")])  # fmt: skip
def test_a_changed_column_is_the_defect_of_the_library(section, model, kind, defect, changes):
    """The second route: the library's own defect, at whose column the process is put."""
    section = {**section, **changes}
    name = model("PtNp1d", defect)
    expected = build_structure(section, name, SEED)
    truth = true_columns(expected, name)
    truth = truth[truth["is_particle"]]
    at = truth[truth["changed"]].iloc[0]
    # The turned particle's columns are inclined: their mean moves when atoms go.
    slack = 0.03 if changes and kind == "partial" else 0.01
    place = at[["x_nm", "y_nm"]].to_numpy(float)

    def seen(xy):
        return (np.linalg.norm(xy - place, axis=1) < slack).astype(float)

    particle = changing(section, process(kind), shape="PtNp1d", seen=seen)
    made = particle.structure_of([1])
    order, other = (np.lexsort(np.round(a.positions, 3).T) for a in (made, expected))
    assert len(made) == len(expected)
    tolerance = 1e-6 if not changes else 1e-3
    gap = made.positions[order] - expected.positions[other]
    assert np.abs(gap).max() < tolerance
    assert np.array_equal(made.numbers[order], expected.numbers[other])
    assert np.array_equal(made.arrays["missing"][order], expected.arrays["missing"][other])
    columns = particle.columns_of([1])
    mine, theirs = (t.sort_values(["y_nm", "x_nm"]).reset_index(drop=True)
                    for t in (columns.round({"y_nm": 4}), truth.round({"y_nm": 4})))  # fmt: skip
    for key in ("n_atoms", "is_surface", "site"):
        assert mine[key].tolist() == theirs[key].tolist()
    assert np.abs(mine["x_nm"] - theirs["x_nm"]).max() < 1e-4
    changed = columns[columns["process"] != ""]
    assert changed["process"].tolist() == [f"{kind}1"]
    assert changed["state"].tolist() == [{"D1": "absent", "Dh": "partial", "Ds": "present"}[defect]]
    numbers = truth.loc[truth["changed"], "column"] if kind != "adatom" else changed["column"]
    assert changed["column"].tolist() == numbers.tolist()


def test_columns_keep_their_numbers_and_places_over_all_states(section):
    particle = changing(section, *map(process, KINDS))
    unchanged = particle.columns_of([0] * 5)
    for i, kind in enumerate(KINDS):
        state = [int(i == j) for j in range(5)]
        table = particle.columns_of(state)
        assert table["column"].tolist() == unchanged["column"].tolist()
        gap = table[["x_nm", "y_nm"]].to_numpy() - unchanged[["x_nm", "y_nm"]].to_numpy()
        assert np.abs(gap).max() < 1e-9
        own = table["process"] == f"{kind}1"
        differs = table["n_atoms"] != unchanged["n_atoms"]
        assert differs.tolist() == own.tolist()
        assert set(own[own].index) == set(np.flatnonzero(unchanged["process"] == f"{kind}1"))
        before, after = unchanged.loc[own], table.loc[own]
        expected = {"adatom": after["n_full"], "partial": (after["n_full"] + 1) // 2}
        assert after["n_atoms"].tolist() == list(expected.get(kind, 0 * after["n_full"]))
        sites = {"adatom": "adatom", "partial": before["site"].iloc[0]}
        assert set(after["site"]) == {sites.get(kind, "vacancy")}
        # Another count: atoms of the structure by number.
        numbers = particle.structure_of(state).arrays["column"]
        assert [int((numbers == n).sum()) for n in table["column"]] == table["n_atoms"].tolist()
    adatom = unchanged[unchanged["process"] == "adatom1"].iloc[0]
    assert (adatom["n_atoms"], adatom["site"], adatom["state"]) == (0, "vacuum", "absent")
    assert adatom["n_full"] >= 2


def test_surface_is_that_of_the_state(section):
    """Counted again, by distances in the image, for a state in which much is gone."""
    particle = changing(section, *map(process, KINDS))
    for state in ([1] * 5, [0, 1, 0, 1, 0], [1, 0, 0, 0, 0]):
        table = particle.columns_of(state)
        there = table[table["n_atoms"] > 0]
        points = there[["x_nm", "y_nm"]].to_numpy()
        near = (cdist(points, points) < NEIGHBOUR_REACH * LATTICE / 10).sum(axis=1) - 1
        wanted = np.where(points[:, 1] > points[:, 1].max() - 0.05, 4, 6)
        assert there["is_surface"].tolist() == (near < wanted).tolist()
        assert not table.loc[table["n_atoms"] == 0, "is_surface"].any()


@pytest.mark.parametrize("shape", ["PtNp1d", "PtNp3g", "PtNp4f"])
def test_sites_are_what_their_kinds_say(section, shape):
    for seed in range(3):
        particle = changing(section, *map(process, KINDS), shape=shape, seed=seed)
        unchanged = particle.columns_of([0] * 5).set_index("process")
        assert unchanged.loc["corner1", "site"] in ("edge", "corner")
        for name in ("vacancy1", "partial1"):
            assert unchanged.loc[name, "site"] in ("facet", "edge")
            assert unchanged.loc[name, "n_full"] >= 4
        # A terrace: consecutive columns in a straight line, with the facet on one side of it.
        terrace = unchanged.loc[["step1"], ["x_nm", "y_nm"]].to_numpy()
        assert len(terrace) >= 2
        line = terrace - terrace.mean(axis=0)
        assert np.linalg.svd(line)[1][-1] < 1e-6 * len(line) + (len(line) == 1)
        steps = np.linalg.norm(np.diff(terrace[np.argsort(line @ np.linalg.svd(line)[2][0])],
                                       axis=0), axis=1)  # fmt: skip
        assert steps.max() < NEIGHBOUR_REACH * LATTICE / 10
        normal = np.array([-1, 1]) * np.linalg.svd(line)[2][0][::-1]
        others = unchanged[unchanged["n_atoms"] > 0][["x_nm", "y_nm"]].to_numpy()
        side = (others - terrace[0]) @ normal
        assert side.max() < 1e-3 or side.min() > -1e-3
        # The new column is bound by three bonds or more, and nothing is too close to it.
        atoms = particle.structure_of([1, 0, 0, 0, 0])
        new = atoms.arrays["column"] == atoms.arrays["column"].max()
        metal = atoms.arrays["missing"] >= 0
        distance = cdist(atoms.positions[new], atoms.positions[metal & ~new])
        bond = LATTICE / np.sqrt(2)
        assert distance.min() == pytest.approx(bond, rel=1e-3)
        assert ((distance < 1.01 * bond).sum(axis=1) >= 3).all()


def test_processes_are_no_neighbours(section):
    several = [process(kind, sites=n) for kind, n in (("adatom", 2), ("vacancy", 2), ("corner", 2),
                                                      ("partial", 1))]  # fmt: skip
    chosen = set()
    for seed in range(4):
        particle = changing(section, *several, seed=seed)
        table = particle.columns_of([0] * 7)
        own = table[table["process"] != ""]
        assert own["process"].nunique() == 7
        gap = cdist(own[["x_nm", "y_nm"]], own[["x_nm", "y_nm"]]) + 9 * np.eye(len(own))
        assert gap.min() > NEIGHBOUR_REACH * LATTICE / 10
        chosen.add(tuple(own["column"]))
        again = changing(section, *several, seed=seed).columns_of([0] * 7)
        assert again["process"].tolist() == table["process"].tolist()
    assert len(chosen) > 2


def test_sites_that_are_always_shown_are_preferred(section):
    middle = changing(section).places["x_nm"].mean()
    left = changing(section, process("vacancy", sites=2), process("adatom"), seed=5,
                    seen=lambda xy: np.where(xy[:, 0] < middle, 1.0, 0.5))  # fmt: skip
    own = left.columns_of([0] * 3)
    assert (own.loc[own["process"] != "", "x_nm"] < middle).all()


def test_a_disordered_layer_moves_alone_by_the_stated_amount(section):
    disorder = process("disorder", disorder_nm=0.04, configurations=3, on_frames=4, off_frames=2)
    particle = changing(section, process("adatom"), disorder, frames=200)
    states = particle.states(200)[:, 1]
    assert set(states) == {0, 1, 2, 3}
    # Drawn anew: configurations follow each other within one disordered time, too.
    both = (states[1:] > 0) & (states[:-1] > 0)
    assert np.mean(states[1:][both] != states[:-1][both]) == pytest.approx(2 / 3, abs=0.15)
    order = particle.structure_of([1, 0])
    layer = (order.arrays["missing"] > 0) & (order.arrays["column"] > 0)
    layer |= np.isin(order.arrays["column"], particle.processes[1].columns)
    moves = [particle.structure_of([1, k]).positions - order.positions for k in (1, 2, 3)]
    inside = np.concatenate([m[~layer] for m in moves])
    assert not inside.any()
    drawn = np.concatenate([m[layer] for m in moves]).ravel() / 10
    assert drawn.std() == pytest.approx(0.04, rel=4 / np.sqrt(2 * drawn.size))
    assert abs(drawn.mean()) < 4 * 0.04 / np.sqrt(drawn.size)
    assert np.abs(moves[0] - moves[1]).max() > 0.1
    np.testing.assert_array_equal(particle.structure_of([1, 2]).positions - order.positions,
                                  moves[1])  # fmt: skip
    table = particle.columns_of([0, 2])
    layered = table["column"].isin(particle.processes[1].columns)
    assert (table.loc[layered & (table["n_atoms"] > 0), "state"] == "disordered").all()
    assert set(table.loc[~layered, "state"]) == {"present"}
    assert set(table.loc[table["process"] == "adatom1", "state"]) == {"absent"}
    assert set(table.loc[layered, "process"]) == {"adatom1", "disorder"}
    assert set(table.loc[table["is_surface"], "column"]) <= set(particle.processes[1].columns)


@pytest.mark.parametrize("amount", [0.02, -0.01])
def test_facets_are_displaced_along_their_normals(section, amount):
    still, moved = (
        ChangingParticle(section, "PtNp1f", 16, SEED, surface_displacement_nm=d).columns_of(())
        for d in (0.0, amount)
    )
    gap = (moved[["x_nm", "y_nm"]] - still[["x_nm", "y_nm"]]).to_numpy() * [1, -1]
    surface = still["is_surface"].to_numpy()
    assert not gap[~surface].any()
    lowest = (still["y_nm"] > still["y_nm"].max() - 0.05).to_numpy()
    np.testing.assert_allclose(np.linalg.norm(gap[surface], axis=1), abs(amount), atol=1e-9)
    assert np.all(gap[surface & lowest, 1] == 0)
    normals = np.array([TOP, RIGHT_111, LEFT_100])[:, :2]
    facets = surface & (still["site"] == "facet").to_numpy() & ~lowest
    points = still[["x_nm", "y_nm"]].to_numpy() * [1, -1]
    checked = 0
    for normal in normals:
        height = points @ normal
        own = facets & (height > height[surface & ~lowest].max() - 0.01)
        np.testing.assert_allclose(gap[own], np.tile(amount * normal, (own.sum(), 1)), atol=1e-6)
        checked += own.sum()
    assert checked >= 6
    middle = points[surface & ~lowest].mean(axis=0) - [0, 0.5]
    outwards = np.sum((points - middle) * gap, axis=1)[surface & ~lowest]
    assert np.all(np.sign(outwards) == np.sign(amount))


def test_positions_follow_the_tilt_as_the_library_says(section, model):
    tilted = ChangingParticle(section, "PtNp1c", 16, SEED, tilt_deg=(2.0, -1.0)).columns_of(())
    name = model("PtNp1c", tilt=(2.0, -1.0))
    expected = true_columns(build_structure(section, name, SEED), name)
    expected = expected[expected["is_particle"]].sort_values("column")
    assert tilted["column"].tolist() == expected["column"].tolist()
    np.testing.assert_allclose(tilted[["x_nm", "y_nm"]], expected[["x_nm", "y_nm"]], atol=1e-9)


def test_impossible_wishes_are_refused(section):
    with pytest.raises(UserError, match=r"structures\.base_shapes has no PtNp1z; it has PtNp1a"):
        changing(section, shape="PtNp1z")
    nowhere = {"seen": lambda xy: np.zeros(len(xy))}
    for kind, said in (("corner", "column where two facets meet"), ("step", "facet of 4 columns")):
        with pytest.raises(UserError, match=rf"PtNp1f shows no {said} in the filmed square for "):
            changing(section, process(kind), **nowhere)
    with pytest.raises(UserError, match=r"PtNp2b has no room in the filmed square for 12 proc"):
        changing(section, process("vacancy", sites=12), shape="PtNp2b")
    assert changing(section, process("disorder"), **nowhere).processes[0].kind == "disorder"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"frames": 5, "processes": [{"kind": "adatom", "schedule": [[2, 5]]}]},
         r"has \[2, 5\], but the movie has the frames 0 to 4"),
        ({"processes": [{"kind": "adatom", "schedule": [[3, 2]]}]}, r"has \[3, 2\]"),
        ({"processes": [{"kind": "disorder", "sites": 2}]}, "one process of it with one site"),
        ({"processes": [{"kind": "disorder"}] * 2}, "one process of it with one site"),
        ({"processes": [{"kind": "adatom", "on_frames": 0.5}]}, r"processes\.0\.on_frames"),
        ({"tilt_deg": [7, 0]}, "the largest that works is 6"),
        ({"frame": 5}, "did you mean 'frames'"),
    ],
)  # fmt: skip
def test_impossible_specifications_are_refused_in_words(values, said):
    with pytest.raises(UserError, match=said):
        movie_spec(values)
