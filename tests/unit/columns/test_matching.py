"""Matching and scores against known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowdose.columns.matching import match, scores
from lowdose.runtime import UserError


def ring(n):
    """Return n columns 0.24 nm apart on a line."""
    return np.stack([0.24 * np.arange(n), np.zeros(n)], axis=1)


@pytest.mark.parametrize(
    ("n_true", "n_found", "n_matched", "f1", "jaccard"),
    [
        (15, 14, 14, 28 / 29, 14 / 15),
        (15, 16, 15, 30 / 31, 15 / 16),
        (15, 15, 14, 14 / 15, 14 / 16),
    ],
)
def test_one_wrong_column_of_fifteen(n_true, n_found, n_matched, f1, jaccard):
    true = ring(15)
    found = true[15 - n_matched :] + np.array([0.01, -0.02])
    found = np.concatenate([found, np.full((n_found - n_matched, 2), 3.0)])
    i, j, distance = match(true, found)
    assert len(i) == n_matched
    assert distance == pytest.approx(np.hypot(0.01, 0.02))
    assert np.array_equal(i, j + 15 - n_matched)
    got = scores(n_true, n_found, len(i))
    assert got["precision"] == pytest.approx(n_matched / n_found)
    assert got["recall"] == pytest.approx(n_matched / 15)
    assert got["f1"] == pytest.approx(f1)
    assert got["jaccard"] == pytest.approx(jaccard)


def test_greedy_matching_would_lose_a_pair():
    # The closest pair (1, 0) leaves true 0 and found 1 out of each other's reach.
    true, found = [[0.0, 0.0], [0.06, 0.0]], [[0.05, 0.0], [0.11, 0.0]]
    i, j, distance = match(true, found)
    assert (i.tolist(), j.tolist()) == ([0, 1], [0, 1])
    assert distance == pytest.approx([0.05, 0.05])


def test_most_pairs_first_then_least_distance():
    # Two pairs at the gate's edge beat one perfect pair; then the shorter total wins.
    true, found = [[0.0, 0.0], [0.07, 0.0]], [[0.07, 0.0], [0.14, 0.0]]
    assert len(match(true, found)[0]) == 2
    i, j, _ = match([[0.0, 0.0], [0.03, 0.0]], [[0.031, 0.0], [0.001, 0.0]])
    assert (i.tolist(), j.tolist()) == ([0, 1], [1, 0])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=7),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=7),
)
def test_against_exhaustive_search(true, found):
    true = np.reshape(true, (-1, 2)) * 0.0131
    found = np.reshape(found, (-1, 2)) * 0.0131
    i, j, distance = match(true, found)
    assert len(set(i)) == len(set(j)) == len(i)
    assert (distance <= 0.072).all()

    def best(k, free):
        if k == len(true):
            return (0, 0.0)
        options = [best(k + 1, free)]
        for f in free:
            d = np.linalg.norm(true[k] - found[f])
            if d <= 0.072:
                n, total = best(k + 1, free - {f})
                options.append((n - 1, total + d))
        return min(options, key=lambda o: (o[0], round(o[1], 9)))

    n, total = best(0, frozenset(range(len(found))))
    assert (-len(i), distance.sum()) == (n, pytest.approx(total, abs=1e-8))


def test_empty_sets():
    assert [len(part) for part in match(np.empty((0, 2)), ring(3))] == [0, 0, 0]
    assert [len(part) for part in match(ring(3), np.empty((0, 2)))] == [0, 0, 0]
    assert [len(part) for part in match(ring(3), ring(3) + 10)] == [0, 0, 0]
    assert set(scores(0, 0, 0).values()) == {1.0}
    nothing_found = scores(15, 0, 0)
    assert np.isnan(nothing_found.pop("precision"))
    assert nothing_found == {"recall": 0.0, "f1": 0.0, "jaccard": 0.0}
    nothing_true = scores(0, 4, 0)
    assert np.isnan(nothing_true.pop("recall"))
    assert nothing_true == {"precision": 0.0, "f1": 0.0, "jaccard": 0.0}


def test_impossible_input_is_told():
    with pytest.raises(UserError, match="gate"):
        match(ring(2), ring(2), 0.0)
    with pytest.raises(UserError, match="impossible"):
        scores(3, 2, 3)
