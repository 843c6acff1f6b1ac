"""What goes wrong in a training, each in one sentence."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping

from lowdose.runtime import UserError, is_out_of_memory


def check_finite(what: str, value: float, step: int, name: str) -> None:
    """Raise a UserError if a loss or a gradient is not finite."""
    if not math.isfinite(value):
        raise UserError(
            f"The {what} is {value} at step {step} of {name}; lower training.learning_rate and run "
            "again (the last good state is kept)."
        )


@contextlib.contextmanager
def named_out_of_memory(step: int, name: str, settings: Mapping) -> Iterator[None]:
    """Turn every kind of "out of memory" inside the context into a UserError.

    Parameters
    ----------
    step : int
    name : str
        Of the training.
    settings : mapping
        Section ``training`` of the configuration: ``batch`` and ``crop_px`` are what to lower.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        batch, crop = settings["batch"], settings["crop_px"]
        remedy = f"set training.batch to {batch // 2} or" if batch > 1 else "for one crop a step,"
        raise UserError(
            f"The memory is full at step {step} of {name}, with training.batch {batch} and "
            f"training.crop_px {crop}; {remedy} lower training.crop_px, and run again (the last "
            "state is kept)."
        ) from error


@contextlib.contextmanager
def named_compilation() -> Iterator[None]:
    """Turn a failure of a network under torch.compile inside the context into a UserError.

    Whatever type it has: besides a missing compiler, generated code fails with errors of every
    kind (torch 2.13, on a processor, channels last: strides of the replicated padding's gradient).
    """
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise
        first = (str(error).strip().splitlines() or [""])[0][:160].rstrip(".;")
        raise UserError(
            f"training.compile is true, but torch cannot compile this network here "
            f"({type(error).__name__}: {first}); set training.compile to false."
        ) from error
