"""What learns from the recording, and columns in time: seconds, decibels, picometres."""

from __future__ import annotations

import time

import numpy as np

DOSE, SEED = 0.45, 5
FILM = {
    "base_shape": "PtNp1c", "frames": 40, "side_px": 256, "drift_nm_per_frame": (0.004, 0.004),
    "jitter_nm": 0.003, "rotation_deg": (0, 1), "dose_e_per_px": (DOSE, DOSE),
    "processes": [{"kind": kind, "on_frames": 5, "off_frames": 8}
                  for kind in ("adatom", "vacancy", "partial", "corner")],
}  # fmt: skip
SUMS = {"sum": [3, 5, 9, 13, 19], "parameters": {"sigma_nm": [0.015, 0.02, 0.025, 0.03, 0.04]}}
ADAPTED_S, MOVIE_S, FASTER, ABOVE_DB, TO_BOUND, HARM_DB = 20.0, 1200.0, 10.0, 1.0, 1.5, 0.1
CROP, STEPS_TIMED, CROP_S = 64, 3, 60.0
SIDE = 128  # of what is timed: at 256 the published network takes 16 GB
SINGLE = 5  # every so many frames, of which a network learns one by one
LOCATED = {"frames": 6, "sigma_nm": 0.049, "gate_nm": 0.072, "denoiser": "white",
           "doses_e_per_px": [DOSE, 5.0, 20.0, 100.0], "denoised_doses_e_per_px": [DOSE],
           "seed": SEED}  # fmt: skip


def measure(threads: int) -> list[tuple]:
    """Return rows of (name, value, unit, target, at least, low, high, note)."""
    from lowdose import config
    from lowdose.data.simulated_movies import simulate_movie
    from lowdose.runtime import fix_torch
    from lowdose.stages import Study

    fix_torch(threads)
    files = [config.default_files()[0].with_name("study.yaml")]
    world = Study(config.load(files)).spec("converge")
    movie = simulate_movie(world, FILM, SEED)
    whole = simulate_movie(world, {**FILM, "frames": 8, "side_px": 512, "processes": []}, SEED)
    return [*_adapted(whole), *_learned(movie), *_published(movie), *_located(movie)]


def _adapted(movie) -> list[tuple]:
    """Time GainTuning where it has most to do, and see that it leaves alone what is right."""
    from lowdose.denoisers import registry
    from lowdose.evaluation.movie_methods import frame_psnr
    from lowdose.sampling import dose_e_per_a2

    pixel, dose = movie.pixel_size_nm, dose_e_per_a2(DOSE, movie.pixel_size_nm)
    tuned = registry.create("gain-tuning", network="white")
    strong = 1 + 2 * (movie.clean[:1] - 1)
    counts = np.random.default_rng(SEED).poisson(DOSE * strong).astype(np.float32)
    begun = time.perf_counter()
    image = tuned.denoise(counts, pixel, dose=dose)
    seconds = time.perf_counter() - begun
    gain = frame_psnr(image / DOSE, strong) - frame_psnr(
        registry.create("white").denoise(counts, pixel, dose=dose) / DOSE, strong
    )
    rows = [
        ("GainTuning, a frame of 512 x 512 pixels", seconds, "s", ADAPTED_S, False, None, None,
         f"twice the contrast of `white`'s training, {tuned.last[0].steps} steps"),
        ("what that frame gains", float(gain[0]), "dB", None, False),
    ]  # fmt: skip
    counts = movie.counts(0, SEED)
    gains = {}
    for name in ("white", "general"):
        before, after = (
            frame_psnr(one.denoise(counts, pixel, dose=dose) / DOSE, movie.clean)
            for one in (registry.create(name), registry.create("gain-tuning", network=name))
        )
        gains[name] = float(np.mean(after - before))
    least = min(gains, key=gains.get)
    rows.append(
        (f"mean gain on {len(counts)} frames as in training", gains[least], "dB", -HARM_DB, True,
         None, None, f"the smaller of two networks, {least}; test particle")
    )  # fmt: skip
    return rows


def _learned(movie) -> list[tuple]:
    """Train UDVD on a film, beside the best sum of frames and networks for single frames."""
    from lowdose.evaluation.movie_methods import Chosen, choose, frame_psnr, run

    pixel, dose = movie.pixel_size_nm, movie.dose_e_per_px
    counts = movie.counts(0, SEED)
    done = run(Chosen("udvd", {}), counts, dose, pixel)
    psnr = float(frame_psnr(done.images, movie.clean).mean())
    # Chosen by the truth of the very film: the sum has the advantage.
    best = choose({"denoiser": "gaussian", **SUMS}, counts, movie.clean, dose, pixel)
    classical = frame_psnr(run(best, counts, dose, pixel).images, movie.clean).mean()
    part = slice(None, None, SINGLE)
    single = frame_psnr(
        run(Chosen("blind-spot-stopped", {}), counts[part], dose[part], pixel).images,
        movie.clean[part],
    ).mean()
    white = frame_psnr(run(Chosen("white", {}), counts, dose, pixel).images, movie.clean).mean()
    shape = " x ".join(map(str, counts.shape))
    of_sum = f"{best.summed} frames, sigma {best.parameters['sigma_nm']:g} nm: {classical:.2f} dB"
    return [
        (f"UDVD on a film of {shape}: trained and applied", done.seconds, "s", MOVIE_S, False,
         None, None, f"{DOSE:g} e/pixel, {psnr:.2f} dB"),
        ("UDVD above the best sum of frames", float(psnr - classical), "dB", ABOVE_DB, True,
         None, None, of_sum),
        ("UDVD above a blind spot on single frames", float(psnr - single), "dB", 0.0, True,
         None, None, f"every {SINGLE}th frame: {single:.2f} dB"),
        ("UDVD above `white` on single frames", float(psnr - white), "dB", None, False, None,
         None, f"{white:.2f} dB"),
    ]  # fmt: skip


