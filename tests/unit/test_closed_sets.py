"""Patterns match the names of a closed set, all of them and nothing else."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.io import regex_from_filepattern

from lowdose import config
from lowdose.closed_sets import NOTHING, pattern, wildcards
from lowdose.stages import Study

PRODUCT = [
    f"net{n}.set{t}.seed{k}" for n, t, k in itertools.product(range(12), range(4), (0, 1, 10))
]
SETS = [
    ["gaussian"],
    ["shard000", "shard001"],
    PRODUCT,
    # Not a product; a name that is the head of others; names that begin like others.
    [*PRODUCT[:-1], "net0", "net0.set0", "raw", "raw-2", "wide+.white.seed0", "a|b"],
]


@pytest.mark.parametrize("names", SETS)
def test_names_are_found_and_their_neighbours_are_not(names):
    expression = re.compile(f"(?P<denoiser>{pattern(names)})/frames$")
    assert expression.groups == 1
    for name in names:
        assert expression.match(f"{name}/frames")["denoiser"] == name
    pieces = {piece for name in names for piece in name.split(".")}
    near = {name.replace(".", "x", 1) for name in names} | {name + "0" for name in names}
    near |= {name[:-1] for name in names} | {f".{name}" for name in names} | {"", ".", *pieces}
    near |= {".".join(words) for words in itertools.product(sorted(pieces), repeat=2)}
    for name in near - set(names):
        assert not expression.match(f"{name}/frames"), name


NAMES = st.lists(
    st.lists(st.sampled_from(["a", "b", "ab", "b-1", "*"]), min_size=1, max_size=3).map(".".join),
    max_size=9,
)


@given(names=NAMES, others=NAMES)
@settings(max_examples=100, deadline=None)
def test_a_pattern_is_its_set(names, others):
    found = {one for one in {*names, *others} if re.fullmatch(pattern(names), one)}
    assert found == set(names)


def test_no_name_is_nothing():
    assert pattern([]) == NOTHING and not re.search(NOTHING, "none")


def test_what_is_left_of_a_sweep_are_its_factors():
    large = [f"net{n}.set{t}.seed{k}" for n in range(100) for t in range(10) for k in range(10)]
    assert len("|".join(large)) > 150_000 > 1_500 > len(pattern(large))


@pytest.mark.parametrize("name", ["config", "tiny", "study", "paper", "movies"])
def test_the_wildcards_of_a_study_are_its_names_and_their_neighbours_are_not(name):
    """In the very expressions that Snakemake makes of the outputs of rules."""
    study = Study(config.load([config.default_files()[0].with_name(f"{name}.yaml")]))
    patterns = wildcards(study)
    sets = {
        "shard": study.shards,
        "network": study.config.networks,
        "training_set": study.config.training_sets,
        "denoiser": [*study.config.baselines, *study.networks()],
        "film": study.films(),
    }
    for wildcard, names in sets.items():
        file = regex_from_filepattern(f"results/{{{wildcard},{patterns[wildcard]}}}/file.h5")
        near = {text for one in names for text in (one[:-1], one[1:], f"{one}0", f"{one}.{one}")}
        near |= {one.replace(".", "-", 1) for one in names if "." in one} | {"", "none"}
        for text in near | set(names):
            match = re.match(file, f"results/{text}/file.h5")
            assert bool(match) == (text in set(names)), (wildcard, text)
            assert match is None or match[wildcard] == text
