"""Round lengths for scale bars, of figures and of pages that must not wait for matplotlib."""

from __future__ import annotations

import math


def nice_length(limit_nm: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten [nm] that is at most `limit_nm`."""
    power = 10.0 ** math.floor(math.log10(limit_nm))
    return max(m * power for m in (1, 2, 5) if m * power <= limit_nm * (1 + 1e-9))
