"""Checkpoints: what comes back is what was saved, or it is refused in one sentence."""

import base64
import copy
import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lowdose.denoisers import checkpoints
from lowdose.denoisers.networks.build import build
from lowdose.denoisers.tiles import apply
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
    vector = card.pop("test_vector")
    assert card == {**CARD, "weights_sha256": file_digest(folder / "model.safetensors")}
    assert vector["shape"] == [40, 56]
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
    sentence = r"model\.pt is a pickle, which can run any program .* is never loaded; "
    with pytest.raises(UserError, match=sentence + ".* must hold model.safetensors"):
        checkpoints.load(folder)
    with pytest.raises(UserError, match=sentence + "name the folder"):
        checkpoints.load(folder / "model.pt")
    assert not (tmp_path / "sprung").exists()


def test_missing_weights_are_named(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"holds no model\.safetensors; train"):
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
    whole = json.loads((folder / "card.json").read_text())
    for text in ("{", "[]", "{}", json.dumps(CARD)):
        (folder / "card.json").write_text(text)
        with pytest.raises(UserError, match=r"card\.json"):
            checkpoints.load(folder)
    (folder / "card.json").write_text(json.dumps(whole))
    change_card(folder, architecture={"architecture": "transformer"})
    with pytest.raises(UserError, match="architecture"):
        checkpoints.load(folder)


def vector_of(folder):
    """Return the test vector of a folder and its counts and expected answer as arrays."""
    vector = json.loads((folder / "card.json").read_text())["test_vector"]
    counts = np.frombuffer(base64.b64decode(vector["counts"]), np.uint8)
    expected = np.frombuffer(base64.b64decode(vector["expected"]), "<f4")
    return vector, counts.reshape(vector["shape"]), expected.reshape(vector["shape"])


def test_the_test_vector_is_what_the_network_makes_of_its_counts(folder, network):
    vector, counts, expected = vector_of(folder)
    relative = torch.from_numpy(counts / np.float32(vector["dose_e_per_px"]))
    assert np.allclose(apply(network, relative[None, None])[0, 0].numpy(), expected, atol=1e-5)
    # It says something: counts are counts, the answer depends on them and is no constant.
    assert counts.mean() == pytest.approx(0.45, abs=4 * (0.45 / counts.size) ** 0.5)
    assert expected.std() > 0.01
    # A network that is being trained, or that is in double precision, has the same answer.
    other = copy.deepcopy(network).double().train()
    checkpoints.save(folder, other, CARD)
    assert np.allclose(vector_of(folder)[2], expected, atol=1e-5)
    assert other.training


def test_another_answer_is_refused(folder, network):
    vector, _, expected = vector_of(folder)
    changed = expected.copy()
    changed[7, 9] += 2e-3
    wrong = base64.b64encode(changed.tobytes()).decode()
    change_card(folder, test_vector=vector | {"expected": wrong})
    with pytest.raises(UserError, match=r"misses the test vector .* by 0\.002 .*0\.001 is allowed"):
        checkpoints.load(folder)
    changed[7, 9] = expected[7, 9] + 5e-4  # other processors round otherwise
    near = base64.b64encode(changed.tobytes()).decode()
    change_card(folder, test_vector=vector | {"expected": near})
    checkpoints.load(folder)


def test_tampered_weights_are_refused_though_their_digest_fits(folder, network):
    tensors = {key: value.contiguous() for key, value in network.state_dict().items()}
    first = next(iter(tensors))
    for factor, message in ((1.3, r"by 0\.\d+ of the vacuum"), (float("nan"), "by inf")):
        save_file(tensors | {first: factor * tensors[first]}, folder / "model.safetensors")
        change_card(folder)
        with pytest.raises(UserError, match=f"misses the test vector of its card {message}"):
            checkpoints.load(folder)


@pytest.mark.parametrize(
    "changes",
    [{"counts": "not base64!"}, {"shape": [4, 4]}, {"dose_e_per_px": 0}, {"shape": None}],
    ids=str,
)
def test_an_unreadable_test_vector_is_refused(folder, changes):
    change_card(folder, test_vector=vector_of(folder)[0] | changes)
    with pytest.raises(UserError, match=r"test vector of .* cannot be read; train"):
        checkpoints.load(folder)


def test_a_card_without_test_vector_is_refused(folder):
    card = json.loads((folder / "card.json").read_text())
    del card["test_vector"]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match="lacks 'test_vector'; train the network anew"):
        checkpoints.load(folder)


def test_the_network_has_its_own_pixel_size(network, tmp_path):
    checkpoints.save(tmp_path, network, CARD)
    assert checkpoints.load(tmp_path).own_pixel_size_nm == pytest.approx(0.0061)
    checkpoints.save(tmp_path, network, CARD | {"own_pixel_size_nm": 0.006})
    assert checkpoints.load(tmp_path).own_pixel_size_nm == 0.006


def test_a_field_of_the_whole_frame(network, tmp_path):
    checkpoints.save(tmp_path, network, CARD | {"receptive_field_px": None})
    info = checkpoints.load(tmp_path).info
    assert (info.receptive_field_px, info.global_field) == (None, True)
    assert info.title == "toy (whole frame)"


def test_options_reach_the_denoiser(folder):
    loaded = checkpoints.load(folder, bf16=False, device="cpu", tile_px=64, orientations=8)
    assert (loaded.device.type, loaded.tile_px, loaded.bf16) == ("cpu", 64, False)
    assert loaded.parameters == {"orientations": 8}
    with pytest.raises(UserError, match="has no parameter 'turns'; it has: orientations"):
        checkpoints.load(folder, turns=8)


def test_half_precision_is_half_the_size_and_the_answer_is_its_own(network, folder, tmp_path):
    exact = checkpoints.load(folder, bf16=False).denoise(counts(), 0.0061)
    checkpoints.save(tmp_path / "half", copy.deepcopy(network), CARD, half=True)
    values = sum(p.numel() for p in network.parameters())
    sizes = [(f / "model.safetensors").stat().st_size for f in (folder, tmp_path / "half")]
    assert sizes[0] - sizes[1] == pytest.approx(2 * values, abs=200)  # the header's digits
    # Loading repeats the test vector, which was made with the rounded weights.
    loaded = checkpoints.load(tmp_path / "half", bf16=False)
    for key, value in loaded.network.state_dict().items():
        assert torch.equal(value, network.state_dict()[key].half().float())
    rounded = loaded.denoise(counts(), 0.0061)
    assert 0 < np.abs(rounded - exact).max() < 2e-3


@pytest.mark.parametrize(
    ("key", "value"),
    [("pixel_size_nm", 5), ("pixel_size_nm", [1]), ("pixel_size_nm", ["a", "b"]),
     ("pixel_size_nm", [0.012, 0.004]), ("dose_e_per_a2", None), ("own_pixel_size_nm", "x"),
     ("own_pixel_size_nm", 0), ("receptive_field_px", "x"), ("architecture", []), ("name", 3)],
)  # fmt: skip
def test_an_impossible_card_is_refused_by_its_key(folder, key, value):
    change_card(folder, **{key: value})
    with pytest.raises(UserError, match=f"card.json has an impossible '{key}'; train the"):
        checkpoints.load(folder)


def test_a_test_vector_of_one_side_is_refused(folder):
    card = checkpoints.read_card(folder)
    change_card(folder, test_vector={**card["test_vector"], "shape": [40 * 56]})
    with pytest.raises(UserError, match="train the network anew"):
        checkpoints.load(folder)
