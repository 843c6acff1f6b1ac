"""A network as a denoiser: relative to vacuum, at any pixel size, in any orientation."""

import logging

import numpy as np
import pytest
import torch

from lowdose.denoisers import registry
from lowdose.denoisers.cards import network_info
from lowdose.denoisers.learned import LearnedDenoiser, oriented
from lowdose.denoisers.networks.build import build
from lowdose.denoisers.tiles import apply
from lowdose.runtime import UserError

SPEC = {"architecture": "unet", "scales": 1, "widths": [6, 6], "convolutions": 1, "stem": 4}
OWN_NM = 0.0061
CARD = {
    "name": "toy",
    "receptive_field_px": 50,
    "pixel_size_nm": [0.004, 0.012],
    "dose_e_per_a2": [10, 1000],
}
INFO = network_info("toy", CARD)
DOSE_E_PER_A2 = 120.9


def lively():
    network = build(SPEC, seed=2)
    last = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        last.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(1))
    return network


def learned(network, **options):
    return LearnedDenoiser(network, INFO, own_pixel_size_nm=OWN_NM, **options)


def noise(*shape, seed=0):
    counts = np.random.default_rng(seed).poisson(0.45, shape) / 0.45
    return torch.from_numpy(counts).float()[:, None]


def test_the_denoiser_works_relative_to_vacuum():
    network = lively()
    denoiser = learned(network)
    counts = np.random.default_rng(1).poisson(0.45, (1, 40, 52)).astype(np.float32)
    dose = 0.45 / (10 * OWN_NM) ** 2
    expected = apply(network, torch.from_numpy(counts / np.float32(0.45))[None])[0, 0].numpy()
    found = denoiser.denoise(counts, OWN_NM, dose=dose)[0] / 0.45
    # The contract keeps the total within 1 % of the counts'; up to that factor it is the network.
    assert np.allclose(found, expected * (found.sum() / expected.sum()), atol=1e-5)
    # Ten times the electrons at ten times the dose are the same relative image.
    tenfold = denoiser.denoise(10 * counts, OWN_NM, dose=10 * dose)[0]
    assert np.allclose(tenfold, 10 * 0.45 * found, rtol=1e-4)
    assert not denoiser.denoise(np.zeros((1, 9, 9), np.float32), OWN_NM).any()


@pytest.mark.parametrize("shape", [(32, 32), (37, 53)], ids=str)
def test_eight_orientations_have_no_preferred_one(shape):
    network, image = lively(), noise(2, *shape)
    mean, none = oriented(network, image, orientations=8)
    assert none is None
    for turn in (lambda x: torch.rot90(x, 1, (-2, -1)), lambda x: x.flip(-1), lambda x: x.mT):
        turned, _ = oriented(network, turn(image), orientations=8)
        assert torch.allclose(turned, turn(mean), atol=1e-6)
        # One orientation is another result, so that there is something to average.
        assert (apply(network, turn(image)) - turn(apply(network, image))).abs().max() > 1e-2


def test_mean_and_spread_are_those_of_the_eight_results():
    network, image = lively(), noise(1, 24, 40)
    results = []
    for k in range(4):
        results.append(torch.rot90(apply(network, torch.rot90(image, k, (2, 3))), -k, (2, 3)))
        flipped = torch.rot90(image.flip(3), k, (2, 3))
        results.append(torch.rot90(apply(network, flipped), -k, (2, 3)).flip(3))
    mean, spread = oriented(network, image, orientations=8, spread=True)
    assert torch.allclose(mean, torch.stack(results).mean(0), atol=1e-6)
    assert torch.allclose(spread, torch.stack(results).std(0), atol=1e-5)
    with pytest.raises(UserError, match="set orientations to 8"):
        oriented(network, image, spread=True)


