"""Adapt a trained network to one frame by the gains of its channels (GainTuning).

Mohan, Vincent, Manzorro, Crozier, Fernandez-Granda and Simoncelli, NeurIPS 2021
(arXiv:2107.12815).  A network that is right already must not become worse: the frame's electrons
are dealt, the larger part adapts the gains, and the others decide whether and when to stop.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from lowdose.denoisers import released
from lowdose.denoisers.adaptation import losses
from lowdose.denoisers.adaptation.gains import Gains, applied, folded, ones
from lowdose.denoisers.adaptation.observation import (
    Electrons,
    Observation,
    Unknown,
    choose,
    without,
)
from lowdose.denoisers.cards import ORIENTATIONS, read_card
from lowdose.denoisers.checkpoints import load
from lowdose.denoisers.contract import DenoiserInfo, Parameter, checked_counts
from lowdose.denoisers.learned import LearnedDenoiser, relative_on_own_pixels
from lowdose.denoisers.tiles import apply
from lowdose.runtime import UserError
from lowdose.sampling import PIXEL_TOLERANCE

DEFAULT = "general"
LOSSES = ("blind-spot", "unbiased-risk", "noise-resampling")
SMALLEST_PX = 128  # of a side: a smaller image says too little of what is wrong with a network


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How gains are found.

    Measured on the shipped networks: with these values frames of their own world keep gains of
    one, or gain a little, and others gain decibels, at 0.45 e/px.  With a tenth held out, three
    decibels could not be told from chance; a higher rate finds the noise within a few steps.

    Attributes
    ----------
    loss : {"blind-spot", "unbiased-risk", "noise-resampling"}
        See :mod:`lowdose.denoisers.adaptation.losses`.
    steps : int
        Optimiser steps, or the most of them.
    learning_rate : float
        Of Adam: about how far a gain moves at a step.
    held_out : float
        Share of the electrons (of the pixels, where the noise is not known) that decides.
    check_every : int
        Steps between decisions.
    patience : int
        Decisions without a better one before it ends.
    margin : float
        Standard errors by which the held-out electrons must prefer the best gains to ones.  They
        are asked up to eight times; with 2, one of eight frames of gold became worse by 2.2 dB.
    crop_px : int
        Side of the square that a step sees; larger frames are seen in parts.
    masked : float
        Share of the pixels that a step of the blind-spot loss hides.
    seed : int
        One for every frame: a frame's result does not depend on the others.
    """

    loss: str = "unbiased-risk"
    steps: int = 40
    learning_rate: float = 3e-3
    held_out: float = 0.3
    check_every: int = 5
    patience: int = 4
    margin: float = 3.0
    crop_px: int = 512
    masked: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise UserError(f"There is no loss {self.loss!r}; choose from {', '.join(LOSSES)}.")


class Check(NamedTuple):
    """What the held-out electrons said at a step.

    Attributes
    ----------
    step : int
    difference, error : float
        Squared error less that of the network as it was, and its standard error.
    """

    step: int
    difference: float
    error: float


class Tuned(NamedTuple):
    """What came of it.

    Attributes
    ----------
    gains : dict of str to tensor (channel,)
    steps : int
        At which they were taken; 0 where the network is better left alone.
    history : list of Check
    loss : str
        What was made small.
    """

    gains: Gains
    steps: int
    history: list[Check]
    loss: str


