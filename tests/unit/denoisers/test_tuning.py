"""Tuning finds the optimum of a known problem, with the stated number of trials."""

import json

import numpy as np
import pytest

from lowdose.denoisers import registry
from lowdose.denoisers.contract import Denoiser, DenoiserInfo, Parameter
from lowdose.denoisers.tuning import tune
from lowdose.runtime import UserError

PIXEL_NM = 0.0061
DOSE_E_PER_A2 = 0.45 / (10 * PIXEL_NM) ** 2


class Bowl(Denoiser):
    """Adds a ripple of known height: the best parameters are those that make it vanish."""

    info = DenoiserInfo(
        name="bowl",
        title="bowl",
        citation="none",
        licence="none",
        pixel_size_nm=(0.001, 1.0),
        dose_e_per_a2=(0.1, 1e6),
        parameters={
            "a": Parameter(0.1, 100.0, 90.0, "log", "", "best at 3"),
            "b": Parameter(-1.0, 1.0, 1.0, "linear", "", "best at 0.2"),
            "c": Parameter(0, 20, 19, "integer", "", "best at 5"),
            "d": Parameter(np.nan, np.nan, 1, "choice", "", "best at 4", (1, 2, 4, 8)),
        },
    )

    def _denoise_frame(self, counts, pixel_size_nm, vacuum):
        p = self.parameters
        error = abs(np.log10(p["a"] / 3)) + abs(p["b"] - 0.2)
        error += abs(p["c"] - 5) / 10 + abs(np.log2(p["d"] / 4))
        ripple = np.resize([1.0, -1.0], counts.size).reshape(counts.shape)
        return counts + (0.01 + 0.1 * error) * ripple


@pytest.fixture(scope="module")
def flat():
    return np.full((2, 8, 8), 0.45, np.float32)


@pytest.fixture(scope="module")
def frames(particle):
    clean = np.stack([particle(256)] * 2)
    return clean, np.random.default_rng(0).poisson(clean).astype(np.float32)


def test_finds_the_best_of_four_parameters_of_four_kinds(flat):
    rng = np.random.default_rng(0)
    best, table = tune(Bowl, flat, flat, PIXEL_NM, DOSE_E_PER_A2, trials=120, rng=rng)
    assert best["a"] == pytest.approx(3, rel=0.1)
    assert best["b"] == pytest.approx(0.2, abs=0.05)
    assert (best["c"], best["d"]) == (5, 4)
    assert len(table) <= 120
    assert not table.duplicated(["a", "b", "c", "d"]).any()
    top = table.loc[table.psnr_db.idxmax()]
    assert {name: top[name] for name in best} == best


def test_gaussian_optimum_is_that_of_a_fine_scan(frames):
    clean, counts = frames
    rng = np.random.default_rng(1)
    best, table = tune(
        registry.kind("gaussian"), clean, counts, PIXEL_NM, DOSE_E_PER_A2, trials=16, rng=rng
    )
    scan = []
    for sigma in np.linspace(0.03, 0.12, 46):
        estimate = registry.create("gaussian", sigma_nm=sigma).denoise(counts, PIXEL_NM)
        scan.append(np.mean(-10 * np.log10(np.mean((estimate - clean) ** 2, axis=(1, 2)))))
    assert len(table) == 16
    assert table.psnr_db.max() > max(scan) - 0.02
    assert 0.01 < best["sigma_nm"] < 0.3


def test_same_seed_same_table_and_json_safe(frames):
    clean, counts = frames
    runs = [
        tune(
            registry.kind("tv"),
            clean[:, :96, :96],
            counts[:, :96, :96],
            PIXEL_NM,
            DOSE_E_PER_A2,
            trials=7,
            rng=np.random.default_rng(5),
            fixed={"binning": 4},
        )
        for _ in range(2)
    ]
    assert runs[0][1].equals(runs[1][1])
    assert json.loads(json.dumps(runs[0][0])) == runs[0][0] == runs[1][0]
    assert set(runs[0][1].binning) == {4}
    assert runs[0][1].trial.tolist() == list(range(7))


def test_nothing_to_tune_is_one_trial(flat):
    rng = np.random.default_rng(0)
    best, table = tune(
        registry.kind("constant"), flat, flat, PIXEL_NM, DOSE_E_PER_A2, trials=9, rng=rng
    )
    assert best == {}
    assert table.stage.tolist() == ["default"]


def test_impossible_requests_are_refused(flat):
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="with 0 trials"):
        tune(Bowl, flat, flat, PIXEL_NM, DOSE_E_PER_A2, trials=0, rng=rng)
    with pytest.raises(UserError, match="differ in shape"):
        tune(Bowl, flat, flat[:1], PIXEL_NM, DOSE_E_PER_A2, trials=3, rng=rng)
    with pytest.raises(UserError, match="no parameter 'x'"):
        tune(Bowl, flat, flat, PIXEL_NM, DOSE_E_PER_A2, trials=3, rng=rng, fixed={"x": 1})