def test_orientations_are_a_parameter_of_the_denoiser():
    network, counts = lively(), 0.45 * noise(1, 32, 32)[0].numpy()
    dose = 0.45 / (10 * OWN_NM) ** 2
    found = learned(network, orientations=8).denoise(counts, OWN_NM, dose=dose)[0] / 0.45
    mean, _ = oriented(network, torch.from_numpy(counts / np.float32(0.45))[None], orientations=8)
    assert (found / mean[0, 0].numpy()).std() < 1e-5
    with pytest.raises(UserError, match=r"orientations=4 is not possible .* choose from 1, 8"):
        learned(network, orientations=4)


class Smoother(torch.nn.Module):
    """Binomial smoothing over 9 x 9 pixels, whose transfer at w is cos(w / 2) ** 8 on each axis.

    It records the pixels that it is given.
    """

    stride = 1
    WEIGHTS = (1, 8, 28, 56, 70, 56, 28, 8, 1)

    def __init__(self):
        super().__init__()
        line = torch.tensor(self.WEIGHTS, dtype=torch.float32) / 256
        self.kernel = torch.nn.Parameter(line[:, None] * line)
        self.shapes, self.sums = [], []

    def forward(self, x):
        self.shapes.append(tuple(x.shape[-2:]))
        self.sums.append(float(x.mean()))
        padded = torch.nn.functional.pad(x, (4, 4, 4, 4), mode="replicate")
        return torch.nn.functional.conv2d(padded, self.kernel[None, None])


PIXELS_NM = [0.004, 0.008, 0.012]


@pytest.mark.parametrize("pixel_nm", PIXELS_NM)
def test_flat_counts_stay_what_they_are_at_every_pixel_size(pixel_nm):
    network = Smoother()
    rate = DOSE_E_PER_A2 * (10 * pixel_nm) ** 2
    flat = np.full((1, 83, 120), rate, np.float32)
    found = learned(network).denoise(flat, pixel_nm, dose=DOSE_E_PER_A2)
    assert np.allclose(found, rate, rtol=1e-6)
    # The network saw its own pixels, relative to the vacuum of these.
    assert network.sums == pytest.approx([1.0], abs=1e-6)
    ratio = OWN_NM / pixel_nm
    assert network.shapes == [(int(82 / ratio) + 1, int(119 / ratio) + 1)]


@pytest.mark.parametrize("pixel_nm", PIXELS_NM)
def test_noisy_counts_have_no_bias(pixel_nm):
    rate = DOSE_E_PER_A2 * (10 * pixel_nm) ** 2
    counts = np.random.default_rng(5).poisson(rate, (1, 300, 280)).astype(np.float32)
    found = learned(Smoother()).denoise(counts, pixel_nm, dose=DOSE_E_PER_A2)
    # Half a pixel at each border may weigh more or less: 4 (1/300 + 1/280) / 2 of the pixels, each
    # with the noise of one count.
    edge = 0.014**0.5 / np.sqrt(counts.sum())
    assert abs(found.mean() / counts.mean() - 1) < 4 * edge
    assert found.std() < 0.6 * counts.std()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("pixel_nm", PIXELS_NM)
def test_a_wave_keeps_its_place_and_height(pixel_nm, axis):
    period_nm, amplitude = 0.25, 0.3
    phase = 2 * np.pi * pixel_nm * np.arange(400) / period_nm
    wave = np.broadcast_to(1 + amplitude * np.cos(phase), (150, 400))
    relative = wave.T if axis == 0 else wave
    rate = DOSE_E_PER_A2 * (10 * pixel_nm) ** 2
    counts = (rate * relative)[None].astype(np.float32)
    found = learned(Smoother()).denoise(counts, pixel_nm, dose=DOSE_E_PER_A2)[0] / rate
    line = (found[:, 75] if axis == 0 else found[75])[60:340] - 1
    basis = np.stack([np.cos(phase), np.sin(phase), np.ones_like(phase)])[:, 60:340]
    cosine, sine, _ = np.linalg.lstsq(basis.T, line, rcond=None)[0]
    # Counts fill their pixel evenly, and a new pixel gathers what it covers: one sinc each; then
    # the network.  The spline passes waves of 41 points a period.
    passed = np.sinc(pixel_nm / period_nm) * np.sinc(OWN_NM / period_nm)
    passed *= np.cos(np.pi * OWN_NM / period_nm) ** 8
    # What the steps between pixels leave at other frequencies is below 5e-4 after the smoothing.
    assert cosine == pytest.approx(amplitude * passed, rel=2e-3)
    assert abs(sine) < 2e-3 * amplitude


