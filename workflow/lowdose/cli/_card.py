"""What the card of a trained network says beside its names: its images and what it looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from lowdose.denoisers.networks.receptive_field import effective
from lowdose.sampling import dose_e_per_a2

FRAME_PX = 512  # of each image's middle: wider than the effective field of any network of ours


def operating_range(camera: Mapping, training_set: Mapping) -> dict[str, object]:
    """Return the ranges of images that a training set shows a network.

    Parameters
    ----------
    camera : mapping
        Section ``camera`` of the configuration.
    training_set : mapping
        One entry of ``training_sets``.

    Returns
    -------
    dict
        ``own_pixel_size_nm``, to which other images are resampled; ``pixel_size_nm``,
        ``dose_e_per_a2``, ``c1_nm`` and ``contrast_factor`` as [smallest, largest]; the
        ``contrast`` class.
    """
    native, jitter = camera["pixel_size_nm"], training_set["scale_jitter"]
    pixels = [native * (1 - jitter), native * (1 + jitter), *(training_set["pixel_size_nm"] or ())]
    if training_set["contrast_factor"] is None:
        nominal, jitter = camera["contrast_factor"], training_set["contrast_factor_jitter"]
        factors = [nominal * (1 - jitter), nominal * (1 + jitter)]
    else:
        factors = training_set["contrast_factor"]
    low, high = training_set["c1_nm"]
    spread = training_set["c1_jitter_nm"]
    return {
        "own_pixel_size_nm": training_set["own_pixel_size_nm"] or native,
        "pixel_size_nm": [round(min(pixels), 6), round(max(pixels), 6)],
        "dose_e_per_a2": [
            round(dose_e_per_a2(d, native), 3) for d in training_set["dose_e_per_px"]
        ],
        "contrast": training_set["contrast"],
        "contrast_factor": [round(f, 6) for f in factors],
        "c1_nm": [round(low - spread, 6), round(high + spread, 6)],
    }


def effective_field(
    network: torch.nn.Module, images: Sequence[torch.Tensor], rng: np.random.Generator
) -> float | None:
    """Return the side of the square that holds 90 % of the squared gradient [pixels].

    Measured at 32 pixels in the middle of at most 4 images, since each takes a backward pass.

    Parameters
    ----------
    network : torch.nn.Module
    images : sequence of tensor (1, 1, y, x)
        Relative noisy counts, of one size.
    rng : numpy.random.Generator
        Draws the pixels.

    Returns
    -------
    float or None
        To 0.1 px; None if the images are smaller than the network's stride.
    """
    stride = network.stride
    stack = torch.cat(list(images[:4]))
    for axis in (-2, -1):
        length = stack.shape[axis]
        part = min(length, FRAME_PX) // stride * stride
        if part == 0:
            return None
        stack = stack.narrow(axis, (length - part) // 2, part)
    return round(effective(network, stack, pixels=32, rng=rng), 1)
