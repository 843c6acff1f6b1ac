"""Two states over time: which of them each frame shows, and how often they change.

A hidden Markov chain of two states, 0 and 1, with rates that all sites share (Rabiner, Proc. IEEE
77, 257, 1989).  All it needs of a frame is how much likelier it is in state 1 than in state 0: of
a column :func:`lowdose.columns.occupancy.site_log_ratio`, of a number :func:`gaussian_log_ratio`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from lowdose.runtime import UserError

_SURE = 300.0  # nat: a frame that says more says the same, and exp() of it is finite
_STEPS, _ARRIVED = 60, 1e-6
_TOGETHER = 16  # frames between logarithms
_GRID, _ROUNDS = 15, 4  # values of each rate, and finer grids around the maximum
_SLOWEST = 1e-2  # steps in all frames of all sites
_FASTEST = 4.0  # per frame: beyond it successive frames are independent to 2 %
_BEYOND = 3.0  # nat below the interval's limit that a grid still has to cover


@dataclass(frozen=True)
class Rate:
    """A rate of switching [1/s], its standard error and its confidence interval.

    `high` is infinite where the frames are too slow to set a limit, `low` 0 where the chain may
    never have switched; the standard error, from the curvature of the log-likelihood in the
    rate's logarithm, is then missing.
    """

    value: float
    se: float
    low: float
    high: float


@dataclass(frozen=True)
class Chain:
    """Two states over time.

    Attributes
    ----------
    up, down : float
        Probability per frame of the step 0 -> 1 and of 1 -> 0.
    start : float
        Probability of state 1 in the first frame.
    rate_up, rate_down : Rate
        The same as rates of a process in continuous time [1/s].
    posterior : array (frame, site)
        Probability of state 1, given all frames of the site.
    path : bool array (frame, site)
        The likeliest history as a whole (Viterbi).
    log_likelihood : array (site,)
        Of the fitted chain over that of state 0 in all frames [nat].
    """

    up: float
    down: float
    start: float
    rate_up: Rate
    rate_down: Rate
    posterior: np.ndarray
    path: np.ndarray
    log_likelihood: np.ndarray


def gaussian_log_ratio(
    values: np.ndarray, se: np.ndarray | float, means: tuple[float, float] = (0.0, 1.0)
) -> np.ndarray:
    """Return the log-likelihood ratio of state 1 against state 0 for values with normal errors.

    Parameters
    ----------
    values : array (frame,) or (frame, site)
    se : array like `values`, or float
        Standard errors, positive.
    means : (float, float)
        Of state 0 and state 1.

    Returns
    -------
    float64 array like `values`
        [nat]; 0 where a value is missing (NaN).
    """
    values, low, high = np.asarray(values, dtype=np.float64), *means
    ratio = (high - low) * (values - (low + high) / 2) / np.asarray(se, np.float64) ** 2
    return np.where(np.isfinite(ratio), ratio, 0.0)


def fit_chain(log_ratio: np.ndarray, frame_time_s: float, *, confidence: float = 0.95) -> Chain:
    """Fit a chain of two states to all sites: rates and histories.

    Parameters
    ----------
    log_ratio : array (frame,) or (frame, site)
        Log-likelihood of each frame in state 1 minus that in state 0 [nat]; 0 where a frame says
        nothing.  At least two frames.
    frame_time_s : float
        From one frame to the next [s].
    confidence : float
        Of the rates' intervals.

    Returns
    -------
    Chain
        With (frame, site) arrays; one site for a vector.

    Raises
    ------
    UserError
        If there are fewer than two frames, a value is not finite, or a number is impossible.

    Notes
    -----
    Baum and Welch's expectation maximisation over the probabilities per frame and that of the
    first frame.  Intervals are those of the profile likelihood of each rate of the process in
    continuous time, whose probability of the step 0 -> 1 within a frame is
    ``a / (a + b) (1 - exp(-(a + b) t))``, over the other rate up to four a frame: faster states
    than that pass between frames unseen.  The state is taken to be fixed while a frame lasts:
    frames as long as a state's dwell time mix both, and rates are then underestimated.
    """
    ratio = _ratio(log_ratio)
    if not frame_time_s > 0:
        raise UserError(f"The frame time is {frame_time_s} s; give a positive time.")
    if not 0 < confidence < 1:
        raise UserError(f"The confidence is {confidence}; give a number between 0 and 1.")
    drop = chi2.ppf(confidence, 1) / 2
    # From the likeliest rates, or the many small steps of the maximisation would not arrive.
    rough = np.array([rate.value for rate in _rates(ratio, 0.5, 1.0, drop)])
    up, down = steps_of(*np.clip(rough, 1e-3, 1.0))
    start = 0.5
    for _ in range(_STEPS):
        before = np.array([up, down, start])
        posterior, ups, downs = smooth(ratio, up, down, start)
        ones = posterior[:-1].sum()
        up = np.clip(ups / max(posterior[:-1].size - ones, 1e-300), 0.0, 1.0)
        down = np.clip(downs / max(ones, 1e-300), 0.0, 1.0)
        start = np.clip(posterior[0].mean(), 0.0, 1.0)
        if np.abs(np.array([up, down, start]) - before).max() < _ARRIVED:
            break
    posterior, *_ = smooth(ratio, up, down, start)
    rate_up, rate_down = _rates(ratio, start, frame_time_s, drop)
    return Chain(
        float(up), float(down), float(start), rate_up, rate_down,
        posterior, most_likely_path(ratio, up, down, start),
        chain_log_likelihood(ratio, up, down, start),
    )  # fmt: skip


def chain_log_likelihood(
    log_ratio: np.ndarray, up: np.ndarray | float, down: np.ndarray | float, start: float
) -> np.ndarray:
    """Return the log-likelihood of a chain over that of state 0 in all frames [nat].

    Parameters
    ----------
    log_ratio : array (frame, site)
    up, down : float or array (..., 1)
        Probabilities per frame of 0 -> 1 and 1 -> 0.
    start : float
        Probability of state 1 in the first frame.

    Returns
    -------
    float64 array (..., site)
    """
    ratio = _ratio(log_ratio)
    # Of a frame exp(ratio) : 1, scaled so that the greater is 1.
    one, zero = np.exp(np.minimum(ratio, 0)), np.exp(-np.clip(ratio, 0, _SURE))
    change = 1 - np.asarray(up, dtype=np.float64) - down
    shape = np.broadcast_shapes(change.shape, ratio.shape[1:])
    forecast = np.full(shape, start, dtype=np.float64)
    total, product, if1, norm = np.zeros(shape), np.ones(shape), np.empty(shape), np.empty(shape)
    for frame in range(len(ratio)):
        np.multiply(forecast, one[frame], out=if1)
        np.subtract(1, forecast, out=norm)
        norm *= zero[frame]
        norm += if1
        product *= norm
        np.divide(if1, norm, out=forecast)
        forecast *= change
        forecast += up
        if frame % _TOGETHER == _TOGETHER - 1:
            total += np.log(product)
            product.fill(1.0)
    return total + np.log(product) + np.maximum(ratio, 0).sum(axis=0)


def smooth(
    log_ratio: np.ndarray, up: float, down: float, start: float
) -> tuple[np.ndarray, float, float]:
    """Return what all frames say of each: forward and backward through a given chain.

    Parameters
    ----------
    log_ratio, up, down, start
        As :func:`chain_log_likelihood`.

    Returns
    -------
    posterior : array (frame, site)
        Probability of state 1.
    ups, downs : float
        Expected number of steps 0 -> 1 and 1 -> 0, over all sites.
    """
    ratio = _ratio(log_ratio)
    after = _forward(ratio, up, down, start)
    # Of having been in 1, given the next state (1 or 0) and the frames so far.
    with np.errstate(invalid="ignore", divide="ignore"):
        from_one = after * (1 - down) / (after * (1 - down) + (1 - after) * up)
        from_zero = after * down / (after * down + (1 - after) * (1 - up))
    from_one, from_zero = (np.nan_to_num(part[:-1], nan=0.0) for part in (from_one, from_zero))
    posterior = after.copy()
    for frame in range(len(after) - 2, -1, -1):
        one, zero = from_one[frame], from_zero[frame]
        posterior[frame] = zero + posterior[frame + 1] * (one - zero)
    ups = np.sum(posterior[1:] * (1 - from_one))
    downs = np.sum((1 - posterior[1:]) * from_zero)
    return posterior, float(ups), float(downs)


def most_likely_path(log_ratio: np.ndarray, up: float, down: float, start: float) -> np.ndarray:
    """Return the likeliest sequence of states of a given chain (Viterbi): bool (frame, site).

    Parameters as :func:`chain_log_likelihood`.
    """
    ratio = _ratio(log_ratio)
    with np.errstate(divide="ignore"):
        stay_0, rise, stay_1, fall = np.log([1 - up, up, 1 - down, down])
        best = np.stack([np.full(ratio.shape[1], np.log1p(-start)), np.log(start) + ratio[0]])
    came_from_1 = np.zeros((2, *ratio.shape), dtype=bool)
    for frame in range(1, len(ratio)):
        to_0 = np.stack([best[0] + stay_0, best[1] + fall])
        to_1 = np.stack([best[0] + rise, best[1] + stay_1])
        came_from_1[:, frame] = to_0[1] > to_0[0], to_1[1] > to_1[0]
        best = np.stack([to_0.max(axis=0), to_1.max(axis=0) + ratio[frame]])
    path = np.empty(ratio.shape, dtype=bool)
    path[-1] = best[1] > best[0]
    for frame in range(len(ratio) - 1, 0, -1):
        path[frame - 1] = np.where(path[frame], *came_from_1[::-1, frame])
    return path


def steps_of(
    rate_up: np.ndarray | float, rate_down: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities of 0 -> 1 and 1 -> 0 per frame, for rates per frame."""
    both = np.asarray(rate_up, dtype=np.float64) + rate_down
    share = -np.expm1(-both) / both
    return rate_up * share, rate_down * share


