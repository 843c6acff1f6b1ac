"""No base shape is in two splits, whatever else the library holds."""

import numpy as np
import pandas as pd
import pytest

from lowdose.data.splits import split_images, split_shapes, twins
from lowdose.runtime import UserError
from lowdose.structures.plan import plan, rows


@pytest.fixture(scope="module")
def models(library) -> pd.DataFrame:
    return pd.DataFrame(rows(plan(library)))


def test_sizes_and_balance(models):
    split = pd.Series(split_shapes(models, 8, 4, seed=1))
    assert split.value_counts().to_dict() == {"test": 8, "validation": 4, "train": 17}
    assert set(split.index) == set(models["base_shape"])
    family = split.index.str[:5]
    # Eight test and four validation shapes over four families: two and one of each.
    assert split[split == "test"].groupby(family[split == "test"]).size().tolist() == [2] * 4
    chosen = split[split == "validation"]
    assert chosen.groupby(chosen.index.str[:5]).size().tolist() == [1] * 4


def test_no_base_shape_is_in_two_splits(models):
    split = models.assign(split=models["base_shape"].map(split_shapes(models, 8, 4, seed=1)))
    assert split["split"].notna().all()
    assert (split.groupby("base_shape")["split"].nunique() == 1).all()
    # Nor is any structure, thickness or tilt of it.
    assert (split.groupby("structure_id")["split"].nunique() == 1).all()


def test_split_depends_on_the_seed_and_not_on_the_order_of_the_models(models):
    first = split_shapes(models, 8, 4, seed=1)
    assert split_shapes(models.sample(frac=1, random_state=3), 8, 4, seed=1) == first
    assert any(split_shapes(models, 8, 4, seed=s) != first for s in range(2, 5))


def test_shapes_of_a_family_keep_their_order_when_families_are_added(models):
    def order(table):
        """Test shapes of PtNp1 in the order in which they are taken."""
        taken = []
        for count in range(1, 4 * table["family"].nunique() + 1):
            split = split_shapes(table, count, 1, seed=1)
            now = {k for k, v in split.items() if v == "test" and k.startswith("PtNp1")}
            taken += sorted(now - set(taken))
        return taken

    alone = order(models[models["family"].isin(["PtNp1", "PtNp3"])])
    assert alone[:4] == order(models)[:4]
    # The same share of a family: the same shapes, whatever the other families are.
    two = split_shapes(models[models["family"].isin(["PtNp1", "PtNp3"])], 4, 2, seed=1)
    four = split_shapes(models, 8, 4, seed=1)
    for shape, split in two.items():
        assert four[shape] == split


def test_too_few_shapes(models):
    few = models[models["family"] == "PtNp1"]
    with pytest.raises(UserError, match=r"7 base shapes cannot give 5 to the test and 2"):
        split_shapes(few, 5, 2, seed=1)


def test_images_at_random_as_in_the_paper():
    split = pd.Series(split_images(17955, seed=1))
    assert split.value_counts().to_dict() == {"train": 16159, "validation": 898, "test": 898}
    assert (split == split_images(17955, seed=1)).all()
    assert (split != split_images(17955, seed=2)).any()
    # Spread over the whole list: each tenth of it has its share, within four sigmas.
    test = (split == "test").to_numpy()[:17950].reshape(10, -1).sum(axis=1)
    assert abs(test - 89.8).max() < 4 * 9.3


def particle(model, places, shift=(0.0, 0.0), mirror=1, atoms=3):
    x, y = np.array(places, dtype=float).T * 0.24
    return pd.DataFrame({
        "model_id": model, "is_particle": True, "x_nm": mirror * x + shift[0],
        "y_nm": y + shift[1], "n_atoms": atoms,
    })  # fmt: skip


def test_shapes_that_look_the_same_are_found():
    """A step to the left: elsewhere, mirrored, thicker; and one column more, or moved."""
    step = [(0, 2), (1, 2), (2, 2), (0, 1), (1, 1), (0, 0)]
    other = {"c": step, "e": [*step, (1, 0)], "f": [*step[:-1], (2, 1)]}
    columns = pd.concat([
        particle("a", step), particle("b", step, (1.3, -0.2), mirror=-1, atoms=7),
        *(particle(name, places, (0.1, 0.4)) for name, places in other.items()),
        particle("a-tilted", step, (0.2, 0.0)),
        particle("c", [(9, 9)]).assign(is_particle=False),
    ])  # fmt: skip
    shapes = pd.DataFrame({
        "model_id": ["a-tilted", "a", "b", "c", "e", "f", "b-vacant"],
        "base_shape": list("aabcefb"), "defect": ["D0"] * 6 + ["D1"],
        "tilt_x_deg": [2, 0, 0, 0, 0, 0, 0], "tilt_y_deg": 0,
    })  # fmt: skip
    assert twins(columns, shapes) == [{"a", "b", "c"}]
    assert twins(columns[columns["model_id"] != "b"], shapes) == [{"a", "c"}]
    assert twins(columns[columns["model_id"].isin(["a", "e", "f"])], shapes) == []
