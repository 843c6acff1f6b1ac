"""Photographs with Gaussian noise: which they are, what the network learns, what adapting does."""

from __future__ import annotations

import socket

import numpy as np
import pytest
import torch
from torch import nn

from lowdose.evaluation import natural_images
from lowdose.evaluation.natural_images import Image, adapted, grey, images, trained

TINY = {"architecture": "dncnn", "layers": 3, "channels": 8, "stem": 2}


class Shrinker(nn.Module):
    """A strength times the image about its middle grey: its best strength is known."""

    stride = 1

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.only = nn.Conv2d(1, 1, 1)
        with torch.no_grad():
            self.only.weight.fill_(strength)
            self.only.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.5 + self.only(x - 0.5)


def two_tone(side: int = 128) -> np.ndarray:
    """Return stripes of 0.4 and 0.6: a variance of 0.01 about 0.5."""
    return np.where(np.arange(side) // 8 % 2, 0.4, 0.6).astype(np.float32) * np.ones((side, 1), "f")


def test_images_come_without_a_network_and_none_is_trained_on(monkeypatch):
    def refuse(*_):
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    found = list(images(160))
    for one in found:
        assert one.clean.dtype == np.float32 and one.clean.ndim == 2
        assert min(one.clean.shape) >= 128 and max(one.clean.shape) == 160
        assert one.clean.min() >= 0 and one.clean.max() <= 1 and one.clean.std() > 0.02
    cases = {c: {i.image for i in found if i.case == c} for c in dict.fromkeys(
        i.case for i in found)}  # fmt: skip
    assert len(set().union(*cases.values())) == 14  # each kind has its own
    assert not set().union(*cases.values()) & set(natural_images.TRAINED_ON)
    assert cases["noise 15"] == cases["noise 60"] == cases["in distribution"]
    assert {i.sigma for i in found if not i.case.startswith("noise")} == {25}


def test_grey_is_the_luminance_and_large_images_are_halved():
    colours = natural_images.skimage.data.astronaut()
    by_hand = (colours / 255) @ np.array([0.2125, 0.7154, 0.0721])
    np.testing.assert_allclose(grey("astronaut"), by_hand, atol=1e-5)
    assert grey("retina").shape == (352, 352)
    pixels = natural_images.skimage.data.camera() / 255
    np.testing.assert_allclose(grey("camera"), pixels, atol=1e-6)


def test_training_learns_to_denoise_and_is_repeatable():
    network = trained(30, 3, TINY)
    (camera,) = (i for i in images(128) if i.image == "camera" and i.sigma == 25)
    rng = np.random.default_rng(0)
    noisy = camera.clean + 25 / 255 * rng.standard_normal(camera.clean.shape, np.float32)
    with torch.no_grad():
        estimate = network(torch.from_numpy(noisy)[None, None])[0, 0].numpy()
    error, flat = (np.mean((e - camera.clean) ** 2) for e in (estimate, camera.clean.mean()))
    assert error < 0.7 * flat  # it began with a constant image
    again = trained(30, 3, TINY).state_dict()
    assert all(torch.equal(v, again[k]) for k, v in network.state_dict().items())


@pytest.mark.parametrize(("strength", "moved"), [(0.41, 1), (0.25, 1.12), (0.65, 0.88)])
def test_steins_risk_moves_a_strength_to_its_best(strength, moved):
    """Signal and noise have the variance 0.01; the noise of the seven tenths seen has 0.0143.

    There 0.412 is best.  The error on the whole image is ``0.01 ((1 - g)^2 + g^2)`` at a strength
    g, and 40 steps of 0.003 change a gain by 0.12.
    """
    image = Image("stripes", "stripes", two_tone(), 25.5)
    row = adapted(Shrinker(strength), image, {"seed": 1, "steps": 40})
    before, after = (0.01 * ((1 - g) ** 2 + g**2) for g in (strength, moved * strength))
    assert row["before_db"] == pytest.approx(-10 * np.log10(before), abs=0.1)
    assert row["gain_db"] == pytest.approx(10 * np.log10(before / after), rel=0.2)
    assert (row["steps"] > 0) == (moved != 1)
    assert row["gain_db"] == row["after_db"] - row["before_db"]
    again = adapted(Shrinker(strength), image, {"seed": 1, "steps": 40})
    assert again | {"seconds": 0} == row | {"seconds": 0}
