"""Least squares for eSSVI slices in coordinates in which every point is free of arbitrage.

Owns: the map from free coordinates to (theta, rho, psi) of all expiries, and the search. Float64
analytics. For expiries 1..n, nearest first, with p the larger of (1 + rho')/(1 + rho) and
(1 - rho')/(1 - rho) towards the nearer one (written with a prime), the calendar condition on rho
psi is psi >= p psi'; so theta = p theta' + e^t leaves room for psi between p psi' and the least of
psi' theta / theta' (phi must not rise), this slice's butterfly bound and what later slices need;
a logistic coordinate places psi there. Source: Mingone, "No arbitrage global parametrization for
the eSSVI volatility surface" (2022). The search is Gauss-Newton, damped after Marquardt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from novate.model.surface import RHO_MAX_PERCENT
from novate.risk.quotes import Floats, Quotes

RHO_LIMIT = RHO_MAX_PERCENT / 100 - 1e-6
SLACK = 1e-7  # each inequality is kept by this much, relatively, so that rounding keeps it
PSI_MIN = 1e-6  # below it the rounding of psi would no longer be small beside SLACK
THETA_RISE = 1 + 2 * SLACK  # so that psi, which rises by its ratio at least, lets phi fall
STEPS_MAX = 80
STEP_TOLERANCE = 1e-6  # relative fall of the squared error at which the search ends
DIFFERENCE = 1e-6  # of a coordinate, for the slopes
DAMPING_START, DAMPING_MAX = 1e-2, 1e8
EDGE = 1e-2  # a start is kept this far inside its interval, where the logistic has a slope
SKEW_STARTS = (-0.5, 0.0, 0.5)
EXACT = 1e-8  # mean squared error (0.01 volatility points) at which no other start is tried


@dataclass(frozen=True, slots=True)
class Parameters:
    """theta, rho and psi of all expiries, one array each, nearest first."""

    theta: Floats
    rho: Floats
    psi: Floats


def calibrate(quotes: Sequence[Quotes]) -> Parameters:
    """The surface nearest to the quotes in the mean square of volatility, free of arbitrage.

    Each expiry is fitted alone first. All together start from that, and from its mean skew: slices
    of one rho never contradict each other.
    """
    alone = [_alone(each) for each in quotes]
    start = Parameters(*(np.concatenate([getattr(p, n) for p in alone]) for n in _NAMES))
    level = replace(start, rho=np.full_like(start.rho, start.rho.mean()))
    return _best(quotes, (start, level))


_NAMES = ("theta", "rho", "psi")


def _best(quotes: Sequence[Quotes], starts: Iterable[Parameters]) -> Parameters:
    """The best fit over the starts, or the first that is as good as exact."""
    enough = EXACT * sum(len(each.k) for each in quotes)
    found: list[tuple[Parameters, float]] = []
    for start in starts:
        found.append(search(quotes, start))
        if found[-1][1] <= enough:
            break
    return min(found, key=lambda pair: pair[1])[0]


def _alone(quotes: Quotes) -> Parameters:
    """The best fit of one expiry over a few starts."""
    at_the_money = float(np.interp(0.0, quotes.k, quotes.volatility))
    theta = np.array([at_the_money**2 * quotes.years])
    starts = (Parameters(theta, np.array([rho]), np.sqrt(theta)) for rho in SKEW_STARTS)
    return _best([quotes], starts)


def search(quotes: Sequence[Quotes], start: Parameters) -> tuple[Parameters, float]:
    """The fit from one start, and its sum of squared errors."""
    slot = np.repeat(np.arange(len(quotes)), [len(each.k) for each in quotes])
    k = np.concatenate([each.k for each in quotes])
    years = np.array([each.years for each in quotes])[slot]
    target = np.concatenate([each.volatility for each in quotes])

    def errors(coordinates: Floats) -> Floats:
        at = from_coordinates(coordinates)
        variance = total_variance(at.theta[slot], at.rho[slot], at.psi[slot], k)
        distance: Floats = np.sqrt(variance / years) - target
        return distance

    coordinates, cost = _least_squares(errors, to_coordinates(start))
    return from_coordinates(coordinates), cost


def total_variance(theta: Floats, rho: Floats, psi: Floats, k: Floats) -> Floats:
    """Total variance at ``k``; twin of ``model/surface.py`` in float64, arrays of one length."""
    x = psi * k
    skew = rho * x
    return (theta + skew + np.sqrt(x * x + 2 * skew * theta + theta * theta)) / 2


def from_coordinates(coordinates: Floats) -> Parameters:
    """(3, n) flattened: log of theta's gain, inverse hyperbolic tangent of rho, logit of psi."""
    gain, skew, place = coordinates.reshape(3, -1)
    rho = RHO_LIMIT * np.tanh(skew)
    ratio = _ratios(rho)
    theta, psi = np.exp(np.clip(gain, -60, 10)), np.empty_like(rho)
    for i in range(1, len(rho)):
        theta[i] += theta[i - 1] * ratio[i] * THETA_RISE
    room = _rooms(theta, rho, ratio)
    share = (1 + np.tanh(place / 2)) / 2
    for i in range(len(rho)):
        low, high = _interval(i, theta, psi, ratio, room)
        psi[i] = low + share[i] * (high - low)
    return Parameters(theta, rho, psi)


