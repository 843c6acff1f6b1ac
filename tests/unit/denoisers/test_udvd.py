"""UDVD: what it must not see, what it does see, and that it learns a movie and can go on."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from lowdose.config_networks import UDVDSpec
from lowdose.denoisers import registry
from lowdose.denoisers.networks.build import initialise, parameter_count
from lowdose.denoisers.networks.udvd import REACH, UDVD
from lowdose.denoisers.unsupervised import movie_learning
from lowdose.denoisers.unsupervised.movie_learning import Recipe, estimate, learn
from lowdose.metrics import psnr

SMALL = {"width": 6, "between": 6, "convolutions": 2, "decoder_convolutions": 2}
OURS = {**SMALL, "published": False}
PLACES = [(0, 0), (13, 22), (26, 5), (36, 44)]


def network(**keys) -> UDVD:
    """A network that is not trained but says something."""
    made = UDVD(UDVDSpec(**keys)).eval()
    generator = torch.Generator().manual_seed(0)
    initialise(made, generator)
    last = [m for m in made.modules() if isinstance(m, nn.Conv2d)][-1]
    with torch.no_grad():
        last.weight.normal_(0, 0.1, generator=generator)
    return made


def hidden(made: UDVD, movie: torch.Tensor, frame: int, row: int, column: int) -> np.ndarray:
    """Pixels (t, y, x) whose gradient is exactly 0."""
    movie = movie.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(made(movie)[frame, 0, row, column], movie)
    return (gradient[:, 0] == 0).numpy()


@pytest.mark.parametrize("blind", [1, 3])
@pytest.mark.parametrize("stem", [1, 2, 4])
@pytest.mark.parametrize("published", [True, False])
def test_the_blind_area_is_hidden_exactly_and_nothing_else_near_it(stem, blind, published):
    made = network(**{**SMALL, "stem": stem, "blind": blind, "published": published})
    movie = 1 + torch.rand(5, 1, 37, 45, generator=torch.Generator().manual_seed(1))
    reach = stem * (blind - 1) // 2
    for row, column in PLACES:
        zero = hidden(made, movie, 0, row, column)
        top, left = row // stem * stem, column // stem * stem
        rows = slice(max(top - reach, 0), top + stem + reach)
        columns = slice(max(left - reach, 0), left + stem + reach)
        assert zero[:, rows, columns].all()
        # All around it in every frame is seen, by one of the half-planes at least.
        around = np.zeros(zero.shape[1:], bool)
        around[max(rows.start - stem, 0) : rows.stop + stem,
               max(columns.start - stem, 0) : columns.stop + stem] = True  # fmt: skip
        around[rows, columns] = False
        assert not zero[:, around].any()


def test_the_network_of_the_paper_hides_the_pixel():
    made = network()
    movie = 1 + torch.rand(5, 1, 37, 45, generator=torch.Generator().manual_seed(1))
    zero = hidden(made, movie, 0, 13, 22)
    assert zero[:, 13, 22].all() and not zero[:, 12:15, 21:24].all(axis=0).sum() > 1


def test_the_network_of_the_paper_has_its_parameters():
    """Counted from the layers that the paper and its code list, facts.md section 4."""

    def u_net(inputs, outputs):
        pairs = [(inputs, 48), (48, 48), (48, 48)] + [(48, 48)] * 3
        pairs += [(48, 96), (96, 96), (96, 48)] + [(96, 96)] * 4
        pairs += [(96 + inputs, 96), (96, 96), (96, 96), (96, outputs)]
        return sum(9 * a * b for a, b in pairs)

    joined = 384 * 384 + 384 * 96 + 96
    assert parameter_count(UDVD(UDVDSpec())) == u_net(3, 32) + u_net(96, 96) + joined


def test_a_repeated_end_shows_no_pixel_of_itself():
    """The first frame stands in for the two before it; its pixel is hidden in all copies."""
    made = network(**{**OURS, "stem": 4})
    movie = 1 + torch.rand(4, 1, 24, 24, generator=torch.Generator().manual_seed(2))
    movie.requires_grad_()
    around = movie[torch.arange(-REACH, 4 + REACH).clamp(0, 3)]
    for frame in (0, 3):
        (gradient,) = torch.autograd.grad(made(around)[frame, 0, 9, 14], movie, retain_graph=True)
        assert (gradient[:, 0, 8:12, 12:16] == 0).all()
        assert (gradient[frame, 0, 4:8, 12:16] != 0).all()


def test_a_clip_is_answered_as_its_frames_are():
    """Neighbours share the first stage; the answer is that of five frames alone."""
    made = network(**{**OURS, "stem": 2})
    movie = 1 + torch.rand(9, 1, 22, 30, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        together = made(movie)
        alone = torch.cat([made(movie[t : t + 5]) for t in range(5)])
    assert torch.allclose(together, alone, rtol=1e-5, atol=1e-6)


def film(frames=12, side=64, dose=2.0, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """A lattice of bright columns that drifts by a pixel a frame: clean (vacuum 1) and counts."""
    rows, columns = np.mgrid[:side, :side]
    clean = np.stack([
        1 + 0.3 * np.cos(2 * np.pi * (rows + 0.5 * t) / 16) * np.cos(2 * np.pi * (columns + t) / 16)
        for t in range(frames)
    ])  # fmt: skip
    return clean, np.random.default_rng(seed).poisson(clean * dose).astype(np.float32)


def mean_psnr(clean, image, dose=2.0):
    pairs = zip(clean, image, strict=True)
    return np.mean([psnr(c * dose, f, dose_e_per_px=dose) for c, f in pairs])


def test_a_pixel_is_estimated_from_others_however_cells_are_laid(monkeypatch):
    monkeypatch.setattr(movie_learning, "has_bf16", lambda device: False)
    made = network(**{**OURS, "stem": 4})
    _, counts = film(side=36)
    counts[2, 17, 21], counts[8, 17, 21] = 0, 30
    other = counts.copy()
    # Exchanged with a frame out of reach: the scatter by which counts are scaled stays.
    other[2, 17, 21], other[8, 17, 21] = 30, 0
    before, after = (estimate(made, n, np.full(12, 2.0))[2] for n in (counts, other))
    assert after[17, 21] == pytest.approx(before[17, 21], rel=1e-5)
    # Two pixels away, some of the four ways to lay cells see it.
    assert abs(after[17, 23] / before[17, 23] - 1) > 1e-3


def test_it_learns_a_movie_better_than_any_sum_of_frames_and_pixels():
    clean, counts = film()
    found = registry.create("udvd", steps=60).denoise(counts, 0.0061)
    sums = [
        registry.create("temporal-sum", frames=n, sigma_nm=0.0061 * s).denoise(counts, 0.0061)
        for n in (1, 3, 5, 7)
        for s in (1.0, 2.0, 3.0)
    ]
    assert mean_psnr(clean, found) > max(mean_psnr(clean, s) for s in sums) + 1


def test_a_single_frame_stands_for_all_five():
    clean, counts = film(frames=1, side=128, dose=20.0)
    found = registry.create("udvd", steps=60).denoise(counts, 0.0061)
    assert mean_psnr(clean, found, 20.0) > mean_psnr(clean, counts, 20.0) + 6


def test_dose_of_frames_may_change():
    """A beam that fades: the answer of each frame is in its own electrons."""
    clean, _ = film(frames=10)
    dose = np.linspace(4.0, 1.0, 10)
    counts = np.random.default_rng(1).poisson(clean * dose[:, None, None]).astype(np.float32)
    found = registry.create("udvd", steps=40).denoise(counts, 0.0061)
    assert found.mean(axis=(1, 2)) == pytest.approx(counts.mean(axis=(1, 2)), rel=0.02)


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path):
    _, counts = film(frames=6, side=40)
    dose = counts.mean(axis=(1, 2))
    recipe = Recipe(UDVDSpec(**OURS, stem=4), steps=40)
    whole, _ = learn(counts, dose, recipe)
    stop_at, seen = 8, []

    def stopping(line: str) -> None:
        seen.append(line)
        if line.startswith(f"step {stop_at} of"):
            os.kill(os.getpid(), signal.SIGTERM)

    state = tmp_path / "state.safetensors"
    with pytest.raises(SystemExit) as left:
        learn(counts, dose, recipe, state_path=state, told=stopping)
    assert left.value.code == 128 + signal.SIGTERM
    again, _ = learn(counts, dose, recipe, state_path=state, told=seen.append)
    assert f"step {stop_at} was reached before" in seen
    for key, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


def test_a_state_of_another_movie_is_not_taken_up(tmp_path):
    _, counts = film(frames=6, side=40)
    recipe = Recipe(UDVDSpec(**OURS, stem=4), steps=20)
    dose, state = counts.mean(axis=(1, 2)), tmp_path / "state.safetensors"

    def stopping(line: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit):
        learn(counts, dose, recipe, state_path=state, told=stopping)
    seen: list[str] = []
    _, other = film(frames=6, side=40, seed=5)
    learn(other, dose, recipe, state_path=state, told=seen.append)
    assert not any("before" in line for line in seen)
