"""The optimiser: AdamW, or Muon for the convolutions and AdamW for the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import nn

# A second moment over 100 steps: over the usual 1000 it lags behind when gradients grow, and the
# steps that are then too long blew a network up now and then.
BETAS = (0.9, 0.99)


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
        self._matrices: list[tuple[nn.Parameter, nn.Parameter]] = []
        usual = [p for p in network.parameters() if p.requires_grad]
        how = {"lr": settings["learning_rate"], "weight_decay": settings["weight_decay"]}
        self._parts: list[torch.optim.Optimizer] = []
        if settings["optimiser"] == "muon":
            weights = [p for p in usual if _is_matrix(p)]
            usual = [p for p in usual if not _is_matrix(p)]
            matrices = [nn.Parameter(_as_matrix(weight)) for weight in weights]
            self._matrices = list(zip(weights, matrices, strict=True))
            if any(matrix.data_ptr() != weight.data_ptr() for weight, matrix in self._matrices):
                raise ValueError("a weight that is not channels last has no view as a matrix")
            if matrices:
                self._parts.append(
                    torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw", **how)
                )
        if usual:
            self._parts.append(torch.optim.AdamW(usual, betas=BETAS, **how))

    def step(self, rate: float) -> None:
        """Move the weights along the gradients that they hold, at a learning rate."""
        for weight, matrix in self._matrices:
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad)
        for part in self._parts:
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


def _is_matrix(parameter: nn.Parameter) -> bool:
    """Say whether a parameter is a convolution's weight that mixes channels."""
    return parameter.ndim == 4 and parameter.shape[1] > 1


def _as_matrix(weight: torch.Tensor) -> torch.Tensor:
    """Return (outputs, inputs, y, x) as (outputs, all that one sums): a view if channels last."""
    return weight.detach().permute(0, 2, 3, 1).flatten(1)
