"""Lengths and frequencies of discrete Fourier transforms."""

from __future__ import annotations

import torch


def fast_length(n: int) -> int:
    """Return the smallest length of at least n whose prime factors are 2, 3 and 5."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def low_frequencies(n: int, m: int) -> torch.Tensor:
    """Return the places of the frequencies 0..m, -m..-1 in an FFT of length n >= 2 m + 1."""
    return torch.cat([torch.arange(m + 1), torch.arange(n - m, n)])
