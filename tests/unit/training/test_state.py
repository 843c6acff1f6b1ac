"""The training state on disk."""

import torch

from lowdose.training import state

TENSORS = {"network/a": torch.arange(6.0).reshape(2, 3), "optimiser/0/step": torch.tensor(4.0)}
VALUES = {"step": 4, "history": [{"loss": 0.1}], "seconds": 1.5}


def test_round_trip_keeps_every_bit(tmp_path):
    path = tmp_path / "deep" / "state.safetensors"
    state.save(path, "f", TENSORS, VALUES)
    tensors, values = state.load(path, "f")
    assert values == VALUES
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[key], TENSORS[key]) for key in TENSORS)
    # No temporary file stays behind.
    assert [p.name for p in path.parent.iterdir()] == ["state.safetensors"]


def test_strided_tensors_are_saved_as_they_look(tmp_path):
    tensor = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    state.save(tmp_path / "s", "f", {"a": tensor}, {})
    assert torch.equal(state.load(tmp_path / "s", "f")[0]["a"], tensor)


def test_none_of_another_fingerprint_no_file_or_a_broken_one(tmp_path):
    path = tmp_path / "s"
    assert state.load(path, "f") is None
    state.save(path, "f", TENSORS, VALUES)
    assert state.load(path, "g") is None
    path.write_bytes(path.read_bytes()[:-5])
    assert state.load(path, "f") is None
