"""Trained networks for other programs: ONNX."""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lowdose.denoisers.cards import read_card
from lowdose.denoisers.checkpoints import load
from lowdose.runtime import UserError, atomic_path

# Optional: neither the study nor denoising needs them.
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# Frames and sides, in strides, at which the exported network is compared with the original.
SIZES = ((1, 4, 4), (2, 5, 9), (3, 12, 7))
TOLERANCE = 1e-4  # of the vacuum
# What a program needs to know before it shows the network an image.
OF_CARD = (
    *("name", "receptive_field_px", "own_pixel_size_nm", "pixel_size_nm", "dose_e_per_a2"),
    *("weights_sha256", "licence"),
)


def export(folder: Path, path: Path) -> float:
    """Write a trained network as ONNX and compare both.

    The model maps ``counts`` to ``expectation``, both float32 ``(batch, 1, height, width)`` and
    relative to the vacuum (counts per pixel over the vacuum's expected counts per pixel).  Batch
    and sides are free; the sides must be multiples of ``stride``.  Its metadata hold ``stride``
    and what `OF_CARD` names of the card, each as JSON.

    Parameters
    ----------
    folder : Path
        With ``model.safetensors`` and ``card.json``.
    path : Path
        The file to write, ``*.onnx``.

    Returns
    -------
    float
        Largest difference between onnxruntime and torch over three sizes of Poisson frames of
        0.45 e/pixel [vacuum].

    Raises
    ------
    UserError
        If a package is missing, the folder holds no network that can be loaded, ONNX cannot
        express it, the file cannot be written, or the two differ by more than `TOLERANCE`.
    """
    folder, path = Path(folder), Path(path)
    if path.suffix != ".onnx":
        raise UserError(f"{path} does not end with .onnx; write to {path.with_suffix('.onnx')}.")
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"The export needs {', '.join(missing)}, which this installation lacks; run: "
            f"pip install {' '.join(PACKAGES)}"
        )
    card = read_card(folder)
    network = load(folder, bf16=False, device="cpu").network
    network = network.to(memory_format=torch.contiguous_format)
    if any(type(module).__name__ == "Fourier" for module in network.modules()):
        raise UserError(
            f"The network in {folder} has Fourier blocks, which onnxruntime does not compute for "
            "free sizes; export one without."
        )
    program = _program(network)
    known = {"stride": network.stride, **{key: card[key] for key in OF_CARD if key in card}}
    program.model.metadata_props.update({k: json.dumps(v) for k, v in known.items()})
    with atomic_path(path) as partial:
        program.save(partial)
        difference = largest_difference(network, partial)
        if not difference <= TOLERANCE:
            raise UserError(
                f"The ONNX form of {folder} differs from it by {difference:.2g} of the vacuum "
                f"({TOLERANCE:g} is allowed); try another version of onnxruntime."
            )
    return difference


def largest_difference(network: nn.Module, path: Path) -> float:
    """Return the largest difference of the outputs of a network and of its ONNX file [vacuum]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    largest = 0.0
    for frames, rows, columns in SIZES:
        shape = (frames, 1, rows * network.stride, columns * network.stride)
        counts = (rng.poisson(0.45, shape) / 0.45).astype(np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(counts)).numpy()
        (found,) = session.run(["expectation"], {"counts": counts})
        largest = max(largest, float(np.abs(found - expected).max()))
    return largest


def _program(network: nn.Module):
    """Translate a network with free batch and sides."""
    stride, dim = network.stride, torch.export.Dim
    frames, rows, columns = SIZES[1]
    example = torch.zeros(frames, 1, rows * stride, columns * stride)
    free = {0: dim("batch"), 2: dim("height"), 3: dim("width")}
    if stride > 1:
        free |= {2: stride * dim("rows"), 3: stride * dim("columns")}
    # The exporter speaks of its own inner matters, on the screen and in its log.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.onnx.export(
            network, (example,), dynamo=True, dynamic_shapes=(free,), input_names=["counts"],
            output_names=["expectation"], verbose=False,
        )  # fmt: skip
