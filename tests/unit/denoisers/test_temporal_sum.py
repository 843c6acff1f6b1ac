"""The running mean along time, by hand."""

import numpy as np
import pytest

from lowdose.denoisers import registry


def test_a_frame_is_the_mean_of_those_that_there_are():
    counts = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((1, 4, 6), dtype=np.float32)
    estimate = registry.create("temporal-sum", frames=3).denoise(counts, 0.0061)
    np.testing.assert_allclose(estimate[:, 0, 0], [0.5, 1, 2, 3, 3.5], rtol=1e-5)
    once = registry.create("temporal-sum", frames=1).denoise(counts, 0.0061)
    np.testing.assert_allclose(once, counts, rtol=1e-5)


def test_noise_falls_with_the_root_of_the_frames():
    counts = np.random.default_rng(2).poisson(0.45, (40, 64, 64)).astype(np.float32)
    alone, together = (
        registry.create("temporal-sum", frames=n, sigma_nm=0.005).denoise(counts, 0.0061)[20].std()
        for n in (1, 25)
    )
    assert together == pytest.approx(alone / 5, rel=0.05)
