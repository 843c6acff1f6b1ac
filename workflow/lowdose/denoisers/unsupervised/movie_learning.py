"""Learning the expectation of a movie's frames from the movie alone, with a blind spot."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lowdose import seeds
from lowdose.config_networks import UDVDSpec
from lowdose.denoisers.networks.blind_spot import DEVIATION
from lowdose.denoisers.networks.build import initialise
from lowdose.denoisers.networks.udvd import REACH, UDVD
from lowdose.provenance import digest
from lowdose.runtime import has_bf16
from lowdose.training import state as saved
from lowdose.training.averaging import AveragedWeights
from lowdose.training.interruption import Interruption
from lowdose.training.losses import FLOOR, LOSSES
from lowdose.training.optimiser import Optimiser

RATE, LAST_RATE = 8e-3, 3e-2  # of the optimiser; the share of it that is left at the end
WARM_UP = 10  # steps
AVERAGE = 0.98  # decay of the running average of the weights
CLIP = 1.0  # largest norm of the gradient
HELD_OUT = 0.05  # share of the pixels that are never learned from
CHECKS = 10  # times that these are looked at
WORSE = 2.0  # standard errors by which earlier weights must be better to be kept
FRAMES_A_STEP, SIDE_PX = 8, 256  # of what a step looks at
PX_AT_ONCE = 10 * 256**2  # that a stem of 4 is applied to, and a sixteenth of it without one
SEED = 0
SAVE_EVERY_S = 30.0


@dataclass(frozen=True)
class Recipe:
    """How a network learns a movie.

    Attributes
    ----------
    spec : UDVDSpec
    steps : int
        Optimiser steps; the last weights are taken, unless earlier ones answered better for pixels
        that are held out.
    least_kept : float
        The network is shown a part of the counts, which is drawn anew for each step: this share
        to all of them (binomial thinning).  It is asked for all of them, and so cannot learn by
        heart how they lie: without this it does so within a hundred steps.
    """

    spec: UDVDSpec
    steps: int = 160
    least_kept: float = 0.1
    weight_decay: float = 2.0

    def fingerprint(self, counts: np.ndarray) -> str:
        """Return what a training that was stopped must agree with to be continued."""
        content = hashlib.sha256(np.ascontiguousarray(counts)).hexdigest()
        own = {**asdict(self), "spec": self.spec.model_dump()}
        return digest({"recipe": own, "counts": content})


def learn(
    counts: np.ndarray,
    dose: np.ndarray,
    recipe: Recipe,
    *,
    state_path: Path | None = None,
    told: Callable[[str], None] = lambda line: None,
) -> tuple[UDVD, np.ndarray]:
    """Train UDVD on a movie; continue where an earlier call for the same movie was stopped.

    The counts of a pixel are independent of all others but for what is in front of the beam:
    maximising the Poisson likelihood of pixels that the network does not see needs no clean
    movie (Sheth et al. 2021, who minimise the squared error).

    Parameters
    ----------
    counts : array (frame, y, x)
        Poisson counts; where they are no whole numbers, none can be left out, and all are shown
        at each step.
    dose : array (frame,)
        Counts of a pixel in vacuum, or on average, above 0.
    recipe : Recipe
    state_path : Path, optional
        Where the state is kept while learning, so that it can go on.
    told : callable
        Receives a line of progress at each check.

    Returns
    -------
    network : UDVD
        With its best weights, in evaluation mode.
    held_out : array (frame, y, x), bool
        Pixels that were not learned from.
    """
    dealt = (counts == np.rint(counts)).all()
    whole = counts.astype(np.int32) if dealt else counts
    network = UDVD(recipe.spec)
    initialise(network, torch.Generator().manual_seed(SEED))
    network = network.to(memory_format=torch.channels_last).train()
    settings = {"optimiser": "muon", "learning_rate": RATE, "weight_decay": recipe.weight_decay}
    optimiser, average = Optimiser(network, settings), AveragedWeights(network, AVERAGE)
    held = seeds.rng(SEED, "udvd", "held out").random(counts.shape, np.float32) < HELD_OUT
    best = {k: v.clone() for k, v in average.values.items()}
    lowest = torch.full((1,), math.inf)  # loss of each held-out pixel, where their mean is lowest
    step, mark = 0, recipe.fingerprint(whole) if state_path else ""
    if state_path and (found := saved.load(state_path, mark)) is not None:
        saved.restore(found[0], network, optimiser, average)
        best = {k: found[0][f"best/{k}"] for k in best}
        lowest = found[0]["lowest"]
        step = found[1]["step"]
        told(f"step {step} was reached before")
    every, begun, last_save = max(recipe.steps // CHECKS, 1), time.monotonic(), time.monotonic()
    first = step
    with Interruption() as interruption:
        while step < recipe.steps:
            batch = _batch(whole, dose, held, recipe, step)
            _step(network, optimiser, batch, _rate(step, recipe.steps))
            average.update(step)
            step += 1
            if step % every == 0 or step == recipe.steps:
                with average.shown():
                    losses = _held_out_losses(network, whole, dose, held)
                if not _is_worse(losses, lowest):
                    best = {k: v.clone() for k, v in average.values.items()}
                if losses.mean() < lowest.mean():
                    lowest = losses
                left = (time.monotonic() - begun) / (step - first)
                left *= recipe.steps - step
                told(f"step {step} of {recipe.steps}, {left:.0f} s left")
            stopped = interruption.received is not None
            if state_path and (stopped or time.monotonic() - last_save > SAVE_EVERY_S):
                tensors = saved.collect(network, optimiser, average)
                tensors |= {f"best/{k}": v for k, v in best.items()} | {"lowest": lowest}
                saved.save(state_path, mark, tensors, {"step": step})
                last_save = time.monotonic()
            if stopped:
                interruption.leave()
    network.load_state_dict(best)
    return network.eval(), held


@torch.no_grad()
def estimate(network: UDVD, counts: np.ndarray, dose: np.ndarray) -> np.ndarray:
    """Return the expectation of each pixel given the others, float32 (frame, y, x) [e/px].

    Cells of a stem are laid in several ways, and the answers averaged: what one lays into a
    blind cell the other sees.
    """
    stem = network.spec.stem
    half = stem // 2
    lays = [(0, 0), (half, half), (0, half), (half, 0)][: max(1, stem)]
    result = np.zeros(counts.shape, np.float32)
    for first, last, around in _parts(counts.shape, stem):
        seen = _standard(counts[around], dose[around])
        for down, right in lays:
            laid = nn.functional.pad(seen, (right, 0, down, 0), value=1.0)
            answer = _answer(network, laid)[:, 0, down:, right:]
            result[first:last] += answer.numpy() / len(lays)
    return result * np.asarray(dose, np.float32)[:, None, None]


def _parts(shape: tuple[int, ...], stem: int) -> list[tuple[int, int, np.ndarray]]:
    """Return (first, last, frames with their neighbours), each part as fits the memory."""
    number, height, width = shape
    held = PX_AT_ONCE * stem**2 // 16 // (height * width)
    at_once = max(1, held - 2 * REACH)
    return [
        (first, last, np.clip(np.arange(first - REACH, last + REACH), 0, number - 1))
        for first in range(0, number, at_once)
        for last in (min(first + at_once, number),)
    ]


def _batch(
    whole: np.ndarray, dose: np.ndarray, held: np.ndarray, recipe: Recipe, step: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what is shown, what is asked for, and which of it is learned from."""
    rng = seeds.rng(SEED, "udvd", step)
    number, height, width = whole.shape
    frames = min(FRAMES_A_STEP, number)
    first = int(rng.integers(number - frames + 1))
    around = np.clip(np.arange(first - REACH, first + frames + REACH), 0, number - 1)
    # Cells are laid anew each time, also where the whole frame is shown.
    cut = []
    for side in (height, width):
        start = int(rng.integers(max(side - SIDE_PX + 1, min(recipe.spec.stem, side))))
        cut.append(slice(start, start + SIDE_PX))
    window = (slice(None), *cut)
    shown, kept = whole[around][window], 1.0
    if shown.dtype.kind == "i":
        kept = rng.uniform(recipe.least_kept, 1)
        shown = rng.binomial(shown, kept)
    middle = slice(first, first + frames)
    target = whole[middle][window] / dose[middle, None, None]
    return (
        _standard(shown, kept * dose[around]),
        torch.from_numpy(target.astype(np.float32))[:, None],
        torch.from_numpy(~held[middle][window])[:, None],
    )


