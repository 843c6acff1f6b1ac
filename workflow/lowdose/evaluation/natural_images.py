"""GainTuning on photographs: the general claim of its paper, with Gaussian noise and Stein's risk.

After Mohan et al., NeurIPS 2021 (arXiv:2107.12815): a small network that was trained on photographs
with some levels of noise, adapted to single images like them, with other noise and of other kinds.
The images are those inside scikit-image's wheel, so that nothing has to be fetched.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import skimage.data
import torch
from skimage.color import rgb2gray
from skimage.metrics import peak_signal_noise_ratio
from skimage.util import img_as_float32
from torch import nn

from lowdose import seeds
from lowdose.config_training import Training
from lowdose.denoisers.adaptation.gain_tuning import Recipe, tune
from lowdose.denoisers.adaptation.gains import folded
from lowdose.denoisers.adaptation.observation import Gaussian
from lowdose.denoisers.networks.build import build
from lowdose.denoisers.tiles import apply
from lowdose.evaluation.adaptation import HOME, cropped
from lowdose.training.loop import train

SIGMA, OTHER_SIGMAS = 25, (15, 40, 60)  # of 255
# What the network is trained on: also the noise of the seven tenths of the information that
# adapting is given, or no image would be at home.
TRAINING_SIGMAS = 20, 35
TRAINED_ON = ("astronaut", "coffee", "rocket", "stereo_motorcycle")
PHOTOGRAPHS = ("camera", "chelsea", "clock", "coins")
OTHER_KINDS = {
    "textures": ("brick", "grass", "gravel"),
    "text": ("page", "text"),
    "science": ("cell", "hubble_deep_field", "immunohistochemistry", "moon", "retina"),
}
NETWORK = {"architecture": "dncnn", "layers": 8, "channels": 32, "stem": 2}
SETTINGS = {"batch": 8, "crop_px": 64, "learning_rate": 3e-3, "precision": "fp32"}
LARGEST_PX = 700  # of a side: larger ones are halved, which leaves more to see in a crop


class Image(NamedTuple):
    """An image that the network is adapted to.

    Attributes
    ----------
    case, image : str
        What is unlike the training set, and the name of the image.
    clean : array (y, x), float32
        Within [0, 1].
    sigma : float
        Standard deviation of the noise, of 255.
    """

    case: str
    image: str
    clean: np.ndarray
    sigma: float


def grey(name: str) -> np.ndarray:
    """Return an image of scikit-image's wheel: float32 (y, x) within [0, 1]."""
    image = getattr(skimage.data, name)()
    image = img_as_float32(image[0] if isinstance(image, tuple) else image)  # left of a pair
    image = rgb2gray(image) if image.ndim == 3 else image
    while max(image.shape) > LARGEST_PX:
        height, width = (2 * (n // 2) for n in image.shape)
        image = image[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    return image.astype(np.float32)


def images(crop_px: int) -> Iterator[Image]:
    """Yield the middles of the test images: those of home, other noise, then other kinds."""

    def middle(name: str) -> np.ndarray:
        whole = grey(name)
        return cropped(whole, np.array(whole.shape) / 2, crop_px)

    for sigma in (SIGMA, *OTHER_SIGMAS):
        case = HOME if sigma == SIGMA else f"noise {sigma}"
        yield from (Image(case, name, middle(name), sigma) for name in PHOTOGRAPHS)
    for kind, names in OTHER_KINDS.items():
        yield from (Image(kind, name, middle(name), SIGMA) for name in names)


def trained(steps: int, seed: int, network: Mapping = NETWORK) -> nn.Module:
    """Train a small network on photographs with noise of `TRAINING_SIGMAS`.

    Parameters
    ----------
    steps : int
        Optimiser steps.
    seed : int
        Root seed: of the weights, the crops and the noise.
    network : mapping
        Section ``networks`` of a configuration, as :func:`lowdose.denoisers.networks.build` has
        it.
    """
    settings = Training(**SETTINGS, steps=steps, validate_every=steps).model_dump()
    photographs = [grey(name) for name in TRAINED_ON]

    def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = seeds.rng(seed, "natural images", "crops", step)
        crops = [_crop(photographs[rng.integers(len(photographs))], settings["crop_px"], rng)
                 for _ in range(settings["batch"])]  # fmt: skip
        clean = np.stack(crops)[:, None]
        sigmas = rng.uniform(*TRAINING_SIGMAS, (len(clean), 1, 1, 1)).astype(np.float32) / 255
        noisy = clean + sigmas * rng.standard_normal(clean.shape, np.float32)
        return torch.from_numpy(noisy), torch.from_numpy(clean)

    def validate(candidate: nn.Module) -> dict[str, float]:
        noisy, clean = batch(steps)  # a step that is not trained on
        with torch.no_grad():
            error = (candidate(noisy) - clean).square().mean()
        return {"psnr_db": float(-10 * error.log10())}

    made = build(network, seeds.torch_seed(seed, "natural images", "weights") % 2**31)
    with tempfile.TemporaryDirectory() as folder:  # minutes: not worth to be continued
        train(made, batch, settings, validate=validate, state_path=Path(folder) / "state",
              fingerprint="natural images")  # fmt: skip
    return made


def adapted(network: nn.Module, image: Image, spec: Mapping) -> dict:
    """Adapt a network to one noisy image, and measure both errors against the truth.

    Parameters
    ----------
    network : torch.nn.Module
    image : Image
    spec : mapping
        ``seed``; ``steps``, the most of them.

    Returns
    -------
    dict
        ``case, image, sigma``; ``before_db, after_db, gain_db``, PSNR with MAX = 1; ``steps``, 0
        where the network was left alone; ``seconds`` of processor time.
    """
    sigma = image.sigma / 255
    rng = seeds.rng(spec["seed"], "natural images", image.image, f"sigma {image.sigma:g}")
    noisy = image.clean + sigma * rng.standard_normal(image.clean.shape, np.float32)

    def quality(of: nn.Module) -> float:
        estimate = apply(of, torch.from_numpy(noisy)[None, None])[0, 0].numpy()
        return float(peak_signal_noise_ratio(image.clean, estimate, data_range=1))

    before = quality(network)
    begun = time.process_time()
    tuned = tune(network, Gaussian(noisy, sigma), Recipe(steps=spec["steps"]))
    seconds = time.process_time() - begun
    after = quality(folded(network, tuned.gains)) if tuned.steps else before
    return {
        "case": image.case, "image": image.image, "sigma": image.sigma,
        "before_db": before, "after_db": after, "gain_db": after - before,
        "steps": tuned.steps, "seconds": seconds,
    }  # fmt: skip


def _crop(image: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random square, turned or mirrored at random."""
    row, column = (rng.integers(n - side + 1) for n in image.shape)
    square = np.rot90(image[row : row + side, column : column + side], rng.integers(4))
    return square if rng.integers(2) else square.T
