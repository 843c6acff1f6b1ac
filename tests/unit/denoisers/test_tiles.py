"""A network on images of any size: no seams, no border, and words where memory ends."""

import numpy as np
import pytest
import torch

from lowdose.denoisers import tiles
from lowdose.denoisers.networks.build import build
from lowdose.denoisers.networks.receptive_field import computed, grid
from lowdose.denoisers.tiles import apply, chosen_device
from lowdose.runtime import UserError

SPECS = [
    {"architecture": "dncnn", "layers": 4, "channels": 4, "stem": 1},
    {"architecture": "unet", "scales": 0, "widths": [6], "convolutions": 2, "stem": 4},
    {"architecture": "unet", "scales": 2, "widths": [4, 5, 6], "convolutions": 1, "stem": 2},
]
RESUNET = {"architecture": "resunet", "stem": 2, "widths": [8, 8], "encoder_blocks": [1, 1],
           "decoder_blocks": [1]}  # fmt: skip
GATED = {**RESUNET, "gates": [0, 1], "gate_window": 6, "gate_channels": 4, "padding": "zeros"}
MASKED = {**GATED, "gate_ways": "down", "gate_mask": True}
RELEASE = {"architecture": "resunet", "stem": 4, "widths": [64, 128, 192, 256]}


def lively(spec):
    """Return a network that uses all that it sees: a new one's last layers are zero."""
    network = build(spec, seed=2)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d) and not module.weight.any():
                module.weight.normal_(0, 0.05, generator=generator)
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


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("spec", [*SPECS, RESUNET, GATED, MASKED], ids=str)
def test_tiles_leave_no_seam(spec, bf16, monkeypatch):
    network = lively(spec)
    image = noise(2, 203, 330)
    whole = apply(network, image, bf16=bf16)
    side = 2 * tiles._overlap(network) + max(3 * grid(network), 40)
    assert len(tiles.tiles(network, 320, side)) > 4
    contrast = whole.std()
    found = apply(network, image, bf16=bf16, tile_px=side)
    assert (found - whole).abs().max() < 1e-4 * contrast
    # With half of the overlap there are seams: it is as small as it can be, and this test can fail.
    overlap = tiles._overlap(network) // 2 // grid(network) * grid(network)
    monkeypatch.setattr(tiles, "_overlap", lambda network: overlap)
    assert (apply(network, image, bf16=bf16, tile_px=side) - whole).abs().max() > 1e-4 * contrast


def test_tiles_cover_a_side_once_and_see_what_they_need():
    network = build(RELEASE, seed=0)
    overlap = 416  # (831 px of field - 1) / 2 = 415, up to a multiple of 32
    assert computed(network) == 831
    cut = tiles.tiles(network, 4096)
    assert [start for start, *_ in cut[1:]] == [stop for _, stop, *_ in cut[:-1]]
    assert (cut[0][0], cut[-1][1]) == (0, 4096)
    for start, stop, first, last in cut:
        assert (first, last) == (max(start - overlap, 0), min(stop + overlap, 4096))
        assert not any(edge % 32 for edge in (start, stop, first, last))
        # 64 channels on a sixteenth of the pixels, float32, five maps: 80 bytes a pixel.
        assert (last - first) ** 2 * 80 <= tiles.WORKING_BYTES
    assert tiles.tiles(network, 1024) == [(0, 1024, 0, 1024)]


def test_a_tile_below_the_field_is_refused():
    network = build(RELEASE, seed=0)
    assert len(tiles.tiles(network, 1024, 864)) == 1024 // 32
    with pytest.raises(UserError, match=r"tile_px is 863, .* a tile has 864 px at least; give 864"):
        tiles.tiles(network, 1024, 863)


def test_a_network_that_sees_everything_is_not_cut():
    network = lively(RESUNET | {"middle": ["attention"]})
    assert tiles.tiles(network, 1 << 20, 64) == [(0, 1 << 20, 0, 1 << 20)]
    image = noise(1, 60, 70)
    assert torch.equal(apply(network, image, tile_px=8), apply(network, image))


def test_wide_layers_do_not_shrink_the_tiles_to_their_overlap():
    # 512 channels at full resolution would fit 64 MiB only in tiles of 50 px.
    network = build({"architecture": "dncnn", "layers": 3, "channels": 512}, seed=0)
    assert tiles._fitting_side(network) < tiles.SMALLEST_SIDE_PX
    assert tiles.tiles(network, 1024) == [(0, 1024, 0, 1024)]
    assert max(last - first for _, _, first, last in tiles.tiles(network, 3000)) <= 1024


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_image_ends_where_the_networks_padding_begins(spec):
    network = lively(spec)
    image = noise(1, 4 * network.stride, 6 * network.stride)
    with torch.no_grad():
        assert torch.equal(apply(network, image), torch.relu(network(image)))


@pytest.mark.parametrize("spec", [*SPECS, GATED], ids=str)
def test_the_rest_of_a_stride_is_filled_by_vacuum(spec):
    network = lively(spec)
    stride = network.stride
    height, width = 5 * stride - stride // 2, 7 * stride - (stride - 1)
    image = noise(1, height, width)
    filled = torch.ones(1, 1, 5 * stride, 7 * stride)
    filled[..., :height, :width] = image
    with torch.no_grad():
        expected = torch.relu(network(filled))[..., :height, :width]
    assert torch.equal(apply(network, image), expected)


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
    result = apply(network, torch.full((1, 1, 64, 48), 0.8))[0, 0]
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


def test_bf16_stays_near_fp32():
    network = lively(SPECS[1])
    image = noise(1, 64, 64)
    full, half = apply(network, image), apply(network, image, bf16=True)
    assert half.dtype == torch.float32
    # bfloat16 has 8 bits of precision; the deviation from vacuum is what is rounded.
    assert (half - full).abs().max() < 0.05 * (full - 1).abs().max() + 2**-7


class Failing(torch.nn.Module):
    """A network whose layers raise an error."""

    stride = 4

    def __init__(self, error):
        super().__init__()
        self.weight, self.error = torch.nn.Parameter(torch.ones(1)), error

    def forward(self, x):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate "
                     "memory: you tried to allocate 68719476736 bytes. Error code 12"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_too_little_memory_is_said_in_a_sentence(error):
    with pytest.raises(UserError, match="denoise 500 x 600 px at once; set tile_px to 300 or less"):
        apply(Failing(error), noise(1, 500, 600))


def test_another_error_is_not_taken_for_memory():
    with pytest.raises(RuntimeError, match="size mismatch"):
        apply(Failing(RuntimeError("size mismatch")), noise(1, 500, 600))


@pytest.mark.parametrize(
    ("there", "asked", "found"),
    [(True, "auto", "cuda"), (True, "cpu", "cpu"), (True, "cuda", "cuda"),
     (False, "auto", "cpu"), (False, "cpu", "cpu")],
)  # fmt: skip
def test_the_device_follows_from_what_is_there(there, asked, found, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert chosen_device(asked).type == found


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="torch finds no CUDA device; give cpu or auto"):
        chosen_device("cuda")
    with pytest.raises(UserError, match="device is 'gpu'; give auto, cpu or cuda"):
        chosen_device("gpu")
