"""The receptive field: computed from the layers, measured by the gradient, known in the books."""

import itertools

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from lowdose import config
from lowdose.config_networks import WHOLE_FRAME_PX, NetworkSpec, field_estimate
from lowdose.denoisers.networks.build import build
from lowdose.denoisers.networks.layers import Chain, Convolution, Normalise, Rectifier
from lowdose.denoisers.networks.receptive_field import computed, effective, measured

DNCNN = [
    {"architecture": "dncnn", "layers": layers, "channels": 3, "stem": stem}
    for layers, stem in ((2, 1), (7, 1), (20, 1), (5, 2), (20, 2), (4, 4))
]
UNET = [
    {"architecture": "unet", "scales": s, "widths": [2] * (s + 1), "convolutions": n, "stem": stem}
    for s, n, stem in itertools.product((0, 1, 2, 3), (1, 2, 3), (1, 2, 4))
    # The deepest ones at the full stem take seconds each; one of them stands for all.
    if (s, stem) != (3, 4) or n == 1
]
PAPER = [
    {"architecture": "paper-unet", "scales": s, "base": 1, "stem": stem, "bias_free": stem == 2}
    for s, stem in ((2, 1), (4, 1), (5, 1), (2, 2), (3, 2), (2, 4), (3, 4))
]
OTHERS = [
    {"architecture": name, "channels": 2, "stem": stem, "norm": True, "bias_free": stem == 2}
    for name, stem in itertools.product(("dncnn", "durr"), (1, 2, 4))
]
RESIDUAL = [
    {"architecture": "resunet", "widths": [2] * n, "encoder_blocks": [1] * (n - 1) + [2],
     "decoder_blocks": [2] * (n - 1), "stem": stem, "block": block, "middle": ["plain"],
     "padding": "zeros" if stem > 2 else "replicate"}
    for n, stem, block in itertools.product(
        (1, 2, 3), (1, 2, 4, 6, 8), ("plain", "bottleneck", "convnext", "separable"))
    if n < 3 or stem < 6
]  # fmt: skip
BLIND = [{"architecture": "blind-spot", "scales": s, "width": 2} for s in (0, 1, 2, 3)]
# Their windows lie on a grid; what the widest case of each adds is a bound.
GATED = [
    {"architecture": "resunet", "widths": [2, 2], "encoder_blocks": [1, 1], "decoder_blocks": [1],
     "stem": stem, "gates": gates, "gate_window": window, "gate_channels": 2}
    for stem, gates, window in (
        (1, [1, 0], 6), (2, [0, 1], 6), (2, [1, 1], 6), (1, [0, 2], 12), (4, [1, 0], 6))
]  # fmt: skip
GATED += [{**GATED[2], "gate_ways": way, "gate_mask": True} for way in ("down", "up")]
GLOBAL = [
    {"architecture": "resunet", "widths": [2, 4], "encoder_blocks": [1, 1], "decoder_blocks": [1],
     "stem": stem, "middle": ["plain", kind]}
    for stem, kind in itertools.product((1, 2, 4), ("fourier", "attention"))
]  # fmt: skip
QUICK = config.load().networks
RANGE_PX = {"narrow": (36, 48), "medium": (160, 240), "wide": (600, 1200)}


def name_of(spec):
    dull = ("channels", "encoder_blocks", "decoder_blocks", "padding", "base", "norm", "bias_free")
    spec = {**spec, "widths": len(spec.get("widths", []))}
    return "-".join(str(value) for key, value in spec.items() if key not in dull)


def thin(spec):
    """Return the same network with one channel a level: its field is the same, its work not."""
    return spec.model_copy(update={"widths": [1] * (spec.scales + 1)})


@pytest.mark.parametrize("spec", DNCNN + UNET + PAPER + OTHERS + RESIDUAL + BLIND, ids=name_of)
def test_computed_is_measured(spec):
    network = build(spec, seed=0)
    assert measured(network) == computed(network)
    # A second route, which needs no network.
    assert field_estimate(TypeAdapter(NetworkSpec).validate_python(spec)) == computed(network)


@pytest.mark.parametrize("spec", GATED, ids=name_of)
def test_computed_is_measured_with_spectral_gates(spec):
    network = build(spec, seed=0)
    assert measured(network) == computed(network)
    bound = field_estimate(TypeAdapter(NetworkSpec).validate_python(spec))
    assert computed(network) <= bound <= 1.3 * computed(network)


@pytest.mark.parametrize("spec", GLOBAL, ids=name_of)
def test_what_sees_the_whole_frame_has_no_field(spec):
    network = build(spec, seed=0)
    assert measured(network) is None
    assert computed(network) is None
    assert field_estimate(TypeAdapter(NetworkSpec).validate_python(spec)) == WHOLE_FRAME_PX


@pytest.mark.parametrize("name", QUICK)
def test_computed_is_measured_for_the_quick_study(name):
    network = build(thin(QUICK[name].spec), seed=0)
    assert measured(network) == computed(network)


@pytest.mark.parametrize("name", RANGE_PX)
def test_the_quick_study_spans_the_range(name):
    field = computed(build(QUICK[name].spec, seed=0))
    low, high = RANGE_PX[name]
    assert low <= field <= high
    assert field == computed(build(thin(QUICK[name].spec), seed=0))


