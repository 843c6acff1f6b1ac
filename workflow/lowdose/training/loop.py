"""The training loop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

from lowdose.runtime import has_bf16
from lowdose.training import state as saved
from lowdose.training.averaging import AveragedWeights
from lowdose.training.failures import check_finite, named_compilation, named_out_of_memory
from lowdose.training.interruption import Interruption
from lowdose.training.losses import LOSSES, OF_COUNTS
from lowdose.training.optimiser import Optimiser
from lowdose.training.schedule import Budget, learning_rate

Batch = Callable[[int], tuple[torch.Tensor, torch.Tensor]]
Listener = Callable[[dict], None]
PROGRESS_EVERY_S = 1.0


@dataclass
class Place:
    """How far a training has come: what its state holds beside the tensors."""

    step: int = 0
    seconds: float = 0.0
    finished: bool = False
    history: list[dict] = field(default_factory=list)
    loss_sum: float = 0.0  # of the steps since the last validation
    loss_count: int = 0


def train(
    network: nn.Module,
    batch: Batch,
    settings: Mapping,
    *,
    validate: Callable[[nn.Module], Mapping[str, float]],
    state_path: Path,
    fingerprint: str,
    report: Listener = lambda record: None,
    resumed: Callable[[list[dict]], None] = lambda history: None,
    progress: Listener | None = None,
) -> list[dict]:
    """Train a network; continue where an earlier call of the same fingerprint stopped.

    A step's batch depends on the step's number alone, so that a resumed training ends
    bit-identical to an uninterrupted one (same machine, same number of threads).  That holds for
    a budget in steps; with one in minutes the learning rate follows the clock.

    Parameters
    ----------
    network : torch.nn.Module
        Trained in place, where it is; on return it holds the averaged weights, in evaluation mode.
    batch : callable
        Step number -> (input, target), tensors (n, 1, y, x) on the network's device, vacuum = 1.
        The target may end before the input does: what lies beyond is not learned.
    settings : mapping
        Section ``training`` of the configuration.
    validate : callable
        Network with averaged weights -> metrics, e.g. ``{"psnr_db": 30.1}``.
    state_path : Path
        Where the state is kept while training; removed by the caller when all is written.
    fingerprint : str
        Of specification, code and data: a state with another one is ignored.
    report : callable
        Receives each record of the history, with ``progress`` (0 to 1), ``steps_a_second`` and
        ``seconds_left``.
    resumed : callable
        Receives the records of earlier pieces, before the first step, if there is a state.
    progress : callable, optional
        Receives ``step, loss, progress, steps_a_second, seconds_left`` about once a second: for
        a person who watches.

    Returns
    -------
    list of dict
        History: ``step, loss, learning_rate`` and the validation's metrics; ``seconds`` is
        the time spent training, over all pieces.

    Raises
    ------
    UserError
        If loss or gradient is not finite, the memory or the disk is full, or the network
        cannot be compiled; the last good state is kept.
    KeyboardInterrupt, SystemExit
        After Ctrl-C or SIGTERM (exit code 143), once the state is saved.
    """
    name = state_path.parent.name
    budget = Budget(settings["steps"], settings["minutes"])
    loss_of, blind = LOSSES[settings["loss"]], settings["loss"] in OF_COUNTS
    optimiser = Optimiser(network, settings)
    average = AveragedWeights(network, settings["average"])
    place = Place()
    if (found := saved.load(state_path, fingerprint)) is not None:
        saved.restore(found[0], network, optimiser, average)
        place = Place(**found[1])
        resumed(place.history)
    device = next(network.parameters()).device.type
    bf16 = use_bf16(settings["precision"], device)
    autocast = torch.autocast(device, torch.bfloat16, enabled=bf16)
    forward, compiling = network, contextlib.nullcontext
    if settings["compile"] in (True, device):
        # The compiled one shares the weights; validations, of other sizes, run uncompiled.
        how = {"mode": "reduce-overhead"} if device == "cuda" else {}
        forward, compiling = torch.compile(network, **how), named_compilation
    clock = _Clock(place)
    last_save = last_shown = time.monotonic()
    network.train()
    with Interruption() as interruption:
        while not place.finished:
            step = place.step
            # The middle of the step stands for all of it.
            rate = learning_rate(budget.progress(step + 0.5, clock.seconds()), settings)
            with named_out_of_memory(step, name, settings):
                noisy, clean = batch(step)
                with autocast, compiling():
                    output = forward(noisy.contiguous(memory_format=torch.channels_last))
                height, width = clean.shape[-2:]
                target = noisy[..., :height, :width] if blind else clean
                loss = loss_of(output[..., :height, :width].float(), target)
                network.zero_grad(set_to_none=True)
                with compiling():
                    loss.backward()
                norm = nn.utils.clip_grad_norm_(network.parameters(), settings["clip"])
                # Both at once: a GPU is waited for once a step.
                value, length = torch.stack([loss.detach(), norm]).tolist()
                check_finite("loss", value, step, name)
                check_finite("gradient", length, step, name)
                optimiser.step(rate)
            average.update(step)
            place.step += 1
            place.loss_sum, place.loss_count = place.loss_sum + value, place.loss_count + 1
            place.finished = budget.progress(place.step, clock.seconds()) >= 1
            if place.step % settings["validate_every"] == 0 or place.finished:
                record = {"step": place.step, "loss": place.loss_sum / place.loss_count,
                          "learning_rate": rate}  # fmt: skip
                with average.shown():
                    record |= validate(network)
                record["seconds"] = round(clock.seconds(), 1)
                place.history.append(record)
                place.loss_sum, place.loss_count = 0.0, 0
                report({**record, **clock.outlook(budget)})
            elif progress is not None and time.monotonic() - last_shown > PROGRESS_EVERY_S:
                progress({"step": place.step, "loss": value, **clock.outlook(budget)})
                last_shown = time.monotonic()
            stopped = interruption.received is not None
            if stopped or place.finished or time.monotonic() - last_save > settings["save_every_s"]:
                place.seconds = clock.seconds()
                tensors = saved.collect(network, optimiser, average)
                saved.save(state_path, fingerprint, tensors, asdict(place))
                last_save = time.monotonic()
            if stopped:
                interruption.leave()
    network.load_state_dict(average.values)
    network.eval()
    return place.history


def use_bf16(precision: str, device: str = "cpu") -> bool:
    """Say whether to compute in bfloat16: where asked, or where the device has it."""
    if precision == "auto":
        return has_bf16(device)
    return precision == "bf16"


class _Clock:
    """Time spent training over all pieces [s], and the speed of this piece."""

    def __init__(self, place: Place) -> None:
        self.place, self.before, self.first = place, place.seconds, place.step
        self.begun = time.monotonic()

    def seconds(self) -> float:
        return self.before + time.monotonic() - self.begun

    def outlook(self, budget: Budget) -> dict[str, float]:
        step, seconds = self.place.step, self.seconds()
        speed = (step - self.first) / max(seconds - self.before, 1e-9)
        return {
            "progress": budget.progress(step, seconds),
            "steps_a_second": round(speed, 3),
            "seconds_left": budget.seconds_left(step, seconds, speed),
        }
