"""ONNX: the same answers as the network's at any size, or one sentence."""

import importlib.util
import json

import numpy as np
import pytest
import torch

from lowdose.denoisers import checkpoints, exchange
from lowdose.denoisers.networks.build import build
from lowdose.runtime import UserError

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in exchange.PACKAGES),
    reason=f"needs {', '.join(exchange.PACKAGES)}, which are optional",
)
RESIDUAL = {"architecture": "resunet", "widths": [8, 12], "encoder_blocks": [1, 1],
            "decoder_blocks": [1]}  # fmt: skip
SPECS = [
    {"architecture": "dncnn", "layers": 4, "channels": 4, "norm": True},
    {"architecture": "durr", "channels": 4, "stem": 2},
    {"architecture": "paper-unet", "scales": 2, "base": 4, "bias_free": True},
    {"architecture": "unet", "scales": 2, "widths": [4, 5, 6], "stem": 2},
    RESIDUAL,
    {**RESIDUAL, "padding": "zeros", "block": "convnext", "middle": ["attention"]},
    {**RESIDUAL, "gates": [0, 1], "gate_window": 6, "gate_channels": 4},
]


def saved(tmp_path, spec):
    """Save a network with weights of a trained one's size; return its folder and itself."""
    network = build(spec, seed=1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    card = {"name": "toy", "architecture": spec, "receptive_field_px": 30,
            "pixel_size_nm": [0.0058, 0.0064], "dose_e_per_a2": [50.0, 400.0]}  # fmt: skip
    checkpoints.save(tmp_path / "toy", network, card)
    return tmp_path / "toy", network


@needs_onnx
@pytest.mark.parametrize(
    "spec", SPECS, ids=lambda spec: f"{spec['architecture']}-{'middle' in spec}-{'gates' in spec}"
)
def test_the_exported_network_gives_the_same_answers(spec, tmp_path):
    import onnxruntime

    folder, network = saved(tmp_path, spec)
    claimed = exchange.export(folder, tmp_path / "toy.onnx")
    assert claimed <= 1e-5
    session = onnxruntime.InferenceSession(str(tmp_path / "toy.onnx"))
    meta = session.get_modelmeta().custom_metadata_map
    assert json.loads(meta["stride"]) == network.stride
    assert json.loads(meta["pixel_size_nm"]) == [0.0058, 0.0064]
    # At a size that the export itself does not try.
    shape = (2, 1, 7 * network.stride, 3 * network.stride)
    counts = (np.random.default_rng(1).poisson(2.0, shape) / 2.0).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(counts)).numpy()
    (found,) = session.run(None, {"counts": counts})
    assert np.abs(found - expected).max() <= 1e-5
    assert expected.std() > 1e-4  # the comparison is not one of constants


@needs_onnx
def test_a_wrong_file_would_be_seen(tmp_path):
    folder, network = saved(tmp_path, SPECS[0])
    exchange.export(folder, tmp_path / "toy.onnx")
    with torch.no_grad():
        network.body[-2].bias += 0.01
    difference = exchange.largest_difference(network, tmp_path / "toy.onnx")
    assert difference == pytest.approx(0.01, abs=1e-5)


@needs_onnx
def test_a_spectrum_is_refused(tmp_path):
    folder, _ = saved(tmp_path, {**RESIDUAL, "middle": ["fourier"]})
    with pytest.raises(UserError, match="Fourier blocks"):
        exchange.export(folder, tmp_path / "toy.onnx")
    assert not (tmp_path / "toy.onnx").exists()


def test_what_is_missing_is_named_with_the_line_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(exchange, "PACKAGES", ("json", "onnx_of_nowhere"))
    with pytest.raises(UserError, match=r"needs onnx_of_nowhere, .*pip install json onnx_of_now"):
        exchange.export(tmp_path, tmp_path / "toy.onnx")


def test_the_name_says_what_it_is(tmp_path):
    with pytest.raises(UserError, match=r"toy.pt does not end with .onnx; write to .*toy.onnx"):
        exchange.export(tmp_path, tmp_path / "toy.pt")