def _standard(counts: np.ndarray, dose: np.ndarray) -> torch.Tensor:
    """Return counts (t, y, x) as the network is given them: (t, 1, y, x), about 1."""
    relative = counts / np.asarray(dose, np.float64)[:, None, None] - 1
    scaled = 1 + relative * (DEVIATION / max(float(relative.std()), 1e-6))
    return torch.from_numpy(scaled.astype(np.float32))[:, None]


def _answer(network: UDVD, seen: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16("cpu")):
        return network(seen).float()


def _step(network: UDVD, optimiser: Optimiser, batch: tuple, rate: float) -> None:
    seen, target, learned = batch
    loss = _loss(network, _answer(network, seen)[learned], target[learned])
    network.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), CLIP)
    optimiser.step(rate)


def _rate(step: int, steps: int) -> float:
    """Return the learning rate: a few steps of warm-up, then a cosine."""
    falling = 0.5 * (1 + math.cos(math.pi * step / steps))
    return RATE * min(1.0, (step + 1) / WARM_UP) * (LAST_RATE + (1 - LAST_RATE) * falling)


@torch.no_grad()
def _held_out_losses(
    network: UDVD, whole: np.ndarray, dose: np.ndarray, held: np.ndarray
) -> torch.Tensor:
    """Return the loss of each pixel that is not learned from, in the first part of the movie."""
    first, last, around = _parts(whole.shape, network.spec.stem)[0]
    answer = _answer(network, _standard(whole[around], dose[around]))
    chosen = torch.from_numpy(held[first:last])[:, None]
    target = torch.from_numpy((whole[first:last] / dose[first:last, None, None]).astype(np.float32))
    answer, target = answer[chosen], target[:, None][chosen]
    if network.spec.published:
        return (answer - target) ** 2
    expected = answer.clamp(min=FLOOR)
    return expected - target * expected.log()


def _is_worse(losses: torch.Tensor, lowest: torch.Tensor) -> bool:
    """Say whether losses of the same pixels are higher by more than chance allows."""
    difference = losses - lowest
    error = float(difference.std()) / len(losses) ** 0.5
    return len(lowest) == len(losses) and float(difference.mean()) > WORSE * error


def _loss(network: UDVD, answer: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return LOSSES["mse" if network.spec.published else "counts"](answer, target)
