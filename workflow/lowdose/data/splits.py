"""Which base shapes (or, for comparison with the paper, which images) are in which split."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lowdose import seeds
from lowdose.runtime import UserError

PAPER_SHARES = {"validation": 0.05, "test": 0.05}


def split_shapes(
    shapes: pd.DataFrame, test_shapes: int, validation_shapes: int, seed: int
) -> dict[str, str]:
    """Assign every base shape, with all that is made of it, to one split.

    Were a shape's defects, thicknesses, tilts or defoci spread over the splits, the network
    could memorise the very column that is at stake.  Within each family the order is drawn
    from the seed; test and then validation take one shape from each family in turn.

    Parameters
    ----------
    shapes : DataFrame
        ``base_shape`` and ``family``; repetitions are ignored.
    test_shapes, validation_shapes : int
        Base shapes in either.
    seed : int
        Root seed.

    Returns
    -------
    dict of str to str
        Base shape -> "train", "validation" or "test".
    """
    order: dict[str, list[str]] = {}
    for family, group in shapes.groupby("family"):
        names = sorted(group["base_shape"].unique())
        order[family] = list(seeds.rng(seed, "split", family).permutation(names))
    turns = max(len(names) for names in order.values())
    queue = [names[i] for i in range(turns) for names in order.values() if i < len(names)]
    if len(queue) <= test_shapes + validation_shapes:
        raise UserError(
            f"{len(queue)} base shapes cannot give {test_shapes} to the test and "
            f"{validation_shapes} to the validation set and leave some for training; add to "
            "structures.base_shapes or lower frames.test_shapes."
        )
    names = ["test"] * test_shapes + ["validation"] * validation_shapes
    return {str(shape): split for shape, split in zip(queue, names, strict=False)} | {
        str(shape): "train" for shape in queue[len(names) :]
    }


def twins(columns: pd.DataFrame, shapes: pd.DataFrame) -> list[set[str]]:
    """Return the groups of base shapes whose perfect particles look the same.

    Families meet: small truncated octahedra of two of them may have their columns at the same
    places and differ along the beam alone.  Such a pair over two splits would let a network
    remember the outline, and with it the column at stake.

    Parameters
    ----------
    columns : DataFrame
        ``columns.parquet``.
    shapes : DataFrame
        ``model_id, base_shape, defect, tilt_x_deg, tilt_y_deg``; repetitions are ignored.

    Returns
    -------
    list of set of str
        Groups of two and more.
    """
    perfect = shapes[shapes["defect"] == "D0"]
    # Tilted columns are displaced by their depth: compare what is tilted least.
    tilt = perfect["tilt_x_deg"].abs() + perfect["tilt_y_deg"].abs()
    perfect = perfect.assign(tilt=tilt).sort_values(["tilt", "model_id"])
    perfect = perfect.drop_duplicates("base_shape")
    of_model = dict(list(columns[columns["is_particle"]].groupby("model_id")))
    kept: list[tuple[np.ndarray, np.ndarray, set[str]]] = []
    for shape, model in zip(perfect["base_shape"], perfect["model_id"], strict=True):
        if model not in of_model:
            continue
        forms = [_outline(of_model[model], mirror) for mirror in (1, -1)]
        for one, other, group in kept:
            if any(_same(forms[0], form) for form in (one, other)):
                group.add(str(shape))
                break
        else:
            kept.append((*forms, {str(shape)}))
    return [group for *_, group in kept if len(group) > 1]


def _outline(table: pd.DataFrame, mirror: int) -> np.ndarray:
    """Return x, y [nm] of the columns from their middle and the lowest layer, sorted."""
    x, y = mirror * table["x_nm"].to_numpy(), table["y_nm"].to_numpy()
    rows = np.column_stack([x - x.mean(), y - y.max()])
    return rows[np.lexsort((np.round(rows[:, 0], 2), np.round(rows[:, 1] / 0.05)))]


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Say whether two particles have their columns at the same places (0.01 nm)."""
    return one.shape == other.shape and bool(np.abs(one - other).max() < 0.01)


def split_images(count: int, seed: int) -> np.ndarray:
    """Assign images to splits at random, 90 : 5 : 5, as the paper did.

    Siblings of a training image (another defocus or tilt of the same atoms) are then in the
    test set: numbers on this split are for comparison with the paper alone.
    """
    order = seeds.rng(seed, "split", "paper").permutation(count)
    result = np.full(count, "train", dtype=object)
    first = 0
    for name, share in PAPER_SHARES.items():
        last = first + max(1, round(share * count))
        result[order[first:last]] = name
        first = last
    return result
