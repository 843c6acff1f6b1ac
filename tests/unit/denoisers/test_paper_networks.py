"""The networks of the paper have the sizes that were published."""

import pytest
import torch
from pydantic import TypeAdapter

from lowdose.config_networks import NetworkSpec, PaperUNetSpec, crop_problem
from lowdose.denoisers.networks.build import build, parameter_count
from lowdose.denoisers.networks.paper_unet import PaperUNet, level_widths
from lowdose.denoisers.networks.receptive_field import computed


def count(**keys):
    # Shapes alone: the largest one would take 280 MB.
    with torch.device("meta"):
        return parameter_count(PaperUNet(PaperUNetSpec(architecture="paper-unet", **keys)))


@pytest.mark.parametrize(
    ("scales", "base", "bias_free", "published"),
    [
        (4, 128, False, 5_613_441),
        (2, 128, True, 1_625_856),
        (4, 16, True, 88_448),
        (4, 32, True, 352_000),
        (4, 64, True, 1_404_416),
        (4, 128, True, 5_610_496),
        (6, 16, True, 1_103_936),
        (6, 32, True, 4_410_496),
        (6, 64, True, 17_631_488),
        (6, 128, True, 70_504_960),
    ],
)
def test_parameters_are_the_published_ones(scales, base, bias_free, published):
    assert count(scales=scales, base=base, bias_free=bias_free) == published


def test_published_gains_are_one_a_convolution_and_channel():
    # 0.052 % of the 4-scale network can be tuned: one value an output channel of a convolution.
    with torch.device("meta"):
        network = PaperUNet(PaperUNetSpec(architecture="paper-unet"))
    channels = [m.out_channels for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert sum(channels) == 2945


def test_widths_of_each_level():
    assert level_widths(2) == ([1, 1, 1], [1, 1])
    assert level_widths(4) == ([1, 1, 1, 2, 2], [1, 1, 1, 1])
    assert level_widths(6) == ([1, 1, 1, 2, 4, 8, 8], [1, 1, 1, 1, 2, 4])


@pytest.mark.parametrize("scales", [2, 3, 4, 5, 6])
def test_any_number_of_scales_works(scales):
    network = build({"architecture": "paper-unet", "scales": scales, "base": 1}, seed=0)
    assert network.stride == 2**scales
    with torch.no_grad():
        assert network(torch.ones(1, 1, 2**scales, 2**scales)).shape == (1, 1, *[2**scales] * 2)


def test_durr_by_hand():
    def layer(inputs, outputs, size=3):
        return size * size * inputs * outputs + outputs

    convolutions = (
        layer(1, 32, 5) + layer(32, 32) + layer(32, 64) + 3 * layer(64, 64) + layer(64, 64, 4)
        + layer(96, 32) + layer(32, 1, 5)
    )  # fmt: skip
    norms = 2 * (32 + 64 * 5 + 32)
    plain = build({"architecture": "durr", "norm": False}, seed=0)
    assert parameter_count(plain) == convolutions
    assert parameter_count(build({"architecture": "durr"}, seed=0)) == convolutions + norms


def test_durrs_transposed_convolution_sees_more_of_the_edge_beyond_it():
    network = build({"architecture": "durr", "channels": 2}, seed=0)
    (transposed,) = [m for m in network.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    with torch.no_grad():
        transposed.weight.fill_(1 / (4 * transposed.in_channels))
        result = transposed(torch.full((1, 4, 3, 5), 2.0))
    # Each output meets 2 x 2 taps of each channel, also at the border.
    torch.testing.assert_close(result, torch.full((1, 4, 6, 10), 2.0))


def test_fields_of_the_paper():
    assert computed(build({"architecture": "dncnn", "channels": 2, "norm": True}, seed=0)) == 41
    # 45 pixels from one output phase of the strided convolution, one more in the union of both.
    durr = build({"architecture": "durr", "channels": 2}, seed=0)
    low, high = durr.seen((0, 0))
    assert high - low + 1 == 45
    assert computed(durr) == 46
    for scales, field in ((2, 53), (4, 245), (6, 1013)):
        network = build({"architecture": "paper-unet", "scales": scales, "base": 1}, seed=0)
        # Eight pixels a level for four 3 x 3 convolutions, two for the interpolation, four for
        # the lowest level's two; and the phases on either side.
        assert computed(network) == field
        assert field == 10 * (2**scales - 1) + 4 * 2**scales + 2 * 2**scales - 1


@pytest.mark.parametrize(
    ("spec", "crop", "stride"),
    [
        ({"architecture": "paper-unet", "scales": 4}, 60, 16),
        ({"architecture": "durr", "stem": 4}, 60, 8),
        ({"architecture": "resunet"}, 100, 32),
        ({"architecture": "unet", "scales": 2, "widths": [1, 1, 1], "stem": 4}, 100, 16),
    ],
)
def test_crops_that_do_not_fit_are_named_with_ones_that_do(spec, crop, stride):
    spec = TypeAdapter(NetworkSpec).validate_python(spec)
    problem = crop_problem(spec, crop)
    assert f"multiple of {stride} px and at least {4 * stride} px" in problem
    assert crop_problem(spec, int(problem.split("; use ")[1].split()[0])) is None
