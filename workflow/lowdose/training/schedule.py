"""How long a training lasts, and the learning rate on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

LEAST = 0.01  # of the peak: where the rate begins and ends


@dataclass(frozen=True)
class Budget:
    """What a training may use: optimiser steps, or minutes if they are given.

    A training by steps ends bit-identical however often it was interrupted; one by minutes does
    not, since its learning rate follows the clock.

    Attributes
    ----------
    steps : int
    minutes : float or None
        Time spent training, validations included, over all pieces; replaces `steps`.
    """

    steps: int
    minutes: float | None = None

    def progress(self, step: float, seconds: float) -> float:
        """Return the share of the budget that is used after `step` steps, 0 to 1."""
        if self.minutes is None:
            return min(1.0, step / self.steps)
        return min(1.0, seconds / (60 * self.minutes))

    def seconds_left(self, step: int, seconds: float, steps_a_second: float) -> float:
        """Return the time to the end at the present speed [s]."""
        if self.minutes is None:
            return (self.steps - step) / steps_a_second
        return max(0.0, 60 * self.minutes - seconds)


def learning_rate(progress: float, settings: Mapping) -> float:
    """Return the learning rate: a linear warm-up, then half a cosine (Loshchilov, Hutter 2017).

    It begins and ends at one hundredth of the peak: the average of the weights gains nothing from
    steps that are smaller still.

    Parameters
    ----------
    progress : float
        Share of the budget that is used, 0 to 1.
    settings : mapping
        ``learning_rate`` (the peak) and ``warmup`` (share of the budget, 0 to below 1).
    """
    warmup = settings["warmup"]
    if progress < warmup:
        share = progress / warmup
    else:
        share = 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
    return settings["learning_rate"] * (LEAST + (1 - LEAST) * share)