def _forward(ratio: np.ndarray, up: float, down: float, start: float) -> np.ndarray:
    """Return the probability of state 1 given the frames so far."""
    odds = np.exp(np.clip(ratio, -_SURE, _SURE))
    after = np.empty_like(ratio)
    forecast = np.full(ratio.shape[1], float(start))
    for frame in range(len(ratio)):
        if1 = forecast * odds[frame]
        after[frame] = if1 / (if1 + 1 - forecast)
        forecast = up + (1 - up - down) * after[frame]
    return after


def _rates(ratio, start, frame_time_s, drop) -> tuple[Rate, Rate]:
    """Return both rates with the intervals in which the profile likelihood falls by `drop`."""
    slowest, fastest = np.log(_SLOWEST / ratio.size), np.log(_FASTEST)
    ends = np.array([[slowest, fastest]] * 2)
    for number in range(_ROUNDS):
        axes = [np.linspace(*end, _GRID) for end in ends]
        up, down = steps_of(*np.exp(np.meshgrid(*axes, indexing="ij")))
        flat = chain_log_likelihood(ratio, up.reshape(-1, 1), down.reshape(-1, 1), start)
        surface = flat.sum(axis=1).reshape(up.shape)
        profiles = [_tops(surface), _tops(surface.T)]
        if number < _ROUNDS - 1:
            ends = np.array([_covering(*pair, drop) for pair in zip(axes, profiles, strict=True)])
    return tuple(
        _rate(axis, profile, drop, (slowest, fastest), frame_time_s)
        for axis, profile in zip(axes, profiles, strict=True)
    )


