"""Speed of the networks beside the paper's U-Net, in one process, taking turns."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping

from lowdose.cli._bench_rows import Row
from lowdose.config_networks import NetworkSpec

FRAME_PX = 1024
CROP_PX, BATCH = 256, 4
DOSE_E_PER_PX = 0.45
LARGEST_S = 0.25  # a frame by `general`
RATIOS = {"general": 45, "small": 100}  # against the paper's best mode
STEP_RATIO = 40
PAPER = "the paper's 4-scale, 128-channel U-Net"


def inference(specs: Mapping[str, NetworkSpec], paper: NetworkSpec, repetitions: int) -> list[Row]:
    """Compare the time that a frame takes; weights are random, which costs the same.

    Parameters
    ----------
    specs : mapping
        ``general`` and ``small``: architectures.
    paper : NetworkSpec
        The paper's, timed in float32 and, where the processor has it, in bfloat16.
    repetitions : int
        Turns after one to warm up.
    """
    from lowdose.denoisers.networks.build import build
    from lowdose.denoisers.tiles import apply
    from lowdose.runtime import has_bf16

    frame = counts(1, FRAME_PX)
    modes = {"bf16": True, "fp32": False} if has_bf16() else {"fp32": False}
    theirs = build(paper, 1)
    jobs: dict[str, Callable[[], object]] = {
        f"paper {mode}": lambda bf16=bf16: apply(theirs, frame, bf16=bf16)
        for mode, bf16 in modes.items()
    }
    for name, spec in specs.items():
        ours = build(spec, 1)
        jobs[name] = lambda ours=ours: apply(ours, frame, bf16=has_bf16())
    seconds = in_turns(jobs, repetitions)
    size = f"{FRAME_PX} x {FRAME_PX} frame"
    rows = [Row(f"{size} by {PAPER}, {mode}, channels last", seconds[f"paper {mode}"], "s")
            for mode in modes]  # fmt: skip
    best = min(modes, key=lambda mode: seconds[f"paper {mode}"])
    for name in specs:
        limit = LARGEST_S if name == "general" else None
        rows.append(Row(f"{size} by `{name}`", seconds[name], "s", limit))
        for mode in modes:
            rows.append(
                Row(f"`{name}` is faster than the paper's in {mode}",
                    seconds[f"paper {mode}"] / seconds[name], "times",
                    RATIOS[name] if mode == best else None, at_least=True,
                    note="the paper's best mode" if mode == best else "")
            )  # fmt: skip
    return rows


def training_step(small: NetworkSpec, paper: NetworkSpec, repetitions: int) -> list[Row]:
    """Compare one optimiser step at equal crop and batch, both in their best mode."""
    from lowdose.denoisers.networks.build import build
    from lowdose.runtime import has_bf16

    precision = "bf16" if has_bf16() else "fp32"
    noisy = counts(BATCH, CROP_PX)
    jobs = {"paper": step_of(build(paper, 1), noisy), "small": step_of(build(small, 1), noisy)}
    seconds = in_turns(jobs, repetitions)
    what = f"training step, {BATCH} crops of {CROP_PX} px, {precision}"
    return [
        Row(f"{what}: {PAPER}", seconds["paper"], "s"),
        Row(f"{what}: `small`", seconds["small"], "s"),
        Row("`small` learns faster than the paper's", seconds["paper"] / seconds["small"], "times",
            STEP_RATIO, at_least=True),
    ]  # fmt: skip


def step_of(network, noisy) -> Callable[[], None]:
    """Return what the training loop does with one batch: forward, backward, clip, update."""
    import torch
    from torch import nn
    from torch.nn import functional

    from lowdose.runtime import has_bf16

    optimiser = torch.optim.AdamW(network.train().parameters())
    clean = torch.ones_like(noisy)
    noisy = noisy.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16()):
            output = network(noisy)
        optimiser.zero_grad(set_to_none=True)
        functional.mse_loss(output.float(), clean).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()

    return step


def counts(frames: int, side: int):
    """Return vacuum at 0.45 e/pixel: relative counts, tensor (n, 1, side, side)."""
    import torch

    generator = torch.Generator().manual_seed(1)
    expected = torch.full((frames, 1, side, side), DOSE_E_PER_PX)
    return torch.poisson(expected, generator=generator) / DOSE_E_PER_PX


def in_turns(
    jobs: Mapping[str, Callable[[], object]], repetitions: int, least_s: float = 1.0
) -> dict[str, float]:
    """Return the median seconds of each job, all of which take turns: A B C A B C ...

    A slow phase of the machine then meets all alike.

    Parameters
    ----------
    jobs : mapping of str to callable
    repetitions : int
        Turns, after one to warm up.
    least_s : float
        A quick job is repeated within its turn until it took about this long.
    """
    # The first call, which also prepares things, is not counted; it says how quick a job is.
    number = {name: math.ceil(least_s / _seconds(job)) for name, job in jobs.items()}
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repetitions):
        for name, job in jobs.items():
            times[name] += [_seconds(job) for _ in range(number[name])]
    return {name: statistics.median(values) for name, values in times.items()}


def _seconds(job: Callable[[], object]) -> float:
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun
