"""Networks: weights from a seed, sizes, counts of parameters, what depends on what."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from lowdose.denoisers.networks.build import build, parameter_count
from lowdose.denoisers.networks.layers import Convolution, Shuffle, Unshuffle

SMALL = [
    {"architecture": "dncnn", "layers": 3, "channels": 4, "stem": 1},
    {"architecture": "dncnn", "layers": 3, "channels": 4, "stem": 2},
    {"architecture": "unet", "scales": 0, "widths": [4], "convolutions": 1, "stem": 4},
    {"architecture": "unet", "scales": 2, "widths": [4, 5, 6], "convolutions": 2, "stem": 2},
]


def stride_of(spec):
    return spec["stem"] * 2 ** spec.get("scales", 0)


@pytest.mark.parametrize("spec", SMALL, ids=str)
def test_a_new_network_says_vacuum(spec):
    network = build(spec, seed=1)
    noisy = torch.from_numpy(np.random.default_rng(0).poisson(0.45, (2, 1, 48, 32)) / 0.45).float()
    with torch.no_grad():
        result = network(noisy)
    assert torch.equal(result, torch.ones_like(noisy))
    assert not network.training
    assert network.stride == stride_of(spec)


@pytest.mark.parametrize("spec", SMALL, ids=str)
def test_weights_follow_from_the_seed_alone(spec):
    torch.manual_seed(5)
    first = build(spec, seed=3).state_dict()
    torch.manual_seed(6)
    again = build(spec, seed=3).state_dict()
    other = build(spec, seed=4).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


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


def test_a_convolution_repeats_the_edge():
    layer = Convolution(1, 1)
    torch.nn.init.ones_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    with torch.no_grad():
        result = layer(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))[0, 0]
    # The padded image is 1122 / 1122 / 3344 / 3344.
    assert result.tolist() == [
        [1 + 1 + 2 + 1 + 1 + 2 + 3 + 3 + 4, 1 + 2 + 2 + 1 + 2 + 2 + 3 + 4 + 4],
        [1 + 1 + 2 + 3 + 3 + 4 + 3 + 3 + 4, 1 + 2 + 2 + 3 + 4 + 4 + 3 + 4 + 4],
    ]


def test_space_to_depth_loses_nothing():
    image = torch.randn(2, 1, 12, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Shuffle(4)(Unshuffle(4)(image)), image)


def test_an_impossible_architecture_is_refused():
    with pytest.raises(ValidationError, match="scales"):
        build({"architecture": "unet", "scales": 9, "widths": [4]}, seed=0)
    with pytest.raises(ValidationError, match="depth"):
        build({"architecture": "dncnn", "depth": 3}, seed=0)
