"""What a network can be adapted by, given one noisy image and no clean one.

Each loss has, up to a constant, the mean of a squared error that cannot be measured.  All take
an estimator, images (n, 1, y, x) in its units, and return a scalar that can be differentiated.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

Estimator = Callable[[torch.Tensor], torch.Tensor]

# Of the noise: the step of the divergence.  Small enough for a network to be linear over it, and
# large enough for its answer to differ by more than bfloat16 rounds.
PROBE_STEP = 0.3


def blind_spot(
    estimator: Estimator, image: torch.Tensor, replaced: torch.Tensor, chosen: torch.Tensor
) -> torch.Tensor:
    """Return the mean squared difference from pixels that the estimator was not shown.

    Given the rest of the image, such a pixel's noise is independent of the estimate, so that the
    mean is the squared error there, plus the noise's variance (Batson and Royer 2019,
    arXiv:1901.11365; Krull et al. 2019, arXiv:1811.10980).  It needs no dose.

    Parameters
    ----------
    estimator : callable
    image : tensor (n, 1, y, x)
        Noisy.
    replaced : tensor, same shape
        What the estimator is shown (:func:`lowdose.denoisers.adaptation.observation.without`).
    chosen : tensor, same shape, bool
        Pixels to compare, all of them replaced; 0 is returned where there are none.

    Returns
    -------
    tensor, scalar
    """
    difference = torch.where(chosen, estimator(replaced) - image, 0)
    return difference.square().sum() / chosen.sum().clamp(min=1)


def unbiased_risk(
    estimator: Estimator, image: torch.Tensor, probe: torch.Tensor, step: float = PROBE_STEP
) -> torch.Tensor:
    """Return the unbiased risk: PURE for Poisson counts, SURE for Gaussian noise.

    Let x = y / d be Poisson counts over the dose, c = E x, f the estimator, and f-(y) its value
    at each pixel with one electron of that pixel taken away.  For a Poisson y of mean m,
    ``E[y h(y - 1)] = m E[h(y)]`` for any h, so that

        ``mean(f^2) - 2 mean(x f-)``  has the expectation  ``E mean((f - c)^2) - mean(c^2)``

    exactly.  To first order an electron changes a pixel by ``f_i - f-_i = (1 / d) df_i / dx_i``,
    which gives ``mean(f^2) - 2 mean(x f) + (2 / N) sum_i V_i df_i / dx_i`` with V_i = x_i / d, the
    estimate that the counts give of their own variance (Luisier, Blu and Unser 2010, Signal
    Process. 90, 415; Le Montagner, Angelini and Olivo-Marin 2014, IEEE Trans. Image Process. 23,
    2750).  With V_i = sigma^2 it is Stein's risk (Stein 1981), exact for Gaussian noise.

    The sum is the trace of V times the Jacobian, of which ``u . (f(x + t u) - f(x)) / t`` is an
    estimate for random u of covariance V (Ramani, Blu and Unser 2008); u has symmetric signs, so
    that the terms of even order in t have the mean 0.  Noise that is correlated, since counts were
    resampled, is treated alike: u has its covariance.

    Parameters
    ----------
    estimator : callable
    image : tensor (n, 1, y, x)
        Noisy, x.
    probe : tensor, same shape
        u (:meth:`lowdose.denoisers.adaptation.observation.Observation.probe`).
    step : float
        t.

    Returns
    -------
    tensor, scalar
        The mean squared error less ``mean(c^2)``, in expectation.
    """
    here, there = estimator(torch.cat([image, image + step * probe])).chunk(2)
    divergence = probe * (there - here) / step
    return (here.square() - 2 * image * here + 2 * divergence).mean()


def noise_resampling(
    estimator: Estimator, estimate: torch.Tensor, redrawn: torch.Tensor
) -> torch.Tensor:
    """Return the squared error on an image that is known, since it is the estimate itself.

    Mohan et al., NeurIPS 2021 (arXiv:2107.12815).  As far as the estimate shows what the image is
    like, the network is adapted to images like it.

    Parameters
    ----------
    estimator : callable
    estimate : tensor (n, 1, y, x)
        Of the network before it is adapted; taken to be the truth.
    redrawn : tensor, same shape
        Another noisy image of it
        (:meth:`lowdose.denoisers.adaptation.observation.Observation.redrawn`).

    Returns
    -------
    tensor, scalar
    """
    return functional.mse_loss(estimator(redrawn), estimate)
