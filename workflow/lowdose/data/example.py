"""A short movie with truth, as an experiment would record it: to try the tools on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lowdose.data.frames import region, render
from lowdose.imaging.camera import draw_counts
from lowdose.imaging.waves import exit_waves
from lowdose.structures.library import build_structure, true_columns
from lowdose.structures.plan import Model

SHAPE, FAMILY, LAYERS = "PtNp1d", "PtNp1", 26
MOST_DRIFT_PX = (60, 160)  # along y and x, that the field of view has room for


@dataclass(frozen=True)
class Movie:
    """Frames of a particle that loses a surface column while it drifts by whole pixels.

    Attributes
    ----------
    counts : uint8 array (frame, y, x)
        Electrons per pixel.
    expected : float32 array (frame, y, x)
        Their expectation [e/px].
    truth : DataFrame
        True Pt columns of each frame: ``frame, x_nm, y_nm, n_atoms, is_surface, site``, a lost
        column with ``n_atoms`` 0 and site ``vacancy``; positions from the centre of the upper left
        pixel.
    pixel_size_nm : float
    energy_kev : float
    """

    counts: np.ndarray
    expected: np.ndarray
    truth: pd.DataFrame
    pixel_size_nm: float
    energy_kev: float


def movie(
    world: Mapping,
    rng: np.random.Generator,
    *,
    frames: int = 8,
    dose_e_per_px: float = 0.45,
    c1_nm: float = 8.0,
    drift_px: tuple[int, int] = (2, 5),
) -> Movie:
    """Simulate a movie: multislice, optics, camera, counts.

    Parameters
    ----------
    world : mapping
        ``structures, simulation, optics, camera, seed`` of a configuration.
    rng : numpy.random.Generator
        Draws the counts.
    frames : int
        In the second half of them one surface column is gone.
    dose_e_per_px : float
        In vacuum, a frame.
    c1_nm : float
        Defocus [nm].
    drift_px : (int, int)
        From frame to frame along y and x; less if the field of view has no room for all of it.
    """
    camera, simulation = world["camera"], world["simulation"]
    imaging = {"optics": world["optics"], "camera": camera, "energy_kev": simulation["energy_kev"]}
    pixel, steps = camera["pixel_size_nm"], max(frames - 1, 1)
    dy, dx = (min(d, most // steps) for d, most in zip(drift_px, MOST_DRIFT_PX, strict=True))
    states = []
    for defect in ("D0", "D1"):
        model = _model(defect)
        atoms = build_structure(world["structures"], model, world["seed"])
        width, height = (length / 10 for length in atoms.cell.lengths()[:2])
        wave = exit_waves(atoms, [(0, 0)], simulation)[0]
        columns = true_columns(atoms, model)
        states.append((render(wave, (height, width), c1_nm, imaging),
                       columns[columns["is_particle"]]))  # fmt: skip
    top, _ = region(height)
    expected, tables = [], []
    for number in range(frames):
        image, columns = states[number >= (frames + 1) // 2]
        # The field of view moves the other way than the particle.
        row, col = (frames - 1 - number) * dy, (frames - 1 - number) * dx
        rows, cols = (n - (frames - 1) * d for n, d in zip(image.shape, (dy, dx), strict=True))
        expected.append(image[row : row + rows, col : col + cols] * np.float32(dose_e_per_px))
        tables.append(
            columns[["n_atoms", "is_surface", "site"]].assign(
                frame=number,
                x_nm=columns["x_nm"] - col * pixel,
                y_nm=columns["y_nm"] - top - row * pixel,
            )
        )
    counts = np.stack([draw_counts(one, rng) for one in expected])
    truth = pd.concat(tables, ignore_index=True)
    order = ["frame", "x_nm", "y_nm", "n_atoms", "is_surface", "site"]
    return Movie(
        np.minimum(counts, 255).astype(np.uint8), np.stack(expected), truth[order], pixel,
        simulation["energy_kev"],
    )  # fmt: skip


def _model(defect: str) -> Model:
    name = f"{SHAPE}-{defect}-{LAYERS}L"
    return Model(f"{name}-x0y0", name, SHAPE, FAMILY, defect, LAYERS, 0.0, 0.0)
