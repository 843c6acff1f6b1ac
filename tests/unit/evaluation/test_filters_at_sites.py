"""Filters at sites: which sites, and what a network that looks for columns does there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from lowdose.evaluation.filters_at_sites import Filters, sites_to_see


class Kernel(torch.nn.Module):
    """A linear network: the same Gaussian filter everywhere."""

    stride = 1

    def __init__(self, sigma=3.0):
        super().__init__()
        k = torch.arange(-9, 10) / sigma
        line = torch.exp(-k.square() / 2)
        self.kernel = (line[:, None] * line[None] / line.sum() ** 2)[None, None]

    def forward(self, x):
        return torch.nn.functional.conv2d(x, self.kernel, padding=9)


class Switch(torch.nn.Module):
    """Two filters: a wide one in vacuum, a narrow one where it sees a column."""

    stride = 1

    def __init__(self):
        super().__init__()
        self.wide, self.narrow = Kernel(4.0), Kernel(1.5)

    def forward(self, x):
        smooth = self.wide(x)
        return torch.where(smooth.detach() > 1.15, self.narrow(x), smooth)


@pytest.fixture(scope="module")
def frames(particle):
    return particle.frame_set("PtNp1a", "PtNp1b")


@pytest.fixture(scope="module")
def dose(spec):
    return {**spec, "dose_e_per_px": 200.0}


@pytest.fixture(scope="module")
def stakes(frames):
    gone = frames.columns[frames.columns["site"] == "vacancy"].iloc[0]
    return pd.DataFrame([
        {"pair": "a", "kind": "vacancy", "site": "corner", "base_shape": "PtNp1a",
         "present": present, "frame": frame, "x_nm": gone["x_nm"], "y_nm": gone["y_nm"]}
        for present, frame in ((True, 0), (False, 1))
    ])  # fmt: skip


def test_one_site_of_each_kind_and_shape(frames):
    sites = sites_to_see(frames, 2)
    assert sites.groupby("kind").size().to_dict() == {
        "vacuum": 2, "bulk": 2, "facet": 2, "vacancy": 2,
    }  # fmt: skip
    vacancy = sites[sites["kind"] == "vacancy"]
    assert vacancy["frame"].tolist() == [1, 3]  # the frames that have one
    assert sites_to_see(frames, 1)["base_shape"].unique().tolist() == ["PtNp1a"]
    # Vacuum has no column within half a nanometre.
    for one in sites[sites["kind"] == "vacuum"].itertuples():
        own = frames.columns[frames.columns["frame"] == one.frame]
        assert np.hypot(own["x_nm"] - one.x_nm, own["y_nm"] - one.y_nm).min() > 0.2


def test_a_linear_network_does_the_same_everywhere(frames, dose, stakes):
    filters = Filters(Kernel(), frames, dose)
    rows = pd.DataFrame(filters.described(sites_to_see(frames, 2)))
    pixel = frames.pixel_size_nm
    assert rows["extent_nm"].to_numpy() == pytest.approx(3 * pixel * np.sqrt(np.log(10)), rel=0.05)
    assert rows["remainder"].to_numpy() == pytest.approx(0, abs=1e-5)
    assert rows["weight_sum"].to_numpy() == pytest.approx(1, abs=1e-3)
    (change,) = filters.changes(stakes)
    assert change["change"] == pytest.approx(0, abs=1e-6)
    assert change["by_noise"] == pytest.approx(0, abs=1e-6)


def test_a_network_that_sees_the_column_changes_its_filter_there(frames, dose, stakes):
    filters = Filters(Switch(), frames, dose)
    rows = pd.DataFrame(filters.described(sites_to_see(frames, 1))).set_index("kind")
    assert rows.loc["bulk", "extent_nm"] < 0.6 * rows.loc["vacuum", "extent_nm"]
    (change,) = filters.changes(stakes)
    assert change["change"] > 0.1 > 0.01 > change["by_noise"]
    assert change["site"] == "corner"
