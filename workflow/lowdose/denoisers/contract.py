"""What every denoiser promises, learned or classical: counts in, expected counts out."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from lowdose.runtime import UserError
from lowdose.sampling import dose_e_per_px

# Of a frame's total, the contract allows 1 %; staying just inside leaves room for rounding.
TOTAL_TOLERANCE = 0.0099


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One tunable parameter of a denoiser.

    Attributes
    ----------
    low, high : float
        Range, both ends allowed; ``nan`` for a choice.
    default : float, int or str
        Value when none is given.
    scale : {"linear", "log", "integer", "choice"}
        How a tuner walks the range.
    unit : str
        Unit, ``""`` for a pure number.
    description : str
        What it does, in a few words.
    choices : tuple
        The allowed values of a "choice", in their natural order.
    """

    low: float
    high: float
    default: Any
    scale: Literal["linear", "log", "integer", "choice"]
    unit: str
    description: str
    choices: tuple = ()

    def check(self, denoiser: str, name: str, value: Any) -> Any:
        """Return `value` as a float, int or choice; raise UserError if it is not allowed."""
        unit = f" {self.unit}" if self.unit else ""
        if self.scale == "choice":
            if value not in self.choices:
                listed = ", ".join(map(str, self.choices))
                raise UserError(
                    f"{name}={value!r} is not possible for denoiser {denoiser}; "
                    f"choose from {listed}{unit}."
                )
            return self.choices[self.choices.index(value)]
        number = value if isinstance(value, int | float | np.number) else math.nan
        whole = self.scale != "integer" or float(number).is_integer()
        if not (self.low <= number <= self.high and whole) or isinstance(value, bool):
            kind = "a whole number" if self.scale == "integer" else "a number"
            raise UserError(
                f"{name}={value!r} is not possible for denoiser {denoiser}; "
                f"give {kind} from {self.low:g} to {self.high:g}{unit}."
            )
        return int(number) if self.scale == "integer" else float(number)


@dataclasses.dataclass(frozen=True)
class DenoiserInfo:
    """What the registry knows of a denoiser.

    Attributes
    ----------
    name, title : str
        Key in the registry; name in figures and tables.
    citation, licence : str
        Whom to cite; SPDX identifier of the implementation.
    parameters : mapping of str to Parameter
        Tunable parameters.
    needs_fit : bool
        Whether it must be trained before it can be used.
    temporal : bool
        Whether a frame's result depends on the other frames of the stack.
    pixel_size_nm : (float, float)
        Declared operating range, nm per pixel.
    dose_e_per_a2 : (float, float)
        Declared operating range, e/Å² per frame.
    receptive_field_px : int or None
        Edge of the square of input pixels that one output pixel depends on, where that is a
        property of the method alone; None if it is the whole frame or follows the parameters.
    global_field : bool
        Whether an output pixel may depend on the whole frame.
    """

    name: str
    title: str
    citation: str
    licence: str
    pixel_size_nm: tuple[float, float]
    dose_e_per_a2: tuple[float, float]
    parameters: Mapping[str, Parameter] = dataclasses.field(default_factory=dict)
    needs_fit: bool = False
    temporal: bool = False
    receptive_field_px: int | None = None
    global_field: bool = False


