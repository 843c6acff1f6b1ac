"""Images for a page that a browser opens: codes in PNG files, from which it has the values back.

A browser hands a script eight bits a channel.  An image of more codes than 256 becomes two grey
PNGs, of the low and of the high bytes: exact, and smaller than one PNG in colour.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import fft

DENOISED_CODES = 1023  # 255 show as bands when the grey scale is narrowed to see a weak column
SPREAD_CODES = 127
STEPS_IN_NOISE = 8  # of counts that are not whole: more would store their noise in vain
MOST_CODES = 65535
LEAST_EXPECTED = 1e-3  # e/px: below it the scale of a residual is not known
SPECTRUM_REACH_PER_NM = 12.5  # spacings down to 0.08 nm, beyond what a lens passes
SPECTRUM_PX = 512  # at most, along each side
SPACINGS_NM = (0.1, 0.35)  # of lattices, where a strong spot in the residual is lost signal
LEAST_POWER = 1e-3  # the logarithm's floor, relative to counting noise


@dataclass(frozen=True, eq=False)
class Coded:
    """An image as whole numbers: ``value = offset + scale * code``.

    Attributes
    ----------
    codes : uint16 array (y, x)
    scale, offset : float
        In the image's unit.
    exact : bool
        Whether every value is met exactly.
    """

    codes: np.ndarray
    scale: float
    offset: float
    exact: bool

    @property
    def values(self) -> np.ndarray:
        """What the page will read: float64 (y, x)."""
        return self.offset + self.scale * self.codes.astype(np.float64)

    def packed(self) -> dict:
        """Return what the page needs: PNGs in base64 with the sum of their bytes, and the code."""
        planes = [(self.codes & 255).astype(np.uint8)]
        if self.codes.max() > 255:
            planes.append((self.codes >> 8).astype(np.uint8))
        return {
            "width": self.codes.shape[1],
            "height": self.codes.shape[0],
            "scale": self.scale,
            "offset": self.offset,
            "exact": self.exact,
            # Some browsers alter pixels lest a page recognise its reader; the sums tell.
            "planes": [{"png": base64.b64encode(png(p)).decode(), "sum": int(p.sum())}
                       for p in planes],
        }  # fmt: skip


def png(grey: np.ndarray) -> bytes:
    """Return an 8-bit grey PNG without gamma or profile, so that no browser alters its values."""
    buffer = io.BytesIO()
    # Run lengths and Huffman codes: noise has no other repetitions to look for, 5 times sooner.
    Image.fromarray(grey).save(buffer, "PNG", compress_type=3)
    return buffer.getvalue()


def code_counts(counts: np.ndarray) -> Coded:
    """Code counts (y, x) [e/px]: whole ones exactly, others in steps well below their noise."""
    low, high = float(counts.min()), float(counts.max())
    if high - min(low, 0) <= MOST_CODES and (counts == np.rint(counts)).all():
        offset = min(low, 0.0)
        return Coded((counts - offset).astype(np.uint16), 1.0, offset, True)
    # Half of the middle 68 %: neither hot pixels nor the mean's own course count as noise.
    noise = float(np.subtract(*np.percentile(counts, [84, 16]))) / 2
    return _coded(counts, noise / STEPS_IN_NOISE)


def code_smooth(image: np.ndarray, codes: int) -> Coded:
    """Code an image (y, x) in `codes` steps over its range but for a thousandth at each end."""
    return _coded(image, float(np.subtract(*np.percentile(image, [99.9, 0.1]))) / codes)


def _coded(values: np.ndarray, step: float) -> Coded:
    low, high = float(values.min()), float(values.max())
    step = max(step, (high - low) / MOST_CODES)
    if step <= 0:
        return Coded(np.zeros(values.shape, np.uint16), 1.0, low, True)
    codes = np.rint((values.astype(np.float64) - low) / step)
    return Coded(np.minimum(codes, MOST_CODES).astype(np.uint16), step, low, False)


def grey_limits(image: np.ndarray, percentiles: tuple[float, float]) -> tuple[float, float]:
    """Return black and white for an image [its unit], rounded to a hundredth of their distance."""
    low, high = (float(v) for v in np.percentile(image, percentiles))
    if high <= low:
        low, high = float(image.min()), float(image.max())
    if high <= low:
        return low - 0.5, high + 0.5
    digits = 2 - math.floor(math.log10(high - low))
    return round(low, digits), round(high, digits)


def residual(counts: np.ndarray, denoised: np.ndarray) -> np.ndarray:
    """Return counts minus image in units of counting noise: float32 (y, x), variance 1."""
    expected = np.maximum(denoised, LEAST_EXPECTED, dtype=np.float32)
    return (counts.astype(np.float32) - denoised) / np.sqrt(expected)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Power of a residual by spatial frequency, relative to counting noise (which is 1).

    Attributes
    ----------
    log_power : float array (ky, kx)
        Decimal logarithm.
    step_per_nm : float
        Width of a pixel [1/nm].
    centre_px : float
        Where frequency 0 is, along either side.
    """

    log_power: np.ndarray
    step_per_nm: float
    centre_px: float