def tune(network: nn.Module, observed: Observation, recipe: Recipe, *, bf16: bool = False) -> Tuned:
    """Find gains for one image.

    Parameters
    ----------
    network : torch.nn.Module
        Not changed.  The work is done on its device.
    observed : Observation
        The image and what is known of its noise.
    recipe : Recipe
    bf16 : bool
        Compute in bfloat16.

    Returns
    -------
    Tuned
        Ones after 0 steps for an image that is blank or has less than `SMALLEST_PX` along a
        side, and wherever nothing is proved to be better.

    Raises
    ------
    UserError
        If the loss needs to know the noise and it is not known, or counts are not whole.
    """
    gains = ones(network)
    if min(observed.image.shape) < max(SMALLEST_PX, network.stride) or not observed.image.any():
        return Tuned(gains, 0, [], recipe.loss)
    rng = np.random.default_rng(recipe.seed)
    seen, unseen = observed.deal(1 - recipe.held_out, rng)

    def estimate(with_gains: Gains) -> np.ndarray:
        twin = folded(network, with_gains)
        return apply(twin, torch.from_numpy(seen.image)[None, None], bf16=bf16)[0, 0].numpy()

    untuned = estimate(gains)
    loss = _STEPS[recipe.loss](seen, untuned, recipe, rng)
    for gain in gains.values():
        gain.requires_grad_()
    optimiser = torch.optim.Adam(gains.values(), lr=recipe.learning_rate)
    device = next(iter(gains.values())).device

    def estimator(images: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            return applied(network, gains, images).float()

    best, best_step, history = None, 0, []
    lowest = Check(0, 0.0, 0.0)
    for step in range(1, recipe.steps + 1):
        optimiser.zero_grad(set_to_none=True)
        window = _window(seen.image.shape, network.stride, recipe.crop_px, rng)
        loss(estimator, window, device).backward()
        optimiser.step()
        if step % recipe.check_every and step != recipe.steps:
            continue
        check = Check(step, *unseen.compare(estimate(gains), untuned))
        history.append(check)
        if check.difference < lowest.difference:
            lowest = check
            if check.difference < -recipe.margin * check.error:
                best, best_step = {k: v.detach().clone() for k, v in gains.items()}, step
        elif step - lowest.step >= recipe.patience * recipe.check_every:
            break
    return Tuned(ones(network) if best is None else best, best_step, history, recipe.loss)


# Estimator, window, device -> loss of one step.
Step = Callable[[losses.Estimator, tuple[slice, slice], torch.device], torch.Tensor]


def _blind_spot(seen: Observation, untuned: np.ndarray, recipe: Recipe, rng) -> Step:
    def loss(estimator, window, device):
        image = seen.image[window]
        chosen = choose(image.shape, recipe.masked, seen.reach, rng)
        replaced, _ = without(image, chosen, seen.reach, rng)
        if seen.hidden is not None:  # their own values are not known here
            chosen &= ~seen.hidden[window]
        return losses.blind_spot(estimator, *_tensors(device, image, replaced, chosen))

    return loss


def _unbiased_risk(seen: Observation, untuned: np.ndarray, recipe: Recipe, rng) -> Step:
    def loss(estimator, window, device):
        pair = seen.image[window], seen.probe(rng)[window]
        return losses.unbiased_risk(estimator, *_tensors(device, *pair))

    return loss


def _noise_resampling(seen: Observation, untuned: np.ndarray, recipe: Recipe, rng) -> Step:
    def loss(estimator, window, device):
        pair = untuned[window], seen.redrawn(untuned, rng)[window]
        return losses.noise_resampling(estimator, *_tensors(device, *pair))

    return loss


_STEPS = dict(zip(LOSSES, (_blind_spot, _unbiased_risk, _noise_resampling), strict=True))


def _window(shape: tuple[int, int], stride: int, crop_px: int, rng) -> tuple[slice, slice]:
    """Return a random window with sides and corner at multiples of the stride."""
    found = []
    for length in shape:
        side = max(min(length, crop_px) // stride, 1) * stride
        start = int(rng.integers((length - side) // stride + 1)) * stride
        found.append(slice(start, start + side))
    return found[0], found[1]


def _tensors(device: torch.device, *arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(a))[None, None].to(device) for a in arrays]


class GainTuned(LearnedDenoiser):
    """A shipped network, adapted to each frame before it is applied to it.

    Parameters
    ----------
    folder : Path, optional
        A checkpoint of one's own, to be adapted in place of the shipped network.
    **options
        ``bf16``, ``device`` and ``tile_px`` of :func:`lowdose.denoisers.checkpoints.load`, and
        the parameters that are named in `info`.

    Attributes
    ----------
    last : list of Tuned
        One for each frame of the stack that was denoised last.

    Raises
    ------
    UserError
        As for `load`, or for a parameter that is not possible.
    """

    info = DenoiserInfo(
        name="gain-tuning",
        title="network tuned to the frame",
        citation="Mohan, Vincent, Manzorro, Crozier, Fernandez-Granda & Simoncelli, NeurIPS 2021, "
        "arXiv:2107.12815",
        licence="GPL-3.0-or-later (this package)",
        pixel_size_nm=released.info(DEFAULT).pixel_size_nm,
        dose_e_per_a2=released.info(DEFAULT).dose_e_per_a2,
        parameters={
            "network": Parameter(
                *(math.nan, math.nan, DEFAULT, "choice", ""),
                description="shipped network that is adapted",
                choices=tuple(released.names()),
            ),
            "loss": Parameter(
                *(math.nan, math.nan, Recipe.loss, "choice", ""),
                description="what is made small on the frame",
                choices=LOSSES,
            ),
            "steps": Parameter(1, 1000, Recipe.steps, "integer", "", "most optimiser steps"),
            "orientations": ORIENTATIONS,
        },
        global_field=True,
    )

    def __init__(self, *, folder: Path | None = None, **options: Any) -> None:
        declared = type(self).info
        given = {k: options.pop(k) for k in list(options) if k in declared.parameters}
        # Beside it, the base class knows a network by that name: the module.
        chosen = declared.parameters["network"]
        name = chosen.check(declared.name, "network", given.pop("network", DEFAULT))
        self.folder = released.folder(name) if folder is None else Path(folder)
        plain = load(self.folder, **options)
        super().__init__(
            plain.network,
            dataclasses.replace(
                declared,
                pixel_size_nm=plain.info.pixel_size_nm,
                dose_e_per_a2=plain.info.dose_e_per_a2,
            ),
            own_pixel_size_nm=plain.own_pixel_size_nm,
            bf16=plain.bf16,
            device=plain.device.type,
            tile_px=plain.tile_px,
            **given,
        )
        self.parameters["network"] = name
        self.last: list[Tuned] = []

    def tuned(
        self, counts: np.ndarray, pixel_size_nm: float, *, dose_e_per_px: float | None = None
    ) -> Tuned:
        """Return the gains for one frame.

        Parameters
        ----------
        counts : array (y, x)
            Electrons per pixel; not changed.
        pixel_size_nm : float
        dose_e_per_px : float, optional
            In vacuum; by default the frame's mean.

        Returns
        -------
        Tuned
            Counts that are no whole numbers cannot be dealt, and their noise is not known: the
            blind-spot loss then takes the place of any other, and pixels are held out.

        Raises
        ------
        UserError
            If the counts are no frame, or the network was not made for such pixels.
        """
        counts = checked_counts(np.asarray(counts)[None])[0]
        self._check_pixel_size(pixel_size_nm)
        dose = float(counts.mean(dtype=np.float64) if dose_e_per_px is None else dose_e_per_px)
        recipe = Recipe(loss=self.parameters["loss"], steps=self.parameters["steps"])
        self.network.to(self.device)
        if dose <= 0 or min(counts.shape) < SMALLEST_PX:
            return Tuned(ones(self.network), 0, [], recipe.loss)
        ratio = self.own_pixel_size_nm / pixel_size_nm
        if (counts == np.rint(counts)).all():
            alike = abs(1 / ratio - 1) <= PIXEL_TOLERANCE
            observed = Electrons(counts, dose, 1.0 if alike else ratio)
        else:
            image = relative_on_own_pixels(
                counts.copy(), dose, pixel_size_nm, self.own_pixel_size_nm
            )
            # They were resampled, who knows how: neighbours share counts.
            observed = Unknown(image, reach=max(1, math.ceil(1 / ratio)))
            recipe = dataclasses.replace(recipe, loss="blind-spot")
        return tune(self.network, observed, recipe, bf16=self.bf16)

    def about(self, tuned: Tuned) -> dict[str, Any]:
        """Return what a file of these gains should say (see `gains.save_gains`)."""
        card = read_card(self.folder)
        return {
            "network": card["name"],
            "weights_sha256": card["weights_sha256"],
            "loss": tuned.loss,
            "steps": tuned.steps,
        }

    def spread(self, counts: np.ndarray, pixel_size_nm: float) -> np.ndarray:
        """Return the scatter of the adapted network over orientations (see the base class)."""
        with self._adapted(self.tuned(counts, pixel_size_nm)):
            return super().spread(counts, pixel_size_nm)

    def _denoise_stack(
        self, counts: np.ndarray, pixel_size_nm: float, vacuum: np.ndarray
    ) -> np.ndarray:
        self.last = []
        return super()._denoise_stack(counts, pixel_size_nm, vacuum)

    def _denoise_frame(self, counts: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        self.last.append(self.tuned(counts, pixel_size_nm, dose_e_per_px=vacuum))
        with self._adapted(self.last[-1]):
            return super()._denoise_frame(counts, pixel_size_nm, vacuum)

    @contextlib.contextmanager
    def _adapted(self, tuned: Tuned) -> Iterator[None]:
        plain = self.network
        if tuned.steps:
            self.network = folded(plain, tuned.gains)
        try:
            yield
        finally:
            self.network = plain
