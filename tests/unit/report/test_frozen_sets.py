"""Statistics of frozen frames are those of their pixels."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from lowdose.report.frozen_sets import BIN, read_frozen
from lowdose.runtime import UserError


def test_statistics_are_those_of_all_pixels(world):
    dose = world.spec["frames"]["reference_dose_e_per_px"]
    found = {one.name: one for one in read_frozen(world.frozen, dose)}
    assert list(found) == ["validation", "test"]
    for name, one in found.items():
        pixels = world.clean[name].astype(np.float64)
        assert (one.low, one.high) == (pixels.min(), pixels.max())
        assert one.mean == pytest.approx(pixels.mean(), rel=1e-12)
        assert one.sd == pytest.approx(pixels.std(), rel=1e-10)
        assert one.shape == pixels.shape and one.digest == f"{name}-digest"
        assert one.histogram.sum() == pixels.size
        cut = 200  # bins below vacuum
        assert one.histogram[:cut].sum() == np.sum(pixels < cut * BIN)
        electrons = world.counts[name]
        assert one.drawn == {
            **{n: np.mean(electrons == n) for n in range(3)}, 3: np.mean(electrons >= 3)
        }  # fmt: skip


def test_another_dose_has_no_counts(world):
    assert [one.drawn for one in read_frozen(world.frozen, 0.123)] == [{}, {}]


def test_dark_counts_are_put_back(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["clean"] = np.ones((1, 1, 4), dtype=np.float32)
        file["counts/2"] = np.array([[[0, 0, 1, 5]]], dtype=np.float32) - np.float32(0.3)
        file.attrs.update({"split": "x", "digest": "d", "pixel_size_nm": 0.01,
                           "imaging": '{"camera": {"dark_e_per_px": 0.3}}'})  # fmt: skip
    (one,) = read_frozen([tmp_path / "x.h5"], 2.0)
    assert one.drawn == {0: 0.5, 1: 0.25, 2: 0.0, 3: 0.25}


def test_a_missing_and_a_damaged_file_are_named(tmp_path):
    with pytest.raises(UserError, match=r"none.h5 does not exist; run the stage `frames` first"):
        read_frozen([tmp_path / "none.h5"], 1.0)
    (tmp_path / "bad.h5").write_bytes(b"no HDF5")
    with pytest.raises(UserError, match=r"bad.h5 is damaged \(OSError\); delete it and run again"):
        read_frozen([tmp_path / "bad.h5"], 1.0)
