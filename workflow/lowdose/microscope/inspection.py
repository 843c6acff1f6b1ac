"""All that is known of a file before it is denoised: read, counted, checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from lowdose.microscope.checks import Finding, by_gravity, check_counts, check_stored
from lowdose.microscope.gain import Gain, counts_of, gain_of
from lowdose.microscope.reading import read_recording
from lowdose.microscope.recording import Recording
from lowdose.runtime import UserError
from lowdose.sampling import bin_counts, dose_e_per_a2


class Range(Protocol):
    """What is asked of a denoiser: its name and what it is made for."""

    name: str
    pixel_size_nm: tuple[float, float]
    dose_e_per_a2: tuple[float, float]


@dataclass(frozen=True)
class Inspection:
    """A recording in electrons, and what was found.

    Attributes
    ----------
    recording : Recording
    gain : Gain or None
        None where the stored values already are in the way.
    counts : float32 array (frame, y, x) or None
        Electrons per pixel.
    findings : list of Finding
    binning : int
        Pixels along each side that were summed.
    """

    recording: Recording
    gain: Gain | None
    counts: np.ndarray | None
    findings: list[Finding]
    binning: int = 1

    @property
    def refused(self) -> bool:
        """Whether anything is in the way of denoising."""
        return any(one.kind == "refusal" for one in self.findings)

    def require(self) -> None:
        """Raise a `UserError` with the first thing that is in the way, if anything is."""
        reasons = [one.what for one in self.findings if one.kind == "refusal"]
        if reasons:
            raise UserError(f"{self.recording.path} cannot be denoised: {reasons[0]}")

    @property
    def pixel_size_nm(self) -> float | None:
        """Side of a square pixel of `counts` [nm]: the geometric mean of both directions."""
        size = self.recording.pixel_size_nm
        return None if size is None else self.binning * float(np.sqrt(size[0] * size[1]))


def inspect(
    path: Path,
    denoiser: Range,
    *,
    gain: float | None = None,
    offset: float | None = None,
    pixel_size_nm: float | None = None,
    signal: int | None = None,
    frames: tuple[int | None, int | None] | None = None,
    binning: int = 1,
) -> Inspection:
    """Read a file, turn it into electrons and check it.

    Parameters
    ----------
    path : Path
    denoiser : DenoiserInfo
        What the frames are for.
    gain, offset : float, optional
        See :func:`lowdose.microscope.gain.gain_of`.
    pixel_size_nm, signal, frames
        See :func:`lowdose.microscope.reading.read_recording`.
    binning : int
        Sum so many pixels along each side.

    Raises
    ------
    UserError
        If the file cannot be read, or its values cannot become electrons.
    """
    recording = read_recording(path, pixel_size_nm=pixel_size_nm, signal=signal, frames=frames)
    findings = [Finding("note", note) for note in recording.notes]
    stored = check_stored(recording)
    if any(one.kind == "refusal" for one in stored):
        return Inspection(recording, None, None, stored + findings)
    known = gain_of(recording, gain=gain, offset=offset)
    counts = counts_of(recording, known)
    if binning != 1:
        counts = bin_counts(counts, binning)
    found = Inspection(recording, known, counts, [], binning)
    ranges = (denoiser.pixel_size_nm, denoiser.dose_e_per_a2)
    findings += stored + check_counts(counts, found.pixel_size_nm, ranges, denoiser.name)
    return Inspection(recording, known, counts, by_gravity(findings), binning)


def lines(found: Inspection) -> Iterator[str]:
    """Say it, a line each."""
    recording = found.recording
    number, height, width = recording.frames.shape
    what = f"{number} frames" if recording.is_stack else "1 frame"
    yield f"{recording.path}"
    yield f"  {recording.format}, {what} of {height} x {width} pixels, {recording.frames.dtype}"
    size = found.pixel_size_nm
    summed = f", {found.binning} x {found.binning} summed" if found.binning > 1 else ""
    yield f"  pixel size: {'not stated' if size is None else f'{size:.6g} nm'}{summed}"
    for name, value in recording.stated():
        yield f"  {name}: {value}"
    if found.gain is not None and found.counts is not None:
        gain = found.gain
        between = f" [{gain.low:.4g} to {gain.high:.4g}]" if gain.low < gain.high else ""
        above = f" above {gain.offset:g}" if gain.offset else ""
        yield f"  electrons per unit{above}: {gain.electrons_per_unit:.4g}{between}, {gain.source}"
        mean = float(found.counts.mean(dtype=np.float64))
        dose = f"  dose: {mean:.4g} electrons a pixel"
        if size is not None:
            per_area = dose_e_per_a2(mean, size)
            dose += f", {per_area:.4g} per Å², a frame"
            if number > 1:
                dose += f"; {number * per_area:.4g} per Å² in all"
        yield dose
    words = {"refusal": "refused", "warning": "warning", "note": "note"}
    for one in found.findings:
        yield f"  {words[one.kind]}: {one.what}"


def slice_of(text: str | None) -> tuple[int | None, int | None] | None:
    """Return the two ends that START:STOP names.

    Raises
    ------
    UserError
        If it does not name any.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d*):(\d*)", text.strip())
    ends = [int(part) if part else None for part in match.groups()] if match else []
    if not ends or (None not in ends and ends[0] >= ends[1]):
        raise UserError(
            f"--frames is {text!r}; give START:STOP with START below STOP, such as 0:20."
        )
    return ends[0], ends[1]
