"""A shard is whole and the one that is asked for, or the reason is named."""

import h5py
import numpy as np
import pytest

from lowdose.imaging.inspection import library_of, verify_shard
from lowdose.imaging.store import set_aside, write_shard
from lowdose.runtime import UserError

MODELS = ["PtNp1a-D0-16L-x0y0", "PtNp1b-D1-21L-x2y0", "PtNp2a-Ds-26L-x0y0"]
PARAMETERS = {"energy_kev": 300.0, "grid": 720, "library": "a1", "debye_waller_nm": {"Pt": 0.006}}
SIMULATION = {"energy_kev": 300.0, "grid": 720, "debye_waller_nm": {"Pt": 0.006}}


@pytest.fixture
def shard(tmp_path):
    rng = np.random.default_rng(3)
    path = tmp_path / "shard001.h5"
    write_shard(
        path,
        [
            ({"model_id": name, "cell_y_nm": 5.0, "cell_x_nm": 5.3, "tilt_x_deg": 1.5},
             rng.normal(size=(30, 32, 2)).astype(np.float32).view(np.complex64)[..., 0])
            for name in MODELS
        ],
        PARAMETERS,
    )  # fmt: skip
    return path


def damage(path, find):
    with h5py.File(path) as file:
        offset = find(file["waves"][MODELS[1]])
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x10
    path.write_bytes(content)


def test_whole_shard(shard):
    assert verify_shard(shard, MODELS) is None
    assert verify_shard(shard, MODELS, "a1", SIMULATION) is None
    assert library_of(shard) == "a1"


def test_damaged_wave_and_axis_are_named(shard):
    whole = shard.read_bytes()
    for dataset in ("wave", "y", "x"):
        damage(shard, lambda group, name=dataset: group[name].id.get_offset() + 50)
        reason = verify_shard(shard, MODELS)
        assert reason == f"the wave of {MODELS[1]} is damaged (its checksum differs)", dataset
        shard.write_bytes(whole)


@pytest.mark.parametrize("key", ["cell_x_nm", "tilt_x_deg", "sampling_y_nm", "energy_kev"])
def test_changed_attribute_is_named(shard, key):
    """Even one that was rewritten with all of HDF5's own checksums in order."""
    with h5py.File(shard, "r+") as file:
        group = file["waves"][MODELS[2]]
        group.attrs.modify(key, group.attrs[key] * (1 + 1e-15))
    assert verify_shard(shard, MODELS).startswith(f"the wave of {MODELS[2]} is damaged")


@pytest.mark.parametrize(
    ("owner", "key", "value"),
    [("x", "units", np.bytes_("pm")), ("", "axes", np.array([b"x", b"y"])), ("", "tilt", 1.0)],
)
def test_changed_unit_axes_and_added_attribute_are_named(shard, owner, key, value):
    with h5py.File(shard, "r+") as file:
        group = file["waves"][MODELS[0]]
        (group[owner] if owner else group).attrs[key] = value
    assert verify_shard(shard, MODELS).startswith(f"the wave of {MODELS[0]} is damaged")


def test_swapped_waves_are_named(shard):
    """Each is whole, but neither is that of its name."""
    with h5py.File(shard, "r+") as file:
        waves = file["waves"]
        waves.move(MODELS[0], "kept")
        waves.move(MODELS[1], MODELS[0])
        waves.move("kept", MODELS[1])
    assert verify_shard(shard, MODELS).startswith(f"the wave of {MODELS[0]} is damaged")


def test_foreign_shards(shard):
    other = [*MODELS[:2], "PtNp4a-D0-16L-x0y0"]
    assert verify_shard(shard, other) == (
        "it holds the wave of PtNp2a-Ds-26L-x0y0, which belongs elsewhere"
    )
    assert verify_shard(shard, [*MODELS, other[2]]) == "it lacks the wave of PtNp4a-D0-16L-x0y0"
    assert verify_shard(shard, MODELS[::-1]) == "its waves are in another order"
    assert verify_shard(shard, MODELS, "b2") == "its waves are of another structure library"
    assert verify_shard(shard, MODELS, "a1", {**SIMULATION, "grid": 512}) == (
        "its waves were simulated with another value of simulation.grid"
    )
    assert "simulation.engine" in verify_shard(shard, MODELS, "a1", {"engine": "torch"})


def test_files_of_other_kinds(tmp_path, shard):
    path = tmp_path / "notes.h5"
    path.write_text("not HDF5")
    assert verify_shard(path, MODELS) == "it is truncated, damaged or no wave file (OSError)"
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros(3)
    assert verify_shard(path, MODELS).startswith("it is truncated, damaged or no wave file")
    assert library_of(path) is None
    content = shard.read_bytes()
    for share in (0, 0.02, 0.5, 0.999):
        path.write_bytes(content[: int(share * len(content))])
        assert verify_shard(path, MODELS) is not None, share


def test_file_that_may_not_be_read_is_not_called_damaged(shard, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(UserError, match=r"shard001\.h5 cannot be read for lack of permission"):
        verify_shard(shard, MODELS)
    assert shard.exists()


def test_set_aside_keeps_the_last_one(shard):
    aside = set_aside(shard)
    assert aside.name == "shard001.h5.damaged"
    assert not shard.exists()
    shard.write_text("second")
    assert set_aside(shard) == aside
    assert aside.read_text() == "second"
    assert set_aside(shard) == aside  # gone already: another job was faster
