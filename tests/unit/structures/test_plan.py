"""The plan fills its quotas, keeps matched pairs together, and is cut into whole structures."""

from collections import Counter

import pytest

from lowdose.runtime import UserError
from lowdose.structures.plan import base_shapes, plan, rows, shards


def test_the_papers_design(library):
    models = plan(library)
    assert len(base_shapes(library)) == 29
    assert len({(m.base_shape, m.defect) for m in models}) == 101
    assert len(models) == len({m.model_id for m in models}) == 855
    assert Counter(m.layers for m in models) == {16: 122, 21: 128, 26: 478, 31: 127}
    assert len({m.structure_id for m in models}) == 404
    # Times 21 defocus values this is the paper's number of images.
    assert 21 * len(models) == 17955


def test_tilts_are_met_about_equally_often(library):
    counts = Counter((m.tilt_x_deg, m.tilt_y_deg) for m in plan(library))
    assert len(counts) == 9
    assert min(counts.values()) > 0.8 * 855 / 9
    assert max(counts.values()) < 1.2 * 855 / 9


def test_every_defect_has_its_perfect_partner(library):
    models = plan(library)
    seen = {(m.base_shape, m.layers, m.tilt_x_deg, m.tilt_y_deg, m.defect) for m in models}
    for m in models:
        assert (m.base_shape, m.layers, m.tilt_x_deg, m.tilt_y_deg, "D0") in seen


def test_whole_rounds_give_complete_matched_sets(library):
    # 101 shapes a round: two rounds, each shape with all its defects at two tilts.
    design = {**library, "thickness_quota": {16: 202}}
    sets: dict[tuple, set] = {}
    for m in plan(design):
        key = (m.base_shape, m.family, m.layers, m.tilt_x_deg, m.tilt_y_deg)
        sets.setdefault(key, set()).add(m.defect)
    assert len(sets) == 2 * 29
    for (_, family, *_), defects in sets.items():
        assert defects == set(library["defects"][family])


def test_plan_does_not_depend_on_the_order_of_the_keys(library):
    turned = {
        **library,
        "base_shapes": dict(reversed(library["base_shapes"].items())),
        "thickness_quota": {str(k): v for k, v in reversed(library["thickness_quota"].items())},
    }
    assert plan(turned) == plan(library)


def test_full_factorial_holds_every_combination_once(library):
    small = {
        **library,
        "base_shapes": {"PtNp1": 2, "PtNp4": 1},
        "thickness_quota": {16: (2 * 5 + 2) * 9},
    }
    models = plan(small)
    assert len({m.model_id for m in models}) == len(models) == 108
    with pytest.raises(UserError, match=r"asks for 109 models of 16 layers.* give 108"):
        plan({**small, "thickness_quota": {16: 109}})


@pytest.mark.parametrize("size", [1, 7, 32, 1000])
def test_shards_partition_the_plan_by_structure(library, size):
    pieces = shards(library, size)
    assert [m for piece in pieces for m in piece] == plan(library)
    home = {}
    for number, piece in enumerate(pieces):
        largest = max(Counter(m.structure_id for m in piece).values())
        assert len(piece) <= max(size, largest)
        for m in piece:
            assert home.setdefault(m.structure_id, number) == number


def test_rows_name_everything(library):
    first = rows(plan(library)[:1])[0]
    tilt = f"x{first['tilt_x_deg']:g}y{first['tilt_y_deg']:g}"
    assert first["structure_id"] == f"PtNp1a-D0-{first['layers']}L"
    assert first["model_id"] == f"{first['structure_id']}-{tilt}"


def test_blanks_follow_the_quota_over_thicknesses_and_tilts(library):
    with_blanks = {**library, "blanks": {"vacuum": 5, "support": 36}}
    models = plan(with_blanks)
    assert models[:855] == plan(library)
    blanks = models[855:]
    assert Counter(m.base_shape for m in blanks) == {"support": 36, "vacuum": 5}
    assert {(m.family, m.defect) for m in blanks} == {("support", "D0"), ("vacuum", "D0")}
    # 36 models of four thicknesses at nine tilts: every combination once.
    support = [(m.layers, m.tilt_x_deg, m.tilt_y_deg) for m in blanks if m.family == "support"]
    assert len(set(support)) == 36
    # Five: thicknesses in turn, and the tilt moves on with each.
    vacuum = {(m.layers, m.tilt_x_deg) for m in blanks if m.family == "vacuum"}
    assert vacuum == {(16, 0), (21, 1), (26, 2), (31, 3), (16, 1)}
    assert [m for piece in shards(with_blanks, 50) for m in piece] == models
    assert len(base_shapes(with_blanks)) == 29
    with pytest.raises(UserError, match=r"asks for 37 models of vacuum.*; 36 works"):
        plan({**library, "blanks": {"vacuum": 37}})
