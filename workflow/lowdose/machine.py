"""What a result owes to the machine that computes it: processor, threads, device."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from lowdose.runtime import THREAD_VARIABLES


def processor_model() -> str:
    """Name the processor, e.g. ``AMD EPYC 7763 64-Core Processor``."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    # Of macOS and Windows; Linux on other processors than x86 names none in that file.
    return platform.processor() or platform.machine() or "unknown processor"


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_in_force() -> dict[str, int | str]:
    """Return the threads of the libraries that this process has loaded, as they say themselves.

    Returns
    -------
    dict
        The environment variables that are set (as numbers where they are numbers), and what
        ``torch`` and ``numba`` answer, if they are loaded.
    """
    found: dict[str, int | str] = {}
    for name in THREAD_VARIABLES:
        if value := os.environ.get(name):
            found[name] = int(value) if value.isdecimal() else value
    if (torch := sys.modules.get("torch")) is not None:
        found["torch"] = int(torch.get_num_threads())
        found["torch interop"] = int(torch.get_num_interop_threads())
    if (numba := sys.modules.get("numba")) is not None:
        found["numba"] = int(numba.get_num_threads())
    return found


def cuda_device() -> str | None:
    """Name the GPU if this process has used one, else None."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return str(torch.cuda.get_device_name())
