"""Applies one pretrained model of Topaz-Denoise to the arrays that come on standard input.

A script that the Python of .venv-topaz runs (``python -I topaz_worker.py MODEL``): it imports
nothing of this package, and the package imports it only to know its path.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import sys

PATCH_PX, PADDING_PX = 1024, 500  # of `topaz denoise`, where a frame is larger than both together


def main(model: str) -> None:
    """Answer each array (y, x), float32, with the denoised one, until standard input ends."""
    # What topaz prints must not get among the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # Ctrl-C is for the owner of this process, who closes the pipe when it is time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    framing = runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "framing.py"))

    import torch
    from topaz.denoise import Denoise, denoise_image

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.use_deterministic_algorithms(True)
    denoiser = Denoise(model, use_cuda=False)
    while True:
        try:
            _, array = framing["receive"](sys.stdin.buffer)
        except EOFError:
            return
        try:
            result = denoise_image(array, [denoiser], patch_size=PATCH_PX, padding=PADDING_PX)
        except (MemoryError, RuntimeError) as error:  # torch has no other name for a full memory
            framing["send"](answers, {"error": str(error).strip().split("\n")[0]})
        else:
            framing["send"](answers, {}, result)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # the owner is gone
        main(*sys.argv[1:])