@pytest.mark.parametrize(("pixel_nm", "as_it_is"), [(0.0059, True), (0.0063, True),
                                                   (0.0057, False), (0.0065, False)])  # fmt: skip
def test_near_its_own_pixel_size_the_network_sees_the_frame(pixel_nm, as_it_is):
    network = Smoother()
    learned(network).denoise(np.ones((1, 100, 100)), pixel_nm)
    assert (network.shapes == [(100, 100)]) is as_it_is


def test_the_middle_of_the_range_is_the_own_pixel_size_where_none_is_given():
    network = Smoother()
    LearnedDenoiser(network, INFO).denoise(np.ones((1, 100, 100)), 0.008)
    assert network.shapes == [(100, 100)]


@pytest.mark.parametrize(("pixel_nm", "nearest"), [(0.0039, "0.004"), (0.0121, "0.012")])
def test_another_pixel_size_is_refused(pixel_nm, nearest):
    denoiser = learned(Smoother())
    with pytest.raises(
        UserError,
        match=f"is {pixel_nm} nm, but toy was trained for 0.004 to 0.012 nm; .* to {nearest} nm",
    ):
        denoiser.denoise(np.ones((1, 9, 9)), pixel_nm)
    denoiser.denoise(np.ones((1, 9, 9)), float(nearest))


def test_it_says_once_where_it_runs(caplog):
    denoiser = learned(lively(), device="cpu")
    with caplog.at_level(logging.INFO, logger="lowdose.denoisers"):
        for _ in range(2):
            denoiser.denoise(np.ones((1, 9, 9)), OWN_NM)
    number = torch.get_num_threads()
    threads = "1 thread" if number == 1 else f"{number} threads"
    assert caplog.messages == [f"toy runs on the CPU ({threads}) in float32"]


def test_large_frames_can_be_cut():
    network = lively()
    counts = np.random.default_rng(1).poisson(0.45, (1, 150, 190)).astype(np.float32)
    whole = learned(network).denoise(counts, OWN_NM)
    assert np.allclose(learned(network, tile_px=96).denoise(counts, OWN_NM), whole, atol=1e-6)
    with pytest.raises(UserError, match="tile_px is 16"):
        learned(network, tile_px=16).denoise(counts, OWN_NM)


@pytest.mark.parametrize("pixel_size_nm", [0.0061, 0.009])
def test_the_spread_is_the_scatter_of_eight_answers(pixel_size_nm):
    """Against the plain way: the frame turned by hand, denoised, turned back."""
    network = registry.create("general")
    y, x = np.mgrid[:160, :200]
    counts = np.random.default_rng(0).poisson(1 + 0.3 * np.cos(x / 6) * np.cos(y / 6))
    counts = counts.astype(np.float32)
    kept = counts.copy()
    answers = []
    for mirrored in (False, True):
        seen = counts[:, ::-1] if mirrored else counts
        for quarters in range(4):
            turned = np.ascontiguousarray(np.rot90(seen, quarters))
            back = np.rot90(network.denoise(turned[None], pixel_size_nm)[0], -quarters)
            answers.append(back[:, ::-1] if mirrored else back)
    expected = np.std(answers, axis=0, ddof=1)
    spread = network.spread(counts, pixel_size_nm)
    assert spread.shape == counts.shape and spread.dtype == np.float32
    np.testing.assert_array_equal(counts, kept)
    # On other pixels the scatter of resampled answers is not the resampled scatter.
    close = 0.02 if pixel_size_nm == 0.0061 else 0.4
    assert np.sqrt(np.mean((spread - expected) ** 2)) < close * expected.mean()
    assert not network.spread(np.zeros_like(counts), pixel_size_nm).any()
