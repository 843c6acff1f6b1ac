"""The running average of a network's weights, which is the result of a training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


class AveragedWeights:
    """Exponential moving average of all weights and floating-point buffers.

    The running statistics of a batch normalisation are averaged like weights; buffers of whole
    numbers (its count of batches) have no average and are copied.

    A decay d averages over about the last 1 / (1 - d) steps, 100 for 0.99.  It gains most where
    that is a few percent of all steps: 0.999 for a training of tens of thousands.  With the cosine
    down to a small rate, the weights themselves settle and the average gains little at the end;
    before, it is what makes a validation in the middle meaningful.

    Parameters
    ----------
    network : torch.nn.Module
        Its present state is the first average.
    decay : float
        0 (the last weights alone) to below 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay = network, decay
        self.values = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self._smooth = [k for k, v in self.values.items() if v.is_floating_point()]
        self._whole = [k for k, v in self.values.items() if not v.is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the network's state after step `step` (counted from 0) into the average."""
        # Early on the average follows the weights, later it smooths them.
        weight = min(self.decay, (step + 1) / (step + 10))
        current = self.network.state_dict()
        torch._foreach_lerp_(
            [self.values[k] for k in self._smooth], [current[k] for k in self._smooth], 1 - weight
        )
        for key in self._whole:
            self.values[key].copy_(current[key])

    @contextlib.contextmanager
    def shown(self) -> Iterator[nn.Module]:
        """Yield the network with the average as its weights, in evaluation mode."""
        current = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.values)
        self.network.eval()
        try:
            yield self.network
        finally:
            self.network.load_state_dict(current)
            self.network.train()
