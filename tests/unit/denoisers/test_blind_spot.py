"""The blind spot is structural: no gradient, no trace of the pixel itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowdose.denoisers.networks.blind_spot import BlindSpot, HalfPlane


@pytest.fixture
def network():
    torch.manual_seed(3)
    made = BlindSpot(outputs=2, width=4, scales=2)
    torch.nn.init.normal_(made.join[-1].weight)
    return made.double()


@pytest.mark.parametrize("size", [(16, 16), (13, 22)])
def test_no_output_sees_its_own_pixel(network, size):
    x = torch.rand(1, 1, *size, dtype=torch.float64, requires_grad=True)
    y = network(x)
    assert y.shape == (1, 2, *size)
    places = np.random.default_rng(0).integers(0, size, (12, 2))
    for v, u in [*places, (0, 0), (size[0] - 1, size[1] - 1)]:
        (gradient,) = torch.autograd.grad(y[0, :, v, u].sum(), x, retain_graph=True)
        assert gradient[0, 0, v, u] == 0
        # But it sees the neighbours on all sides that there are.
        near = gradient[0, 0, max(v - 1, 0) : v + 2, max(u - 1, 0) : u + 2]
        assert (near != 0).sum() == near.numel() - 1


def test_a_half_plane_sees_what_is_above_it():
    torch.manual_seed(1)
    half = HalfPlane(3, 2).double()
    x = torch.rand(1, 1, 24, 24, dtype=torch.float64, requires_grad=True)
    for row in (7, 8, 9, 10):
        (gradient,) = torch.autograd.grad(half(x)[0, :, row].sum(), x)
        rows = gradient[0, 0].abs().sum(1)
        assert (rows[row:] == 0).all()
        assert rows[row - 1] > 0


def test_a_network_at_its_start_says_the_same_everywhere():
    y = BlindSpot(outputs=1)(torch.rand(2, 1, 20, 30))
    assert torch.equal(y, torch.zeros(2, 1, 20, 30))
