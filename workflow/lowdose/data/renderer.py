"""Training crops on the fly: one wave is every image of its focal series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from lowdose import seeds
from lowdose.imaging.camera import blur, detected
from lowdose.imaging.optics import WaveOptics
from lowdose.imaging.resampling import sample_periodic, spline_coefficients


class TrainingRenderer:
    """Makes the batch of any training step, from the step's number alone.

    An image is rendered once (defocus, lens, camera, contrast) and kept in a pool from which
    crops are cut at random places and angles; each step renders one new image and drops the
    oldest.  Everything random derives from the seed and the step or the image's number: a
    resumed training sees exactly the crops that an uninterrupted one sees.

    Parameters
    ----------
    spectra : sequence of tensor
        Spectra of the training waves, from `WaveOptics.spectrum`.
    images : array (n, 2)
        Allowed (index of the spectrum, C1 in nm).
    optics : WaveOptics
        Lens and cell.
    camera : mapping
        Section ``camera`` of the configuration.
    training_set : mapping
        One entry of ``training_sets`` (dose range, jitters, rotation).
    region_nm : (float, float)
        Upper and lower limit of the frames in the cell [nm]; crops stay inside.
    crop_px, batch, pool : int
        Side of a crop, crops a step, images in the pool.
    seed : int
        Of the data; separate from that of the initial weights.
    """

    def __init__(
        self,
        spectra: Sequence[torch.Tensor],
        images: np.ndarray,
        optics: WaveOptics,
        camera: Mapping,
        training_set: Mapping,
        region_nm: tuple[float, float],
        *,
        crop_px: int,
        batch: int,
        pool: int,
        seed: int,
    ) -> None:
        self.spectra, self.images, self.optics = spectra, images, optics
        self.camera, self.training_set, self.region_nm = camera, training_set, region_nm
        self.crop_px, self.batch_size, self.pool_size, self.seed = crop_px, batch, pool, seed
        self._pool: dict[int, torch.Tensor] = {}
        self._blur = blur(optics.grid, optics.cell_nm, camera, camera["pixel_size_nm"])

    def image(self, number: int) -> torch.Tensor:
        """Render image `number`: (y, x) over the cell, as `spline_coefficients`."""
        rng = seeds.rng(self.seed, "render", number)
        wave, c1 = self.images[rng.integers(len(self.images))]
        c1 += self.training_set["c1_jitter_nm"] * rng.uniform(-1, 1)
        factor = self.training_set["contrast_factor_jitter"] * rng.uniform(-1, 1)
        contrast = self.camera["contrast_factor"] * (1 + factor)
        image = self.optics.intensity(self.spectra[int(wave)], c1)
        return spline_coefficients(detected(image, self._blur, contrast))

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the noisy and the clean crops of a step.

        Returns
        -------
        noisy, clean : tensor (batch, 1, crop, crop), float32
            Counts over dose, the mean of the dark counts subtracted, and the expectation;
            vacuum = 1 in both.
        """
        window = range(step, step + self.pool_size)
        self._pool = {n: self._pool[n] for n in window if n in self._pool}
        for number in window:
            if number not in self._pool:
                self._pool[number] = self.image(number)
        rng = seeds.rng(self.seed, "crop", step)
        chosen = rng.integers(self.pool_size, size=self.batch_size)
        clean = torch.cat([self._crop(self._pool[window[i]], rng) for i in chosen])
        low, high = np.log(self.training_set["dose_e_per_px"])
        dose = torch.from_numpy(np.exp(rng.uniform(low, high, self.batch_size))).float()
        dose = dose[:, None, None, None]
        generator = torch.Generator().manual_seed(seeds.torch_seed(self.seed, "noise", step))
        dark = self.camera.get("dark_e_per_px", 0.0)
        counts = torch.poisson(clean.clamp(min=0) * dose + dark, generator=generator) - dark
        return counts / dose, clean

    def _crop(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Cut one crop (1, 1, crop, crop) at a random place, angle, scale and mirror."""
        height, width = self.optics.cell_nm
        settings = self.training_set
        pixel = self.camera["pixel_size_nm"] * (1 + settings["scale_jitter"] * rng.uniform(-1, 1))
        angle = np.deg2rad(settings["rotation_deg"]) * rng.uniform(-1, 1)
        half = self.crop_px * pixel / 2
        reach = half * (abs(np.cos(angle)) + abs(np.sin(angle)))
        low, high = self.region_nm[0] + reach, self.region_nm[1] - reach
        # Where the crop is higher than the region, its middle is all that fits.
        y = rng.uniform(low, high) if low < high else (low + high) / 2
        x = rng.uniform(0, width)
        mirror = -1.0 if rng.random() < 0.5 else 1.0
        steps = (torch.arange(self.crop_px) - (self.crop_px - 1) / 2) * pixel
        v, u = torch.meshgrid(steps, steps, indexing="ij")
        u = u * mirror
        rows = y + np.sin(angle) * u + np.cos(angle) * v
        columns = x + np.cos(angle) * u - np.sin(angle) * v
        return sample_periodic(image, rows / height, columns / width)
