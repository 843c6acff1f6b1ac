"""The three losses know an error that they cannot measure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from lowdose.denoisers.adaptation.losses import blind_spot, noise_resampling, unbiased_risk
from lowdose.denoisers.adaptation.observation import Electrons, Gaussian, choose, without
from lowdose.denoisers.networks.build import build
from lowdose.sampling import resample_counts

SIDE = 32
KERNEL = torch.tensor([[1.0, 2, 1], [2, 6, 2], [1, 2, 1]])[None, None] / 16


def scene() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    return 1 + 0.4 * np.cos(2 * np.pi * y / 12) * np.cos(2 * np.pi * x / 16)


def linear(x: torch.Tensor) -> torch.Tensor:
    """A filter that is not even unbiased, with an offset; its own pixel weighs 6 / 16."""
    return 0.1 + functional.conv2d(x, KERNEL.to(x), padding=1)


def image_of(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array, np.float64))[None, None]


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """A gated residual U-Net with random weights that reacts strongly to single electrons."""
    spec = {"architecture": "resunet", "stem": 2, "widths": [8, 12], "encoder_blocks": [1, 1],
            "decoder_blocks": [1], "middle": [], "block": "bottleneck"}  # fmt: skip
    made = build(spec, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.08 * torch.randn(parameter.shape, generator=generator))
    return made.double()


def mean_and_error(values) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


def test_of_a_linear_filter_it_is_the_exact_unbiased_risk():
    """E over probes: mean(f^2) - 2 mean(x (f - k / d)), k the filter's weight of the pixel."""
    rng, dose = np.random.default_rng(1), 0.45
    observed = Electrons(rng.poisson(dose * scene()), dose)
    x = image_of(observed.image)
    f = linear(x)
    exact = (f.square() - 2 * x * (f - KERNEL[0, 0, 1, 1] / dose)).mean().item()
    found = [unbiased_risk(linear, x, image_of(observed.probe(rng))).item() for _ in range(400)]
    mean, error = mean_and_error(found)
    assert abs(mean - exact) < 4 * error
    assert error < 0.01 * abs(exact)


@pytest.mark.parametrize("estimator", ["linear", "network"])
@pytest.mark.parametrize("noise", ["electrons", "many electrons", "resampled", "gaussian"])
def test_its_mean_over_the_noise_is_that_of_the_squared_error(noise, estimator, request):
    f = linear if estimator == "linear" else request.getfixturevalue("network")
    rng, clean, risks, errors = np.random.default_rng(2), scene(), [], []
    for _ in range(300 if estimator == "linear" else 120):
        truth = clean
        if noise == "gaussian":
            observed = Gaussian(clean + 0.5 * rng.standard_normal(clean.shape), 0.5)
        elif noise == "resampled":
            observed = Electrons(rng.poisson(2 * clean), 2, 0.9)
            truth = resample_counts(clean, 1, 0.9)[0] / 0.9**2
            truth = truth[:32, :32]  # of 35: the network takes multiples of 4
        else:
            dose = 0.45 if noise == "electrons" else 20
            observed = Electrons(rng.poisson(dose * clean), dose)
        x, u = (image_of(a[: len(truth), : len(truth)])
                for a in (observed.image, observed.probe(rng)))  # fmt: skip
        with torch.no_grad():
            risks.append(unbiased_risk(f, x, u).item())
            errors.append((f(x) - image_of(truth)).square().mean().item() - np.mean(truth**2))
    # Paired: what the noise does to both of them alike does not blur the comparison.
    mean, error = mean_and_error(np.subtract(risks, errors))
    assert abs(mean) < 3.5 * error
    # Without the divergence it would be far off: the noise would be taken for the image.
    assert error < 0.1


def test_without_the_divergence_the_risk_would_be_biased(network):
    rng, clean, biases = np.random.default_rng(3), scene(), []
    for _ in range(60):
        observed = Electrons(rng.poisson(0.45 * clean), 0.45)
        x = image_of(observed.image)
        with torch.no_grad():
            naive = unbiased_risk(network, x, torch.zeros_like(x)).item()
            true = (network(x) - image_of(clean)).square().mean().item() - np.mean(clean**2)
        biases.append(naive - true)
    mean, error = mean_and_error(biases)
    assert abs(mean) > 7 * error


