"""Implied volatility: the least volatility at which Black-76 gives a price. Off chain only.

Owns: the inverse of ``pricing.otm_ratio`` in v = σ√T. Integers throughout and the functions that
price, so that a price made from a volatility leads back to it as closely as its last wei allows.
Units: wad outside, x96 inside, seconds. Rounding: up, so that the volatility found gives at least
the price. No interest: divide a discounted price by its discount factor first.
Method: Newton's on ln(value), which is concave in v, inside a bracket that halves where a step
would leave it, and every third time (Numerical Recipes, section 9.4, "safe" Newton).
"""

from __future__ import annotations

from math import isqrt

from novate.errors import NoImpliedVolatility, OutOfBounds, require
from novate.model.pricing import (
    MONEY_MAX,
    ONE,
    SECONDS_MAX,
    VOLATILITY_MAX,
    log_ratio,
    normal_pdf,
    otm_ratio,
    root_time,
)
from novate.units import WAD, div_down, div_up, div_zero

# At v = 64 every option within the bounds is worth its forward or strike.
V_MAX = 64 * ONE
# Every third step halves a bracket of 2**102.
STEPS_MAX = 3 * 103
# A step this small changes sides: the next guess is beyond the root.
SMALL = 2**48


def implied_volatility(price: int, forward: int, strike: int, seconds: int, is_call: bool) -> int:
    """The least volatility, wad, that gives at least this undiscounted price, all in wad; zero for
    the intrinsic value.

    Errors: ``OutOfBounds`` (forward, strike, seconds), ``NoImpliedVolatility`` (below the intrinsic
    value; a call not below its forward or a put not below its strike; more than the intrinsic value
    without time; a volatility beyond ``VOLATILITY_MAX``).
    """
    inside = max(forward, strike) <= MONEY_MAX and 0 <= seconds <= SECONDS_MAX
    require(inside and min(forward, strike) > 0, OutOfBounds)
    low = min(forward, strike)
    otm = price - max(forward - strike if is_call else strike - forward, 0)
    require(0 <= otm < low, NoImpliedVolatility)
    if otm == 0:
        return 0
    require(seconds > 0, NoImpliedVolatility)
    v = _total_volatility(abs(log_ratio(forward, strike)), div_up(otm << 96, low))
    sigma = div_up(v * WAD, root_time(seconds))
    require(sigma <= VOLATILITY_MAX, NoImpliedVolatility)
    return sigma


def _total_volatility(k: int, target: int) -> int:
    """The least v with ``otm_ratio(k, v)`` ≥ target; k ≥ 0 and 0 < target ≤ 1, x96."""
    below, reached = 0, V_MAX
    v = max(isqrt(2 * k << 96), ONE >> 4)
    for step in range(STEPS_MAX):
        value = otm_ratio(k, v)
        if value >= target:
            reached = v
        else:
            below = v
        if reached - below <= 1:
            break
        v += _newton_step(k, v, value, target)
        if step % 3 == 2 or not below < v < reached:
            v = (below + reached) >> 1
    return reached


def _newton_step(k: int, v: int, value: int, target: int) -> int:
    """The way to the root by d ln(value)/dv = φ(d)/value; doubled and one more when it is small, so
    that the bracket closes from both sides. Leaves the bracket where there is no slope.
    """
    slope = normal_pdf((v >> 1) - div_down(k << 96, v))
    if slope == 0 or value == 0:
        return V_MAX
    step = div_zero(log_ratio(target, value) * value, slope)
    if abs(step) < SMALL:
        return 2 * step + (1 if target > value else -1)
    return step
