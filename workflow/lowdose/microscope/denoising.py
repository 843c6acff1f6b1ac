"""Denoise the frames of a recording in order, so that a stopped run goes on where it was."""

from __future__ import annotations

import contextlib
import json
import mmap
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from lowdose.runtime import UserError, write_text

BATCH_PX = 4_000_000  # pixels that are denoised before the state is saved
TELL_EVERY_S = 10.0


class Denoises(Protocol):
    """What is asked of a denoiser."""

    def denoise(
        self, counts: np.ndarray, pixel_size_nm: float, *, dose: float | None = None
    ) -> np.ndarray: ...


class Partial:
    """Frames that are done, in a folder beside the outputs until all of them are.

    Parameters
    ----------
    folder : Path
        Made if it is not there; one of another run is emptied.
    fingerprint : str
        Of file, options and denoiser: frames of another one are not taken up.
    shape : tuple of int
        Of all frames.
    """

    def __init__(self, folder: Path, fingerprint: str, shape: tuple[int, int, int]) -> None:
        self.folder, self.fingerprint = folder, fingerprint
        self._frames, self._state = folder / "frames.npy", folder / "state.json"
        known = self._known(shape)
        self.done = known or 0
        if known is None:
            shutil.rmtree(folder, ignore_errors=True)
            try:
                folder.mkdir(parents=True)
            except OSError as error:
                raise UserError(
                    f"{folder.parent} cannot be written ({error.strerror}); name another --output."
                ) from None
        mode = "w+" if known is None else "r+"
        try:
            self.frames = np.lib.format.open_memmap(
                self._frames, mode=mode, dtype=np.float32, shape=shape
            )
        except OSError as error:
            raise UserError(f"{self._frames} cannot be written ({error.strerror}).") from None
        if known is None:
            # What is kept in the folder beside frames, such as a training, is of this run.
            self._say()

    def _known(self, shape: tuple[int, int, int]) -> int | None:
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            frames = np.load(self._frames, mmap_mode="r")
            fingerprint, done = state["fingerprint"], int(state["done"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        same = fingerprint == self.fingerprint and frames.shape == shape
        return done if same and 0 <= done <= shape[0] else None

    def add(self, frames: np.ndarray) -> None:
        """Keep the next frames."""
        self.frames[self.done : self.done + len(frames)] = frames
        # First the frames, then the word that they are there.
        self.frames.flush()
        self.done += len(frames)
        self._say()

    def _say(self) -> None:
        state = {"fingerprint": self.fingerprint, "done": self.done}
        write_text(self._state, json.dumps(state))

    def remove(self) -> None:
        """Remove the folder."""
        del self.frames
        shutil.rmtree(self.folder, ignore_errors=True)


def forget(frames: np.ndarray) -> None:
    """Give back the memory of frames that lie in a file; they are read again when needed.

    Parameters
    ----------
    frames : array
        A memory map; of any other array nothing is done.
    """
    with contextlib.suppress(AttributeError, OSError, ValueError):  # not every system can
        frames.flush()
        frames._mmap.madvise(mmap.MADV_DONTNEED)


def denoise_frames(
    counts: np.ndarray,
    pixel_size_nm: float,
    denoiser: Denoises,
    partial: Partial,
    log: Callable[[str], None],
    temporal: bool = False,
    before_kept: Callable[[int], None] = lambda first: None,
) -> None:
    """Denoise the frames that are not done yet, in order.

    Parameters
    ----------
    counts : float32 array (frame, y, x)
        Electrons per pixel, 0 or more.
    pixel_size_nm : float
    denoiser : Denoises
    partial : Partial
        Receives them.
    log : callable
        Receives lines of progress, at most every ten seconds.
    temporal : bool
        Whether a frame's result depends on the others, which then are denoised at once.
    before_kept : callable
        Receives the number of the first of some frames that are denoised, before they are kept.
    """
    total = len(counts)
    each = total if temporal else max(1, BATCH_PX // max(counts[0].size, 1))
    first, begun = partial.done, time.monotonic()
    told = begun
    if first:
        log(f"{first} of {total} frames were done before")
    for start in range(first, total, each):
        stop = min(start + each, total)
        denoised = denoiser.denoise(counts[start:stop], pixel_size_nm)
        before_kept(start)
        partial.add(denoised)
        now = time.monotonic()
        if now - told > TELL_EVERY_S and stop < total:
            told = now
            left = (now - begun) / (stop - first) * (total - stop)
            log(f"frame {stop} of {total}, {left:.0f} s left")
