"""Camera: from the image intensity to expected counts on pixels, and to counts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch


def blur(
    grid: tuple[int, int], cell_nm: tuple[float, float], camera: Mapping, pixel_size_nm: float
) -> torch.Tensor:
    """Modulation transfer of camera and vibration on an rfft2 grid.

    Gaussian MTF with the given value at the camera's Nyquist frequency 1/(2 pixel), times the
    Gaussian of the residual vibration, ``exp(-2 pi^2 u^2 k^2)``.

    Parameters
    ----------
    grid : (int, int)
        Points of the image over the cell.
    cell_nm : (float, float)
        Height and width of the cell [nm].
    camera : mapping
        Section ``camera`` of the configuration.
    pixel_size_nm : float
        Pixel size [nm].

    Returns
    -------
    tensor (grid[0], grid[1] // 2 + 1), float32, 1 at zero frequency
    """
    ky = torch.fft.fftfreq(grid[0], cell_nm[0] / grid[0], dtype=torch.float64)[:, None]
    kx = torch.fft.rfftfreq(grid[1], cell_nm[1] / grid[1], dtype=torch.float64)[None, :]
    k2 = kx**2 + ky**2
    nyquist = 1 / (2 * pixel_size_nm)
    exponent = np.log(camera["mtf_nyquist"]) / nyquist**2
    exponent = exponent - 2 * np.pi**2 * camera["vibration_nm"] ** 2
    return torch.exp(exponent * k2).float()


def detected(
    intensity: torch.Tensor, transfer: torch.Tensor, contrast_factor: float
) -> torch.Tensor:
    """Apply the camera's transfer and the contrast factor about the vacuum level 1.

    Parameters
    ----------
    intensity : tensor (y, x)
        Image intensity, vacuum = 1.
    transfer : tensor
        From :func:`blur`.
    contrast_factor : float
        1 keeps the simulated contrast; experiments show less of it (Stobbs factor).

    Returns
    -------
    tensor (y, x), float32
    """
    image = torch.fft.irfft2(torch.fft.rfft2(intensity) * transfer, s=intensity.shape)
    return 1 + contrast_factor * (image - 1)


class PixelGrid:
    """Samples a periodic, band-limited image at pixel centres exactly.

    The image is its finite Fourier series, so that its value between grid points is known:
    two products with matrices of ``exp(2 pi i k x)`` evaluate it at any pixel size and offset
    without interpolation error.

    Parameters
    ----------
    grid : (int, int)
        Points of the image over the cell.
    cell_nm : (float, float)
        Height and width of the cell [nm].
    pixel_size_nm : float
        Pixel size [nm].
    origin_nm : (float, float)
        Position of the first pixel's centre, y (down) and x, in the cell [nm].
    shape : (int, int)
        Pixels to evaluate.
    band : (int, int)
        Highest frequency index that the image has along y and x.
    """

    def __init__(
        self,
        grid: tuple[int, int],
        cell_nm: tuple[float, float],
        pixel_size_nm: float,
        origin_nm: tuple[float, float],
        shape: tuple[int, int],
        band: tuple[int, int],
    ) -> None:
        self.shape = shape
        band = tuple(min(b, (n - 1) // 2) for b, n in zip(band, grid, strict=True))
        self._rows = torch.cat(
            [torch.arange(band[0] + 1), torch.arange(grid[0] - band[0], grid[0])]
        )
        self._columns = band[1] + 1
        ky = torch.fft.fftfreq(grid[0], 1 / grid[0], dtype=torch.float64)[self._rows]
        kx = torch.arange(band[1] + 1, dtype=torch.float64)
        y = (origin_nm[0] + pixel_size_nm * torch.arange(shape[0])) / cell_nm[0]
        x = (origin_nm[1] + pixel_size_nm * torch.arange(shape[1])) / cell_nm[1]
        self._left = torch.polar(
            torch.ones(shape[0], len(ky), dtype=torch.float64), 2 * np.pi * torch.outer(y, ky)
        ).to(torch.complex64)
        phase = 2 * np.pi * torch.outer(kx, x)
        # A real image has F(-k) = conj F(k): twice the real part of the half with kx > 0.
        weight = torch.where(kx == 0, 1.0, 2.0)[:, None]
        self._cosine = (weight * torch.cos(phase)).float()
        self._sine = (weight * torch.sin(phase)).float()

    def sample(self, image: torch.Tensor) -> torch.Tensor:
        """Return the image's values at the pixel centres, float32 of `shape`."""
        series = torch.fft.rfft2(image, norm="forward")[self._rows, : self._columns]
        rows = self._left @ series
        return rows.real @ self._cosine - rows.imag @ self._sine


def draw_counts(expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw shot noise: Poisson counts of an expectation [e/pixel], as float32."""
    return rng.poisson(np.maximum(expected, 0)).astype(np.float32)
