"""Gains: one per output channel, exactly behind the convolution, and a small file of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import lowdose
from lowdose.denoisers import released
from lowdose.denoisers.adaptation.gains import (
    applied,
    convolutions,
    folded,
    load_gains,
    ones,
    save_gains,
)
from lowdose.denoisers.checkpoints import load
from lowdose.denoisers.networks.build import build, parameter_count
from lowdose.denoisers.networks.spectral import _pointwise
from lowdose.runtime import UserError

UNET = {"architecture": "unet", "scales": 2, "widths": [4, 6, 8], "convolutions": 1, "stem": 4}
DURR = {"architecture": "durr"}
GATED = {"architecture": "resunet", "stem": 4, "widths": [8, 12], "gates": [1, 0],
         "gate_channels": 6, "gate_window": 12, "block": "separable",
         "encoder_blocks": [1, 1], "decoder_blocks": [1], "middle": []}  # fmt: skip
SPECS = {"unet": UNET, "durr": DURR, "gated": GATED}


def drawn(spec: dict) -> nn.Module:
    """A network whose weights and biases are all random, so that no channel is blank."""
    network = build(spec, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return network


def random_gains(network: nn.Module, seed: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {k: v * (0.5 + torch.rand(v.shape, generator=generator))
            for k, v in ones(network).items()}  # fmt: skip


def image(side: int = 64) -> torch.Tensor:
    return torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_gains_of_one_change_nothing_at_all(spec):
    network = drawn(spec)
    with torch.no_grad():
        before = network(image())
        assert torch.equal(applied(network, ones(network), image()), before)
        assert torch.equal(folded(network, ones(network))(image()), before)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_a_gain_multiplies_the_output_of_its_convolution(spec):
    """Second route: the outputs themselves are multiplied, by hooks on the convolutions.

    Two layers of a gate are computed as matrix products, which no hook sees; they are kept at 1
    here and have their own test.
    """
    network = drawn(spec)
    gains = random_gains(network)
    for name in gains:
        if name.endswith((".hidden", ".gain")):
            gains[name] = torch.ones_like(gains[name])
    with torch.no_grad():
        found = applied(network, gains, image())
        stored = folded(network, gains)(image())
        hooks = [
            module.register_forward_hook(
                lambda _, __, output, name=name: output * gains[name][:, None, None]
            )
            for name, module in convolutions(network).items()
        ]
        wanted = network(image())
        for hook in hooks:
            hook.remove()
        plain = network(image())
    assert (wanted - plain).abs().max() > 0.01
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(stored, found, rtol=0, atol=0)


def test_layers_that_are_computed_as_products_have_gains_as_well():
    network = drawn(GATED)
    gains = random_gains(network)
    twin = folded(network, gains)
    names = [n for n in gains if n.endswith((".hidden", ".gain"))]
    assert len(names) == 4  # two gates, one on the way down and one up
    x = torch.rand(2, 6, 10, generator=torch.Generator().manual_seed(5))
    for name in names:
        plain = _pointwise(network.get_submodule(name), x)
        with_gain = _pointwise(twin.get_submodule(name), x)
        torch.testing.assert_close(with_gain, plain * gains[name][:, None])


def test_grouped_transposed_convolutions_keep_their_order_of_channels():
    layer = nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2)
    network = nn.Sequential(layer)
    gains = random_gains(network)
    x = torch.rand(1, 4, 5, 5, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        torch.testing.assert_close(applied(network, gains, x), layer(x) * gains["0"][:, None, None])


def test_gradients_reach_gains_alone():
    network = drawn(GATED)
    gains = {k: v.requires_grad_() for k, v in ones(network).items()}
    applied(network, gains, image()).square().mean().backward()
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(gain.grad is not None and gain.grad.abs().sum() > 0 for gain in gains.values())


def test_the_gradient_is_that_of_a_finite_difference():
    network = drawn(UNET).double()
    gains = {k: v.double().requires_grad_() for k, v in random_gains(network).items()}
    x = image().double()
    loss = lambda g: applied(network, g, x).square().mean()  # noqa: E731
    found = torch.autograd.grad(loss(gains), list(gains.values()))
    for (name, gain), gradient in zip(gains.items(), found, strict=True):
        up, down = ({**gains, name: gain + s * 1e-5 * (torch.arange(len(gain)) == 1)}
                    for s in (1, -1))  # fmt: skip
        slope = (loss(up) - loss(down)) / 2e-5
        assert gradient[1].item() == pytest.approx(slope.item(), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize(
    ("spec", "gains", "parameters"),
    [
        # The paper's two networks: facts.md, section 3.
        ({"architecture": "paper-unet", "scales": 4, "base": 128}, 2945, 5613441),
        ({"architecture": "paper-unet", "scales": 6, "base": 128, "bias_free": True}, 9857,
         70504960),
        # Entrance 4, down 4 + 6 + 8, up 6 + 4, exit 4 x 4.
        (UNET, 4 + 4 + 6 + 8 + 6 + 4 + 16, None),
    ],
)  # fmt: skip
def test_number_of_gains(spec, gains, parameters):
    network = build(spec, seed=0)
    assert sum(len(gain) for gain in ones(network).values()) == gains
    assert parameters is None or parameter_count(network) == parameters


@pytest.mark.parametrize("name", released.names())
def test_number_of_gains_of_the_shipped_networks(name):
    """Every output channel of every convolution, which the shapes of the stored weights tell."""
    network = load(released.folder(name)).network
    count = 0
    with safe_open(released.folder(name) / "model.safetensors", framework="pt") as file:
        for key in file.keys():  # noqa: SIM118
            shape = file.get_slice(key).get_shape()
            count += shape[0] if len(shape) == 4 else 0  # none of them is transposed
    assert sum(len(gain) for gain in ones(network).values()) == count
    assert 0.005 < count / parameter_count(network) < 0.01


@pytest.fixture
def file(tmp_path) -> Path:
    network = drawn(UNET)
    path = tmp_path / "gains.safetensors"
    about = {"network": "small", "weights_sha256": "ab" * 32, "loss": "blind-spot", "steps": 7}
    save_gains(path, random_gains(network), about)
    return path


def test_a_file_gives_back_what_was_written(file):
    network = drawn(UNET)
    gains, about = load_gains(file, network, "ab" * 32)
    wanted = random_gains(network)
    assert list(gains) == list(wanted)
    assert all(torch.equal(gains[name], wanted[name]) for name in wanted)
    assert about == {"network": "small", "weights_sha256": "ab" * 32, "loss": "blind-spot",
                     "steps": "7", "lowdose": lowdose.__version__}  # fmt: skip
    assert file.stat().st_size < 4 * 48 + 1500
    assert [path.name for path in file.parent.iterdir()] == [file.name]  # nothing half written


def test_gains_of_another_checkpoint_or_network_are_refused(file, tmp_path):
    with pytest.raises(UserError, match=r"another checkpoint \(weights abababababab, not cdcd"):
        load_gains(file, drawn(UNET), "cd" * 32)
    with pytest.raises(UserError, match="do not fit the network's 8 convolutions"):
        load_gains(
            file, drawn(UNET | {"scales": 1, "widths": [4, 6], "convolutions": 2}), "ab" * 32
        )
    with pytest.raises(UserError, match="There is no file of gains"):
        load_gains(tmp_path / "none.safetensors", drawn(UNET), "ab" * 32)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match="is no file of gains"):
        load_gains(damaged, drawn(UNET), "ab" * 32)
    save_file({"a": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="does not say which checkpoint"):
        load_gains(tmp_path / "other.safetensors", drawn(UNET), "ab" * 32)
    with pytest.raises(UserError, match="give the weights_sha256"):
        save_gains(tmp_path / "new.safetensors", ones(drawn(UNET)), {"network": "small"})
    assert not (tmp_path / "new.safetensors").exists()


def test_gains_that_are_no_numbers_are_refused(tmp_path):
    network = drawn(UNET)
    gains = random_gains(network)
    next(iter(gains.values()))[0] = float("nan")
    save_gains(tmp_path / "g.safetensors", gains, {"weights_sha256": "ab" * 32})
    with pytest.raises(UserError, match="are not finite"):
        load_gains(tmp_path / "g.safetensors", network, "ab" * 32)
