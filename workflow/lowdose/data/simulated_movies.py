"""Simulated movies of a changing surface: multislice, lens, a microscope that moves and ages."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from lowdose import seeds
from lowdose.config_movies import MovieSpec, movie_spec
from lowdose.data.filming import View, view
from lowdose.data.movies import TRUTH, Movie, digest_of
from lowdose.imaging.camera import blur, detected
from lowdose.imaging.optics import WaveOptics
from lowdose.imaging.waves import exit_waves
from lowdose.structures.dynamics import ChangingParticle


def simulate_movie(world: Mapping, spec: MovieSpec | Mapping, seed: int) -> Movie:
    """Simulate a movie: multislice once for each joint state, then optics and camera.

    A frame integrates over its time: it is blurred by the steady drift within it, and the steps
    of the random walk fall between frames.

    Parameters
    ----------
    world : mapping
        ``structures, simulation, optics, camera, seed`` of a configuration.
    spec : MovieSpec or mapping
        The movie.
    seed : int
        Of the choice of sites, their states, the random walk and the disorder, each of which
        draws its own random numbers; it does not change the particle.

    Raises
    ------
    UserError
        If the movie is impossible: no such shape, no such site in the filmed square, a square
        that is, or moves, beyond the field.
    """
    spec = spec if isinstance(spec, MovieSpec) else movie_spec(spec)
    values = spec.model_dump(mode="json")
    camera, frames = world["camera"], spec.frames
    particle = ChangingParticle(
        world["structures"], spec.base_shape, spec.layers, world["seed"],
        tilt_deg=spec.tilt_deg, surface_displacement_nm=spec.surface_displacement_nm,
    )  # fmt: skip
    columns = particle.places[["x_nm", "y_nm"]].to_numpy()
    look = view(values, particle.cell_nm, camera["pixel_size_nm"], columns,
                seeds.rng(seed, "movie", "drift"))  # fmt: skip
    particle.add_processes(values["processes"], frames, look.share_shown,
                           lambda purpose: seeds.rng(seed, "movie", purpose))  # fmt: skip
    states, which = np.unique(particle.states(frames), axis=0, return_inverse=True)
    lens = WaveOptics(particle.cell_nm, world["optics"], world["simulation"]["energy_kev"])
    spectra = [
        lens.spectrum(exit_waves(particle.structure_of(s), [spec.tilt_deg], world["simulation"])[0])
        for s in states
    ]
    c1 = np.linspace(*spec.c1_nm, frames)
    clean = np.stack([
        _frame(lens, spectra[state], float(c1[i]), look, i, camera, spec.drift_nm_per_frame)
        for i, state in enumerate(which.ravel())
    ])  # fmt: skip
    truth = _truth(look, [particle.columns_of(s) for s in states], which.ravel())
    dose = np.linspace(*spec.dose_e_per_px, frames)
    return Movie(
        clean, dose, c1, look.rotation_deg, look.drift_nm, truth, look.pixel_size_nm,
        spec.frame_time_s, look.origin_nm, values, seed, digest_of(clean, dose, truth),
        camera["dark_e_per_px"],
    )  # fmt: skip


def _frame(
    lens: WaveOptics,
    spectrum: torch.Tensor,
    c1_nm: float,
    look: View,
    number: int,
    camera: Mapping,
    drift_nm: tuple[float, float],
) -> np.ndarray:
    """Render one frame: float32 (y, x), vacuum = 1."""
    pixel = look.pixel_size_nm
    way = look.in_cell(number, np.array(drift_nm)) if any(drift_nm) else None
    transfer = blur(lens.grid, lens.cell_nm, camera, pixel, drift_nm=way)
    image = detected(lens.intensity(spectrum, c1_nm), transfer, camera["contrast_factor"])
    band = (2 * lens.cut[0], 2 * lens.cut[1])
    return look.pixels(number, lens.grid, band).sample(image).numpy().astype(np.float32)


def _truth(look: View, tables: list[pd.DataFrame], which: np.ndarray) -> pd.DataFrame:
    """Return the columns that each frame shows, where it shows them."""
    rows = []
    for frame, state in enumerate(which):
        columns = tables[state]
        places = look.places(frame, columns[["x_nm", "y_nm"]].to_numpy())
        table = columns.assign(frame=frame, x_nm=places[:, 0], y_nm=places[:, 1])
        rows.append(table[look.shows(places)])
    return pd.concat(rows, ignore_index=True)[list(TRUTH)]
