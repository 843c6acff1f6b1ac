"""Camera: from the image intensity to expected counts on pixels, and to counts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from lowdose.imaging.fourier import fast_length, low_frequencies
from lowdose.imaging.resampling import sample_periodic, spline_coefficients

# Grid points for each frequency of a rotated image: its spline then errs by less than 1e-4.
OVERSAMPLING = 4


def blur(
    grid: tuple[int, int],
    cell_nm: tuple[float, float],
    camera: Mapping,
    pixel_size_nm: float,
    *,
    drift_nm: tuple[float, float] | None = None,
) -> torch.Tensor:
    """Modulation transfer of camera, vibration and drift on an rfft2 grid.

    Gaussian MTF with the given value at the camera's Nyquist frequency 1/(2 pixel), times the
    Gaussian of the residual vibration, ``exp(-2 pi^2 u^2 k^2)``, times that of a uniform motion
    by d during the exposure, ``sin(pi k d) / (pi k d)``.

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
    drift_nm : (float, float), optional
        Way of the specimen from the beginning to the end of the exposure, y (down) and x [nm];
        the image shows it about its place at half time, so that either sign gives the same.

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
    transfer = torch.exp(exponent * k2)
    if drift_nm is not None:
        transfer = transfer * torch.sinc(ky * drift_nm[0] + kx * drift_nm[1])
    return transfer.float()


def detected(
    intensity: torch.Tensor, transfer: torch.Tensor, contrast_factor: float
) -> torch.Tensor:
    """Apply the camera's transfer and the contrast factor about the vacuum level 1.

    Parameters
    ----------
    intensity : tensor (..., y, x)
        Image intensity, vacuum = 1.
    transfer : tensor (y, x // 2 + 1)
        From :func:`blur`.
    contrast_factor : float
        1 keeps the simulated contrast; experiments show less of it (Stobbs factor).

    Returns
    -------
    tensor (..., y, x), of the dtype of `intensity`
    """
    series = torch.fft.rfft2(intensity) * transfer.to(intensity.device)
    image = torch.fft.irfft2(series, s=intensity.shape[-2:])
    return 1 + contrast_factor * (image - 1)