class Denoiser(abc.ABC):
    """Base of every denoiser: checks the input once and keeps the promises of the contract.

    A subclass sets ``info`` and writes `_denoise_frame`; one that works on batches or along
    time writes `_denoise_stack` instead.

    Parameters
    ----------
    **parameters
        Values of the parameters named in ``info``; the others keep their defaults.

    Raises
    ------
    UserError
        For an unknown parameter or a value out of its range, or if it needs what is not installed.
    """

    info: ClassVar[DenoiserInfo] | DenoiserInfo

    def __init__(self, **parameters: Any) -> None:
        known = self.info.parameters
        for name in parameters:
            if name not in known:
                listed = ", ".join(known) or "none"
                raise UserError(
                    f"Denoiser {self.info.name} has no parameter {name!r}; it has: {listed}."
                )
        self.parameters: dict[str, Any] = {
            name: declared.check(self.info.name, name, parameters.get(name, declared.default))
            for name, declared in known.items()
        }
        if sentence := self.missing():
            raise UserError(sentence)

    @staticmethod
    def missing() -> str | None:
        """Say in one sentence what must be installed before it can be used; None if nothing."""
        return None

    @staticmethod
    def version() -> str:
        """Return the version of what it computes with beyond the lock; "" if that is nothing."""
        return ""

    def denoise(
        self,
        counts: np.ndarray,
        pixel_size_nm: float,
        *,
        dose: float | np.ndarray | None = None,
    ) -> np.ndarray:
        """Estimate the expected counts of a stack of frames.

        Parameters
        ----------
        counts : array (frame, y, x)
            Electrons per pixel, not negative; any height and width.  Not changed.
        pixel_size_nm : float
            Pixel size, nm.
        dose : float or array (frame,), optional
            Dose of a frame in vacuum, e/Å².  By default each frame's mean counts.

        Returns
        -------
        float32 array (frame, y, x)
            Expected counts, electrons per pixel.  The total of a frame (of the stack, for a
            temporal denoiser) differs from its total counts by less than 1 %.

        Raises
        ------
        UserError
            If the stack, the pixel size or the dose is not what is described above.
        """
        stack = checked_counts(counts)
        _check_positive("The pixel size", pixel_size_nm, "nm")
        vacuum = self._vacuum_e_per_px(stack, pixel_size_nm, dose)
        # A subclass gets its own copy: the caller's counts stay as they are.
        estimate = self._denoise_stack(stack.copy(), pixel_size_nm, vacuum)
        estimate = np.asarray(estimate, dtype=np.float32)
        axes = (0, 1, 2) if self.info.temporal else (1, 2)
        return _keep_total(stack, estimate, axes)

    def _denoise_stack(
        self, counts: np.ndarray, pixel_size_nm: float, vacuum: np.ndarray
    ) -> np.ndarray:
        """Denoise a checked float32 stack; `vacuum` (frame,) is the vacuum dose in e/px."""
        frames = zip(counts, vacuum, strict=True)
        return np.stack([self._denoise_frame(f, pixel_size_nm, float(v)) for f, v in frames])

    def _denoise_frame(self, counts: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        """Denoise one checked float32 frame (y, x); `vacuum` is the vacuum dose in e/px."""
        raise NotImplementedError(f"{type(self).__name__} defines no _denoise_frame")

    @staticmethod
    def _vacuum_e_per_px(
        stack: np.ndarray, pixel_size_nm: float, dose: float | np.ndarray | None
    ) -> np.ndarray:
        if dose is None:
            return stack.mean(axis=(1, 2), dtype=np.float64)
        doses = np.asarray(dose, dtype=np.float64)
        if doses.shape not in ((), (len(stack),)):
            raise UserError(
                f"There are {doses.size} doses for {len(stack)} frames; "
                "give one dose, or one for each frame."
            )
        for value in doses.flat:
            _check_positive("The dose", float(value), "e/Å²")
        return np.broadcast_to(dose_e_per_px(doses, pixel_size_nm), (len(stack),))


def checked_counts(counts: np.ndarray) -> np.ndarray:
    """Return `counts` as a float32 stack (frame, y, x), or say why that cannot be.

    Raises
    ------
    UserError
        If `counts` is not a non-empty three-dimensional stack of finite numbers >= 0.
    """
    array = np.asarray(counts)
    if array.ndim != 3:
        hint = ", counts[None] for a single image" if array.ndim == 2 else ""
        raise UserError(
            f"The counts have {array.ndim} dimensions; give a stack of frames, (frame, y, x){hint}."
        )
    if array.size == 0:
        raise UserError(
            f"The stack of counts is empty (shape {array.shape}); give at least one frame of one "
            "pixel."
        )
    if array.dtype.kind not in "buif":
        raise UserError(
            f"The counts are of type {array.dtype}; give real numbers, electrons per pixel."
        )
    stack = array.astype(np.float32, copy=False)
    if not np.isfinite(stack).all():
        number = int(np.count_nonzero(~np.isfinite(stack)))
        raise UserError(
            f"{number} pixels of the counts are not finite numbers; replace dead pixels, for "
            "instance by the median of their neighbours."
        )
    if stack.min() < 0:
        raise UserError(
            f"The counts go down to {stack.min():g}; subtract no background below zero and give "
            "electrons per pixel."
        )
    return stack


def _check_positive(what: str, value: float, unit: str) -> None:
    if not (isinstance(value, int | float | np.number) and math.isfinite(value) and value > 0):
        raise UserError(f"{what} is {value!r}; give a number of {unit} above 0.")


def _keep_total(counts: np.ndarray, estimate: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Scale the estimate, no more than needed, so that its total is within 1 % of the counts'.

    The counts are all that a frame says about its dose, so a larger difference is the method's
    bias (a filter's border, an inverse transform), not knowledge.
    """
    wanted = counts.sum(axis=axes, keepdims=True, dtype=np.float64)
    found = estimate.sum(axis=axes, keepdims=True, dtype=np.float64)
    kept = np.clip(found, (1 - TOTAL_TOLERANCE) * wanted, (1 + TOTAL_TOLERANCE) * wanted)
    if (kept == found).all():
        return estimate
    factor = np.divide(kept, found, out=np.ones_like(found), where=found > 0)
    # A blank estimate of a frame with counts cannot be scaled: its mean is all that is left.
    rest = np.where(found > 0, 0, kept * found.size / estimate.size)
    return estimate * factor.astype(np.float32) + rest.astype(np.float32)