def to_coordinates(start: Parameters) -> Floats:
    """Coordinates of the admissible point near ``start``: values outside their interval move in."""
    rho = np.clip(start.rho, -0.9, 0.9)
    ratio = _ratios(rho)
    gain, theta, place, psi = (np.empty_like(rho) for _ in range(4))
    for i in range(len(rho)):
        floor = theta[i - 1] * ratio[i] * THETA_RISE if i else 0.0
        gain[i] = max(start.theta[i] - floor, EDGE * start.theta[i])
        theta[i] = floor + gain[i]
    room = _rooms(theta, rho, ratio)
    for i in range(len(rho)):
        low, high = _interval(i, theta, psi, ratio, room)
        share = min(max((start.psi[i] - low) / (high - low), EDGE), 1 - EDGE)
        psi[i] = low + share * (high - low)
        place[i] = np.log(share / (1 - share))
    return np.concatenate([np.log(gain), np.arctanh(rho / RHO_LIMIT), place])


def _ratios(rho: Floats) -> Floats:
    """Least factor of psi, and of theta, from each expiry to the next; 1 for the first."""
    ratio = np.ones_like(rho)
    up = (1 + rho[:-1]) / (1 + rho[1:])
    down = (1 - rho[:-1]) / (1 - rho[1:])
    ratio[1:] = np.maximum(up, down) * (1 + 3 * SLACK)
    return ratio


def _rooms(theta: Floats, rho: Floats, ratio: Floats) -> Floats:
    """Upper bounds of psi: the butterfly conditions of the slice and of those after it."""
    skewed = 1 + np.abs(rho)
    room: Floats = np.minimum(4 / skewed, 2 * np.sqrt(theta / skewed)) * (1 - SLACK)
    for i in range(len(room) - 2, -1, -1):
        room[i] = min(room[i], room[i + 1] / ratio[i + 1])
    return room


def _interval(
    i: int, theta: Floats, psi: Floats, ratio: Floats, room: Floats
) -> tuple[float, float]:
    """Where psi of expiry ``i`` may lie, given those before it; never empty."""
    if i == 0:
        return float(min(PSI_MIN, room[0] / 2)), float(room[0])
    low = psi[i - 1] * ratio[i]
    falling = psi[i - 1] * theta[i] / theta[i - 1] * (1 - SLACK)
    return float(low), float(min(room[i], falling))


def _least_squares(errors: Callable[[Floats], Floats], at: Floats) -> tuple[Floats, float]:
    """Damped Gauss-Newton from ``at``; the point and its sum of squares, never above the start's.

    Ends when a step gains little, when no damping gives a gain, or after STEPS_MAX steps.
    """
    now = errors(at)
    cost = float(now @ now)
    damping = DAMPING_START
    for _ in range(STEPS_MAX):
        slopes = _slopes(errors, at, now)
        normal, pull = slopes.T @ slopes, slopes.T @ now
        scale = np.diag(np.diag(normal) + 1e-12 * (1 + np.trace(normal)))
        while damping < DAMPING_MAX:
            trial = at - np.linalg.solve(normal + damping * scale, pull)
            then = errors(trial)
            trial_cost = float(then @ then)
            if trial_cost < cost:
                break
            damping *= 4
        else:
            break
        small = cost - trial_cost < STEP_TOLERANCE * cost
        at, now, cost = trial, then, trial_cost
        damping = max(damping / 4, 1e-9)
        if small:
            break
    return at, cost


def _slopes(errors: Callable[[Floats], Floats], at: Floats, now: Floats) -> Floats:
    """Forward differences of every error by every coordinate."""
    columns = []
    for i in range(len(at)):
        moved = at.copy()
        moved[i] += DIFFERENCE
        columns.append((errors(moved) - now) / DIFFERENCE)
    return np.stack(columns, axis=1)
