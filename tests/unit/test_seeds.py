"""Random numbers follow from names."""

import hashlib
import struct

import numpy as np
import pytest

from lowdose import seeds


def draw(*keys, root=3):
    return seeds.rng(root, *keys).random(4)


def test_the_same_name_gives_the_same_numbers():
    assert np.array_equal(draw("frames", "PtNp1a", 3), draw("frames", "PtNp1a", 3))


@pytest.mark.parametrize(
    "other",
    [
        ("frames", "PtNp1a", 4),
        ("frames", "PtNp1b", 3),
        ("frames", "PtNp1a", "3"),
        ("frames", 3, "PtNp1a"),
        ("frames", "PtNp1a"),
        ("framesPtNp1a", 3),
    ],
    ids=str,
)
def test_another_name_gives_others(other):
    assert not np.array_equal(draw("frames", "PtNp1a", 3), draw(*other))


def test_another_root_gives_others():
    assert not np.array_equal(draw("a"), draw("a", root=4))


def test_known_numbers():
    # A change of the derivation would change every result of every study.
    words = hashlib.sha256(b"str:frames").digest()[:8] + hashlib.sha256(b"int:0").digest()[:8]
    key = struct.unpack("<4I", words)
    assert seeds.sequence(20210127, "frames", 0).spawn_key == key
    drawn = seeds.rng(20210127, "frames", 0).integers(10**6, size=3)
    assert drawn.tolist() == [403912, 807505, 546]


def test_children_are_uncorrelated():
    table = np.stack([seeds.rng(0, "item", i).standard_normal(2000) for i in range(20)])
    correlation = np.corrcoef(table) - np.eye(20)
    assert np.abs(correlation).max() < 5 / np.sqrt(2000)


def test_torch_seeds_fit_into_63_bits():
    values = {seeds.torch_seed(0, "weights", i) for i in range(200)}
    assert len(values) == 200
    assert min(values) >= 0
    assert 2**58 < max(values) < 2**63
