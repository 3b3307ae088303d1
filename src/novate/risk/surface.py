"""The volatility surface off chain: fit it to quotes, judge one that another node proposes, and
step towards one that the rate limit keeps out of reach.

Owns: from the quotes of all expiries to one packed word each that together pass the integer gate of
``model/surface.py``. Float64 analytics, no money is decided here: what counts is the words, and
every one is checked in integers. Units: volatility as a fraction a year of 365 days, errors in
volatility points (percent), k = ln(K/F).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from novate.errors import QuotesTooFew, Rejected, SurfaceNotHonest, require
from novate.model import surface
from novate.model.surface import ONE, RHO_ONE, SCALE_BITS, YEAR_S, Slice
from novate.risk.calibration import Parameters, calibrate
from novate.risk.quotes import QUOTES_PER_EXPIRY_MIN, Floats, Quotes

WINDOW_DEVIATIONS = 3.0  # quotes further from the forward are left out of the fit
PASSED = "passed"
AGREEMENT_POINTS = 13  # strikes at which two slices are compared, evenly over the own quotes
AGE_DIFFERENCE_MAX_S = 60
APPROACH_STEPS = 64
THETA_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Fitted:
    """The quotes that were fitted, by expiry, and the word of each."""

    quotes: tuple[Quotes, ...]
    words: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SliceFit:
    """One expiry: its word, how many quotes it was fitted to, the root mean square error in
    volatility points, and ``passed`` or the name of the gate's rejection.
    """

    word: int
    quotes_used: int
    rmse_points: float
    verdict: str


def fitted(quotes: Sequence[Quotes]) -> Fitted:
    """The surface of all expiries that have enough quotes in the window, nearest first.

    The quotes are of one underlying at one time, ascending by expiry. Raises QuotesTooFew when no
    expiry is left.
    """
    used = usable(quotes)
    return Fitted(tuple(used), quantise(calibrate(used), used))


def fit(quotes: Sequence[Quotes]) -> tuple[SliceFit, ...]:
    """The same slice by slice, each with how well it fits. Raises QuotesTooFew."""
    found = fitted(quotes)
    verdicts = gate_verdicts(found.words)
    return tuple(
        SliceFit(word, len(each.k), rmse_points(word, each), verdict)
        for word, each, verdict in zip(found.words, found.quotes, verdicts, strict=True)
    )


def usable(quotes: Sequence[Quotes]) -> list[Quotes]:
    """The expiries with enough quotes in the window, and of each those quotes."""
    near = [each.within(WINDOW_DEVIATIONS) for each in quotes]
    used = [each for each in near if len(each.k) >= QUOTES_PER_EXPIRY_MIN]
    require(bool(used), QuotesTooFew, "no expiry is left")
    return used


def quantise(parameters: Parameters, quotes: Sequence[Quotes]) -> tuple[int, ...]:
    """The packed words, each field rounded to its nearest unit; a theta too large for its field
    becomes the largest, which the gate refuses.
    """
    columns = (parameters.theta.tolist(), parameters.psi.tolist(), parameters.rho.tolist())
    return tuple(
        surface.pack(
            Slice(
                theta=min(round(theta * ONE), THETA_MAX),
                psi=round(psi * ONE),
                rho=round(rho * RHO_ONE),
                expiry=each.expiry,
                timestamp=each.timestamp,
            )
        )
        for theta, psi, rho, each in zip(*columns, quotes, strict=True)
    )


def check(words: Sequence[int]) -> None:
    """Refuse a surface, nearest expiry first, of which a word fails the integer gate."""
    previous = 0
    for word in words:
        surface.gate(word, previous)
        previous = word


def gate_verdicts(words: Sequence[int]) -> tuple[str, ...]:
    """Per word ``passed`` or the name of the rejection by the integer gate."""
    verdicts = []
    for previous, word in zip((0, *words[:-1]), words, strict=True):
        try:
            surface.gate(word, previous)
        except Rejected as rejection:
            verdicts.append(rejection.error.name)
        else:
            verdicts.append(PASSED)
    return tuple(verdicts)


def volatilities(word: int, k: Floats) -> Floats:
    """Implied volatilities of a word at ``k``, from the integer total variance."""
    years = surface.unpack(word).tenor / YEAR_S
    scale = 1 << SCALE_BITS
    variances = [surface.total_variance(word, int(each * scale)) / scale for each in k.tolist()]
    deviations: Floats = np.sqrt(np.array(variances) / years)
    return deviations


def rmse_points(word: int, quotes: Quotes) -> float:
    """Root mean square difference to the quotes in volatility points."""
    difference = volatilities(word, quotes.k) - quotes.volatility
    return 100 * math.sqrt(float(np.mean(difference**2)))


def agrees(words: Sequence[int], own: Fitted, tolerance_points: float) -> None:
    """Refuse to sign a proposed surface, nearest expiry first, that is not what this node sees.

    It must pass the gate, be of the same expiries as the node's own quotes and at most a minute
    from them, and over the range of those quotes stay within ``tolerance_points`` volatility points
    of the surface the node fits itself. Raises what the gate raises, and SurfaceNotHonest.
    """
    check(words)
    proposed = [surface.unpack(word) for word in words]
    expiries = [each.expiry for each in own.quotes]
    require([s.expiry for s in proposed] == expiries, SurfaceNotHonest, "other expiries")
    for word, mine, quotes in zip(words, own.words, own.quotes, strict=True):
        age = abs(surface.unpack(word).timestamp - quotes.timestamp)
        require(age <= AGE_DIFFERENCE_MAX_S, SurfaceNotHonest, f"{age} s from the own quotes")
        k = np.linspace(quotes.k[0], quotes.k[-1], AGREEMENT_POINTS)
        apart = 100 * float(np.max(np.abs(volatilities(word, k) - volatilities(mine, k))))
        text = f"expiry {quotes.expiry}: {apart:.2f} volatility points from the own quotes"
        require(apart <= tolerance_points, SurfaceNotHonest, text)


def approach(old: Sequence[int], target: Sequence[int]) -> tuple[int, ...]:
    """The surface furthest on the way from ``old`` to ``target`` that gate and rate limit allow.

    ``old`` is the accepted surface; what has expired or is new since then is taken from ``target``
    alone. The old slices age to the target's time first. Raises the last rejection when no step
    passes.
    """
    before = {surface.unpack(word).expiry: word for word in old}
    for step in range(APPROACH_STEPS, -1, -1):
        words = tuple(
            _between(before[s.expiry], s, step) if s.expiry in before else surface.pack(s)
            for s in map(surface.unpack, target)
        )
        try:
            check(words)
            for word in words:
                surface.within_rate(before.get(surface.unpack(word).expiry, 0), word)
        except Rejected:
            if step == 0:
                raise
        else:
            break
    return words


def _between(old: int, new: Slice, step: int) -> int:
    """The word ``step`` of APPROACH_STEPS from the aged old slice to the new one.

    On the line of theta, psi and rho psi, where the calendar conditions but for phi's are straight.
    """
    past = surface.unpack(old)
    before, after = new.tenor * (APPROACH_STEPS - step), past.tenor * step
    whole = past.tenor * APPROACH_STEPS
    theta = past.theta * before + new.theta * after
    psi = past.psi * before + new.psi * after
    skew = past.rho * past.psi * before + new.rho * new.psi * after
    return surface.pack(
        replace(new, theta=theta // whole, psi=psi // whole, rho=skew // max(psi, 1))
    )
