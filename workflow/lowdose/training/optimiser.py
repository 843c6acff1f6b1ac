"""The optimiser: AdamW, or Muon for the convolutions and AdamW for the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import nn

# A second moment over 100 steps: over the usual 1000 it lags behind when gradients grow, and the
# steps that are then too long blew a network up now and then.
BETAS = (0.9, 0.99)
WARM_UP_STEPS = 3


class Optimiser:
    """One or two optimisers of torch as one.

    "adamw" is AdamW for all (Loshchilov and Hutter 2019).  "muon" (Jordan et al. 2024) makes the
    step of each convolution an orthogonal matrix, so that all directions in the weights move and
    not only those of the largest gradients, which takes fewer steps; it is scaled to the size of
    AdamW's (Liu et al. 2025), so that one learning rate serves both.  AdamW has what is no
    matrix: biases, norms, and convolutions of each channel by itself.

    Parameters
    ----------
    network : torch.nn.Module
    settings : mapping
        Section ``training``: ``optimiser``, ``learning_rate``, ``weight_decay``.
    """

    def __init__(self, network: nn.Module, settings: Mapping) -> None:
        self._muon: _Muon | None = None
        usual = [p for p in network.parameters() if p.requires_grad]
        how = {"lr": settings["learning_rate"], "weight_decay": settings["weight_decay"]}
        self._parts: list[torch.optim.Optimizer] = []
        if settings["optimiser"] == "muon":
            weights = [p for p in usual if _is_matrix(p)]
            usual = [p for p in usual if not _is_matrix(p)]
            if weights:
                self._muon = _Muon(weights, settings["weight_decay"])
                self._parts.append(self._muon.torchs)
        if usual:
            self._parts.append(torch.optim.AdamW(usual, betas=BETAS, **how))

    def step(self, rate: float) -> None:
        """Move the weights along the gradients that they hold, at a learning rate."""
        for part in self._parts:
            if self._muon is not None and part is self._muon.torchs:
                self._muon.step(rate)
                continue
            for group in part.param_groups:
                group["lr"] = rate
            part.step()

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield all that it remembers of earlier steps, by name: "part/parameter/slot"."""
        for number, part in enumerate(self._parts):
            for index, slots in part.state_dict()["state"].items():
                for slot, value in slots.items():
                    yield f"{number}/{index}/{slot}", torch.as_tensor(value)

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take over what `tensors` gave."""
        states: list[dict] = [{} for _ in self._parts]
        for key, value in tensors.items():
            number, index, slot = key.split("/")
            states[int(number)].setdefault(int(index), {})[slot] = value
        for part, state in zip(self._parts, states, strict=True):
            part.load_state_dict({**part.state_dict(), "state": state})


class _Muon:
    """torch's Muon on matrices that are views of a network's weights.

    It moves zeros, by a rate of 1, and what they have become is then added to the weights at the
    rate of the step.  All that it launches is thus the same at each step: on a GPU, where its
    thousand small products cost their launches alone (41 of the 65 ms of a training step on an
    H100), they are recorded once, as a CUDA graph, and replayed.

    Parameters
    ----------
    weights : list of Parameter (outputs, inputs, y, x)
        Channels last.
    weight_decay : float
    """

    def __init__(self, weights: list[nn.Parameter], weight_decay: float) -> None:
        self._weights, self._decay = weights, weight_decay
        self._matrices = [_as_matrix(weight) for weight in weights]
        pairs = zip(weights, self._matrices, strict=True)
        if any(matrix.data_ptr() != weight.data_ptr() for weight, matrix in pairs):
            raise ValueError("a weight that is not channels last has no view as a matrix")
        self._moves = [nn.Parameter(torch.zeros_like(matrix)) for matrix in self._matrices]
        self.torchs = torch.optim.Muon(
            self._moves, lr=1.0, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
        )
        self._graph: torch.cuda.CUDAGraph | None = None
        self._steps = 0

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move the weights along the gradients that they hold."""
        gradients = [_as_matrix(weight.grad) for weight in self._weights]
        if self._graph is None:
            # Recorded once all it needs (momenta, handles of libraries) has been made; the graph
            # has gradients of its own, whose memory nothing else gets.
            record = self._matrices[0].is_cuda and self._steps == WARM_UP_STEPS
            for move, gradient in zip(self._moves, gradients, strict=True):
                move.grad = gradient.clone() if record else gradient
            if record:
                self._graph = torch.cuda.CUDAGraph()
                torch.cuda.synchronize()
                with torch.cuda.graph(self._graph):
                    self._move()
        if self._graph is None:
            self._move()
        else:
            torch._foreach_copy_([move.grad for move in self._moves], gradients)
            self._graph.replay()
        self._steps += 1
        torch._foreach_mul_(self._matrices, 1 - rate * self._decay)
        torch._foreach_add_(self._matrices, [move.data for move in self._moves], alpha=rate)

    def _move(self) -> None:
        torch._foreach_zero_([move.data for move in self._moves])
        self.torchs.step()


def _is_matrix(parameter: nn.Parameter) -> bool:
    """Say whether a parameter is a convolution's weight that mixes channels."""
    return parameter.ndim == 4 and parameter.shape[1] > 1


def _as_matrix(weight: torch.Tensor) -> torch.Tensor:
    """Return (outputs, inputs, y, x) as (outputs, all that one sums): a view if channels last."""
    return weight.detach().permute(0, 2, 3, 1).flatten(1)
