"""What every command needs from the machine: errors in words, threads, atomic files."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


class UserError(Exception):
    """A mistake that the user can mend.

    The message is one sentence that says what is wrong, where, and what to do; the command
    line prints it without a traceback and exits with code 2.
    """


def fix_threads(threads: int) -> None:
    """Fix the number of threads of every numeric library of this process.

    Call before NumPy or torch is imported: the libraries read these variables when they
    load.  A fixed count is part of what makes a run repeatable, since it fixes the order of
    floating-point sums.

    Parameters
    ----------
    threads : int
        Number of threads, at least 1.

    Raises
    ------
    UserError
        If `threads` is below 1.
    """
    if threads < 1:
        raise UserError(f"--threads is {threads}; give 1 or more.")
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    os.environ["OMP_DYNAMIC"] = "FALSE"
    os.environ["MKL_DYNAMIC"] = "FALSE"


def fix_torch(threads: int) -> None:
    """Fix torch's threads and ask it for deterministic algorithms."""
    import torch

    torch.set_num_threads(threads)
    with contextlib.suppress(RuntimeError):  # only before the first parallel region
        torch.set_num_interop_threads(1)
    # Without it, cuBLAS refuses to be deterministic; read when the first CUDA context is made.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # What use_deterministic_algorithms(True) sets, without the compiler that it imports: 1.4 s.
    torch.set_deterministic_debug_mode("error")
    # It also fills each new tensor, lest someone reads what was never written: 8 % of a training.
    torch.utils.deterministic.fill_uninitialized_memory = False


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch compute on one thread for a while: several frames side by side are faster so."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def has_bf16(device: str = "cpu") -> bool:
    """Say whether a device, "cpu" or "cuda", computes in bfloat16 (AVX-512 BF16, AMX, Ampere)."""
    import torch

    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an error of torch or NumPy means that memory is full."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # The processor's allocator has no exception of its own.
    words = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success it replaces `target` in one step.

    A reader sees the old file or the whole new one, never half of it, whatever kills the
    writer.  Two writers at once are harmless: each has its own temporary file.

    Parameters
    ----------
    target : path
        The file to write; missing parent folders are made.

    Raises
    ------
    UserError
        If the folder cannot be written or the disk is full.
    """
    target = Path(target)
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}.", suffix=f".partial{target.suffix}", dir=target.parent
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # mkstemp makes files private; results are as readable as any other file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        raise translated(error, target) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(target: str | os.PathLike, text: str) -> None:
    """Write `text` to `target` atomically (UTF-8)."""
    with atomic_path(target) as path:
        path.write_text(text, encoding="utf-8")


def translated(error: OSError, target: Path) -> UserError | OSError:
    """Turn the file-system errors that users meet into sentences; others pass unchanged."""
    message = str(error).lower()
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "no space left" in message:
        return UserError(
            f"The disk is full while writing {target}; free some space and run again "
            "(finished results are kept)."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UserError(
            f"{target.parent} cannot be written; make the folder writable, or run in a copy "
            "of the project that you own."
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return UserError(
            f"{target} cannot be written because a file or folder of that name is in the way; "
            "move it aside and run again."
        )
    return error
