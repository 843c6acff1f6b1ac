"""Training crops on the fly: one wave is every image of its focal series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lowdose import seeds
from lowdose.data.augmentation import Augmentation, Conditions, averaged, resampled_counts
from lowdose.imaging.camera import blur, detected
from lowdose.imaging.optics import WaveOptics
from lowdose.imaging.resampling import sample_periodic, spline_coefficients
from lowdose.sampling import FILLING


@dataclass(frozen=True)
class Place:
    """Where a crop lies in its cell.

    Attributes
    ----------
    cell_nm, middle_nm : (float, float)
        Height and width of the cell; y and x of the crop's middle [nm].
    angle : float
        Rotation of the crop [radians].
    mirror : float
        -1 for a crop that is mirrored left to right, else 1.
    pixel_nm : float
        Side of the network's pixels [nm].
    """

    cell_nm: tuple[float, float]
    middle_nm: tuple[float, float]
    angle: float
    mirror: float
    pixel_nm: float

    def cut(self, image: torch.Tensor, line: torch.Tensor) -> torch.Tensor:
        """Return the image on a square of pixels.

        Parameters
        ----------
        image : tensor (y, x)
            From `spline_coefficients`.
        line : tensor (n,)
            Places along either side from the middle of the crop, in the network's pixels.

        Returns
        -------
        tensor (n, n)
        """
        steps = line * self.pixel_nm
        v, u = torch.meshgrid(steps, steps, indexing="ij")
        u = u * self.mirror
        (height, width), (y, x) = self.cell_nm, self.middle_nm
        rows = y + np.sin(self.angle) * u + np.cos(self.angle) * v
        columns = x + np.cos(self.angle) * u - np.sin(self.angle) * v
        return sample_periodic(image, rows / height, columns / width)[0, 0]


class TrainingRenderer:
    """Makes the batch of any training step, from the step's number alone.

    An image is rendered once (defocus, lens, camera, contrast) and kept in a pool from which
    crops are cut at random places and angles; each step renders one new image and drops the
    oldest.  Everything random derives from the seed and the step or the image's number: a
    resumed training sees exactly the crops that an uninterrupted one sees.

    Parameters
    ----------
    spectra : sequence of tensor
        Spectra of the training waves, from `WaveOptics.spectrum`; batches are made, and are, on
        their device.  Another device draws other noise.
    images : array (n, 2)
        Allowed (index of the spectrum, C1 in nm).
    optics : WaveOptics
        Lens and cell; its band holds that of every lens which is drawn.
    augmentation : Augmentation
        Lens, camera, dose and geometry of the crops.
    region_nm : (float, float)
        Upper and lower limit of the frames in the cell [nm]; crops stay inside.
    crop_px, batch, pool : int
        Side of a crop, crops a step, images in the pool.
    seed : int
        Of the data; separate from that of the initial weights.
    stride : int
        Sides of the network's input are multiples of this [pixels].  An image whose sides are not
        is filled up by vacuum when it is denoised, so half of the crops end before their last
        pixels, too.
    """

    def __init__(
        self,
        spectra: Sequence[torch.Tensor],
        images: np.ndarray,
        optics: WaveOptics,
        augmentation: Augmentation,
        region_nm: tuple[float, float],
        *,
        crop_px: int,
        batch: int,
        pool: int,
        seed: int,
        stride: int = 1,
    ) -> None:
        self.stride = stride
        self.spectra, self.images, self.optics = spectra, images, optics
        self.augmentation, self.region_nm = augmentation, region_nm
        self.crop_px, self.batch_size, self.pool_size, self.seed = crop_px, batch, pool, seed
        self.device = spectra[0].device
        self._pool: dict[int, torch.Tensor] = {}
        self._blurs: dict[tuple, torch.Tensor] = {}

    def image(self, number: int) -> torch.Tensor:
        """Render image `number`: (y, x) over the cell, as `spline_coefficients`."""
        rng = seeds.rng(self.seed, "render", number)
        wave, c1 = self.images[rng.integers(len(self.images))]
        drawn = self.augmentation.conditions(c1, rng)
        image = self.optics.intensity(self.spectra[int(wave)], drawn.c1_nm, drawn.optics)
        factor = drawn.camera["contrast_factor"]
        return spline_coefficients(detected(image, self._blur(drawn), factor))

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the noisy and the clean crops of a step.

        Returns
        -------
        noisy : tensor (batch, 1, crop, crop), float32
            Counts over dose, the mean of the dark counts subtracted.
        clean : tensor (batch, 1, y, x), float32
            The expectation, to where the image ends: less than `stride` below the crop's sides.
            Vacuum = 1 in both, but for the jitter of the level.
        """
        window = range(step, step + self.pool_size)
        self._pool = {n: self._pool[n] for n in window if n in self._pool}
        for number in window:
            if number not in self._pool:
                self._pool[number] = self.image(number)
        rng = seeds.rng(self.seed, "crop", step)
        chosen = rng.integers(self.pool_size, size=self.batch_size)
        generator = torch.Generator(self.device)
        generator.manual_seed(seeds.torch_seed(self.seed, "noise", step))
        pairs = [self._pair(self._pool[window[i]], rng, generator) for i in chosen]
        noisy, clean = (torch.stack(crops)[:, None] for crops in zip(*pairs, strict=True))
        rng = seeds.rng(self.seed, "end", step)
        if self.stride > 1 and rng.random() < 0.5:
            height, width = self.crop_px - rng.integers(self.stride, size=2)
            noisy[..., height:, :] = FILLING
            noisy[..., width:] = FILLING
            clean = clean[..., :height, :width]
        return noisy, clean

    def _pair(
        self, image: torch.Tensor, rng: np.random.Generator, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return one noisy and one clean crop (crop, crop)."""
        n, drawn = self.crop_px, self.augmentation
        dark = drawn.camera.get("dark_e_per_px", 0.0)
        pixel = drawn.detector_pixel(rng)
        ratio = 1.0 if pixel is None else pixel / drawn.own_pixel_nm
        # A few pixels more, since the last whole detector pixel may end before the crop.
        size = n + 1 + int(np.ceil(ratio)) if ratio > 1 else n
        place = self._place(size, rng)
        light, dose = drawn.illumination(rng), drawn.dose(rng)

        def expectation(line: torch.Tensor) -> torch.Tensor:
            return place.cut(image, line) * light.at(line * (2 / (size - 1)))

        # In the network's pixels, from the middle.
        line = torch.arange(size, device=self.device) - (size - 1) / 2
        clean = expectation(line)
        if pixel is None:
            counts = torch.poisson(clean.clamp(min=0) * dose + dark, generator=generator) - dark
        elif ratio > 1:
            expected = averaged(clean, ratio) * (dose * ratio**2)
            counts = resampled_counts(expected, dark, ratio, generator)
        else:
            # One of the network's pixels more on either side, or the outermost would gather the
            # counts of half their area.
            number = int(np.ceil((n + 1) / ratio)) + 1
            finer = torch.arange(number, device=self.device) * ratio + (line[0] - 1)
            expected = expectation(finer) * (dose * ratio**2)
            counts = resampled_counts(expected, dark, ratio, generator)[1:, 1:]
        return counts[:n, :n] / dose, clean[:n, :n]

    def _place(self, size: int, rng: np.random.Generator) -> Place:
        """Draw place, angle, scale and mirror of a crop of so many of the network's pixels."""
        height, width = self.optics.cell_nm
        settings = self.augmentation.settings
        pixel = self.augmentation.own_pixel_nm * (1 + settings["scale_jitter"] * rng.uniform(-1, 1))
        angle = np.deg2rad(settings["rotation_deg"]) * rng.uniform(-1, 1)
        half = size * pixel / 2
        reach = half * (abs(np.cos(angle)) + abs(np.sin(angle)))
        low, high = self.region_nm[0] + reach, self.region_nm[1] - reach
        # Where the crop is higher than the region, its middle is all that fits.
        y = rng.uniform(low, high) if low < high else (low + high) / 2
        x = rng.uniform(0, width)
        mirror = -1.0 if rng.random() < 0.5 else 1.0
        return Place((height, width), (y, x), angle, mirror, pixel)

    def _blur(self, drawn: Conditions) -> torch.Tensor:
        """Return the camera's transfer; computed once where it is the same for all images."""
        # The transfer is a property of the detector, whatever its counts are resampled to.
        camera, pixel = drawn.camera, self.augmentation.camera["pixel_size_nm"]
        key = (camera["mtf_nyquist"], camera["vibration_nm"], drawn.drift_nm)
        if key not in self._blurs:
            transfer = blur(self.optics.grid, self.optics.cell_nm, camera, pixel,
                            drift_nm=drawn.drift_nm)  # fmt: skip
            self._blurs = {key: transfer.to(self.device)}
        return self._blurs[key]
