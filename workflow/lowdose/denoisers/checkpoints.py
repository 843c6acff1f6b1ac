"""Checkpoints: weights as safetensors, everything else in ``card.json``; never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from lowdose.denoisers.cards import CARD, WEIGHTS, network_info, read_card
from lowdose.denoisers.known_answer import deviation, vector_of
from lowdose.denoisers.learned import LearnedDenoiser
from lowdose.denoisers.networks.build import build
from lowdose.denoisers.tiles import chosen_device
from lowdose.provenance import file_digest
from lowdose.runtime import UserError, atomic_path, has_bf16, write_text

# Between processors the float32 answers of one network differ by about 1e-6 of the vacuum.
ANSWER_TOLERANCE = 1e-3


def save(folder: Path, network: nn.Module, card: Mapping[str, Any], *, half: bool = False) -> None:
    """Write weights and card; the card gains the digest of the weights and a test vector.

    Parameters
    ----------
    folder : Path
    network : torch.nn.Module
    card : mapping
        JSON-safe; ``cards.NEEDED`` says what a network cannot be used without, and
        :mod:`lowdose.denoisers.model_card` what a person may want to know.
    half : bool
        Store the weights as float16, half the size; the network is rounded to them.  Their
        steps (5e-4) are finer than those in which bfloat16 computes with them (4e-3).
    """
    tensors = {k: v.contiguous() for k, v in network.state_dict().items()}
    if half:
        tensors = {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}
        network.load_state_dict(tensors)
    with atomic_path(folder / WEIGHTS) as path:
        save_file(tensors, path)
    made = {"weights_sha256": file_digest(folder / WEIGHTS), "test_vector": vector_of(network)}
    write_text(folder / CARD, json.dumps({**card, **made}, indent=2, sort_keys=True) + "\n")


def load(
    folder: Path,
    name: str | None = None,
    *,
    bf16: bool | None = None,
    device: str = "auto",
    **options: Any,
) -> LearnedDenoiser:
    """Load a trained network.

    Parameters
    ----------
    folder : Path
        With ``model.safetensors`` and ``card.json``.
    name : str, optional
        Under which it appears in tables; by default that of its card.
    bf16 : bool, optional
        Compute in bfloat16; by default where the device has it.
    device : {"auto", "cpu", "cuda"}
        "auto" takes CUDA where there is one.
    **options
        ``tile_px`` and ``orientations`` of :class:`LearnedDenoiser`.

    Raises
    ------
    UserError
        If a file is missing or a pickle, the weights are not those that the card names, they
        do not fit the architecture, or the network does not give the answer of its card.
    """
    folder = Path(folder)
    if folder.suffix in (".pt", ".pth"):
        raise UserError(f"{folder} is {_pickle()}; name the folder of a trained network.")
    card = read_card(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        for path in sorted((*folder.glob("*.pt"), *folder.glob("*.pth"))):
            raise UserError(f"{path} is {_pickle()}; {folder} must hold {WEIGHTS}.")
        raise UserError(f"{folder} holds no {WEIGHTS}; train the network anew.")
    if file_digest(weights) != card["weights_sha256"]:
        raise UserError(f"{weights} is not the file that its card names; train the network anew.")
    network = _network(folder, card)
    _check_answer(folder, network, card)
    info = network_info(name or card["name"], card)
    bf16 = has_bf16(chosen_device(device).type) if bf16 is None else bf16
    own = card.get("own_pixel_size_nm")
    return LearnedDenoiser(
        network, info, own_pixel_size_nm=own, bf16=bf16, device=device, **options
    )


def _network(folder: Path, card: Mapping[str, Any]) -> nn.Module:
    try:
        network = build(card["architecture"], seed=0)
    except ValueError:
        raise UserError(
            f"{folder / CARD} names an architecture that this version does not have; use the "
            "version that it was trained with."
        ) from None
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, RuntimeError):
        raise UserError(f"{folder / WEIGHTS} does not fit the architecture of its card.") from None
    return network


def _check_answer(folder: Path, network: nn.Module, card: Mapping[str, Any]) -> None:
    """Refuse a network that computes something else than the one that was saved."""
    try:
        found = deviation(network, card["test_vector"])
    except ValueError:
        raise UserError(
            f"The test vector of {folder / CARD} cannot be read; train the network anew."
        ) from None
    if not found <= ANSWER_TOLERANCE:
        raise UserError(
            f"The network in {folder} misses the test vector of its card by {found:.2g} of the "
            f"vacuum ({ANSWER_TOLERANCE:g} is allowed); train it anew or use the version that it "
            "was trained with."
        )


def _pickle() -> str:
    return "a pickle, which can run any program when it is opened and is never loaded"
