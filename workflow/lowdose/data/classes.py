"""Contrast classes: are the atoms white, black, or some of each?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from scipy import ndimage

DISC_NM = 0.05  # a column's radius
RING_NM = (0.09, 0.13)  # its surroundings: up to half way to the neighbour at 0.240 nm
FULL_COLUMN = 3  # atoms; thinner columns are rims whose contrast says nothing of the image
SHARE = 0.9
NO_PARTICLE = "none"  # the class of an image of vacuum or of the bare support


class ContrastMeter:
    """Measures the contrast of columns in the detected image of a periodic cell.

    Camera and disc are both convolutions, so that they are one product in Fourier space.

    Parameters
    ----------
    grid : (int, int)
        Points of the intensity.
    cell_nm : (float, float)
        Height and width of the cell [nm].
    transfer : tensor
        Of the camera, from `lowdose.imaging.camera.blur`.
    contrast_factor : float
        Of the camera.
    """

    def __init__(
        self,
        grid: tuple[int, int],
        cell_nm: tuple[float, float],
        transfer: torch.Tensor,
        contrast_factor: float,
    ) -> None:
        self.grid, self.cell_nm, self.contrast_factor = grid, cell_nm, contrast_factor
        rings = [_annulus(grid, cell_nm, 0.0, DISC_NM), _annulus(grid, cell_nm, *RING_NM)]
        self._kernels = torch.stack(rings) * transfer

    def contrast(self, intensity: torch.Tensor, points_nm: np.ndarray) -> np.ndarray:
        """Return c = mean in the disc / mean in the ring around it - 1 of each column.

        Parameters
        ----------
        intensity : tensor (y, x)
            Image intensity before the camera, vacuum = 1.
        points_nm : array (n, 2)
            y and x of the columns [nm].
        """
        if len(points_nm) == 0:
            return np.zeros(0)
        blurred = torch.fft.irfft2(torch.fft.rfft2(intensity) * self._kernels, s=intensity.shape)
        pixels = (np.asarray(points_nm) / self.cell_nm * self.grid).T
        disc, ring = (
            1 + self.contrast_factor
            * (ndimage.map_coordinates(image.numpy(), pixels, order=1, mode="grid-wrap") - 1)
            for image in blurred
        )  # fmt: skip
        return disc / ring - 1


def contrast_class(contrast: np.ndarray) -> str:
    """Name the class of an image from the contrast of its full columns.

    White if at least 90 % of them have c > 0, black if at least 90 % have c < 0, otherwise
    intermediate; "none" if there is no column.
    """
    if len(contrast) == 0:
        return NO_PARTICLE
    if np.mean(contrast > 0) >= SHARE:
        return "white"
    return "black" if np.mean(contrast < 0) >= SHARE else "intermediate"


def full_columns(columns: pd.DataFrame) -> np.ndarray:
    """Return y and x [nm] of the full columns of the particle of one model."""
    full = columns["is_particle"] & (columns["n_atoms"] >= FULL_COLUMN)
    return columns.loc[full, ["y_nm", "x_nm"]].to_numpy()


def _annulus(
    grid: tuple[int, int], cell_nm: tuple[float, float], inner: float, outer: float
) -> torch.Tensor:
    """Transform of the mean over an annulus, drawn with soft edges of one grid step."""
    steps = [length / n for length, n in zip(cell_nm, grid, strict=True)]
    y, x = (np.fft.fftfreq(n, 1 / n) * step for n, step in zip(grid, steps, strict=True))
    radius = np.hypot(y[:, None], x[None, :])
    edge = float(np.mean(steps))
    weight = np.clip((outer - radius) / edge + 0.5, 0, 1)
    if inner > 0:
        weight *= np.clip((radius - inner) / edge + 0.5, 0, 1)
    return torch.fft.rfft2(torch.from_numpy(weight / weight.sum())).to(torch.complex64)
