"""A network on images of any size: completed to its stride, tile by tile where they are large."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn
from torch.nn import functional

from lowdose.denoisers.networks.receptive_field import computed, grid
from lowdose.denoisers.networks.residual import Residual
from lowdose.runtime import UserError, is_out_of_memory
from lowdose.sampling import FILLING

# What a network may hold at once, so that denoising 4096 x 4096 pixels stays below 1.5 GiB in
# all: copies of the frame take 0.25 GiB of it, Python and torch another 0.25.
WORKING_BYTES = 2**30
# Measured for the residual U-Net: at its peak it holds five times its largest feature map (of
# float32; in bfloat16 half of that), those inside of its blocks aside, which come in strips.
LIVE_MAPS = 5
# Networks of wide full-resolution layers would get tiles that are mostly overlap.
SMALLEST_SIDE_PX = 1024

# Output from start to stop is computed from input first to last [px].
Tile = tuple[int, int, int, int]


@torch.no_grad()
def apply(
    network: nn.Module,
    relative: torch.Tensor,
    *,
    bf16: bool = False,
    device: torch.device | None = None,
    tile_px: int | None = None,
) -> torch.Tensor:
    """Apply a network to images of any size.

    The image ends where the network's own padding begins, as in training; only what its sides
    lack to a multiple of the stride is filled up at the lower and right edge, by vacuum, as in
    training.  (Reflected pixels are worse: their noise repeats that of the frame, which the
    network takes for further evidence.)

    Tiles overlap by all that an output pixel can depend on, so that the result is that of the
    whole image at once.  A network with a global layer gets the whole image.

    Parameters
    ----------
    network : torch.nn.Module
    relative : tensor (n, 1, y, x)
        Counts over dose.
    bf16 : bool
        Compute in bfloat16.
    device : torch.device, optional
        Where to compute; by default where the network is.  The network is moved.
    tile_px : int, optional
        Side of the largest square that the network gets at once, overlap included.  By default
        1024 px, or what fits `WORKING_BYTES` where that is more.

    Returns
    -------
    tensor (n, 1, y, x), float32, not negative, on the device of `relative`

    Raises
    ------
    UserError
        If the memory is too small, or `tile_px` for the network's field.
    """
    device = next(network.parameters()).device if device is None else device
    network = network.to(device)
    height, width = relative.shape[-2:]
    rows, columns = (-(-length // network.stride) * network.stride for length in (height, width))
    result = torch.empty(relative.shape, dtype=torch.float32, device=relative.device)
    across = tiles(network, columns, tile_px)
    for top, bottom, first, last in tiles(network, rows, tile_px):
        strip = relative[..., first:last, :]
        for left, right, begin, end in across:
            window = strip[..., begin:end].to(device)
            below, beside = last - first - window.shape[-2], end - begin - window.shape[-1]
            window = functional.pad(window, (0, beside, 0, below), value=FILLING)
            estimate = _run(network, window, bf16=bf16)
            estimate = estimate[..., top - first : bottom - first, left - begin : right - begin]
            target = result[..., top:bottom, left:right]
            target.copy_(functional.relu(estimate[..., : height - top, : width - left].float()))
    return result


def chosen_device(device: str = "auto") -> torch.device:
    """Return the device of a name; "auto" takes CUDA where there is one.

    Raises
    ------
    UserError
        For another name than auto, cpu or cuda, or if there is no CUDA device.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"device is {device!r}; give auto, cpu or cuda.")
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise UserError(
            "device is 'cuda', but torch finds no CUDA device; give cpu or auto, or install the "
            "torch build for your GPU."
        )
    return torch.device("cuda" if there and device != "cpu" else "cpu")


def device_name(device: torch.device) -> str:
    """Return a device in words: "CUDA (name)" or "the CPU (n threads)"."""
    if device.type == "cuda":
        return f"CUDA ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    return "the CPU (1 thread)" if threads == 1 else f"the CPU ({threads} threads)"


def tiles(network: nn.Module, length: int, tile_px: int | None = None) -> list[Tile]:
    """Return the tiles along one side of an image.

    Parameters
    ----------
    network : torch.nn.Module
    length : int
        Side of the image [px], a multiple of the network's stride.
    tile_px : int, optional
        As for `apply`.

    Returns
    -------
    list of (start, stop, first, last)
        Output from start to stop depends on nothing but input from first to last.  All are
        multiples of the network's period (but for the image's end), so that a tile's pixels
        have the phase that they have in the image.

    Raises
    ------
    UserError
        If `tile_px` is too small for the network's field.
    """
    whole = [(0, length, 0, length)]
    if length <= (SMALLEST_SIDE_PX if tile_px is None else tile_px):
        return whole
    overlap, step = _overlap(network), grid(network)
    if overlap is None:
        return whole
    least = 2 * overlap + step
    if tile_px is None:
        # Tiles that are at least a third their own keep the work below nine times the image.
        side = max(SMALLEST_SIDE_PX, _fitting_side(network), 3 * overlap, least)
    elif tile_px < least:
        raise UserError(
            f"tile_px is {tile_px}, but with the field of this network a tile has {least} px at "
            f"least; give {least} or more."
        )
    else:
        side = tile_px
    for number in itertools.count(1):
        core = math.ceil(length / number / step) * step
        cut = [
            (start, stop, max(start - overlap, 0), min(stop + overlap, length))
            for start in range(0, length, core)
            for stop in (min(start + core, length),)
        ]
        if max(last - first for _, _, first, last in cut) <= side:
            break  # at the latest when each tile is one period
    return cut


def _run(network: nn.Module, window: torch.Tensor, *, bf16: bool) -> torch.Tensor:
    """Apply the network to one window, or say what to do where the memory is too small."""
    try:
        with torch.autocast(window.device.type, torch.bfloat16, enabled=bf16):
            return network(window.contiguous(memory_format=torch.channels_last))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    height, width = window.shape[-2:]
    raise UserError(
        f"The memory of the {window.device.type} device is too small to denoise {height} x "
        f"{width} px at once; set tile_px to {max(height, width) // 2} or less, or close other "
        "programs."
    )


def _overlap(network: nn.Module) -> int | None:
    """Return how far an output pixel sees, up to a multiple of the period; None: everything."""
    if computed(network) is None:
        return None
    step = grid(network)
    spans = [(phase, *network.seen((phase, phase))) for phase in range(step)]
    farthest = max(max(phase - low, high - phase) for phase, low, high in spans)
    return math.ceil(farthest / step) * step


def _fitting_side(network: nn.Module) -> int:
    """Return the side of the square that a network can take in `WORKING_BYTES` [px]."""
    largest = 0

    def record(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal largest
        largest = max(largest, output.numel())

    device = next(network.parameters()).device
    blocks = [m for m in network.modules() if isinstance(m, Residual)]
    inside = {id(part) for one in blocks for part in one.branch.modules()}
    hooks = [m.register_forward_hook(record) for m in network.modules() if id(m) not in inside]
    try:
        network(torch.ones(1, 1, network.stride, network.stride, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    bytes_per_px = LIVE_MAPS * 4 * largest / network.stride**2
    return math.isqrt(int(WORKING_BYTES / bytes_per_px))
