"""Learning the expectation of one frame from that frame, with a blind spot."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from lowdose.denoisers.networks.blind_spot import DEVIATION
from lowdose.denoisers.networks.build import build
from lowdose.runtime import has_bf16
from lowdose.training.averaging import AveragedWeights
from lowdose.training.losses import counts_likelihood
from lowdose.training.optimiser import Optimiser

RATE = 8e-3  # of the optimiser
WARM_UP = 5  # steps
AVERAGE = 0.9  # decay of the running average of the weights
CLIP = 1.0  # largest norm of the gradient
MOST_KEPT = 0.8
CHECK_EVERY = 5  # steps
PATIENCE = 4  # checks without a better one
SEED = 0  # one for every frame: a frame's result does not depend on the others


@dataclass(frozen=True)
class Recipe:
    """How a network learns a frame.

    Attributes
    ----------
    steps : int
        Optimiser steps, or the most of them.
    least_kept : float
        The network is shown a part of the counts, which is drawn anew for each step: this share
        to `MOST_KEPT` of them (binomial thinning).  It is asked for all of them, and so cannot
        learn by heart how they lie.
    weight_decay : float
        Decoupled, times the learning rate.
    held_out : float
        Share of the pixels that are never learned from, by which the best step is chosen and
        the network's own error measured; 0 takes the last step.
    width, scales : int
        Of the network.
    """

    steps: int
    least_kept: float = 0.3
    weight_decay: float = 1.0
    held_out: float = 0.0
    width: int = 16
    scales: int = 2


@dataclass(frozen=True)
class Learned:
    """What came of it.

    Attributes
    ----------
    blind : array (y, x)
        Expectation of each pixel given the others.
    steps : int
        At which the weights were taken.
    held_out : array (y, x), bool
        Pixels that were not learned from.
    """

    blind: np.ndarray
    steps: int
    held_out: np.ndarray


def learn(counts: np.ndarray, recipe: Recipe) -> Learned:
    """Train a network with a structural blind spot on one frame and apply it to the frame.

    Neighbouring pixels say what to expect at a pixel, whose own counts are independent of theirs
    but for that expectation: maximising their Poisson likelihood needs no clean frame (Krull et
    al. 2020, doi:10.3389/fcomp.2020.00005; network of Laine et al. 2019, arXiv:1901.10277).

    Parameters
    ----------
    counts : array (y, x)
        Poisson counts, whole numbers; at least one of them is not 0.
    recipe : Recipe

    Returns
    -------
    Learned
    """
    rng = np.random.default_rng(SEED)
    # Rounded: a bin at the border may hold mirrored pixels, but these are counts as well.
    whole = np.rint(counts).astype(np.int64)
    level = float(counts.mean())
    spec = {"architecture": "blind-spot", "width": recipe.width, "scales": recipe.scales}
    with torch.random.fork_rng(devices=[]):  # torch draws weights, which are then drawn anew
        network = build(spec, SEED).train()
    settings = {"optimiser": "muon", "learning_rate": RATE, "weight_decay": recipe.weight_decay}
    optimiser, average = Optimiser(network, settings), AveragedWeights(network, AVERAGE)
    held = rng.random(counts.shape) < recipe.held_out
    chosen = torch.from_numpy(~held)
    target = torch.from_numpy((counts / level).astype(np.float32))
    everything = _standard(counts)
    best, best_loss, best_step = None, math.inf, 0
    for step in range(recipe.steps):
        kept = rng.uniform(recipe.least_kept, max(recipe.least_kept, MOST_KEPT))
        seen, wanted, learned = _standard(rng.binomial(whole, kept)), target, chosen
        if step % 2:  # mirrored: physics knows no left and right, and there is twice as much to see
            seen, wanted, learned = seen.flip(-1), wanted.flip(-1), learned.flip(-1)
        loss = counts_likelihood(_expected(network, seen)[learned], wanted[learned])
        network.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimiser.step(RATE * min(1.0, (step + 1) / WARM_UP))
        average.update(step)
        if held.any() and (step + 1) % CHECK_EVERY == 0:
            with average.shown(), torch.no_grad():
                estimate = _expected(network, everything)
                loss = counts_likelihood(estimate[~chosen], target[~chosen]).item()
            if loss < best_loss:
                best, best_loss, best_step = estimate, loss, step + 1
            elif step + 1 - best_step >= PATIENCE * CHECK_EVERY:
                break
    if best is None:
        with average.shown(), torch.no_grad():
            best, best_step = _expected(network, everything), recipe.steps
    return Learned(level * best.double().numpy(), best_step, held)


def with_own_counts(counts: np.ndarray, blind: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return the expectation of each pixel given all pixels, its own counts included.

    What the others say of a pixel is a gamma law of mean `blind` and of one relative variance t
    for the whole frame; its own counts n move that mean by the share ``t blind / (1 + t blind)``
    of ``n - blind``.  Over pixels that taught the network nothing, ``(n - blind)^2 - n`` has the
    mean ``t blind^2``, which gives t.

    Parameters
    ----------
    counts, blind : array (y, x)
    where : array (y, x), bool
        Pixels that were not learned from; all, if there are none: t is then too small.
    """
    where = where if where.any() else np.ones_like(where)
    excess = np.mean((counts[where] - blind[where]) ** 2 - counts[where])
    relative = max(excess, 0.0) / np.mean(blind[where] ** 2)
    return blind + (counts - blind) * relative * blind / (1 + relative * blind)


def _standard(counts: np.ndarray) -> torch.Tensor:
    """Return counts (y, x) as the network is given them: mean 1, and the deviation it expects."""
    centred = counts - counts.mean()
    scaled = centred * (DEVIATION / max(centred.std(), 1e-6))
    return torch.from_numpy((1 + scaled).astype(np.float32))


def _expected(network: nn.Module, seen: torch.Tensor) -> torch.Tensor:
    """Return the network's estimate (y, x), mean about 1."""
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16("cpu")):
        return network(seen[None, None])[0, 0]
