"""What a network does to a pixel: its equivalent filter, the gradient of the output."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn


class EquivalentFilter(NamedTuple):
    """Row of the Jacobian of one output pixel.

    ``f(y) = <filter, y> + remainder`` holds exactly at the input y (Mohan et al. 2020): the
    linear part is what the counts say, the remainder what the network adds.
    """

    filter: np.ndarray
    row: int
    column: int
    output: float
    linear_part: float
    remainder: float


def equivalent_filter(
    network: nn.Module, relative: np.ndarray, row: int, column: int, reach: int
) -> EquivalentFilter:
    """Compute the gradient of one output pixel with respect to all input pixels.

    Parameters
    ----------
    network : torch.nn.Module
        Maps relative counts to the relative expectation.
    relative : array (y, x)
        Counts over dose.
    row, column : int
        Output pixel.
    reach : int
        Pixels on each side that are kept, at most to the image's edge.

    Returns
    -------
    EquivalentFilter
        ``row`` and ``column`` are the pixel's place in the cut-out.
    """
    stride = network.stride
    # The network wants whole strides; the image is cut, so that no invented pixel takes part.
    height, width = (n // stride * stride for n in relative.shape)
    if not (row < height and column < width):
        raise ValueError(f"pixel ({row}, {column}) is in the cut-off rim of the image")
    image = torch.from_numpy(np.ascontiguousarray(relative[:height, :width], dtype=np.float32))
    image = image[None, None].requires_grad_(True)
    output = network(image)[0, 0, row, column]
    (gradient,) = torch.autograd.grad(output, image)
    linear = float((gradient.double() * image.detach().double()).sum())
    top, left = max(0, row - reach), max(0, column - reach)
    window = gradient[0, 0, top : row + reach + 1, left : column + reach + 1].numpy()
    value = float(output.detach())
    return EquivalentFilter(window, row - top, column - left, value, linear, value - linear)


def places(columns: pd.DataFrame, interface_y_nm: float) -> dict[str, tuple[float, float]]:
    """Choose a surface column, a bulk column and a vacuum point of a frame: x and y [nm].

    The surface column is that of the upper facet nearest to its middle, the bulk column the
    one with the most atoms, the vacuum point lies half way from the particle's top to the
    upper edge.
    """
    metal = columns[columns["is_particle"] & (columns["n_atoms"] > 0)]
    facet = metal[metal["site"] == "facet"]
    top = facet[facet["y_nm"] < facet["y_nm"].min() + 0.1]
    middle = metal["x_nm"].mean()
    surface = top.loc[(top["x_nm"] - middle).abs().idxmin()]
    bulk = metal[metal["site"] == "bulk"].sort_values(
        ["n_atoms", "x_nm"], ascending=[False, True]
    )  # fmt: skip
    return {
        "surface": (float(surface["x_nm"]), float(surface["y_nm"])),
        "bulk": (float(bulk["x_nm"].iloc[0]), float(bulk["y_nm"].iloc[0])),
        "vacuum": (float(middle), float(metal["y_nm"].min() / 2)),
    }