@pytest.mark.parametrize("layers", [2, 5, 20])
def test_a_stack_of_convolutions_sees_two_pixels_more_a_layer(layers):
    network = build({"architecture": "dncnn", "layers": layers, "channels": 2}, seed=0)
    assert computed(network) == 2 * layers + 1  # 41 px for the paper's DnCNN


def test_known_fields_of_small_networks():
    # 1 + 2 for the entrance and 2 for the only level.
    plain = {"architecture": "unet", "scales": 0, "widths": [1], "convolutions": 1, "stem": 1}
    assert computed(build(plain, seed=0)) == 5
    # The same in units of the stem's blocks: 5 blocks of 4 pixels, whatever the phase; the box
    # is seen from the pixel, so that the phases' union is 3 pixels wider.
    assert computed(build(plain | {"stem": 4}, seed=0)) == 5 * 4 + 3
    # One pooling.  Seen from phase 0 the upper convolution asks for -1..1, which lies in the
    # coarse pixels -1..0, widened by the coarse convolution to -2..1, that is -4..3 in fine
    # pixels; convolution and entrance make it -6..5.  From phase 1: 0..2, coarse 0..1, -1..2,
    # fine -2..5, -4..7, which is -5..6 as seen from the pixel.
    pooled = plain | {"scales": 1, "widths": [1, 1]}
    assert computed(build(pooled, seed=0)) == 6 + 6 + 1


class Linear(nn.Module):
    """A network of one layer whose gradient is known."""

    stride = 1

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)

    def seen(self, span):
        return self.layer.seen(span)


def kernel(taps, size=11):
    """Return a convolution with given values at (dy, dx)."""
    layer = Convolution(1, 1, size, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        for (dy, dx), value in taps.items():
            layer.weight[0, 0, size // 2 + dy, size // 2 + dx] = value
    return Linear(layer)


def side(network, share=0.9, shape=(2, 1, 40, 30)):
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return effective(network, images, share, pixels=10, rng=np.random.default_rng(0))


def test_the_effective_field_of_a_single_tap():
    # All of it lies in the pixel itself: linear from 0 at side 0 to all at side 1.
    assert side(kernel({(0, 0): 3.0}), share=0.9) == pytest.approx(0.9)
    # All of it at distance 4, between the squares of sides 7 and 9.
    assert side(kernel({(-4, 2): 3.0}), share=0.9) == pytest.approx(7 + 0.9 * 2)
    assert side(kernel({(-4, 2): 3.0}), share=1.0) == pytest.approx(9)


def test_the_effective_field_of_two_equal_distant_taps():
    two = kernel({(0, -1): 2.0, (5, 0): -2.0})
    # Half at distance 1 (sides 1 to 3), half at 5 (sides 9 to 11).
    assert side(two, share=0.25) == pytest.approx(1 + 0.5 * 2)
    assert side(two, share=0.75) == pytest.approx(9 + 0.5 * 2)
    assert side(two, share=0.5) == pytest.approx(3)


def test_the_squared_gradient_is_what_counts():
    # 9 of 10 parts of the square in the middle, but only 3 of 4 of the gradient.
    assert side(kernel({(0, 0): 3.0, (5, 5): 1.0}), share=0.9) == pytest.approx(1)


def test_the_effective_field_of_a_flat_kernel():
    # 11 x 11 equal taps: inside a square of side s lie s^2 / 121 of them.
    flat = kernel({(dy, dx): 1.0 for dy in range(-5, 6) for dx in range(-5, 6)})
    inner, outer = 81 / 121, 1.0
    assert side(flat, share=0.9) == pytest.approx(9 + 2 * (0.9 - inner) / (outer - inner))


def test_the_effective_field_sees_past_a_rectifier():
    # A rectifier that is closed passes nothing: of two layers only the open one counts.
    layers = Chain(Convolution(1, 2, 3), Rectifier(), Convolution(2, 1, 7))
    with torch.no_grad():
        for convolution in (layers[0], layers[2]):
            convolution.weight.zero_()
            convolution.bias.zero_()
        layers[0].weight[:, 0, 1, 1] = torch.tensor([1.0, -1.0])  # positive images close one
        layers[2].weight[0, :, 3, 4] = torch.tensor([1.0, 0.0])  # the open one: distance 1
        layers[2].weight[0, :, 3, 6] = torch.tensor([0.0, 9.0])  # the closed one: distance 3
    assert side(Linear(layers), share=1.0) == pytest.approx(3)


def test_the_effective_field_depends_on_no_mode_and_changes_none():
    network = Linear(Chain(kernel({(0, -1): 2.0, (5, 0): -2.0}).layer, Normalise(1)))
    network.train()
    before = network.layer[1].variance.clone()
    assert side(network, share=0.75) == pytest.approx(10)
    assert network.training
    assert torch.equal(before, network.layer[1].variance)


def test_nothing_depends_on_nothing():
    assert side(kernel({})) == 0.0


def test_the_effective_field_lies_in_the_field():
    network = build({"architecture": "unet", "scales": 2, "widths": [4, 4, 4], "stem": 1}, seed=3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    found = side(network, shape=(2, 1, 96, 88))
    assert 1 < found < computed(network)
    # The same pixels, the same answer.
    assert found == side(network, shape=(2, 1, 96, 88))
    assert found < side(network, share=0.99, shape=(2, 1, 96, 88))
