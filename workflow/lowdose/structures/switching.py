"""When the surface of a particle changes: the states of a process over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Process:
    """Something that changes, in one place.

    Attributes
    ----------
    name : str
        Its kind and a number from 1; the number is left out for ``disorder``.
    kind : str
    columns : tuple of int
        Numbers of its columns, as in the truth; the whole surface layer for ``disorder``.
    states : array (frames,) of int
        0 unchanged, 1 changed; for ``disorder`` the number of the configuration, from 1.
    """

    name: str
    kind: str
    columns: tuple[int, ...]
    states: np.ndarray


def switching(
    frames: int, on_frames: float, off_frames: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw a two-state Markov chain: 0 unchanged, 1 changed.

    A frame of the changed state is its last one with the probability 1 / `on_frames`, so that
    dwell times are geometric with the mean `on_frames`; the other state alike.  The first frame
    is drawn from the stationary distribution, on / (on + off).

    Parameters
    ----------
    frames : int
    on_frames, off_frames : float
        Mean dwell times [frames], 1 or more.
    rng : numpy.random.Generator

    Returns
    -------
    array (frames,) of int
    """
    draws = rng.random(frames)
    states = np.zeros(frames, dtype=int)
    states[:1] = draws[:1] < on_frames / (on_frames + off_frames)
    for i in range(1, frames):
        leaves = draws[i] < 1 / (on_frames if states[i - 1] else off_frames)
        states[i] = states[i - 1] ^ leaves
    return states


def scheduled(frames: int, schedule: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return the states (frames,) of a schedule: 1 from each first to each last frame."""
    states = np.zeros(frames, dtype=int)
    for first, last in schedule:
        states[first : last + 1] = 1
    return states


def drawn_states(process: Mapping, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Return the states (frames,) of a process: those of its schedule, or drawn at random.

    Parameters
    ----------
    process : mapping
        As :class:`lowdose.config_movies.MovieProcess`.
    frames : int
    rng : numpy.random.Generator
    """
    if process["schedule"] is not None:
        return scheduled(frames, process["schedule"])
    return switching(frames, process["on_frames"], process["off_frames"], rng)
