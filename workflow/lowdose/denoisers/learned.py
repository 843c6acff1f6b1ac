"""A trained network as a denoiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lowdose.denoisers.contract import Denoiser, DenoiserInfo


class LearnedDenoiser(Denoiser):
    """Applies a network to counts relative to the vacuum dose.

    Parameters
    ----------
    network : torch.nn.Module
        Maps relative counts (n, 1, y, x) to the relative expectation; has ``stride``.
    info : DenoiserInfo
        Operating range and receptive field.
    bf16 : bool
        Compute in bfloat16.
    """

    def __init__(self, network: nn.Module, info: DenoiserInfo, *, bf16: bool = False) -> None:
        self.info = info
        super().__init__()
        self.network, self.bf16 = network.eval(), bf16

    def _denoise_frame(self, counts: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        if vacuum <= 0:  # a frame without a single electron: nothing is expected
            return np.zeros_like(counts)
        relative = torch.from_numpy(counts / np.float32(vacuum))[None, None]
        return apply(self.network, relative, bf16=self.bf16)[0, 0].numpy() * np.float32(vacuum)


@torch.no_grad()
def apply(network: nn.Module, relative: torch.Tensor, *, bf16: bool = False) -> torch.Tensor:
    """Apply a network to images of any size.

    The image is continued by reflection, by 16 pixels at least on every side and up to a
    multiple of the network's stride, so that the padding inside the network, which repeats edge
    pixels, lies outside of the image.

    Parameters
    ----------
    network : torch.nn.Module
    relative : tensor (n, 1, y, x)
        Counts over dose.

    Returns
    -------
    tensor (n, 1, y, x), float32, not negative
    """
    height, width = relative.shape[-2:]
    stride = network.stride
    margin = -(-16 // stride) * stride
    rows = _reflected(height, margin, stride)
    columns = _reflected(width, margin, stride)
    padded = relative[..., rows, :][..., columns].contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        result = network(padded)
    result = result[..., margin : margin + height, margin : margin + width]
    return functional.relu(result.float())


def _reflected(length: int, margin: int, stride: int) -> torch.Tensor:
    """Positions that continue 0..length-1 by reflection on both sides, a multiple of stride."""
    total = -(-(length + 2 * margin) // stride) * stride
    position = torch.arange(total) - margin
    period = max(1, 2 * (length - 1))
    position = position % period
    return torch.where(position < length, position, period - position)


def network_info(name: str, card: Mapping[str, Any]) -> DenoiserInfo:
    """Describe a trained network from its card."""
    return DenoiserInfo(
        name=name,
        title=f"{card['name']} ({card['receptive_field_px']} px)",
        citation="Vincent et al. 2021, Microsc. Microanal. 27, 1431 (supervised by simulation)",
        licence="GPL-3.0-or-later",
        pixel_size_nm=tuple(card["pixel_size_nm"]),
        dose_e_per_a2=tuple(card["dose_e_per_a2"]),
        needs_fit=True,
        receptive_field_px=card["receptive_field_px"],
    )
