"""What differs on a GPU: recorded optimiser steps, gradients of interpolation, noise."""

import pytest
import torch

from lowdose.denoisers.networks.build import build
from lowdose.denoisers.networks.layers import SmoothUpsample
from lowdose.runtime import fix_torch
from lowdose.training import optimiser
from lowdose.training.loop import train
from lowdose.training.optimiser import Optimiser

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

SPEC = {
    "architecture": "resunet", "stem": 4, "widths": [8, 16], "encoder_blocks": [1, 1],
    "decoder_blocks": [1], "gates": [0, 1], "gate_window": 12, "gate_channels": 8,
    "padding": "zeros",
}  # fmt: skip
SETTINGS = {
    "steps": 24, "minutes": None, "loss": "mse", "clip": 1.0, "compile": False,
    "optimiser": "muon", "batch": 2, "crop_px": 128, "learning_rate": 0.005, "warmup": 0.1,
    "weight_decay": 1e-2, "average": 0.9, "precision": "auto", "save_every_s": 1e-9,
    "validate_every": 12,
}  # fmt: skip


@pytest.fixture(autouse=True)
def deterministic():
    fix_torch(1)


def batch(step, device="cuda", side=128):
    generator = torch.Generator().manual_seed(step)
    line = torch.arange(side) / 6.0
    clean = 1 + 0.3 * torch.sin(line + step)[:, None] * torch.cos(line)[None, :]
    clean = clean.expand(2, 1, side, side)
    noisy = torch.poisson(0.45 * clean, generator=generator) / 0.45
    return noisy.to(device), clean.to(device)


def trained(path, data=batch, device="cuda", spec=SPEC, **changed):
    network = build(spec, 3).to(device)
    history = train(network, data, SETTINGS | changed, validate=lambda candidate: {},
                    state_path=path, fingerprint="one")  # fmt: skip
    return {k: v.cpu() for k, v in network.state_dict().items()}, [r["loss"] for r in history]


def failing_at(step):
    def data(number):
        if number == step:
            raise KeyError
        return batch(number)

    return data


@pytest.mark.parametrize("stop", [2, 4, 13])  # before, at and after the recording
def test_an_interrupted_training_ends_bit_identical(tmp_path, stop):
    straight = trained(tmp_path / "straight")
    with pytest.raises(KeyError):
        trained(tmp_path / "state", failing_at(stop))
    resumed = trained(tmp_path / "state")
    for key, value in straight[0].items():
        torch.testing.assert_close(resumed[0][key], value, rtol=0, atol=0)
    assert resumed[1] == straight[1]
    assert straight[1][-1] < straight[1][0]


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_it_learns_what_a_processor_learns(tmp_path, kind):
    changed = {"precision": "fp32", "optimiser": kind}
    there = trained(tmp_path / "cuda", **changed)[1]
    here = trained(tmp_path / "cpu", lambda step: batch(step, "cpu"), "cpu", **changed)[1]
    assert there == pytest.approx(here, rel=0.02)


OTHERS = {
    "unet": {"architecture": "unet", "scales": 2, "widths": [8, 8, 8]},
    "paper-unet": {"architecture": "paper-unet", "scales": 2, "base": 8},
    "dncnn": {"architecture": "dncnn", "layers": 3, "channels": 8},
    "durr": {"architecture": "durr"},
    "attention": SPEC | {"gates": [], "middle": ["attention", "fourier"]},
    "replicate": SPEC | {"padding": "replicate"},
    "blind-spot": {"architecture": "blind-spot", "scales": 2, "width": 8},
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_every_architecture_learns(tmp_path, name):
    torch.set_deterministic_debug_mode("warn")  # as `lowdose train` does
    loss = "counts" if name == "blind-spot" else "mse"
    losses = trained(tmp_path / "state", spec=OTHERS[name], loss=loss)[1]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("side", [128, 160])  # windows end with the image, and beyond it
def test_a_compiled_network_learns_the_same(tmp_path, side):
    plain, compiled = (
        trained(tmp_path / str(c), lambda step: batch(step, side=side), compile=c)[1]
        for c in (False, True)
    )
    assert compiled == pytest.approx(plain, rel=0.02)


@pytest.mark.parametrize("side", [128, 160])
def test_a_compiled_network_computes_the_same(side):
    network, image = build(SPEC, 3).cuda(), batch(1, side=side)[0]
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.2)
    plain = network(image)
    torch.testing.assert_close(torch.compile(network)(image), plain, rtol=1e-3, atol=1e-3)


def test_recorded_steps_are_those_that_are_not_recorded(monkeypatch):
    moved = []
    for warm_up in (3, 10**9):
        monkeypatch.setattr(optimiser, "WARM_UP_STEPS", warm_up)
        network = build(SPEC, 3).cuda()
        one = Optimiser(network, SETTINGS)
        for step in range(8):
            generator = torch.Generator().manual_seed(step)
            for parameter in network.parameters():
                drawn = torch.randn(parameter.shape, generator=generator).to(parameter.device)
                parameter.grad = torch.empty_like(parameter).copy_(drawn)
            one.step(0.01 * (step + 1))
        moved.append(network.state_dict())
    for key, value in moved[0].items():
        assert torch.equal(value, moved[1][key]), key


@pytest.mark.parametrize("shape", [(1, 3, 5, 7), (2, 1, 1, 4)])
def test_interpolation_is_that_of_the_processor(shape):
    image = torch.rand(shape)
    there = image.cuda().requires_grad_()
    here = image.clone().requires_grad_()
    weights = torch.rand(shape[0], shape[1], 2 * shape[2], 2 * shape[3])
    (SmoothUpsample()(here) * weights).sum().backward()
    result = SmoothUpsample()(there)
    (result * weights.cuda()).sum().backward()
    torch.testing.assert_close(result.cpu(), SmoothUpsample()(image))
    torch.testing.assert_close(there.grad.cpu(), here.grad)
