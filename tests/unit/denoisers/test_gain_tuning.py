"""A network adapted to one frame: what it mends, what it leaves alone, and how it is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lowdose.denoisers import registry, released
from lowdose.denoisers.adaptation.gain_tuning import LOSSES, GainTuned, Recipe, tune
from lowdose.denoisers.adaptation.gains import folded, load_gains, ones, save_gains
from lowdose.denoisers.adaptation.observation import Electrons, Gaussian, Unknown
from lowdose.denoisers.checkpoints import load, save
from lowdose.runtime import UserError
from lowdose.sampling import dose_e_per_a2, resample_counts

DOSE, SIDE, PIXEL_NM = 2.0, 160, 0.0061
QUICK = Recipe(steps=40, learning_rate=0.03, crop_px=128)


class Filter(nn.Module):
    """1 + two gains times a smoothed deviation from the vacuum: its best gains are known."""

    stride = 4

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__()
        self.blur, self.mix = nn.Conv2d(1, 1, 9, padding=4), nn.Conv2d(1, 1, 1)
        taps = torch.arange(-4.0, 5.0)
        kernel = torch.exp(-(taps**2) / 8)
        with torch.no_grad():
            self.blur.weight.copy_(torch.outer(kernel, kernel) / kernel.sum() ** 2)
            self.mix.weight.fill_(strength)
            self.blur.bias.zero_()
            self.mix.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1 + self.mix(self.blur(x - 1))


def scene(contrast: float = 0.8, side: int = SIDE) -> np.ndarray:
    """Waves in vacuum, vacuum = 1; the filter keeps a known part of them."""
    y, x = np.mgrid[:side, :side]
    return 1 + contrast * np.cos(2 * np.pi * y / 32) * np.cos(2 * np.pi * x / 40)


def counts_of(clean: np.ndarray, seed: int, dose: float = DOSE) -> np.ndarray:
    return np.random.default_rng(seed).poisson(dose * clean)


def best_strength(clean: np.ndarray, dose: float) -> float:
    """The strength of least expected error: signal over signal and noise, behind the blur."""
    plain = Filter()
    with torch.no_grad():
        smooth = plain(torch.from_numpy(clean.astype(np.float32))[None, None])[0, 0].numpy() - 1
    noise = plain.blur.weight.square().sum().item() / dose
    return float(np.sum(smooth * (clean - 1)) / np.sum(smooth**2 + noise))


def strength(network: nn.Module, tuned) -> float:
    twin = folded(network, tuned.gains)
    return (twin.mix.weight.sum() * twin.blur.weight.sum()).item()


def error(network: nn.Module, image: np.ndarray, clean: np.ndarray) -> float:
    with torch.no_grad():
        estimate = network(torch.from_numpy(image.astype(np.float32))[None, None])[0, 0].numpy()
    return float(np.mean((estimate - clean) ** 2))


@pytest.mark.parametrize("loss", ["blind-spot", "unbiased-risk"])
def test_a_channel_that_is_too_weak_is_brought_back(loss):
    """At 0.6 of its strength; the best one follows from signal and noise in closed form."""
    clean = scene()
    network, observed = Filter(0.6), Electrons(counts_of(clean, 1), DOSE)
    tuned = tune(network, observed, Recipe(**{**vars(QUICK), "loss": loss}))
    assert tuned.steps > 0
    assert strength(network, tuned) == pytest.approx(best_strength(clean, DOSE), rel=0.06)
    before = error(network, observed.image, clean)
    assert error(folded(network, tuned.gains), observed.image, clean) < 0.4 * before


def test_noise_resampling_brings_it_back_as_well():
    """Its target is the weak estimate, but it asks for that of an image as weak, so the filter
    learns not to weaken; the held-out electrons say when that is enough."""
    clean = scene()
    network, observed = Filter(0.6), Electrons(counts_of(clean, 1), DOSE)
    tuned = tune(network, observed, Recipe(**{**vars(QUICK), "loss": "noise-resampling"}))
    before = error(network, observed.image, clean)
    assert error(folded(network, tuned.gains), observed.image, clean) < 0.6 * before


def test_noise_resampling_removes_a_filters_noise():
    """A filter that lets too much noise through where there is little to see is weakened."""
    clean = scene(0.05)
    network, observed = Filter(2.0), Electrons(counts_of(clean, 2, 0.2), 0.2)
    tuned = tune(network, observed, Recipe(**{**vars(QUICK), "loss": "noise-resampling"}))
    assert 0 < strength(network, tuned) < 1.2
    before = error(network, observed.image, clean)
    assert error(folded(network, tuned.gains), observed.image, clean) < 0.5 * before


@pytest.mark.parametrize("kind", ["gaussian", "unknown", "finer pixels"])
def test_a_known_fault_is_mended_whatever_is_known_of_the_noise(kind):
    rng, clean, truth = np.random.default_rng(3), scene(), None
    image = clean + 0.7 * rng.standard_normal(clean.shape)
    recipe = QUICK
    if kind == "gaussian":
        observed = Gaussian(image, 0.7)
    elif kind == "unknown":
        observed, recipe = Unknown(image), Recipe(**{**vars(QUICK), "loss": "blind-spot"})
    else:
        observed = Electrons(rng.poisson(DOSE * clean), DOSE, 0.9)
        truth = resample_counts(clean, 1, 0.9)[0] / 0.9**2
    truth = clean if truth is None else truth
    tuned = tune(Filter(0.5), observed, recipe)
    after = error(folded(Filter(0.5), tuned.gains), observed.image, truth)
    assert after < 0.4 * error(Filter(0.5), observed.image, truth)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_network_that_is_right_is_left_alone(loss):
    """Over frames: gains of one in nearly all, and no loss of 0.1 dB on average."""
    clean = scene()
    network = Filter(best_strength(clean, DOSE))
    kept, changes = 0, []
    for seed in range(12):
        observed = Electrons(counts_of(clean, 10 + seed), DOSE)
        tuned = tune(network, observed, Recipe(**{**vars(QUICK), "loss": loss, "steps": 15}))
        kept += tuned.steps == 0
        ratio = error(folded(network, tuned.gains), observed.image, clean) / error(
            network, observed.image, clean
        )
        changes.append(10 * np.log10(ratio))
        if tuned.steps == 0:
            assert all(torch.equal(g, torch.ones_like(g)) for g in tuned.gains.values())
    assert kept >= 9
    assert np.mean(changes) < 0.1


def test_the_steps_are_those_of_the_best_check():
    tuned = tune(Filter(0.6), Electrons(counts_of(scene(), 1), DOSE), QUICK)
    best = min(tuned.history, key=lambda check: check.difference)
    assert tuned.steps == best.step
    assert best.difference < -QUICK.margin * best.error
    steps = [check.step for check in tuned.history]
    assert steps == [QUICK.check_every * (k + 1) for k in range(len(steps))]


def test_it_ends_when_nothing_gets_better():
    clean = scene()
    network = Filter(best_strength(clean, DOSE))
    recipe = Recipe(**{**vars(QUICK), "learning_rate": 0.1, "steps": 400, "patience": 2})
    history = tune(network, Electrons(counts_of(clean, 5), DOSE), recipe).history
    lowest = min([(0.0, 0), *((check.difference, check.step) for check in history)])[1]
    assert history[-1].step == lowest + 2 * recipe.check_every < 400


def test_weights_and_input_stay_as_they_are_and_the_result_is_repeatable():
    network, counts = Filter(0.6), counts_of(scene(), 1)
    before, weights = counts.copy(), {k: v.clone() for k, v in network.state_dict().items()}
    first = tune(network, Electrons(counts, DOSE), QUICK)
    torch.manual_seed(5)
    np.random.seed(6)
    state = torch.random.get_rng_state()
    again = tune(network, Electrons(counts, DOSE), QUICK)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.history == again.history and first.steps == again.steps > 0
    assert all(torch.equal(first.gains[k], again.gains[k]) for k in first.gains)
    assert all(torch.equal(v, weights[k]) for k, v in network.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    assert np.array_equal(counts, before)
    other = tune(network, Electrons(counts, DOSE), Recipe(**{**vars(QUICK), "seed": 1}))
    assert other.history != first.history


@pytest.mark.parametrize(
    "counts", [np.zeros((200, 200)), np.ones((127, 400))], ids=["blank", "small"]
)
def test_what_says_nothing_changes_nothing(counts):
    tuned = tune(Filter(0.6), Electrons(counts, 1.0), QUICK)
    assert tuned.steps == 0 and tuned.history == []
    assert all(torch.equal(g, torch.ones_like(g)) for g in tuned.gains.values())


def test_impossible_requests_are_refused():
    with pytest.raises(UserError, match="no loss 'sure'; choose from blind-spot, unbiased-risk"):
        Recipe(loss="sure")
    with pytest.raises(UserError, match="the unbiased risk needs it"):
        tune(Filter(), Unknown(scene()), Recipe(loss="unbiased-risk"))
    with pytest.raises(UserError, match="not whole electrons"):
        tune(Filter(), Electrons(0.5 * scene(), 1.0), Recipe())
    with pytest.raises(UserError, match="network='none' is not possible"):
        registry.create("gain-tuning", network="none")
    with pytest.raises(UserError, match="no parameter 'rate'"):
        registry.create("gain-tuning", rate=1)
    with pytest.raises(UserError, match="but gain-tuning was trained for"):
        registry.create("gain-tuning").tuned(np.ones((200, 200)), 0.03)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory, particle_256):
    """A checkpoint of the shipped network with a layer of channels at 0.6 of their strength."""
    network = load(released.folder("general"), bf16=False).network
    gains = ones(network)
    gains["exit.0"] *= 0.6
    folder = tmp_path_factory.mktemp("faulty")
    card = {"name": "faulty", "architecture": network.spec.model_dump(), "receptive_field_px": None,
            "pixel_size_nm": [0.004, 0.012], "dose_e_per_a2": [10.0, 1e4],
            "own_pixel_size_nm": PIXEL_NM}  # fmt: skip
    save(folder, folded(network, gains), card)
    return folder


@pytest.fixture(scope="module")
def particle_256(particle) -> tuple[np.ndarray, np.ndarray]:
    clean = particle(256)
    return clean, np.random.default_rng(1).poisson(clean).astype(np.float32)[None]


def db_better(clean, estimate, than) -> float:
    return 10 * np.log10(np.mean((than - clean) ** 2) / np.mean((estimate - clean) ** 2))


def test_a_damaged_network_is_mended_on_the_frame(faulty, particle_256):
    clean, counts = particle_256
    dose = dose_e_per_a2(0.45, PIXEL_NM)
    denoiser = GainTuned(folder=faulty, steps=10)
    estimate = denoiser.denoise(counts, PIXEL_NM, dose=dose)[0]
    plain = load(faulty).denoise(counts, PIXEL_NM, dose=dose)[0]
    (tuned,) = denoiser.last
    assert tuned.steps > 0 and db_better(clean, estimate, plain) > 1
    # The denoiser keeps its network: the next frame begins where this one did.
    assert np.array_equal(load(faulty).denoise(counts, PIXEL_NM, dose=dose)[0], plain)
    again = denoiser.denoise(counts, PIXEL_NM, dose=dose)[0]
    assert np.array_equal(again, estimate)


def test_gains_from_a_file_give_the_same_image(faulty, particle_256, tmp_path):
    _, counts = particle_256
    denoiser = GainTuned(folder=faulty, steps=5, loss="blind-spot")
    dose = dose_e_per_a2(0.45, PIXEL_NM)
    estimate = denoiser.denoise(counts, PIXEL_NM, dose=dose)
    about = denoiser.about(denoiser.last[0])
    assert about["network"] == "faulty" and about["loss"] == "blind-spot"
    save_gains(tmp_path / "g.safetensors", denoiser.last[0].gains, about)
    plain = load(faulty)
    gains, _ = load_gains(tmp_path / "g.safetensors", plain.network, about["weights_sha256"])
    plain.network = folded(plain.network, gains)
    assert np.array_equal(plain.denoise(counts, PIXEL_NM, dose=dose), estimate)


def test_counts_that_are_not_whole_are_adapted_to_by_their_pixels(faulty, particle_256):
    _, counts = particle_256
    denoiser = GainTuned(folder=faulty, steps=5)
    half = denoiser.tuned(0.5 * counts[0], PIXEL_NM)
    assert denoiser.about(half)["loss"] == "blind-spot" and len(half.history) == 1
    whole = denoiser.tuned(counts[0], PIXEL_NM)
    assert denoiser.about(whole)["loss"] == Recipe.loss


def test_the_shipped_network_and_its_range():
    assert registry.create("gain-tuning", network="white").info.pixel_size_nm == (
        released.info("white").pixel_size_nm
    )
    info = registry.info("gain-tuning")
    assert info.dose_e_per_a2 == released.info("general").dose_e_per_a2
    assert not info.temporal and not info.needs_fit
    assert info.parameters["network"].choices == tuple(released.names())
