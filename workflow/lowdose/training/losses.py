"""Losses: what a network's output is compared with, in units relative to the vacuum."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

# Least expectation that the logarithm sees, relative to the vacuum (DESIGN section 3).
FLOOR = 1e-3

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def poisson(output: torch.Tensor, expectation: torch.Tensor) -> torch.Tensor:
    """Return the Poisson deviance of an estimate from the clean expectation.

    Mean over pixels of ``r - c + c ln(c / r)``: the Kullback-Leibler divergence of two Poisson
    laws per electron of the vacuum's dose (Cameron and Trivedi 2013, section 5.3.2, without the
    factor 2).  The dose itself does not weight it, or bright frames would own the loss.  Near the
    truth it is ``(r - c)^2 / (2 c)``: dark pixels count more than under the squared error.

    Below `FLOOR` the curve is continued by its tangent, so that an output that is zero or negative
    is still pushed upwards; the whole is convex and smooth.

    Parameters
    ----------
    output : tensor
        The network's estimate r, vacuum = 1, any value.
    expectation : tensor, same shape
        The truth c, vacuum = 1; values below `FLOOR` count as `FLOOR`.

    Returns
    -------
    tensor, scalar
        0 at the truth, else positive.
    """
    c = expectation.clamp(min=FLOOR)
    r = output.clamp(min=FLOOR)
    # Zero above the floor; clamp() has no gradient below it, so this term carries it there.
    below = (output - FLOOR).clamp(max=0)
    return (r - c + torch.xlogy(c, c / r) + (1 - c / FLOOR) * below).mean()


def counts_likelihood(output: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return the negative Poisson log-likelihood of counts, per electron of the vacuum's dose.

    Mean over pixels of ``r - n ln r``, without the terms that do not depend on the estimate; the
    expectation over the noise is least where r is the clean expectation.  It teaches a network
    that does not see the pixel itself (Krull et al. 2020); any other learns to repeat the counts.

    Parameters
    ----------
    output : tensor
        Estimate r, vacuum = 1; values below `FLOOR` count as `FLOOR`.
    counts : tensor, same shape
        Counts n over the dose.

    Returns
    -------
    tensor, scalar
    """
    r = output.clamp(min=FLOOR)
    return (r - counts * r.log()).mean()


LOSSES: dict[str, Loss] = {
    "mse": functional.mse_loss,
    "poisson": poisson,
    "counts": counts_likelihood,
}
OF_COUNTS = frozenset({"counts"})  # losses that compare with the noisy counts, not with the truth
