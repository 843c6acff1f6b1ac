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