def spectrum(noise: np.ndarray, pixel_size_nm: float) -> Spectrum:
    """Return the middle of a residual's power spectrum, at most 512 pixels wide.

    Parameters
    ----------
    noise : array (y, x)
        Residual in units of counting noise.
    pixel_size_nm : float

    Notes
    -----
    The residual is continued with zeros to a square, so that both frequencies have one scale.
    """
    side = fft.next_fast_len(max(noise.shape), real=True)
    reach = min(int(SPECTRUM_REACH_PER_NM * side * pixel_size_nm), (side - 1) // 2)
    padded = fft.rfft2(noise - noise.mean(), s=(side, side))
    rows = np.arange(-reach, reach + 1)
    half = np.abs(padded[rows, : reach + 1]) ** 2 / noise.size
    # The transform of a real image is the same at k and at -k.
    power = np.concatenate([half[::-1, :0:-1], half], axis=1)
    factor = -(-len(power) // SPECTRUM_PX)
    if factor > 1:
        n = len(power) // factor
        power = power[: n * factor, : n * factor].reshape(n, factor, n, factor).mean((1, 3))
    step = factor / (side * pixel_size_nm)
    centre = (reach + 0.5) / factor - 0.5
    return Spectrum(np.log10(np.maximum(power, LEAST_POWER)), step, centre)


def residual_facts(
    counts: np.ndarray, denoised: np.ndarray, noise: np.ndarray, pixel_size_nm: float
) -> list[tuple[str, str, str]]:
    """Say in numbers what an image leaves over: (what, value, what a right image leaves).

    Parameters
    ----------
    counts, denoised : array (y, x)
        [e/px].
    noise : array (y, x)
        Their :func:`residual`.
    pixel_size_nm : float
    """
    n, expected = noise.size, np.maximum(denoised, LEAST_EXPECTED)
    lost = float(counts.mean(dtype=np.float64) - denoised.mean(dtype=np.float64))
    lost_error = math.sqrt(float(expected.mean(dtype=np.float64)) / n)
    variance = float(np.mean(noise.astype(np.float64) ** 2))
    # A Poisson number with mean m has a standardised fourth moment of 3 + 1 / m.
    variance_error = math.sqrt((2 + float((1 / expected).mean(dtype=np.float64))) / n)
    facts = [
        (
            "Mean of counts minus image",
            f"{lost:+.2g} e/px".replace("-", "−"),
            f"0 ± {lost_error:.1g} e/px",
        ),
        ("Variance, in units of counting noise", f"{variance:.3f}", f"1 ± {variance_error:.1g}"),
    ]
    band = _band(noise, pixel_size_nm)
    if band is None:
        return facts
    power, k = band
    strongest = int(power.argmax())
    # Power of white noise is exponential with mean 1, independent at each frequency.
    chance = -math.expm1(len(power) * math.log1p(-math.exp(-max(float(power[strongest]), 1e-9))))
    low, high = SPACINGS_NM
    return [
        *facts,
        (f"Mean power at spacings of {low:g} to {high:g} nm", f"{power.mean():.3f}",
         f"1 ± {1 / math.sqrt(len(power)):.1g}"),
        ("Strongest spot among these",
         f"{power[strongest]:.1f} at {1 / k[strongest]:.3f}\u00a0nm",
         f"about {math.log(len(power)) + 0.58:.1f}; one as strong in "
         f"{'less than 0.1' if chance < 1e-3 else f'{100 * chance:.2g}'}\u00a0% of frames"),
    ]  # fmt: skip


def _band(noise: np.ndarray, pixel_size_nm: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Return power and frequency [1/nm] at the spacings of lattices, each frequency once."""
    rows, cols = noise.shape
    ky = np.fft.fftfreq(rows, pixel_size_nm)[:, None]
    kx = np.fft.rfftfreq(cols, pixel_size_nm)[None]
    k = np.hypot(ky, kx)
    # Column 0 holds k and -k, and so does the last one of an even width.
    once = (kx > 0) | (ky > 0)
    if cols % 2 == 0:
        once[:, -1] = False
    inside = once & (k >= 1 / SPACINGS_NM[1]) & (k <= 1 / SPACINGS_NM[0])
    if inside.sum() < 2:
        return None
    amplitude = fft.rfft2(noise - noise.mean())
    return np.abs(amplitude[inside]) ** 2 / noise.size, k[inside]
