"""Checkpoints: what comes back is what was saved, or it is refused in one sentence."""

import json
import pickle

import numpy as np
import pytest
import torch

from lowdose.denoisers import checkpoints
from lowdose.denoisers.networks.build import build
from lowdose.provenance import file_digest
from lowdose.runtime import UserError

SPEC = {"architecture": "unet", "scales": 1, "widths": [4, 6], "convolutions": 1, "stem": 2}
CARD = {
    "name": "toy",
    "architecture": SPEC,
    "receptive_field_px": 30,
    "pixel_size_nm": [0.0058, 0.0064],
    "dose_e_per_a2": [50.0, 400.0],
}


@pytest.fixture
def network():
    made = build(SPEC, seed=7)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return made


@pytest.fixture
def folder(network, tmp_path):
    checkpoints.save(tmp_path / "toy", network, CARD)
    return tmp_path / "toy"


def counts():
    return np.random.default_rng(3).poisson(0.45, (2, 30, 41)).astype(np.float32)


def test_round_trip(folder, network):
    loaded = checkpoints.load(folder, bf16=False)
    before, after = network.state_dict(), loaded.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert loaded.info.name == "toy"
    assert loaded.info.receptive_field_px == 30
    assert loaded.info.dose_e_per_a2 == (50.0, 400.0)
    assert checkpoints.load(folder, "toy.white.seed0").info.name == "toy.white.seed0"
    card = checkpoints.read_card(folder)
    assert card == {**CARD, "weights_sha256": file_digest(folder / "model.safetensors")}
    again = checkpoints.load(folder, bf16=False)
    assert np.array_equal(again.denoise(counts(), 0.0061), loaded.denoise(counts(), 0.0061))


def test_the_same_weights_give_the_same_bytes(folder, network, tmp_path):
    checkpoints.save(tmp_path / "again", network, CARD)
    for name in ("model.safetensors", "card.json"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_flipped_bit_is_refused(folder, place):
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[place] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match="is not the file that its card names"):
        checkpoints.load(folder)


def change_card(folder, **changes):
    card = json.loads((folder / "card.json").read_text())
    card |= {"weights_sha256": file_digest(folder / "model.safetensors"), **changes}
    (folder / "card.json").write_text(json.dumps(card))


def test_a_pickle_is_never_opened(folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    (folder / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    change_card(folder)
    with pytest.raises(UserError, match="does not fit the architecture"):
        checkpoints.load(folder)
    assert not (tmp_path / "sprung").exists()
    (folder / "model.safetensors").rename(folder / "model.pt")
    with pytest.raises(UserError, match=r"a pickle .* is never loaded"):
        checkpoints.load(folder)


@pytest.mark.parametrize(
    "other",
    [SPEC | {"widths": [4, 8]}, SPEC | {"scales": 0, "widths": [4]}, {"architecture": "dncnn"}],
    ids=str,
)
def test_another_architecture_is_refused(folder, other):
    change_card(folder, architecture=other)
    with pytest.raises(UserError, match="does not fit the architecture of its card"):
        checkpoints.load(folder)


def test_a_folder_without_a_card_or_with_a_broken_one(folder, tmp_path):
    with pytest.raises(UserError, match=r"holds no card\.json; name the folder"):
        checkpoints.load(tmp_path / "nowhere")
    for text in ("{", "[]", "{}", json.dumps(CARD)):
        (folder / "card.json").write_text(text)
        with pytest.raises(UserError, match=r"card\.json"):
            checkpoints.load(folder)
    (folder / "card.json").write_text(json.dumps(CARD))
    change_card(folder, architecture={"architecture": "transformer"})
    with pytest.raises(UserError, match="architecture"):
        checkpoints.load(folder)
