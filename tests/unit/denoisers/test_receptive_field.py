"""The receptive field: computed from the layers, measured by the gradient, known in the books."""

import itertools

import pytest

from lowdose import config
from lowdose.config_networks import UNetSpec, field_estimate
from lowdose.denoisers.networks.build import build
from lowdose.denoisers.networks.receptive_field import computed, measured

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
QUICK = config.load().networks
RANGE_PX = {"narrow": (36, 48), "medium": (160, 240), "wide": (600, 1200)}


def name_of(spec):
    return "-".join(str(value) for key, value in spec.items() if key not in ("widths", "channels"))


def thin(spec):
    """Return the same network with one channel a level: its field is the same, its work not."""
    return spec.model_copy(update={"widths": [1] * (spec.scales + 1)})


@pytest.mark.parametrize("spec", DNCNN + UNET, ids=name_of)
def test_computed_is_measured(spec):
    network = build(spec, seed=0)
    assert measured(network) == computed(network)


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


def test_the_estimate_orders_networks_as_the_field_does():
    specs = [
        UNetSpec(architecture="unet", scales=s, widths=[2] * (s + 1), convolutions=n, stem=4)
        for s, n in ((0, 2), (0, 4), (1, 2), (2, 1), (2, 2), (3, 2), (4, 2))
    ]
    fields = [computed(build(spec, seed=0)) for spec in specs]
    assert fields == sorted(fields)
    estimates = [field_estimate(spec) for spec in specs]
    assert estimates == sorted(estimates)
