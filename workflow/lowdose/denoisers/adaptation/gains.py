"""One gain for each channel of each convolution: all that adapting a network to a frame moves.

After Mohan et al., NeurIPS 2021 (arXiv:2107.12815).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.func import functional_call

import lowdose
from lowdose.runtime import UserError, atomic_path

# Name of a convolution -> its gains (channel,), float32.
Gains = dict[str, torch.Tensor]
NEEDED = ("weights_sha256", "lowdose")


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d | nn.ConvTranspose2d]:
    """Return the convolutions of a network by name, those of its spectral gates among them."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    }


def ones(network: nn.Module) -> Gains:
    """Return the gains that change nothing, on the network's device."""
    return {
        name: torch.ones(module.out_channels, device=module.weight.device)
        for name, module in convolutions(network).items()
    }


def scaled(network: nn.Module, gains: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the parameters of a network whose convolutions have these gains.

    A gain behind a convolution, before whatever follows, is the same as a gain of that channel's
    weights and bias: ``g (w * x + b) = (g w) * x + g b``.  So a tuned network takes no longer than
    any other, and convolutions that are computed as a matrix product have their gains as well.

    Parameters
    ----------
    network : torch.nn.Module
        Not changed.
    gains : mapping of str to tensor (channel,)
        Of all its convolutions.

    Returns
    -------
    dict of str to tensor
        By the names of `named_parameters`; gradients reach the gains and nothing else.
    """
    parameters = {name: value.detach() for name, value in network.named_parameters()}
    for name, module in convolutions(network).items():
        gain = gains[name]
        weight = parameters[f"{name}.weight"]
        if isinstance(module, nn.ConvTranspose2d):  # (input, output of its group, y, x)
            grouped = weight.unflatten(0, (module.groups, -1))
            weight = (grouped * gain.view(module.groups, 1, -1, 1, 1)).flatten(0, 1)
        else:  # (output, input, y, x)
            weight = weight * gain[:, None, None, None]
        parameters[f"{name}.weight"] = weight
        if module.bias is not None:
            parameters[f"{name}.bias"] = parameters[f"{name}.bias"] * gain
    return parameters


def applied(
    network: nn.Module, gains: Mapping[str, torch.Tensor], relative: torch.Tensor
) -> torch.Tensor:
    """Return what the network makes of images (n, 1, y, x) with these gains, differentiably."""
    return functional_call(network, scaled(network, gains), (relative,))


def folded(network: nn.Module, gains: Mapping[str, torch.Tensor]) -> nn.Module:
    """Return a copy of a network that has these gains in its weights, for use like any other."""
    twin = copy.deepcopy(network)
    own = dict(twin.named_parameters())
    with torch.no_grad():
        for name, value in scaled(network, gains).items():
            own[name].copy_(value)
    return twin


def save_gains(path: Path, gains: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> None:
    """Write gains as safetensors, beside the checkpoint that they belong to.

    Parameters
    ----------
    path : Path
    gains : mapping of str to tensor
    about : mapping
        ``weights_sha256`` of the checkpoint, as its card names it; and what a reader may want to
        know, such as ``network``, ``loss`` and ``steps``.  The version of this package is added.

    Raises
    ------
    UserError
        If `about` does not say which checkpoint they belong to, or the file cannot be written.
    """
    if not about.get("weights_sha256"):
        raise UserError(
            f"{path} would not say which checkpoint its gains belong to; give the weights_sha256 "
            "of its card."
        )
    notes = {str(k): str(v) for k, v in {**about, "lowdose": lowdose.__version__}.items()}
    tensors = {name: gain.detach().cpu().float().contiguous() for name, gain in gains.items()}
    with atomic_path(path) as temporary:
        # One entry: safetensors writes several in an order that differs from run to run.
        save_file(tensors, temporary, metadata={"about": json.dumps(notes, sort_keys=True)})


def load_gains(path: Path, network: nn.Module, weights_sha256: str) -> tuple[Gains, dict[str, str]]:
    """Read gains for a network.

    Parameters
    ----------
    path : Path
    network : torch.nn.Module
        The gains go to its device.
    weights_sha256 : str
        Of the network's checkpoint, as its card names it.

    Returns
    -------
    gains : dict of str to tensor
    about : dict of str to str
        What :func:`save_gains` was told.

    Raises
    ------
    UserError
        If the file is missing or damaged, or its gains belong to another checkpoint or do not
        fit the network.
    """
    if not Path(path).is_file():
        raise UserError(f"There is no file of gains {path}; tune the network on a frame first.")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is no file of gains; tune the network anew.") from error
    if not isinstance(about, dict) or any(key not in about for key in NEEDED):
        raise UserError(
            f"{path} does not say which checkpoint its gains belong to; tune the network anew."
        )
    if about["weights_sha256"] != weights_sha256:
        raise UserError(
            f"The gains in {path} belong to another checkpoint (weights "
            f"{about['weights_sha256'][:12]}, not {weights_sha256[:12]}); tune this network anew."
        )
    wanted = ones(network)
    shapes = {name: tuple(gain.shape) for name, gain in wanted.items()}
    if shapes != {name: tuple(gain.shape) for name, gain in found.items()}:
        raise UserError(
            f"The gains in {path} do not fit the network's {len(shapes)} convolutions; tune it "
            "anew."
        )
    if not all(torch.isfinite(gain).all() for gain in found.values()):
        raise UserError(f"Some gains in {path} are not finite; tune the network anew.")
    return {name: found[name].to(gain) for name, gain in wanted.items()}, about
