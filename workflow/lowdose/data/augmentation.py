"""What differs from one training image or crop to the next: lens, camera, noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from lowdose.sampling import overlaps

SKEW = ("12", "21", "23")  # aberrations with a direction
NATIVE = 0.05  # detector pixels this close to the network's are taken as they are


@dataclass(frozen=True)
class Conditions:
    """Lens and camera of one training image.

    Attributes
    ----------
    c1_nm : float
        Defocus C1 [nm].
    optics, camera : mapping
        Sections of the configuration, changed.
    drift_nm : (float, float) or None
        Uniform motion along y and x during the exposure [nm].
    """

    c1_nm: float
    optics: Mapping
    camera: Mapping
    drift_nm: tuple[float, float] | None


class Augmentation:
    """Draws the conditions of training images around those of the study.

    Parameters
    ----------
    optics, camera : mapping
        Sections of the configuration.
    training_set : mapping
        One entry of ``training_sets``; keys that are absent change nothing.
    """

    def __init__(self, optics: Mapping, camera: Mapping, training_set: Mapping) -> None:
        self.optics, self.camera, self.settings = dict(optics), dict(camera), training_set

    @property
    def strongest_optics(self) -> dict:
        """The optics with the largest aberrations and band, for what must hold them all."""
        optics = dict(self.optics)
        if spread := self._get("focal_spread_nm"):
            optics["focal_spread_nm"] = spread[0]
        optics["c3_um"] += np.copysign(self._get("c3_jitter_um", 0.0), optics["c3_um"])
        for key in SKEW:
            largest = self._get(f"c{key}_nm", 0.0)
            optics[f"c{key}_nm"] = float(np.hypot(optics.get(f"c{key}_nm", 0.0), largest))
        return optics

    def conditions(self, c1_nm: float, rng: np.random.Generator) -> Conditions:
        """Draw lens and camera of an image at a nominal defocus [nm]."""
        c1_nm += self._get("c1_jitter_nm", 0.0) * rng.uniform(-1, 1)
        optics, camera = dict(self.optics), dict(self.camera)
        jitter = 1 + self._get("contrast_factor_jitter", 0.0) * rng.uniform(-1, 1)
        if (span := self._get("contrast_factor")) is None:
            camera["contrast_factor"] *= jitter
        else:
            camera["contrast_factor"] = float(np.exp(rng.uniform(*np.log(span))))
        for section, key in (
            (optics, "focal_spread_nm"),
            (camera, "mtf_nyquist"),
            (camera, "vibration_nm"),
        ):
            if span := self._get(key):
                section[key] = float(rng.uniform(*span))
        if jitter := self._get("c3_jitter_um", 0.0):
            optics["c3_um"] += jitter * rng.uniform(-1, 1)
        for key in SKEW:
            if largest := self._get(f"c{key}_nm", 0.0):
                self._deviate(optics, key, largest * rng.uniform(), rng.uniform(0, 2 * np.pi))
        drift = None
        if largest := self._get("drift_nm", 0.0):
            length, angle = largest * rng.uniform(), rng.uniform(0, np.pi)
            drift = length * np.sin(angle), length * np.cos(angle)
        return Conditions(c1_nm, optics, camera, drift)

    def illumination(self, size: int, rng: np.random.Generator) -> torch.Tensor:
        """Draw the brightness of the vacuum over a crop: a level and a slope, about 1.

        Returns
        -------
        tensor (size, size) or (1, 1), float32
        """
        level = 1 + self._get("level_jitter", 0.0) * rng.uniform(-1, 1)
        slope = self._get("illumination_jitter", 0.0) * rng.uniform() / 2
        if slope == 0:
            return torch.full((1, 1), level)
        angle = rng.uniform(0, 2 * np.pi)
        line = torch.linspace(-1, 1, size)
        ramp = np.sin(angle) * line[:, None] + np.cos(angle) * line[None, :]
        return level * (1 + slope * ramp)

    def detector_pixel(self, rng: np.random.Generator) -> float | None:
        """Draw the pixel size of the detector [nm], or None for the network's own."""
        span = self._get("pixel_size_nm")
        if span is None or rng.random() < 0.5:
            return None
        pixel = float(np.exp(rng.uniform(*np.log(span))))
        near = abs(pixel / self.camera["pixel_size_nm"] - 1) <= NATIVE
        return None if near else pixel

    def _deviate(self, optics: dict, key: str, size: float, angle: float) -> None:
        """Add a residual aberration to the one that is set, as two-dimensional vectors."""
        fold = int(key[1])
        old = np.deg2rad(fold * optics.get(f"phi{key}_deg", 0.0))
        total = optics.get(f"c{key}_nm", 0.0) * np.exp(1j * old) + size * np.exp(1j * angle)
        optics[f"c{key}_nm"] = float(abs(total))
        optics[f"phi{key}_deg"] = float(np.rad2deg(np.angle(total))) / fold

    def _get(self, key: str, default: object = None) -> object:
        return self.settings.get(key, default)


def resampled_counts(
    clean: torch.Tensor, dose: float, dark: float, ratio: float, generator: torch.Generator
) -> torch.Tensor:
    """Draw counts on detector pixels of another size and bring them to those of the network.

    What :func:`lowdose.sampling.resample_counts` does to a user's frame: their noise is
    correlated where the detector's pixels are larger, and smoother where they are smaller.

    Parameters
    ----------
    clean : tensor (n, n)
        Expectation on the network's pixels, relative to vacuum.
    dose : float
        Dose on one of the network's pixels [e/pixel].
    dark : float
        Mean dark counts of a detector pixel [e/pixel]; drawn and subtracted.
    ratio : float
        Detector pixel over network pixel.
    generator : torch.Generator

    Returns
    -------
    tensor (m, m)
        Electrons per network pixel; m is n or a few pixels less, since the last detector
        pixel may end before the crop does.
    """
    there = torch.from_numpy(overlaps(len(clean), ratio)).to(clean.dtype)
    back = torch.from_numpy(overlaps(len(there), 1 / ratio)).to(clean.dtype)
    expected = dose * (there @ clean @ there.T).clamp(min=0)
    counts = torch.poisson(expected + dark, generator=generator) - dark
    return back @ counts @ back.T
