"""What differs from one training image or crop to the next: lens, camera, noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from lowdose.sampling import PIXEL_TOLERANCE, overlaps

SKEW = ("12", "21", "23")  # aberrations with a direction


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


@dataclass(frozen=True)
class Illumination:
    """Brightness of the vacuum over a crop: a level about 1, and what it gains down and across.

    Attributes
    ----------
    level : float
    down, across : float
        Relative gain from the middle of the crop to its lower and right side.
    """

    level: float
    down: float
    across: float

    def at(self, line: torch.Tensor) -> torch.Tensor:
        """Return it on a square of pixels.

        Parameters
        ----------
        line : tensor (n,)
            Their places along either side; the crop reaches from -1 to 1.

        Returns
        -------
        tensor (n, n), or (1, 1) where it is the same everywhere
        """
        if not (self.down or self.across):
            return torch.full((1, 1), self.level, device=line.device)
        return self.level * (1 + self.down * line[:, None] + self.across * line[None, :])


class Augmentation:
    """Draws the conditions of training images around those of the study.

    A network sees pixels of `own_pixel_nm`, whatever the detector's.

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
            optics[f"c{key}_nm"] = optics.get(f"c{key}_nm", 0.0) + largest
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

    @property
    def own_pixel_nm(self) -> float:
        """Pixel size of what the network is shown [nm]."""
        return self._get("own_pixel_size_nm") or self.camera["pixel_size_nm"]

    def dose(self, rng: np.random.Generator) -> float:
        """Draw the dose on one of the network's pixels [e/pixel]; the key is the camera's."""
        drawn = float(np.exp(rng.uniform(*np.log(self.settings["dose_e_per_px"]))))
        return drawn * (self.own_pixel_nm / self.camera["pixel_size_nm"]) ** 2

    def illumination(self, rng: np.random.Generator) -> Illumination:
        """Draw the brightness of the vacuum over a crop."""
        level = 1 + self._get("level_jitter", 0.0) * rng.uniform(-1, 1)
        slope = self._get("illumination_jitter", 0.0) * rng.uniform() / 2
        angle = rng.uniform(0, 2 * np.pi) if slope else 0.0
        return Illumination(level, slope * np.sin(angle), slope * np.cos(angle))

    def detector_pixel(self, rng: np.random.Generator) -> float | None:
        """Draw the pixel size of the detector [nm], or None for the network's own."""
        pixel, span = self.camera["pixel_size_nm"], self._get("pixel_size_nm")
        if span is not None and rng.random() >= 0.5:
            pixel = float(np.exp(rng.uniform(*np.log(span))))
        return None if abs(pixel / self.own_pixel_nm - 1) <= PIXEL_TOLERANCE else pixel

    def _deviate(self, optics: dict, key: str, size: float, angle: float) -> None:
        """Add a residual aberration to the one that is set, as two-dimensional vectors."""
        fold = int(key[1])
        old = np.deg2rad(fold * optics.get(f"phi{key}_deg", 0.0))
        total = optics.get(f"c{key}_nm", 0.0) * np.exp(1j * old) + size * np.exp(1j * angle)
        optics[f"c{key}_nm"] = float(abs(total))
        optics[f"phi{key}_deg"] = float(np.rad2deg(np.angle(total))) / fold

    def _get(self, key: str, default: object = None) -> object:
        return self.settings.get(key, default)


def averaged(clean: torch.Tensor, ratio: float) -> torch.Tensor:
    """Average an expectation over larger pixels; pixels 0 share their centre.

    Parameters
    ----------
    clean : tensor (n, n)
        Relative to vacuum.
    ratio : float
        New pixel over old pixel, at least 1.

    Returns
    -------
    tensor (m, m)
        Relative to vacuum; m is about n / ratio.
    """
    there = torch.from_numpy(overlaps(len(clean), ratio)).to(clean) / ratio
    return there @ clean @ there.T


def resampled_counts(
    expected: torch.Tensor, dark: float, ratio: float, generator: torch.Generator
) -> torch.Tensor:
    """Draw counts on the detector's pixels and bring them to those of the network.

    What :func:`lowdose.sampling.resample_counts` does to a user's frame: their noise is
    correlated where the detector's pixels are larger; where a whole odd number of them makes one
    of the network's, they are binned and stay Poisson counts.

    Parameters
    ----------
    expected : tensor (m, m)
        Expected counts on the detector's pixels [e/pixel].
    dark : float
        Mean dark counts of a detector pixel [e/pixel]; drawn and subtracted.
    ratio : float
        Detector pixel over network pixel.
    generator : torch.Generator
        On the device of `expected`.

    Returns
    -------
    tensor (n, n)
        Electrons per network pixel; pixels 0 share their centre, and the last of the network's
        has its centre on the frame.
    """
    back = torch.from_numpy(overlaps(len(expected), 1 / ratio)).to(expected)
    counts = torch.poisson(expected.clamp(min=0) + dark, generator=generator) - dark
    return back @ counts @ back.T
