"""Speed of rendering: a focal series beside abTEM's, and training crops beside a network."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

Row = tuple[str, float, str, float | None]


def series_renderer(
    cell_nm: tuple[float, float], values: Mapping, shape: tuple[int, int]
) -> Callable[[np.ndarray, Sequence[float]], np.ndarray]:
    """Return a function (wave, C1 values) -> images (n, *shape) of one cell."""
    from lowdose.config_world import MARGIN_TOP_NM
    from lowdose.imaging.rendering import ImageRenderer

    imaging = {key: values[key] for key in ("optics", "camera")}
    imaging["energy_kev"] = values["simulation"]["energy_kev"]
    renderer = ImageRenderer(cell_nm, imaging, (MARGIN_TOP_NM, 0.0), shape)

    def render(wave: np.ndarray, c1_nm: Sequence[float]) -> np.ndarray:
        spectrum = renderer.lens.spectrum(wave)
        return np.stack([renderer.image(spectrum, c1) for c1 in c1_nm])

    return render


def focal_series(shard: Path, values: Mapping, shape: tuple[int, int]) -> list[Row]:
    """Compare the 21 images of one wave with abTEM's."""
    from lowdose.imaging.abtem_engine import fixed_abtem
    from lowdose.imaging.store import read_waves

    import abtem  # isort: skip  # after fixed_abtem, which keeps the user's configuration out

    row, wave = next(iter(read_waves([shard])))
    optics, energy = values["optics"], values["simulation"]["energy_kev"]
    cell = row["cell_y_nm"], row["cell_x_nm"]
    render = series_renderer(cell, values, shape)
    c1_nm = values["frames"]["c1_nm"]
    whole = _median(lambda: render(wave, c1_nm), 3)
    one = whole / len(c1_nm)
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
            return intensity.interpolate(gpts=shape[::-1]).array

        theirs_whole = _median(lambda: [theirs(c1) for c1 in c1_nm], 3)
    return [
        (f"one {shape[1]} x {shape[0]} frame of a focal series", one, "s", 0.04),
        (f"the series of {len(c1_nm)}", whole, "s", None),
        ("the series by abTEM: apply_ctf, intensity, interpolate, in a loop", theirs_whole, "s",
         None),
        ("our time over abTEM's", whole / theirs_whole, "", 1 / 1.5),
    ]  # fmt: skip


def crops(shards: Sequence[Path], values: Mapping) -> list[Row]:
    """Compare how fast training crops are made and how fast the fastest network takes them."""
    import torch
    from torch.nn import functional

    from lowdose.data.augmentation import Augmentation
    from lowdose.data.frames import region
    from lowdose.data.renderer import TrainingRenderer
    from lowdose.denoisers.networks.build import build
    from lowdose.imaging.optics import WaveOptics
    from lowdose.imaging.store import read_waves
    from lowdose.training.loop import use_bf16

    lens, spectra = None, []
    for row, wave in read_waves(shards):
        cell = row["cell_y_nm"], row["cell_x_nm"]
        lens = lens or WaveOptics(cell, values["optics"], values["simulation"]["energy_kev"])
        spectra.append(lens.spectrum(wave))
    settings, batch = values["training"], 4
    crop = 256
    images = np.column_stack([np.arange(len(spectra)), np.full(len(spectra), 9.0)])
    augmentation = Augmentation(
        values["optics"], values["camera"], values["training_sets"]["white"]
    )
    data = TrainingRenderer(
        spectra, images, lens, augmentation, region(cell[0]),
        crop_px=crop, batch=batch, pool=settings["pool"], seed=1,
    )  # fmt: skip
    data.batch(0)  # fills the pool, once a training
    steps = iter(range(1, 1000))
    made = _median(lambda: data.batch(next(steps)), 20) / batch
    noisy, clean = data.batch(next(steps))
    rows: list[Row] = [(f"one training crop of {crop} px made", made, "s", None)]
    times = {}
    for name in ("narrow", "medium", "wide"):
        network = build(values["networks"][name]["spec"], 1).train()

        def step(network=network) -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=use_bf16("auto")):
                output = network(noisy.contiguous(memory_format=torch.channels_last))
            functional.mse_loss(output.float(), clean).backward()

        times[name] = _median(step, 5) / batch
    fastest = min(times, key=times.get)
    rows.append((f"the fastest network ({fastest}) learns from one in", times[fastest], "s", None))
    rows.append(("making over learning", made / times[fastest], "", 1.0))
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