def _published(movie) -> list[tuple]:
    """Compare with the published network: seconds a step, and what both learn of a crop."""
    import torch

    from lowdose.config_networks import UDVDSpec
    from lowdose.denoisers.networks.build import initialise
    from lowdose.denoisers.networks.udvd import UDVD
    from lowdose.denoisers.unsupervised import movie_learning as learning
    from lowdose.denoisers.unsupervised.udvd import MovieDenoiser
    from lowdose.evaluation.movie_methods import frame_psnr
    from lowdose.training.optimiser import Optimiser

    counts, dose = movie.counts(0, SEED), movie.dose_e_per_px
    specs = {"published": UDVDSpec(), "ours": MovieDenoiser().recipe().spec}
    middle = slice(96, 96 + CROP)
    cut, clean = counts[:, middle, middle], movie.clean[:, middle, middle]
    held = np.zeros(counts.shape, bool)
    seconds, learned = {}, {}
    for name, spec in specs.items():
        recipe = learning.Recipe(spec)
        network = UDVD(spec)
        initialise(network, torch.Generator().manual_seed(0))
        settings = {"optimiser": "muon", "learning_rate": learning.RATE, "weight_decay": 0.5}
        optimiser = Optimiser(network.to(memory_format=torch.channels_last), settings)
        timed = counts[:9, :SIDE, :SIDE].astype(np.int32), dose[:9], held[:9, :SIDE, :SIDE]
        batch = learning._batch(*timed, recipe, 0)
        taken = []
        for _ in range(STEPS_TIMED):
            begun = time.perf_counter()
            learning._step(network, optimiser, batch, learning.RATE)
            taken.append(time.perf_counter() - begun)
        seconds[name] = min(taken)
        # As many steps on the crop as take the same time, by what a step of it takes.
        small = learning._batch(cut.astype(np.int32), dose, held[:, middle, middle], recipe, 0)
        learning._step(network, optimiser, small, learning.RATE)  # the first one allocates
        begun = time.perf_counter()
        learning._step(network, optimiser, small, learning.RATE)
        steps = max(10, round(CROP_S / (time.perf_counter() - begun)))
        recipe = learning.Recipe(spec, min(steps, 400))
        trained, _ = learning.learn(cut, dose, recipe)
        blind = learning.estimate(trained, cut, dose)
        learned[name] = (float(frame_psnr(blind / dose[:, None, None], clean).mean()), recipe.steps)
    ratio = seconds["published"] / seconds["ours"]
    (theirs, few), (ours, many) = learned["published"], learned["ours"]
    return [
        ("a step of the published network over one of ours", ratio, "", FASTER, True, None, None,
         f"12 frames of {SIDE} x {SIDE}: {seconds['published']:.2f} s and {seconds['ours']:.2f} s"),
        (f"ours above the published one on a crop of {CROP} x {CROP}", ours - theirs, "dB", None,
         False, None, None,
         f"{CROP_S:g} s each at most: {many} steps, {ours:.2f} dB; {few} steps, {theirs:.2f} dB"),
    ]  # fmt: skip


def _located(movie) -> list[tuple]:
    """Return how far blobs are from the bound, and how many columns are missed."""
    from lowdose.evaluation.positions import positions

    table = positions({"film": movie}, LOCATED, lambda line: None)
    return located_rows(table)


def located_rows(table) -> list[tuple]:
    """Return the rows of a table of positions."""
    every = table[table["columns"] == "all"].set_index(["method", "dose_e_per_px"])
    bright = every.loc["blobs"].query("dose_e_per_px >= 5")
    fits = every.loc["fits"].query("dose_e_per_px >= 5")
    rows = []
    for dose, row in bright.iterrows():
        rows.append(
            (f"blob positions over the Cramér-Rao bound, {dose:g} e/pixel", float(row["ratio"]),
             "", TO_BOUND, False, None, None,
             f"scatter alone {row['scatter_ratio']:.3f}; bias {row['systematic_pm']:.2f} pm; "
             f"Gaussian fits {fits.loc[dose, 'ratio']:.3f}")
        )  # fmt: skip
    for method, what in (("blobs", "counts"), ("network", "`white`'s image")):
        row = every.loc[(method, DOSE)]
        rows.append(
            (f"columns missed at {DOSE:g} e/pixel, one frame, {what}", float(row["failure_rate"]),
             "", None, False, float(row["failure_rate_low"]), float(row["failure_rate_high"]))
        )  # fmt: skip
    return rows