def test_of_soft_thresholding_it_is_donohos_and_johnstones():
    """SURE = mean(min(x^2, t^2)) + 2 s^2 mean(|x| > t) - s^2 (J. Am. Stat. Assoc. 90, 1200)."""
    rng, sigma, t = np.random.default_rng(4), 0.5, 0.7
    clean = rng.standard_normal((200, 200)) * (rng.random((200, 200)) < 0.3)
    x = clean + sigma * rng.standard_normal(clean.shape)
    wanted = np.mean(np.minimum(x**2, t**2)) + 2 * sigma**2 * np.mean(np.abs(x) > t) - sigma**2

    def shrink(image):
        return image.sign() * (image.abs() - t).clamp(min=0)

    probe = image_of(Gaussian(x, sigma).probe(rng))
    found = unbiased_risk(shrink, image_of(x), probe, step=1e-4).item()
    # Ours is without mean(c^2), which mean(x^2) - sigma^2 estimates in theirs.
    assert found + np.mean(x**2) - sigma**2 == pytest.approx(wanted, abs=2e-3)


def test_the_blind_spot_does_not_see_the_pixels_that_it_is_asked_for(network):
    """Their values enter the loss as what is compared with, and in no other way."""
    rng = np.random.default_rng(5)
    image = rng.poisson(1.0, (SIDE, SIDE)).astype(np.float64)
    chosen = choose(image.shape, 0.1, 0, rng)
    value = 5.0
    parts = []
    for there in (image, np.where(chosen, value, image)):
        replaced, _ = without(there, chosen, 0, np.random.default_rng(6))
        x, seen = image_of(there), image_of(replaced)
        mask = torch.from_numpy(chosen)[None, None]
        with torch.no_grad():
            parts.append((blind_spot(network, x, seen, mask).item(), network(seen)))
    assert torch.equal(parts[0][1], parts[1][1])
    answer = parts[0][1][0, 0].numpy()
    assert parts[0][0] == pytest.approx(np.mean((answer - image)[chosen] ** 2))
    assert parts[1][0] == pytest.approx(np.mean((answer - value)[chosen] ** 2))


def test_the_blind_spot_ranks_estimators_as_the_truth_does():
    """Up to the noise's variance it is the squared error; the plain difference prefers noise."""
    rng, clean, dose = np.random.default_rng(7), scene(), 0.45
    gaps, true, naive = [], [], []

    def sharp(x):
        return 0.2 * linear(x) + 0.8 * x

    for _ in range(200):
        image = rng.poisson(dose * clean) / dose
        chosen = choose(image.shape, 0.1, 0, rng)
        seen = image_of(without(image, chosen, 0, rng)[0])
        x, mask, c = image_of(image), torch.from_numpy(chosen)[None, None], image_of(clean)
        gaps.append((blind_spot(linear, x, seen, mask) - blind_spot(sharp, x, seen, mask)).item())
        true.append(((linear(seen) - c)[mask].square() - (sharp(seen) - c)[mask].square()).mean())
        naive.append(((linear(x) - x).square() - (sharp(x) - x).square()).mean().item())
    mean, error = mean_and_error(np.subtract(gaps, np.array(true)))
    assert abs(mean) < 3.5 * error
    assert np.mean(gaps) < -10 * error and np.mean(naive) > 0


def test_the_blind_spot_of_no_pixel_is_zero():
    x = torch.ones(1, 1, 4, 4)
    assert blind_spot(linear, x, x, torch.zeros_like(x, dtype=torch.bool)).item() == 0


def test_noise_resampling_is_the_error_on_the_estimate_itself():
    """Of a filter: variance of its output and square of its bias, both in closed form."""
    rng, dose = np.random.default_rng(8), 0.45
    observed = Electrons(rng.poisson(dose * scene()), dose)
    flat = np.ones((SIDE, SIDE))

    def valid(x):  # at the border the filter is darker
        return functional.pad(linear(x)[..., 1:-1, 1:-1], (1,) * 4, value=1)

    losses = [
        noise_resampling(valid, image_of(flat), image_of(observed.redrawn(flat, rng))).item()
        for _ in range(200)
    ]
    bias = KERNEL.sum().item() + 0.1 - 1
    wanted = (KERNEL.square().sum().item() / dose + bias**2) * ((SIDE - 2) / SIDE) ** 2
    mean, error = mean_and_error(losses)
    assert abs(mean - wanted) < 4 * error
