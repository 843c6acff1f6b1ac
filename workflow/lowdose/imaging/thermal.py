"""What thermal vibration makes of an atom: the effective potential of its mean transmission."""

from __future__ import annotations

import functools

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import j0

from lowdose.imaging.scattering import parametrization_of

RADII = (1e-6, 14.0)  # Å: the potential's logarithmic middle, and where 1e-6 of it is left
PANELS, NODES = 160, 12  # Gauss-Legendre quadrature on logarithmic panels
HIGHEST = 12.0  # 1/Å; what vibrating atoms scatter beyond it cannot be seen


@functools.lru_cache(maxsize=64)
def effective_phase(
    symbol: str, parametrization: str, displacement: float, sigma: float
) -> tuple[CubicSpline, CubicSpline]:
    """Return the effective phase of a vibrating atom in Fourier space.

    An atom whose place is normally distributed transmits on average
    ``t(r) = 1 + <exp(i sigma v) - 1>``, the convolution with its distribution.  Atoms that
    vibrate independently (Einstein model) transmit the product of theirs, so that
    ``-i ln t = p(r) + i q(r)`` adds up over the atoms as a potential does: its real part turns
    the phase, its imaginary part takes away the electrons that scatter with a phonon.  Smearing
    the potential (``p = sigma v`` smeared, ``q = 0``) is its first order.  Compare Hall and
    Hirsch, Proc. R. Soc. A 286, 158 (1965), for the absorptive form of the Bragg beams.

    Parameters
    ----------
    symbol : str
        Element.
    parametrization : str
        "lobato" or "kirkland".
    displacement : float
        rms displacement along one axis, above 0 [Å].
    sigma : float
        Interaction parameter [rad / (V Å)].

    Returns
    -------
    (CubicSpline, CubicSpline)
        Two-dimensional Fourier transforms of p and q [rad Å^2] as functions of k [1/Å], valid
        up to `HIGHEST`.
    """
    r, weight = _radii()
    potential = parametrization_of(parametrization).projected_potential(symbol)(r)
    atom = np.exp(1j * sigma * potential)
    # Fourier components above this are smeared to less than 1e-9.
    k_end = np.sqrt(np.log(1e9) / (2 * np.pi**2)) / displacement
    k, k_weight = _uniform(k_end, 700)
    bessel = j0(2 * np.pi * np.outer(r, k))
    series = (atom - 1) * weight @ bessel * np.exp(-2 * (np.pi * displacement * k) ** 2)
    mean = 1 + bessel @ (series * k_weight)
    effective = -1j * np.log(mean)
    k = np.linspace(0.0, HIGHEST, 700)
    values = effective * weight @ j0(2 * np.pi * np.outer(r, k))
    return CubicSpline(k, values.real), CubicSpline(k, values.imag)


def _radii() -> tuple[np.ndarray, np.ndarray]:
    """Return radii and the weights of ``integral 2 pi r dr``."""
    edges = np.concatenate([[0.0], np.geomspace(*RADII, PANELS + 1)])
    return _panels(edges)


def _uniform(end: float, panels: int) -> tuple[np.ndarray, np.ndarray]:
    return _panels(np.linspace(0.0, end, panels // NODES + 1))


def _panels(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    points = (middle[:, None] + half[:, None] * nodes).ravel()
    return points, 2 * np.pi * points * (half[:, None] * weights).ravel()
