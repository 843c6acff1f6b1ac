"""Networks: weights from a seed, counts of parameters, layers with known answers."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from lowdose.denoisers.networks.build import build, parameter_count
from lowdose.denoisers.networks.layers import (
    Convolution,
    Normalise,
    Shuffle,
    SmoothUpsample,
    Unshuffle,
)
from lowdose.denoisers.networks.residual import Fourier

RESIDUAL = {"architecture": "resunet", "widths": [4, 8], "encoder_blocks": [1, 1],
            "decoder_blocks": [1], "stem": 2}  # fmt: skip
SMALL = [
    {"architecture": "dncnn", "layers": 3, "channels": 4, "stem": 1},
    {"architecture": "dncnn", "layers": 3, "channels": 4, "stem": 2, "norm": True},
    {"architecture": "durr", "channels": 4, "stem": 4},
    {"architecture": "paper-unet", "scales": 3, "base": 2, "stem": 2},
    {"architecture": "unet", "scales": 0, "widths": [4], "convolutions": 1, "stem": 4},
    {"architecture": "unet", "scales": 2, "widths": [4, 5, 6], "convolutions": 2, "stem": 2},
    {"architecture": "blind-spot", "scales": 2, "width": 3},
    RESIDUAL,
    {**RESIDUAL, "block": "bottleneck", "middle": ["attention"], "padding": "zeros"},
    {**RESIDUAL, "block": "convnext", "middle": ["fourier", "plain"], "stem": 6},
    {**RESIDUAL, "gates": [1, 1], "gate_window": 6, "gate_channels": 3},
    {**RESIDUAL, "gates": [1, 1], "gate_window": 6, "gate_channels": 3, "gate_ways": "up"},
    {**RESIDUAL, "gates": [1, 1], "gate_window": 6, "gate_channels": 3, "gate_mask": True},
]
STRIDE = [1, 2, 8, 16, 4, 8, 4, 4, 4, 12, 4, 4, 4]
FREE = [{**spec, "bias_free": True} for spec in SMALL[:6]]


def noise(spec_stride, frames=2):
    shape = (frames, 1, 6 * spec_stride, 4 * spec_stride)
    return torch.from_numpy(np.random.default_rng(0).poisson(0.45, shape) / 0.45).float()


def shaken(spec, by=0.1, seed=0):
    """Build a network all of whose trainable values are moved at random."""
    network = build(spec, seed=1)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(by * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.mark.parametrize(("spec", "stride"), list(zip(SMALL, STRIDE, strict=True)), ids=str)
def test_a_new_network_says_vacuum(spec, stride):
    network = build(spec, seed=1)
    noisy = noise(stride)
    with torch.no_grad():
        result = network(noisy)
    assert torch.equal(result, torch.ones_like(noisy))
    assert not network.training
    assert network.stride == stride


@pytest.mark.parametrize("spec", SMALL, ids=str)
def test_weights_follow_from_the_seed_alone(spec):
    torch.manual_seed(5)
    first = build(spec, seed=3).state_dict()
    torch.manual_seed(6)
    again = build(spec, seed=3).state_dict()
    other = build(spec, seed=4).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    # The trainer averages every entry.
    assert all(value.is_floating_point() for value in first.values())


@pytest.mark.parametrize("spec", SMALL, ids=str)
def test_bfloat16_does_not_round_the_vacuum(spec):
    network = shaken(spec, by=0.02)
    noisy = noise(network.stride)
    with torch.no_grad():
        exact = network(noisy)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(noisy)
        double = network.double()(noisy.double())
    assert rough.dtype == torch.float32
    torch.testing.assert_close(double, exact.double(), rtol=0, atol=1e-5)  # no less precise
    # At 1 the steps of bfloat16 are 2^-8 and 2^-7: multiples of 2^-8 alone are what it can say.
    assert (rough * 256 % 1 != 0).float().mean() > 0.25
    assert (rough - exact).abs().max() < 0.05 * (exact - 1).abs().max()


@pytest.mark.parametrize("spec", FREE, ids=str)
def test_a_bias_free_network_scales(spec):
    network = shaken(spec)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(noise(network.stride))  # statistics that are not those of a new network
    network.eval()
    noisy = noise(network.stride)
    with torch.no_grad():
        once, seven = network(noisy), network(7 * noisy)
    assert once.std() > 1e-3
    torch.testing.assert_close(seven, 7 * once, rtol=1e-5, atol=1e-5 * float(seven.abs().max()))
    with torch.no_grad():
        assert torch.equal(network(torch.zeros_like(noisy)), torch.zeros_like(noisy))


@pytest.mark.parametrize("spec", SMALL[:6], ids=str)
def test_with_biases_it_does_not(spec):
    network = shaken(spec)
    noisy = noise(network.stride)
    with torch.no_grad():
        once, seven = network(noisy), network(7 * noisy)
    assert (seven - 7 * once).abs().max() > 0.1


def test_initial_weights_are_he_normal():
    network = build({"architecture": "dncnn", "layers": 3, "channels": 128}, seed=0)
    middle = [m for m in network.modules() if isinstance(m, Convolution)][1]
    # Standard error of the standard deviation of n normal values: sigma / sqrt(2 n).
    expected = (2 / (128 * 9)) ** 0.5
    error = expected / (2 * middle.weight.numel()) ** 0.5
    assert float(middle.weight.detach().std()) == pytest.approx(expected, abs=4 * error)
    assert not middle.bias.any()


def test_parameter_counts_by_hand():
    def layer(inputs, outputs, size=3):
        return size * size * inputs * outputs + outputs

    dncnn = build({"architecture": "dncnn", "layers": 20, "channels": 64}, seed=0)
    # Zhang et al. 2017 without batch normalisation: 1-64, 18 times 64-64, 64-1.
    assert parameter_count(dncnn) == layer(1, 64) + 18 * layer(64, 64) + layer(64, 1)
    spec = {"architecture": "unet", "scales": 1, "widths": [8, 12], "convolutions": 2, "stem": 4}
    down = 2 * layer(8, 8) + layer(8, 12) + layer(12, 12)
    up = layer(12 + 8, 8) + layer(8, 8)
    expected = layer(16, 8) + down + up + layer(8, 16, size=1)
    assert parameter_count(build(spec, seed=0)) == expected
    # Without the biases of the entrance, of six convolutions and of the exit.
    free = expected - (8 + 8 + 8 + 12 + 12 + 8 + 8 + 16)
    assert parameter_count(build({**spec, "bias_free": True}, seed=0)) == free
    blocks = 2 * 2 * layer(4, 4) + 2 * layer(8, 8)
    between = layer(4, 8, size=2) + layer(8, 4, size=1)
    expected = layer(4, 4) + blocks + between + layer(4, 4, size=1)
    assert parameter_count(build(RESIDUAL, seed=0)) == expected


@pytest.mark.parametrize("padding", ["replicate", "zeros"])
def test_a_convolution_pads_as_told(padding):
    layer = Convolution(1, 1, padding=padding)
    torch.nn.init.ones_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    with torch.no_grad():
        result = layer(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))[0, 0]
    # The padded image is 1122 / 1122 / 3344 / 3344, or has zeros about 12 / 34.
    repeated = [
        [1 + 1 + 2 + 1 + 1 + 2 + 3 + 3 + 4, 1 + 2 + 2 + 1 + 2 + 2 + 3 + 4 + 4],
        [1 + 1 + 2 + 3 + 3 + 4 + 3 + 3 + 4, 1 + 2 + 2 + 3 + 4 + 4 + 3 + 4 + 4],
    ]
    assert result.tolist() == (repeated if padding == "replicate" else [[10, 10], [10, 10]])


def test_every_wide_kernel_follows_the_padding():
    for spec in SMALL[-2:]:
        network = build({**spec, "padding": "zeros"}, seed=0)
        wide = [m for m in network.modules() if isinstance(m, Convolution) and m.reach]
        assert wide and not any(m.repeats_edges for m in wide)
        network = build({**spec, "padding": "replicate"}, seed=0)
        assert all(m.repeats_edges for m in network.modules() if isinstance(m, Convolution)
                   and m.reach)  # fmt: skip


def test_strides_and_dilations_take_the_pixels_that_they_say():
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    for options, expected in (
        # Sums over three columns about every second one; the edge is repeated.
        ({"stride": 2}, [0 + 0 + 1, 1 + 2 + 3, 3 + 4 + 5, 5 + 6 + 7]),
        ({"dilation": 2}, [2, 4, 6, 9, 12, 15, 17, 19]),
    ):
        layer = Convolution(1, 1, bias=False, **options)
        torch.nn.init.zeros_(layer.weight)
        with torch.no_grad():
            layer.weight[0, 0, 1] = 1
            assert layer(ramp)[0, 0, 1].tolist() == expected


def test_space_to_depth_loses_nothing():
    image = torch.randn(2, 1, 12, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Shuffle(4)(Unshuffle(4)(image)), image)


def test_interpolation_keeps_pixel_centres():
    # Pixel i of the fine grid lies at i / 2 - 1 / 4 of the coarse one.
    ramp = torch.arange(6.0).expand(1, 1, 6, 6)
    fine = SmoothUpsample()(ramp)[0, 0, 5]
    assert fine[1:-1].tolist() == [i / 2 - 0.25 for i in range(1, 11)]


@pytest.mark.parametrize("training", [True, False])
def test_batch_normalisation_is_torchs(training):
    ours, theirs = Normalise(3), torch.nn.BatchNorm2d(3)
    generator = torch.Generator().manual_seed(0)
    x = 2 + 3 * torch.randn(4, 3, 5, 6, generator=generator)
    for _ in range(2):
        ours(x), theirs(x)
    ours.train(training), theirs.train(training)
    torch.testing.assert_close(ours(x), theirs(x))


def test_bias_free_normalisation_divides_alone():
    layer = Normalise(2, bias_free=True)
    x = torch.tensor([[1.0, 3.0], [10.0, 30.0]]).reshape(1, 2, 1, 2)
    # Standard deviations 1 and 10; the means 2 and 20 stay.
    torch.testing.assert_close(layer(x).ravel(), torch.tensor([1.0, 3.0, 1.0, 3.0]),
                               rtol=1e-5, atol=0)  # fmt: skip
    assert layer.variance.tolist() == pytest.approx([0.9 * 1 + 0.1 * 1, 0.9 * 1 + 0.1 * 100])
    layer.eval()
    layer(100 * x)
    assert layer.variance.tolist() == pytest.approx([1.0, 10.9])
    assert not layer.bias.requires_grad and not layer.bias.any()


def test_a_spectrum_of_equal_weights_gives_the_image_back():
    block = Fourier(1)
    x = torch.randn(1, 1, 6, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for convolution in (block.mix[0], block.mix[2]):
            convolution.weight.copy_(torch.eye(2)[:, :, None, None])
            convolution.bias.zero_()
        block.mix[0].bias.fill_(100)  # keeps the rectifier open
        block.mix[2].bias.fill_(-100)
        torch.testing.assert_close(block(x), x, rtol=0, atol=1e-4)


def test_an_impossible_architecture_is_refused():
    with pytest.raises(ValidationError, match="scales"):
        build({"architecture": "unet", "scales": 9, "widths": [4]}, seed=0)
    with pytest.raises(ValidationError, match="depth"):
        build({"architecture": "dncnn", "depth": 3}, seed=0)
    with pytest.raises(ValueError, match=r"2 widths need 1 decoder_blocks, but .* has 2"):
        build({**RESIDUAL, "decoder_blocks": [1, 1]}, seed=0)
    with pytest.raises(ValueError, match="multiple of 4, but it is 6; use 8"):
        build({**RESIDUAL, "widths": [4, 6], "middle": ["attention"]}, seed=0)
