"""Calibration without truth finds what tuning with truth finds."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.denoisers import registry
from lowdose.denoisers.calibration import calibrate
from lowdose.denoisers.tuning import tune
from lowdose.runtime import UserError

PIXEL_NM = 0.0061
DOSE_E_PER_A2 = 0.45 / (10 * PIXEL_NM) ** 2


@pytest.fixture(scope="module")
def frames(particle):
    clean = np.stack([particle(320)] * 2)
    return clean, np.random.default_rng(0).poisson(clean).astype(np.float32)


def test_the_width_of_a_low_pass_is_found_without_the_truth(frames):
    clean, counts = frames
    kind = registry.kind("gaussian")
    true, _ = tune(kind, clean, counts, PIXEL_NM, DOSE_E_PER_A2, trials=20,
                   rng=np.random.default_rng(1))  # fmt: skip
    found, table = calibrate(kind, counts, PIXEL_NM, trials=20, rng=np.random.default_rng(1))
    assert found["sigma_nm"] == pytest.approx(true["sigma_nm"], rel=0.25)
    # The loss is that of the estimate plus the variance of the counts that were hidden.
    assert table["loss"].min() == pytest.approx(counts.mean(), rel=0.05)
    assert list(table.columns) == ["trial", "stage", "binning", "sigma_nm", "loss"]


def test_the_loss_orders_methods_as_the_truth_does(frames):
    clean = np.repeat(frames[0], 10, axis=0)
    counts = np.random.default_rng(2).poisson(clean).astype(np.float32)
    losses, errors = [], []
    for sigma in (0.01, 0.03, 0.2):
        fixed = {"sigma_nm": sigma}
        _, table = calibrate(registry.kind("gaussian"), counts, PIXEL_NM, trials=1,
                             rng=np.random.default_rng(1), fixed=fixed)  # fmt: skip
        losses.append(table["loss"][0])
        estimate = registry.create("gaussian", **fixed).denoise(counts, PIXEL_NM)
        errors.append(np.mean((estimate - clean) ** 2))
    assert np.argsort(losses).tolist() == np.argsort(errors).tolist()
    # Differences are those of the errors: the noise of the hidden counts is common to all.
    # 2 sqrt(0.45) times the rms difference of two estimates, over the root of 128,000 pixels.
    assert losses[2] - losses[1] == pytest.approx(errors[2] - errors[1], abs=3e-4)
    assert errors[2] - errors[1] > 6e-4


def test_what_is_no_stack_is_refused():
    with pytest.raises(UserError, match="2 dimensions"):
        calibrate(registry.kind("gaussian"), np.zeros((5, 5)), PIXEL_NM, trials=1,
                  rng=np.random.default_rng(0))  # fmt: skip
