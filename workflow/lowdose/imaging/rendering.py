"""From exit waves to detected images on the camera's pixels: lens, camera, contrast, sampling."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from lowdose.imaging.camera import PixelGrid, blur, detected
from lowdose.imaging.optics import WaveOptics


class ImageRenderer:
    """Renders the images of all waves of one cell.

    Parameters
    ----------
    cell_nm : (float, float)
        Height and width of the cell [nm].
    imaging : mapping
        ``optics``, ``camera`` and ``energy_kev``.
    origin_nm : (float, float)
        Position of the first pixel's centre, y (down) and x, in the cell [nm].
    shape : (int, int)
        Pixels of an image.
    drift_nm : (float, float), optional
        Uniform motion along y and x during the exposure [nm].
    """

    def __init__(
        self,
        cell_nm: tuple[float, float],
        imaging: Mapping,
        origin_nm: tuple[float, float],
        shape: tuple[int, int],
        drift_nm: tuple[float, float] | None = None,
    ) -> None:
        camera, pixel = imaging["camera"], imaging["camera"]["pixel_size_nm"]
        self.lens = WaveOptics(cell_nm, imaging["optics"], imaging["energy_kev"])
        self._contrast_factor = camera["contrast_factor"]
        self._blur = blur(self.lens.grid, cell_nm, camera, pixel, drift_nm=drift_nm)
        band = tuple(2 * m for m in self.lens.cut)
        self._pixels = PixelGrid(self.lens.grid, cell_nm, pixel, origin_nm, shape, band)

    def image(self, spectrum: torch.Tensor, c1_nm: float) -> np.ndarray:
        """Return the expected image at a defocus, vacuum = 1.

        Parameters
        ----------
        spectrum : tensor
            From ``lens.spectrum``, once for all images of a wave.
        c1_nm : float
            Defocus C1 [nm], positive = overfocus.

        Returns
        -------
        array (y, x), float32
        """
        intensity = self.lens.intensity(spectrum, c1_nm)
        return self._pixels.sample(detected(intensity, self._blur, self._contrast_factor)).numpy()
