"""Every classical method on sums of pixels is the method on a coarser camera."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.denoisers import registry
from lowdose.denoisers.classical.binned import BinnedDenoiser
from lowdose.denoisers.classical.binning import bin_padded, spread

PIXEL_NM = 0.0061
CLASSICAL = [
    name
    for name in registry.names()
    if name not in registry.shipped() and issubclass(registry.kind(name), BinnedDenoiser)
]
# Those that work on single pixels, too, so that there is a second route.
BOTH = [
    name
    for name in CLASSICAL
    if name not in registry.OPTIONAL and 1 in registry.info(name).parameters["binning"].choices
]


def test_every_classical_method_sums_two_and_four_pixels():
    others = {"raw", "constant", "bm3d-iterative", "gain-tuning", "udvd", *registry.shipped()}
    assert set(CLASSICAL) == set(registry.names()) - others
    slow = {"blind-spot", "blind-spot-stopped"}  # trained on each frame anew
    for name in {*CLASSICAL, "bm3d-iterative"} - slow:
        assert {2, 4} <= set(registry.info(name).parameters["binning"].choices)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("name", BOTH)
def test_sums_are_a_coarser_camera(name, factor, particle):
    counts = np.random.default_rng(1).poisson(particle(160)).astype(np.float32)
    binned = registry.create(name, binning=factor).denoise(counts[None], PIXEL_NM)[0]
    sums = bin_padded(counts, factor).astype(np.float32)
    coarse = registry.create(name, binning=1).denoise(sums[None], factor * PIXEL_NM)[0]
    expected = np.clip(spread(coarse.astype(float), factor, counts.shape), 0, None)
    np.testing.assert_allclose(binned, expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", BOTH)
def test_sums_cost_little_of_what_is_seen(name, particle):
    """At 6 pm a pixel the image is oversampled: sums of 2 x 2 lose at most a tenth of a decibel."""
    clean = particle(240)
    counts = np.random.default_rng(2).poisson(clean).astype(np.float32)
    error = [
        np.mean((registry.create(name, binning=b).denoise(counts[None], PIXEL_NM)[0] - clean) ** 2)
        for b in (1, 2)
    ]
    assert error[1] < 1.1 * error[0]
