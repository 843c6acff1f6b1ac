"""Muon's step is an orthogonal matrix on the weight itself; AdamW's is torch's."""

import pytest
import torch

from lowdose.training.optimiser import BETAS, Optimiser

SETTINGS = {"optimiser": "muon", "learning_rate": 1.0, "weight_decay": 0.0}


def network():
    torch.manual_seed(0)
    layers = [
        torch.nn.Conv2d(8, 6, 3),
        torch.nn.Conv2d(6, 6, 3, groups=6),
        torch.nn.Conv2d(6, 9, 1),
    ]
    return torch.nn.Sequential(*layers).to(memory_format=torch.channels_last)


def with_gradients(made, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in made.parameters():
        drawn = torch.randn(parameter.shape, generator=generator)
        parameter.grad = drawn.to(memory_format=torch.channels_last) if drawn.ndim == 4 else drawn
    return made


def test_the_step_of_a_convolution_is_orthogonal_and_as_long_as_adamws():
    made = with_gradients(network(), 1)
    before = {k: v.clone() for k, v in made.state_dict().items()}
    Optimiser(made, SETTINGS).step(0.01)
    for key, shape in (("0.weight", (6, 72)), ("2.weight", (9, 6))):
        step = (before[key] - made.state_dict()[key]).reshape(shape).double()
        # AdamW moves each weight by about 0.2 of its rate (Liu et al. 2025).
        assert step.square().mean().sqrt() == pytest.approx(0.2 * 0.01, rel=0.3)
        values = torch.linalg.svdvals(step)
        assert values.max() / values.min() < 2.5  # Newton and Schulz in five steps: 0.5 to 1.5
        gradient = dict(made.named_parameters())[key].grad.reshape(shape).double()
        assert torch.linalg.svdvals(gradient).max() / torch.linalg.svdvals(gradient).min() > 1.3
        left, _, right = torch.linalg.svd(gradient, full_matrices=False)
        cosine = (step * (left @ right)).sum() / (step.norm() * (left @ right).norm())
        assert cosine > 0.95  # along the nearest orthogonal matrix of the gradient


def test_what_is_no_matrix_is_moved_by_adamw():
    made, other = with_gradients(network(), 1), with_gradients(network(), 1)
    ours = Optimiser(made, SETTINGS)
    theirs = torch.optim.AdamW(other.parameters(), betas=BETAS, weight_decay=0.0)
    for group in theirs.param_groups:
        group["lr"] = 0.01
    for seed in (1, 2):
        with_gradients(made, seed), with_gradients(other, seed)
        ours.step(0.01), theirs.step()
    for key, value in other.state_dict().items():
        same = torch.equal(made.state_dict()[key], value)
        assert same == (key not in ("0.weight", "2.weight")), key


def test_adamw_alone_is_torchs():
    made, other = with_gradients(network(), 1), with_gradients(network(), 1)
    Optimiser(made, SETTINGS | {"optimiser": "adamw", "weight_decay": 0.1}).step(0.02)
    torch.optim.AdamW(other.parameters(), lr=0.02, betas=BETAS, weight_decay=0.1).step()
    for key, value in other.state_dict().items():
        assert torch.equal(made.state_dict()[key], value)


def test_weights_that_are_not_channels_last_are_refused():
    with pytest.raises(ValueError, match="channels last"):
        Optimiser(torch.nn.Conv2d(3, 4, 3), SETTINGS)
