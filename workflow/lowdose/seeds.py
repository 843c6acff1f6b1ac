"""Random numbers: one root seed, children by name."""

from __future__ import annotations

import hashlib

import numpy as np


def sequence(root: int, *keys: str | int) -> np.random.SeedSequence:
    """Return the seed sequence of a named child of the root seed.

    Names, not positions, identify a child: adding a model or a dose leaves the random numbers
    of all others as they were.

    Parameters
    ----------
    root : int
        The study's root seed.
    *keys : str or int
        Stage and item, e.g. ``("frames", "PtNp1-a-D0", "dose 0.45", 3)``.
    """
    words = []
    for key in keys:
        hashed = hashlib.sha256(f"{type(key).__name__}:{key}".encode()).digest()
        words += [int.from_bytes(hashed[i : i + 4], "little") for i in (0, 4)]
    return np.random.SeedSequence(entropy=root, spawn_key=tuple(words))


def rng(root: int, *keys: str | int) -> np.random.Generator:
    """Return a NumPy generator for a named child of the root seed (see :func:`sequence`)."""
    return np.random.Generator(np.random.PCG64(sequence(root, *keys)))


def torch_seed(root: int, *keys: str | int) -> int:
    """Return a 63-bit seed for ``torch.Generator.manual_seed`` (see :func:`sequence`)."""
    return int(sequence(root, *keys).generate_state(1, np.uint64)[0] >> np.uint64(1))
