"""A network as a denoiser: any size, no seams, shift with the image."""

import numpy as np
import pytest
import torch

from lowdose.denoisers.contract import DenoiserInfo
from lowdose.denoisers.learned import LearnedDenoiser, apply
from lowdose.denoisers.networks.build import build
from lowdose.denoisers.networks.receptive_field import computed

SPECS = [
    {"architecture": "dncnn", "layers": 4, "channels": 4, "stem": 1},
    {"architecture": "unet", "scales": 0, "widths": [6], "convolutions": 2, "stem": 4},
    {"architecture": "unet", "scales": 2, "widths": [4, 5, 6], "convolutions": 1, "stem": 2},
]
INFO = DenoiserInfo(
    name="toy",
    title="toy",
    citation="none",
    licence="GPL-3.0-or-later",
    pixel_size_nm=(0.005, 0.007),
    dose_e_per_a2=(10, 1000),
)


def lively(spec):
    """Return a network whose last layer is not zero, as that of a new one is."""
    network = build(spec, seed=2)
    last = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        last.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(1))
    return network


def noise(*shape, seed=0):
    counts = np.random.default_rng(seed).poisson(0.45, shape) / 0.45
    return torch.from_numpy(counts).float()[:, None]


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (5, 3), (16, 16), (17, 31), (33, 64)], ids=str)
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_any_size_and_each_image_for_itself(spec, size):
    network = lively(spec)
    images = noise(3, *size)
    together = apply(network, images)
    assert together.shape == images.shape
    assert together.dtype == torch.float32
    assert torch.isfinite(together).all()
    assert (together >= 0).all()
    for i in range(3):
        assert torch.allclose(together[i], apply(network, images[i : i + 1])[0], atol=1e-5)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_shift_by_the_stride_shifts_the_result(spec):
    network = lively(spec)
    stride, reach = network.stride, computed(network)
    size = 2 * reach + 8 * stride
    image = noise(1, size, size)
    moved = torch.roll(image, (stride, 2 * stride), dims=(2, 3))
    result = torch.roll(apply(network, image), (stride, 2 * stride), dims=(2, 3))
    inner = slice(reach + 2 * stride, -reach - 2 * stride)
    assert torch.allclose(apply(network, moved)[..., inner, inner], result[..., inner, inner],
                          atol=1e-5)  # fmt: skip
    # It is not so for any shift, or the test would be empty: the result is no constant.
    assert result[..., inner, inner].std() > 1e-3


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_constant_image_has_no_border(spec):
    network = lively(spec)
    result = apply(network, torch.full((1, 1, 61, 45), 0.8))[0, 0]
    # Phases of the stem may differ; from period to period nothing may.
    period = network.stride
    assert torch.allclose(result[period:], result[:-period], atol=1e-5)
    assert torch.allclose(result[:, period:], result[:, :-period], atol=1e-5)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_pixel_beyond_the_field_does_not_matter(spec):
    network = lively(spec)
    field = computed(network)
    size = -(-(2 * field + 32) // network.stride) * network.stride
    image = noise(1, size, size)
    changed = image.clone()
    changed[0, 0, size // 2, size // 2] += 50
    moved = torch.nonzero((apply(network, changed) - apply(network, image))[0, 0].abs() > 1e-7)
    distance = (moved - size // 2).abs().max()
    assert 0 < distance < field


def test_the_denoiser_works_relative_to_vacuum():
    network = lively(SPECS[1])
    denoiser = LearnedDenoiser(network, INFO)
    counts = np.random.default_rng(1).poisson(0.45, (1, 40, 52)).astype(np.float32)
    pixel_nm = 0.0061
    dose = 0.45 / (10 * pixel_nm) ** 2
    expected = apply(network, torch.from_numpy(counts / np.float32(0.45))[None])[0, 0].numpy()
    found = denoiser.denoise(counts, pixel_nm, dose=dose)[0] / 0.45
    # The contract keeps the total within 1 % of the counts'; up to that factor it is the network.
    ratio = found / expected
    assert ratio.std() < 1e-5
    # Ten times the electrons at ten times the dose are the same relative image.
    tenfold = denoiser.denoise(10 * counts, pixel_nm, dose=10 * dose)[0]
    assert np.allclose(tenfold, 10 * 0.45 * found, rtol=1e-4)
    assert not denoiser.denoise(np.zeros((1, 9, 9), np.float32), pixel_nm).any()


def test_bf16_stays_near_fp32():
    network = lively(SPECS[1])
    image = noise(1, 64, 64)
    full, half = apply(network, image), apply(network, image, bf16=True)
    assert half.dtype == torch.float32
    # bfloat16 has 8 bits of precision; the deviation from vacuum is what is rounded.
    assert (half - full).abs().max() < 0.05 * (full - 1).abs().max() + 2**-7
