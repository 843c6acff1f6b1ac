"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from lowdose.runtime import UserError, has_bf16
from lowdose.training import state as saved

Batch = Callable[[int], tuple[torch.Tensor, torch.Tensor]]


def train(
    network: nn.Module,
    batch: Batch,
    settings: Mapping,
    *,
    validate: Callable[[nn.Module], Mapping[str, float]],
    state_path: Path,
    fingerprint: str,
    report: Callable[[dict], None] = lambda record: None,
) -> list[dict]:
    """Train a network; continue where an earlier call of the same fingerprint stopped.

    The loss is the mean squared error against the expectation relative to vacuum.  A step's
    batch depends on the step's number alone, so that a resumed training ends bit-identical to
    an uninterrupted one (same machine, same number of threads).

    Parameters
    ----------
    network : torch.nn.Module
        Trained in place; on return it holds the averaged weights, in evaluation mode.
    batch : callable
        Step number -> (input, target), tensors (n, 1, y, x).
    settings : mapping
        Section ``training`` of the configuration.
    validate : callable
        Network with averaged weights -> metrics, e.g. ``{"psnr_db": 30.1}``.
    state_path : Path
        Where the state is kept while training; removed by the caller when all is written.
    fingerprint : str
        Of specification, code and data: a state with another one is ignored.
    report : callable
        Receives each record of the history, for progress.

    Returns
    -------
    list of dict
        History: ``step, loss, learning_rate`` and the validation's metrics; ``seconds`` is
        the time spent training, over all pieces.

    Raises
    ------
    UserError
        If the loss is not finite; the last good state is kept.
    """
    steps, decay = settings["steps"], settings["average"]
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings["learning_rate"], weight_decay=settings["weight_decay"]
    )
    averaged = {k: v.detach().clone() for k, v in network.state_dict().items()}
    start, history, spent = 0, [], 0.0
    if (found := saved.load(state_path, fingerprint)) is not None:
        start, history, spent = _restore(found, network, optimiser, averaged)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=use_bf16(settings["precision"]))
    begun = last_save = time.monotonic()
    running, counted = 0.0, 0

    def keep(step: int) -> None:
        values = {"step": step, "history": history, "seconds": spent + time.monotonic() - begun}
        values["loss"] = [running, counted]
        saved.save(state_path, fingerprint, _tensors(network, optimiser, averaged), values)

    if found is not None:
        running, counted = found[1]["loss"]
    network.train()
    for step in range(start, steps):
        rate = learning_rate(step, settings)
        for group in optimiser.param_groups:
            group["lr"] = rate
        noisy, clean = batch(step)
        with autocast:
            output = network(noisy.contiguous(memory_format=torch.channels_last))
        loss = nn.functional.mse_loss(output.float(), clean)
        value = loss.item()
        if not math.isfinite(value):
            raise UserError(
                f"The loss is {value} at step {step} of {state_path.parent.name}; lower "
                "training.learning_rate and run again (the last good state is kept)."
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        # Early on the average follows the weights, later it smooths them.
        weight = min(decay, (step + 1) / (step + 10))
        _average(averaged, network, weight)
        running, counted = running + value, counted + 1
        done = step + 1
        if done % settings["validate_every"] == 0 or done == steps:
            metrics = _with_weights(network, averaged, validate)
            seconds = spent + time.monotonic() - begun
            record = {
                "step": done,
                "loss": running / counted,
                "learning_rate": rate,
                **metrics,
                "seconds": round(seconds, 1),
            }
            history.append(record)
            report({**record, "steps": steps, "seconds_left": _left(seconds, done, steps)})
            running, counted = 0.0, 0
        if time.monotonic() - last_save > settings["save_every_s"] or done == steps:
            keep(done)
            last_save = time.monotonic()
    network.load_state_dict(averaged)
    network.eval()
    return history


def learning_rate(step: int, settings: Mapping) -> float:
    """Return the rate of a step: linear warm-up, then a cosine down to one hundredth."""
    steps, peak = settings["steps"], settings["learning_rate"]
    warmup = max(1, round(settings["warmup"] * steps))
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def use_bf16(precision: str) -> bool:
    """Say whether to compute in bfloat16: where asked, or where the processor has it."""
    if precision == "auto":
        return has_bf16()
    return precision == "bf16"


def _left(seconds: float, done: int, steps: int) -> float:
    return seconds / done * (steps - done)


@torch.no_grad()
def _average(averaged: dict[str, torch.Tensor], network: nn.Module, weight: float) -> None:
    names = list(averaged)
    current = network.state_dict()
    torch._foreach_lerp_([averaged[n] for n in names], [current[n] for n in names], 1 - weight)


def _with_weights(
    network: nn.Module,
    weights: dict[str, torch.Tensor],
    function: Callable[[nn.Module], Mapping[str, float]],
) -> dict[str, float]:
    current = {k: v.clone() for k, v in network.state_dict().items()}
    network.load_state_dict(weights)
    network.eval()
    try:
        return dict(function(network))
    finally:
        network.load_state_dict(current)
        network.train()


def _tensors(
    network: nn.Module, optimiser: torch.optim.Optimizer, averaged: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    tensors = {f"network/{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average/{k}": v for k, v in averaged.items()}
    for index, slots in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{k}": torch.as_tensor(v) for k, v in slots.items()}
    return tensors


def _restore(
    found: tuple[dict[str, torch.Tensor], dict],
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    averaged: dict[str, torch.Tensor],
) -> tuple[int, list[dict], float]:
    tensors, values = found
    network.load_state_dict(
        {k.removeprefix("network/"): v for k, v in tensors.items() if k.startswith("network/")}
    )
    for key in averaged:
        averaged[key].copy_(tensors[f"average/{key}"])
    state = optimiser.state_dict()
    state["state"] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser/"):
            _, index, slot = key.split("/")
            state["state"].setdefault(int(index), {})[slot] = value
    optimiser.load_state_dict(state)
    return values["step"], values["history"], values["seconds"]