class PixelGrid:
    """Samples a periodic, band-limited image at pixel centres.

    The image is its finite Fourier series, so that its value between grid points is known:
    two products with matrices of ``exp(2 pi i k x)`` evaluate it at any pixel size and offset
    without interpolation error.  Rotated pixels are no product of rows and columns; there the
    series is evaluated on a fine grid and a cubic B-spline between its points, which errs by
    less than 1e-4 of the vacuum level on images behind lens and camera.

    Parameters
    ----------
    grid : (int, int)
        Points of the image over the cell.
    cell_nm : (float, float)
        Height and width of the cell [nm].
    pixel_size_nm : float
        Pixel size [nm].
    origin_nm : (float, float)
        Position of the first pixel's centre, y (down) and x, in the cell [nm], before the
        rotation.
    shape : (int, int)
        Pixels to evaluate.
    band : (int, int)
        Highest frequency index that the image has along y and x.
    rotation_deg : float
        Rotation of the frame about its middle, which turns what it shows counter-clockwise
        [degrees].
    """

    def __init__(
        self,
        grid: tuple[int, int],
        cell_nm: tuple[float, float],
        pixel_size_nm: float,
        origin_nm: tuple[float, float],
        shape: tuple[int, int],
        band: tuple[int, int],
        rotation_deg: float = 0.0,
    ) -> None:
        self.shape = shape
        self._band = tuple(min(b, (n - 1) // 2) for b, n in zip(band, grid, strict=True))
        self._turned = rotation_deg != 0
        if self._turned:
            self._place(cell_nm, pixel_size_nm, origin_nm, np.deg2rad(rotation_deg))
        else:
            self._tabulate(grid, cell_nm, pixel_size_nm, origin_nm)

    def _place(
        self,
        cell_nm: tuple[float, float],
        pixel_size_nm: float,
        origin_nm: tuple[float, float],
        angle: float,
    ) -> None:
        """Prepare the positions of rotated pixels and the fine grid of the spline."""
        self._fine = tuple(fast_length(OVERSAMPLING * max(b, 1)) for b in self._band)
        half = [pixel_size_nm * (n - 1) / 2 for n in self.shape]
        v, u = torch.meshgrid(
            *(torch.arange(n, dtype=torch.float64) * pixel_size_nm - h
              for n, h in zip(self.shape, half, strict=True)),
            indexing="ij",
        )  # fmt: skip
        y = origin_nm[0] + half[0] + np.sin(angle) * u + np.cos(angle) * v
        x = origin_nm[1] + half[1] + np.cos(angle) * u - np.sin(angle) * v
        self._tables = (y / cell_nm[0], x / cell_nm[1])

    def _tabulate(
        self,
        grid: tuple[int, int],
        cell_nm: tuple[float, float],
        pixel_size_nm: float,
        origin_nm: tuple[float, float],
    ) -> None:
        """Prepare the matrices that evaluate the Fourier series at upright pixels.

        Seen from the frame's middle the pixels come in pairs y and -y, x and -x, which share
        their cosines and have opposite sines: less than half of the products is enough.
        """
        rows = low_frequencies(grid[0], self._band[0])
        turns, halves = [], []
        ky = torch.fft.fftfreq(grid[0], 1 / grid[0], dtype=torch.float64)[rows]
        kx = torch.arange(self._band[1] + 1, dtype=torch.float64)
        for axis, k in enumerate((ky, kx)):
            n = self.shape[axis]
            middle = (origin_nm[axis] + pixel_size_nm * (n - 1) / 2) / cell_nm[axis]
            turns.append(torch.polar(torch.ones_like(k), 2 * np.pi * k * middle))
            away = (torch.arange((n + 1) // 2) + (0 if n % 2 else 0.5)).double()
            phase = torch.outer(2 * np.pi * pixel_size_nm / cell_nm[axis] * away,
                                torch.arange(self._band[axis] + 1).double())  # fmt: skip
            halves += [torch.cos(phase).float(), torch.sin(phase).float()]
        # A real image has F(-k) = conj F(k): twice the real part of the half with kx > 0.
        turns[1][1:] *= 2
        turn = torch.outer(*turns).to(torch.complex64)
        self._tables = (rows, turn, halves[0], halves[1], halves[2].T, halves[3].T)

    def sample(self, image: torch.Tensor) -> torch.Tensor:
        """Return the image's values at the pixel centres.

        Parameters
        ----------
        image : tensor (y, x) or (B, y, x)

        Returns
        -------
        tensor (*shape) or (B, *shape), float32
        """
        if self._tables[0].device != image.device:
            self._tables = tuple(t.to(image.device) for t in self._tables)
        image = image.float()
        if self._turned:
            values = sample_periodic(
                spline_coefficients(image, self._fine, self._band), *self._tables
            )[0]
            return values[0] if image.dim() == 2 else values
        rows, turn, cosine_y, sine_y, cosine_x, sine_x = self._tables
        m = self._band[0]
        series = torch.fft.rfft2(image, norm="forward")[..., rows, : self._band[1] + 1] * turn
        below, above = series[..., : m + 1, :], series[..., m + 1 :, :].flip(-2)
        plus = torch.cat([below[..., :1, :], below[..., 1:, :] + above], dim=-2)
        minus = below[..., 1:, :] - above
        even = _pairs(plus.real @ cosine_x, -plus.imag @ sine_x, self.shape[1], -1)
        odd = _pairs(-minus.imag @ cosine_x, -minus.real @ sine_x, self.shape[1], -1)
        return _pairs(cosine_y @ even, sine_y[:, 1:] @ odd, self.shape[0], -2)


def _pairs(even: torch.Tensor, odd: torch.Tensor, n: int, axis: int) -> torch.Tensor:
    """Return n values about a middle, from the even and odd parts of those behind it."""
    before = (even - odd).flip(axis).narrow(axis, 0, n // 2)
    return torch.cat([before, even + odd], dim=axis)


def draw_counts(
    expected: np.ndarray, rng: np.random.Generator, *, dark_e_per_px: float = 0.0
) -> np.ndarray:
    """Draw shot noise: Poisson counts of an expectation, less the mean of the dark counts.

    Parameters
    ----------
    expected : array
        Expected counts of the beam [e/pixel]; negative ripples count as none.
    rng : numpy Generator
    dark_e_per_px : float
        Mean dark counts [e/pixel].  They are drawn with the beam's and their mean is
        subtracted, as a dark reference does: the result is unbiased, its variance is
        ``expected + dark_e_per_px``, and single pixels may be negative.

    Returns
    -------
    array, float32 [e/pixel]
    """
    if dark_e_per_px == 0:
        return rng.poisson(np.maximum(expected, 0)).astype(np.float32)
    drawn = rng.poisson(np.maximum(expected, 0) + dark_e_per_px)
    return (drawn - dark_e_per_px).astype(np.float32)


def readout(counts: np.ndarray, gain: float, dark_e_per_px: float) -> np.ndarray:
    """Return what the detector writes for calibrated counts: ``gain (counts + dark)``.

    Parameters
    ----------
    counts : array
        From :func:`draw_counts` [e/pixel].
    gain : float
        Detector units of one electron.
    dark_e_per_px : float
        Mean dark counts [e/pixel].

    Returns
    -------
    array, float32 [detector units]
        Whole multiples of the gain.
    """
    return (gain * (counts + dark_e_per_px)).astype(np.float32)


def calibrated(units: np.ndarray, gain: float, dark_e_per_px: float) -> np.ndarray:
    """Undo :func:`readout`: electrons per pixel, float32, the dark counts' mean subtracted."""
    return (units / gain - dark_e_per_px).astype(np.float32)
