"""A network's answer to a small noisy image, by which it is known again."""

from __future__ import annotations

import base64
import binascii
import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from lowdose.denoisers.tiles import apply
from lowdose.sampling import REFERENCE_DOSE_E_PER_PX

# Not square, so that exchanged axes show; 40 px are one period of the columns at 6.1 pm.
SHAPE, PERIOD_PX = (40, 56), 40


def vector_of(network: nn.Module) -> dict[str, Any]:
    """Return a Poisson frame and what the network makes of it in float32 on the processor.

    Returns
    -------
    dict
        ``shape`` (y, x), ``dose_e_per_px`` in vacuum, ``counts`` (base64 of uint8) and
        ``expected`` (base64 of little-endian float32, vacuum = 1).
    """
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    columns = np.cos(2 * np.pi * y / PERIOD_PX) * np.cos(2 * np.pi * x / PERIOD_PX)
    clean = REFERENCE_DOSE_E_PER_PX * (1 + 0.4 * columns)
    counts = np.random.default_rng(0).poisson(clean).astype(np.uint8)
    expected = _answer(network, counts, REFERENCE_DOSE_E_PER_PX)
    return {
        "shape": list(SHAPE),
        "dose_e_per_px": REFERENCE_DOSE_E_PER_PX,
        "counts": base64.b64encode(counts.tobytes()).decode("ascii"),
        "expected": base64.b64encode(expected.astype("<f4").tobytes()).decode("ascii"),
    }


def deviation(network: nn.Module, vector: Mapping[str, Any]) -> float:
    """Return the largest difference to the expected answer, as a share of the vacuum.

    Raises
    ------
    ValueError
        If `vector` is not what `vector_of` returns.
    """
    try:
        shape = tuple(vector["shape"])
        counts, expected = (
            np.frombuffer(base64.b64decode(vector[key], validate=True), dtype).reshape(shape)
            for key, dtype in (("counts", np.uint8), ("expected", "<f4"))
        )
        dose = float(vector["dose_e_per_px"])
    except (KeyError, TypeError, binascii.Error) as error:
        raise ValueError(f"no test vector: {error}") from None
    if len(shape) != 2:
        raise ValueError("no test vector: a frame has two sides")
    if not (dose > 0 and counts.size):
        raise ValueError("no test vector: neither dose nor frame may be empty")
    difference = np.abs(_answer(network, counts, dose) - expected).max()
    return float(difference) if np.isfinite(difference) else np.inf


def _answer(network: nn.Module, counts: np.ndarray, dose_e_per_px: float) -> np.ndarray:
    relative = torch.from_numpy(counts.astype(np.float32) / np.float32(dose_e_per_px))
    # A copy: the caller's network stays on its device, in its mode.
    return apply(copy.deepcopy(network).float().cpu().eval(), relative[None, None])[0, 0].numpy()
