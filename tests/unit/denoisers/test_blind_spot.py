"""The blind spot is structural: no gradient, no trace of the pixel itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowdose.denoisers.networks.blind_spot import HalfPlane
from lowdose.denoisers.networks.build import build


@pytest.fixture
def network():
    made = build({"architecture": "blind-spot", "width": 4, "scales": 2}, seed=3)
    torch.nn.init.normal_(made.join[-1].weight, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():  # positive, so that no rectifier closes and hides a path
        for weight in made.parameters():
            weight.abs_().mul_(0.3)
    return made.double()


@pytest.mark.parametrize("size", [(16, 16), (13, 22)])
def test_no_output_sees_its_own_pixel(network, size):
    x = (1 + torch.rand(1, 1, *size, dtype=torch.float64)).requires_grad_()
    y = network(x)
    assert y.shape == (1, 1, *size)
    assert (y > 0).all()
    places = np.random.default_rng(0).integers(0, size, (12, 2))
    for v, u in [*places, (0, 0), (size[0] - 1, size[1] - 1)]:
        (gradient,) = torch.autograd.grad(y[0, 0, v, u], x, retain_graph=True)
        assert gradient[0, 0, v, u] == 0
        # But it sees the neighbours on all sides that there are.
        near = gradient[0, 0, max(v - 1, 0) : v + 2, max(u - 1, 0) : u + 2]
        assert (near != 0).sum() == near.numel() - 1


def test_a_half_plane_sees_what_is_above_it():
    torch.manual_seed(1)
    half = HalfPlane(3, 2).double()
    x = torch.rand(1, 1, 64, 64, dtype=torch.float64, requires_grad=True)
    for row in (57, 58, 59, 60):
        (gradient,) = torch.autograd.grad(half(x)[0, :, row].sum(), x)
        rows = gradient[0, 0].abs().sum(1)
        assert (rows[row:] == 0).all()
        assert rows[row - 1] > 0
        first, last = half.seen((row, row))
        assert (first, last) == (int(torch.nonzero(rows)[0]), row - 1)
