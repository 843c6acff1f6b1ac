"""What may be wrong with frames before they are denoised, each in a sentence with its mending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage
from scipy.special import gammainc, gammaincc

from lowdose.microscope.gain import mixed_difference
from lowdose.microscope.recording import Recording
from lowdose.sampling import dose_e_per_a2

LEAST_SIDE_PX = 16
NEGATIVE_SHARE = 1e-3  # of pixels, below which readout noise explains them
SATURATED_SHARE, FEWEST_SATURATED = 1e-4, 10
HOT_P_VALUE = 1e-3  # that a frame without a hot pixel has one
AROUND_PX = 9
CANDIDATES = 20  # peaks of a spectrum that are looked at
OFF_PEAK = (-6, -5, 5, 6)  # pixels of the spectrum, along the radius
FALLS_BY = 5.0
STEPS = (1, 2)  # of the differences that are compared to see correlated noise
CORRELATED = 0.05  # relative difference of their variances
SIGMAS = 6.0  # from which on a difference is no chance
LATTICE_NM = (0.09, 0.6)  # spacings that are looked for
FEWEST_PX = 3  # a period, or a spacing is beyond what the pixels can show
MOST_FRAMES, MOST_PX = 20, 4096
MOST_SKEWED_PX = 1024


@dataclass(frozen=True)
class Finding:
    """One thing to say about a file.

    Attributes
    ----------
    kind : {"note", "warning", "refusal"}
        Whether it is good to know, doubtful, or the end.
    what : str
        A sentence; of the last two it says what mends it.
    """

    kind: Literal["note", "warning", "refusal"]
    what: str


def check_stored(recording: Recording) -> list[Finding]:
    """Check the stored values, before they become electrons."""
    frames = recording.frames
    found = []
    height, width = frames.shape[1:]
    if min(height, width) < LEAST_SIDE_PX:
        return [
            _refusal(
                f"Frames of {height} x {width} pixels are too small; give at "
                f"least {LEAST_SIDE_PX} along each side."
            )
        ]
    if frames.dtype.kind == "f":
        bad = ~np.isfinite(frames)
        if bad.any():
            found.append(
                _refusal(
                    f"{_share(bad.mean())} of the values are NaN or "
                    "infinite; replace them, or export the raw frames."
                )
            )
            return found
    lowest, highest = frames.min(), frames.max()
    if lowest == highest:
        return [_refusal(f"All values are {lowest:g}: there is no image in this file.")]
    if frames.dtype in (np.uint8, np.int8) and highest > 60:
        found.append(
            _warning(
                "Values of 8 bits up to "
                f"{highest} look like a picture that was scaled for show, whose counts "
                "are lost; open the file that the microscope wrote."
            )
        )
    at_top = int(np.sum(frames == highest))
    often = at_top > max(SATURATED_SHARE * frames.size, FEWEST_SATURATED)
    clipped = often and _piled_up(frames, highest, at_top)
    if frames.dtype.kind in "ui" and clipped and highest > 60:
        share = _share(at_top / frames.size)
        found.append(
            _warning(
                f"{share} of the pixels have the highest value {highest}: the camera was saturated "
                "there, and no count is right; record with a weaker beam or shorter frames."
            )
        )
    elif leans_down(frames):
        top = np.iinfo(frames.dtype).max if frames.dtype.kind in "ui" else highest
        # A picture of 8 bits was turned within its range, whatever values it has.
        top = top if top <= 255 else highest
        found.append(
            _warning(
                "The noise has its long tail towards low values, as that of counts does where "
                f"contrast is inverted; if it is, turn it back by --gain -1 --offset {top:g}."
            )
        )
    return found


def _piled_up(frames: np.ndarray, highest, at_top: int) -> bool:
    """Whether values pile up at the highest: more than below it, where they had grown rare.

    The numbers of inverted counts fall from the highest value on, or rise to it all the way.
    """
    below = frames[frames < highest]
    second = below.max()
    rest = below[below < second]
    at_second = int(np.sum(below == second))
    at_third = int(np.sum(rest == rest.max())) if len(rest) else at_second
    return at_top > at_second and at_second <= at_third


def leans_down(frames: np.ndarray) -> bool:
    """Whether the noise of frames is skewed as that of inverted counts.

    Parameters
    ----------
    frames : array (frame, y, x)
        Stored values, finite.

    Notes
    -----
    Counts, in whatever units, have a third cumulant above 0.  It is taken of the difference of a
    pixel and the mean of its eight neighbours, to which an image sampled three times or more hardly
    contributes; the test is at six standard errors.
    """
    kernel = np.full((3, 3), -1 / 8)
    kernel[1, 1] = 1.0
    chosen = frames[np.linspace(0, len(frames) - 1, min(len(frames), 5)).astype(int)]
    rest = [
        ndimage.convolve(one[:MOST_SKEWED_PX, :MOST_SKEWED_PX].astype(np.float64), kernel)
        for one in chosen
    ]
    rest = np.stack([one - one.mean() for one in rest])
    error = np.std(rest**3) / np.sqrt(rest.size)
    return bool(np.mean(rest**3) < -SIGMAS * error)


def check_counts(
    counts: np.ndarray,
    pixel_size_nm: float | None,
    ranges: tuple[tuple[float, float], tuple[float, float]],
    denoiser: str,
) -> list[Finding]:
    """Check frames in electrons per pixel against what a denoiser is made for.

    Parameters
    ----------
    counts : float32 array (frame, y, x)
        Electrons per pixel, finite.
    pixel_size_nm : float or None
    ranges : ((float, float), (float, float))
        Pixel size [nm] and dose [e/Å²] that the denoiser is made for.
    denoiser : str
        Its name.

    Returns
    -------
    list of Finding
        Refusals first.
    """
    found = []
    mean = float(counts.mean(dtype=np.float64))
    if mean <= 0:
        return [
            _refusal(
                f"The mean is {mean:.3g} electrons a pixel; give --offset, the "
                "stored value of no electrons."
            )
        ]
    found += _pixels(pixel_size_nm, mean, ranges, denoiser)
    negative = float(np.mean(counts < 0))
    if negative > NEGATIVE_SHARE:
        found.append(
            _warning(
                f"{_share(negative)} of the counts are negative: an "
                "offset or readout noise, which the denoisers do not expect; give "
                "--offset, the stored value of no electrons, if there is one."
            )
        )
    # Of large frames the middle says enough, and their spectra would fill the memory.
    rows, cols = (slice((n - min(n, MOST_PX)) // 2, (n + min(n, MOST_PX)) // 2)
                  for n in counts.shape[1:])  # fmt: skip
    counts = counts[:, rows, cols]
    found += _dead_and_hot(counts, rows.start, cols.start)
    chosen = counts[np.linspace(0, len(counts) - 1, min(len(counts), MOST_FRAMES)).astype(int)]
    # Noise that neighbours share is seen in rows as well.
    found += _correlated(chosen) or _rows(chosen)
    if pixel_size_nm is not None and not has_lattice(chosen, pixel_size_nm):
        found.append(
            _warning(
                "No lattice is seen between "
                f"{LATTICE_NM[0]:g} and {LATTICE_NM[1]:g} nm; the networks learned "
                "crystals, and of what is none they may make one."
            )
        )
    return by_gravity(found)


def by_gravity(findings: Sequence[Finding]) -> list[Finding]:
    """Return refusals first, then warnings, then notes."""
    order = ("refusal", "warning", "note")
    return sorted(findings, key=lambda one: order.index(one.kind))


def has_lattice(counts: np.ndarray, pixel_size_nm: float) -> bool:
    """Whether the spectrum of frames has a peak of a lattice.

    Parameters
    ----------
    counts : array (frame, y, x)
    pixel_size_nm : float

    Notes
    -----
    The periodogram of white noise over its local mean is exponential, so that its largest of n
    values is about ln n; peaks are those above ``ln n + 10``, which chance makes once in 20,000
    frames.  The local mean is the median over the same radius, divided by ln 2.  Periodograms
    of several frames are added.
    """
    height, width = counts.shape[1:]
    window = np.hanning(height)[:, None] * np.hanning(width)[None]
    power = np.zeros((height, width // 2 + 1))
    for frame in counts:
        power += np.abs(np.fft.rfft2((frame - frame.mean()) * window)) ** 2
    ky, kx = np.fft.fftfreq(height, pixel_size_nm), np.fft.rfftfreq(width, pixel_size_nm)
    k = np.hypot(ky[:, None], kx[None])
    highest = min(1 / LATTICE_NM[0], 1 / (FEWEST_PX * pixel_size_nm))
    ring = (k > 1 / LATTICE_NM[1]) & (k < highest)
    if ring.sum() < 50:
        return False
    width_of_bin = max(2 / (min(height, width) * pixel_size_nm), 0.05)
    bins = (k[ring] / width_of_bin).astype(int)
    values = power[ring]
    level = ndimage.median(values, bins, np.arange(bins.max() + 1))
    # Of a sum of n exponentials the median is n - 1/3, nearly; of one it is ln 2.
    n = len(counts)
    ratio = values / np.maximum(level[bins], 1e-300) * (np.log(2) if n == 1 else n - 1 / 3)
    least = np.exp(-np.log(ring.sum()) - 10)
    places = np.argwhere(ring)
    strongest = np.argsort(ratio)[::-1][:CANDIDATES]
    seen = [p for p in strongest if gammaincc(n, ratio[p]) < least]
    return any(_is_a_peak(power, *places[p], ky, kx) for p in seen)


def _is_a_peak(power: np.ndarray, row: int, col: int, ky: np.ndarray, kx: np.ndarray) -> bool:
    """Whether the spectrum falls off along the radius, as at a lattice's peak and not at an edge's.

    The streak of an edge points to the origin; a peak is narrower than `OFF_PEAK` pixels.
    """
    height, width = power.shape[0], power.shape[1]
    signed = np.array([row if ky[row] >= 0 else row - height, col], dtype=float)
    direction = signed / np.hypot(*signed)
    beside = []
    for step in OFF_PEAK:
        y, x = np.rint(signed + step * direction).astype(int)
        if 0 <= x < width and abs(y) < height // 2:
            beside.append(power[y % height, x])
    return bool(beside) and power[row, col] > FALLS_BY * max(beside)


def _refusal(what: str) -> Finding:
    return Finding("refusal", what)


def _warning(what: str) -> Finding:
    return Finding("warning", what)


def _note(what: str) -> Finding:
    return Finding("note", what)


def _pixels(pixel_size_nm, mean, ranges, denoiser) -> list[Finding]:
    (low, high), doses = ranges
    if pixel_size_nm is None:
        return [_refusal("The file does not say its pixel size; give --pixel-size in nm.")]
    found = []
    if pixel_size_nm > high + 1e-6:
        found.append(
            _refusal(
                f"Pixels of {pixel_size_nm:.4g} nm are larger than the "
                f"{high:g} nm that {denoiser} is made for: the columns are not "
                "sampled; record at a higher magnification."
            )
        )
    elif pixel_size_nm < low - 1e-6:
        factor = int(np.ceil(low / pixel_size_nm - 1e-6))
        found.append(
            _refusal(
                f"Pixels of {pixel_size_nm:.4g} nm are smaller than the {low:g} nm that {denoiser} "
                f"is made for; sum {factor} x {factor} of them by --bin {factor}, counts stay "
                "counts."
            )
        )
    dose = dose_e_per_a2(mean, pixel_size_nm)
    for ends, word in (((doses[0], dose), "less"), ((dose, doses[1]), "more")):
        if ends[0] > ends[1]:
            edge = doses[0] if word == "less" else doses[1]
            mending = "sum frames first" if word == "less" else "a filter may do as well"
            found.append(
                _warning(
                    f"{dose:.3g} electrons per Å² a frame are {word} than "
                    f"the {edge:.3g} that {denoiser} is made for; {mending}."
                )
            )
    return found


def _dead_and_hot(counts: np.ndarray, first_row: int, first_col: int) -> list[Finding]:
    """Say which pixels never count, and which do more than chance allows."""
    total = counts.sum(axis=0, dtype=np.float64)
    around = ndimage.uniform_filter(total, AROUND_PX, mode="mirror")
    # A column may be twice as bright as its surroundings, and a gap half.
    near = np.maximum(around, ndimage.median_filter(total, 3, mode="mirror"))
    least, most = np.maximum(around, 0) / 2, 2 * np.maximum(near, total.mean() / 10)
    n = total.size
    found = []
    # Poisson tails: P(X = 0) = exp(-m), and P(X >= k) by the gamma function.
    dead = (total <= 0) & (np.exp(-least) * n < 1e-3)
    hot = (total > most) & (gammainc(np.maximum(np.floor(total), 1), most) < HOT_P_VALUE / n)
    for which, one, many in (
        (dead, "pixel never counts", "pixels never count"),
        (hot, "pixel counts far more than its neighbours",
         "pixels count far more than their neighbours"),
    ):  # fmt: skip
        if number := int(which.sum()):
            y, x = np.argwhere(which)[0]
            found.append(
                _warning(
                    f"{number} {one if number == 1 else many} (the first is at "
                    f"x {x + first_col}, y {y + first_row}); correct the frames with the "
                    "camera's gain reference."
                )
            )
    return found


def _rows(counts: np.ndarray) -> list[Finding]:
    """Look for noise that whole rows or columns share.

    Second differences of the means of rows scatter as those of white noise do, with 6 / x of the
    variance of a pixel; lattice fringes along rows hardly reach them.
    """
    found = []
    pixel = np.mean([np.mean(mixed_difference(f.astype(np.float64)) ** 2) / 4 for f in counts])
    for axis, word in ((2, "rows"), (1, "columns")):
        means = counts.mean(axis=axis, dtype=np.float64)
        second = means[:, :-2] - 2 * means[:, 1:-1] + means[:, 2:]
        expected = 6 * pixel / counts.shape[axis]
        measured = float(np.mean(second**2))
        # Neighbouring second differences overlap: a third as many are independent.
        error = np.sqrt(2 / max(second.size / 3, 1))
        if measured / expected - 1 > max(SIGMAS * error, 0.5):
            found.append(
                _warning(
                    f"{word.capitalize()} flicker as wholes: their means "
                    f"scatter {np.sqrt(measured / expected):.1f} times as much as "
                    "counts do; remove the camera's row noise first."
                )
            )
    return found


def _correlated(counts: np.ndarray) -> list[Finding]:
    """Compare the noise of neighbours with that of pixels further apart."""
    variances = [
        np.array([np.mean(mixed_difference(f.astype(np.float64), step) ** 2) for f in counts])
        for step in STEPS
    ]
    ratio = float(variances[0].sum() / max(variances[1].sum(), 1e-300))
    # The relative error of a variance of n values whose kurtosis is that of low counts.
    mean = float(counts.mean())
    error = np.sqrt((2 + 1 / max(mean, 1e-3)) * 4 / counts.size)
    if abs(ratio - 1) > max(SIGMAS * error, CORRELATED):
        how = "smoother" if ratio < 1 else "rougher"
        percent = 100 * abs(ratio - 1)
        return [
            _warning(
                f"The noise is {how} from pixel to pixel (by {percent:.0f} %) "
                "than counts are, as after resampling, drift correction or compression; "
                "give raw frames: denoisers take such noise for an image."
            )
        ]
    return []


def _share(share: float) -> str:
    return f"{100 * share:.2g} %"
