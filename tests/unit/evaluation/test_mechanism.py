"""The equivalent filter against finite differences and closed forms."""

import numpy as np
import pandas as pd
import pytest
import torch

from lowdose.denoisers.networks.build import build
from lowdose.evaluation.mechanism import equivalent_filter, places

SPEC = {"architecture": "unet", "scales": 1, "widths": [6, 8], "convolutions": 1, "stem": 2}


@pytest.fixture(scope="module")
def network():
    made = build(SPEC, seed=4).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return made


class InDouble(torch.nn.Module):
    """The network in double precision behind a float32 image, for finite differences."""

    def __init__(self, network):
        super().__init__()
        self.network, self.stride = network, network.stride

    def forward(self, x):
        return self.network(x.double())


def image():
    return (np.random.default_rng(2).poisson(0.45, (36, 40)) / 0.45).astype(np.float32)


def value(network, relative, row, column):
    with torch.no_grad():
        return float(network(torch.from_numpy(relative)[None, None])[0, 0, row, column])


def test_output_is_linear_part_and_remainder(network):
    relative = image()
    found = equivalent_filter(InDouble(network), relative, 17, 22, reach=100)
    assert found.output == pytest.approx(value(InDouble(network), relative, 17, 22))
    # The window holds the whole image, so the linear part is the sum over it.
    assert found.filter.shape == relative.shape
    assert (found.row, found.column) == (17, 22)
    assert found.linear_part == pytest.approx(float((found.filter * relative).sum()), rel=1e-5)
    assert found.linear_part + found.remainder == pytest.approx(found.output)


def test_the_filter_is_the_gradient(network):
    relative = image().astype(np.float64)
    inner = network
    found = equivalent_filter(InDouble(inner), relative, 17, 22, reach=6)
    step = 1e-6
    for dy, dx in ((0, 0), (1, -2), (-5, 4), (6, 6)):
        moved = [relative.copy(), relative.copy()]
        for sign, one in zip((1, -1), moved, strict=True):
            one[17 + dy, 22 + dx] += sign * step
        with torch.no_grad():
            high, low = (float(inner(torch.from_numpy(m)[None, None])[0, 0, 17, 22]) for m in moved)
        difference = (high - low) / (2 * step)
        at = found.filter[found.row + dy, found.column + dx]
        assert at == pytest.approx(difference, abs=1e-6)
    assert np.abs(found.filter).max() > 1e-3


def test_a_linear_network_has_its_kernel_as_filter_and_its_bias_as_remainder():
    layer = torch.nn.Conv2d(1, 1, 3, padding=1)
    layer.stride_of_network = 1
    kernel = torch.arange(9.0).reshape(3, 3) / 10
    with torch.no_grad():
        layer.weight.copy_(kernel[None, None])
        layer.bias.fill_(0.7)

    class Linear(torch.nn.Module):
        stride = 1

        def forward(self, x):
            return layer(x)

    relative = image()
    found = equivalent_filter(Linear(), relative, 10, 30, reach=1)
    assert found.filter == pytest.approx(kernel.numpy())
    assert found.remainder == pytest.approx(0.7, abs=1e-5)
    assert (found.row, found.column) == (1, 1)
    # At the border of the image the window is cut, and the pixel's place in it moves.
    corner = equivalent_filter(Linear(), relative, 0, 39, reach=1)
    assert corner.filter == pytest.approx(kernel.numpy()[1:, :2])
    assert (corner.row, corner.column) == (0, 1)


def test_a_pixel_in_the_cut_off_rim_is_an_error(network):
    with pytest.raises(ValueError, match="cut-off rim"):
        equivalent_filter(network.float(), image()[:35], 33, 3, reach=2)


def test_places_are_a_surface_a_bulk_and_a_vacuum_point(particle):
    points = particle.lattice()
    table = particle.table_of(points, vacancies=[0.1, 0.1])
    # The centre of the middle row is the thickest.
    centre = 11
    table.loc[centre, "n_atoms"] = 9
    where = places(table, particle.interface_nm)
    top = points[:, 1].min()
    assert where["surface"][1] == top
    assert where["surface"][0] == pytest.approx(points[:, 0].mean(), abs=0.121)
    assert where["bulk"] == pytest.approx(tuple(points[centre]))
    assert where["vacuum"] == pytest.approx((points[:, 0].mean(), top / 2))
    assert pd.Series(where).map(len).eq(2).all()