def _covering(axis: np.ndarray, profile: np.ndarray, drop: float) -> tuple[float, float]:
    """Return the part of an axis outside which the profile is too low to matter."""
    high = np.flatnonzero(profile > profile.max() - drop - _BEYOND)
    return axis[max(high[0] - 1, 0)], axis[min(high[-1] + 1, len(axis) - 1)]


def _tops(surface: np.ndarray) -> np.ndarray:
    """Return the maximum of each row, from the parabola through its three highest points."""
    best = np.clip(surface.argmax(axis=1), 1, surface.shape[1] - 2)
    row = np.arange(len(surface))
    left, middle, right = (surface[row, best + step] for step in (-1, 0, 1))
    bend = np.minimum(left + right - 2 * middle, -1e-300)
    shift = np.clip((left - right) / (2 * bend), -1, 1)
    return middle + (right - left) / 2 * shift + bend / 2 * shift**2


def _rate(axis, profile, drop, limits, frame_time_s) -> Rate:
    best = int(profile.argmax())
    if best in (0, len(axis) - 1):
        # At an end of what the frames can tell: no steps at all, or one in every frame.
        value, se, top = (0.0 if best == 0 else np.inf), np.nan, profile[best]
        middle = axis[best]
    else:
        left, top, right = profile[best - 1 : best + 2]
        step = axis[1] - axis[0]
        bend = left + right - 2 * top
        shift = (left - right) / (2 * bend)
        middle = axis[best] + shift * step
        top = top + (right - left) / 2 * shift + bend / 2 * shift**2
        value = np.exp(middle)
        se = value * step / np.sqrt(-bend)
    root = np.sqrt(np.maximum(top - profile, 0))
    below, above = axis < middle, axis > middle
    low = np.interp(-np.sqrt(drop), -root[below], axis[below]) if below.any() else limits[0]
    high = np.interp(np.sqrt(drop), root[above], axis[above]) if above.any() else limits[1]
    low = 0.0 if low <= limits[0] + 1e-9 else np.exp(low)
    high = np.inf if high >= limits[1] - 1e-9 else np.exp(high)
    return Rate(*(float(number / frame_time_s) for number in (value, se, low, high)))


def _ratio(log_ratio) -> np.ndarray:
    ratio = np.asarray(log_ratio, dtype=np.float64)
    ratio = ratio[:, None] if ratio.ndim == 1 else ratio
    if ratio.ndim != 2 or len(ratio) < 2 or not ratio.shape[1]:
        raise UserError(
            f"The log-likelihood ratios have shape {np.shape(log_ratio)}; give (frame, site) with "
            "two frames or more."
        )
    if not np.isfinite(ratio).all():
        raise UserError("A log-likelihood ratio is not finite; give 0 where a frame says nothing.")
    return ratio
