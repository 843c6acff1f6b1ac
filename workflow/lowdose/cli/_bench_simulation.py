"""Speed of the simulation: one exit wave, one image of a focal series, abTEM's own beside it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def measure(threads: int) -> list[tuple[str, float, str, float | None]]:
    """Return rows of (name, value, unit, upper target)."""
    import numpy as np

    from lowdose import config
    from lowdose.data.frames import MARGIN_TOP_NM
    from lowdose.imaging.camera import PixelGrid, blur, detected
    from lowdose.imaging.optics import WaveOptics
    from lowdose.imaging.waves import exit_waves, fixed_abtem
    from lowdose.runtime import fix_torch
    from lowdose.structures import plan
    from lowdose.structures.library import build_structure

    fix_torch(threads)
    values = config.load().model_dump(mode="json")
    optics, camera = values["optics"], values["camera"]
    energy = values["simulation"]["energy_kev"]
    models = {m.layers: m for m in plan.plan(values["structures"])}
    rows = []
    for layers in (min(models), max(models)):
        atoms = build_structure(values["structures"], models[layers], values["seed"])
        seconds = _median(lambda a=atoms: exit_waves(a, [(0, 0)], values["simulation"]), 5)
        name = f"exit wave of one model of {layers} layers, {len(atoms)} atoms"
        rows.append((name, seconds, "s", 1.0))
    wave = exit_waves(atoms, [(0, 0)], values["simulation"])[0]
    cell = atoms.cell.lengths()[1] / 10, atoms.cell.lengths()[0] / 10
    pixel = camera["pixel_size_nm"]
    lens = WaveOptics(cell, optics, energy)
    transfer = blur(lens.grid, cell, camera, pixel)
    shape = (820, 868)
    pixels = PixelGrid(lens.grid, cell, pixel, (MARGIN_TOP_NM, 0.0), shape,
                       tuple(2 * m for m in lens.cut))  # fmt: skip
    spectrum = lens.spectrum(wave)

    def ours(c1: float) -> np.ndarray:
        image = detected(lens.intensity(spectrum, c1), transfer, camera["contrast_factor"])
        return pixels.sample(image).numpy()

    focal_series = np.arange(21.0)
    one = _median(lambda: [ours(c1) for c1 in focal_series], 3) / len(focal_series)
    rows.append(("one 868 x 820 image of a focal series from a stored wave", one, "s", 0.06))

    import abtem

    with fixed_abtem():
        stored = abtem.Waves(
            np.ascontiguousarray(wave.T), energy=energy * 1e3, extent=(10 * cell[1], 10 * cell[0])
        )

        def theirs(c1: float) -> np.ndarray:
            ctf = abtem.CTF(
                energy=energy * 1e3, defocus=-10 * c1, Cs=optics["c3_um"] * 1e4,
                C50=optics["c5_mm"] * 1e7, focal_spread=10 * optics["focal_spread_nm"],
                angular_spread=optics["convergence_mrad"],
            )  # fmt: skip
            intensity = stored.apply_ctf(ctf).intensity()
            return intensity.interpolate(gpts=(868, 820)).array

        abtem_one = _median(lambda: [theirs(c1) for c1 in focal_series[:5]], 3) / 5
    rows.append(("the same by abTEM: apply_ctf, intensity, interpolate", abtem_one, "s", None))
    rows.append(("abTEM's time over ours", abtem_one / one, "", None))
    return rows


def _median(function: Callable[[], object], repetitions: int) -> float:
    """Median seconds of a call, after one to warm up."""
    function()
    times = []
    for _ in range(repetitions):
        begun = time.perf_counter()
        function()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)
