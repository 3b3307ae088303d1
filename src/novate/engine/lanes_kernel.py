"""What an account has and needs, in float64: sums over its positions, equity, margins.

Owns: what ``model/margin.py`` says, on the flat arrays of ``lanes_layout.py``, with an error that
is bounded there. Money in wei. Loops
end: they run over an account's positions and its at most sixteen underlyings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import numba
import numpy as np

from novate.engine.book_memory import trailing_zeros
from novate.engine.lanes_layout import (
    BLEND,
    CAP_I,
    CAP_M,
    CHARGE,
    CONFIDENCE,
    CREDIT_I,
    CREDIT_M,
    DELTA,
    DEPTH_MAX,
    DEPTH_MAX_OLD,
    DOUBT,
    EQUITY,
    FAILS,
    FALL,
    FALLING,
    FLAGS,
    GRACE,
    GROSS,
    HAIRCUT_I,
    HAIRCUT_M,
    INITIAL,
    LOW,
    LOW_OLD,
    MAINTENANCE,
    MONEY,
    NOTIONAL,
    PASSES,
    PENALTY,
    PLACE_BITS,
    PLACE_MASK,
    PSR_I,
    PSR_M,
    RATIO,
    RISE,
    RISING,
    SPAN,
    SPAN_OLD,
    SPOT,
    SPOT_BIT,
    SPOTS,
    STALE_BIT,
    SUM_COLUMNS,
    THOUSAND_USD,
    TOLERANCE,
    TOLERANCE_SHARE,
    TOLERANCE_WEI,
    TOO_CLOSE,
    UNDERLYING_MASK,
    VALUE,
    WEIGHT,
    Reals,
    Words,
)

# Instruments, their words, underlyings, venue: what ``lanes_rows.Round`` holds
Tables: TypeAlias = tuple[Reals, Words, Reals, Reals]
Span: TypeAlias = tuple[int, int]  # where an account's positions begin, and how many they are
F = TypeVar("F", bound=Callable[..., Any])
U = np.uint64
ONE = U(1)
STALE_FLAG, GRACE_FLAG = 1.0, 2.0
PER_THOUSAND_USD = 1 / THOUSAND_USD


def inlined(function: F) -> F:
    """A kernel that is copied into its callers."""
    options: dict[str, Any] = {
        "error_model": "numpy",
        "nogil": True,
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
    }
    return cast(F, numba.njit(forceinline=True, **options)(function))


@inlined
def begin(sums: Reals, at: np.uint64) -> None:
    """Begin the sums of an underlying."""
    for column in range(SUM_COLUMNS):
        sums[at + U(column)] = 0.0


@inlined
def widen(sums: Reals, at: np.uint64, instruments: Reals, place: np.uint64) -> None:
    """Take in the doubt and deviation of one more instrument."""
    sums[at + U(DOUBT)] = max(sums[at + U(DOUBT)], instruments[place, U(CONFIDENCE)])
    sums[at + U(FALLING)] = max(sums[at + U(FALLING)], instruments[place, U(FALL)])
    sums[at + U(RISING)] = max(sums[at + U(RISING)], instruments[place, U(RISE)])


@inlined
def _depth(size: float, low: float, span: float, rate: float) -> float:
    """A liquidity charge: a ramp of size; ``low`` and ``span`` in thousands of USD."""
    above = size * PER_THOUSAND_USD - low
    if above <= 0.0:
        return 0.0
    return size * rate * (min(above, span) / span)


@inlined
def liquidity(underlyings: Reals, underlying: np.uint64, size: float) -> tuple[float, float]:
    """The liquidity charge for maintenance, in the blend of two sets of parameters, and the
    stricter one for initial margin.
    """
    end = _depth(
        size,
        underlyings[underlying, U(LOW)],
        underlyings[underlying, U(SPAN)],
        underlyings[underlying, U(DEPTH_MAX)],
    )
    if underlyings[underlying, U(BLEND)] >= 1.0:
        return end, end
    start = _depth(
        size,
        underlyings[underlying, U(LOW_OLD)],
        underlyings[underlying, U(SPAN_OLD)],
        underlyings[underlying, U(DEPTH_MAX_OLD)],
    )
    now = start + (end - start) * underlyings[underlying, U(BLEND)]
    return now, max(now, end)


@inlined
def adverse(delta: float, sums: Reals, at: np.uint64) -> float:
    """The penalty of one delta: the worst correction."""
    gap = sums[at + U(FALLING)] if delta > 0.0 else sums[at + U(RISING)]
    return float(abs(delta) * max(sums[at + U(DOUBT)], gap))


@inlined
def _gather(
    tables: Tables,
    positions: Words,
    span: Span,
    place: int,
    change: int,
    sums: Reals,
) -> tuple[np.uint64, float, float, float, float, float]:
    """Add up an account's positions, ``change`` lots more in ``place``: which underlyings it has,
    its linear and spot value, the size of the former, charges, and whether a price is stale.
    """
    instruments, words = tables[0], tables[1]
    first, count = span
    seen = U(0)
    linear = spot = worth = charges = stale = 0.0
    here = U(first)
    for number in range(count + 1):
        if number < count:
            word = positions[here]
            here += ONE
            held, lots = word & PLACE_MASK, word >> PLACE_BITS
            if held == place:
                lots += change
                change = 0
        else:
            held, lots = place, change
        if lots == 0:
            continue
        row = U(held)
        kind = words[row]
        underlying = U(kind & UNDERLYING_MASK)
        at = underlying * U(SUM_COLUMNS)
        if not (seen >> underlying) & ONE:
            seen |= ONE << underlying
            begin(sums, at)
        notional = lots * instruments[row, U(NOTIONAL)]
        sums[at + U(DELTA)] += notional
        sums[at + U(GROSS)] += abs(notional)
        widen(sums, at, instruments, row)
        charges += abs(notional) * instruments[row, U(CHARGE)]
        if kind & SPOT_BIT:
            sums[at + U(SPOTS)] += notional
            spot += notional
        else:
            value = lots * instruments[row, U(VALUE)]
            linear += value
            worth += abs(value)
        if kind & STALE_BIT:
            stale = STALE_FLAG
    return seen, linear, spot, worth, charges, stale


@inlined
def stand(
    tables: Tables,
    positions: Words,
    span: Span,
    place: int,
    change: int,
    money: float,
    sums: Reals,
    out: Reals,
) -> None:
    """What an account has and needs if ``change`` lots came to its position in ``place`` and its
    money were ``money``.
    """
    underlyings, venue = tables[2], tables[3]
    seen, linear, spot, worth, charges, flags = _gather(
        tables, positions, span, place, change, sums
    )
    scan_m = scan_i = base_m = base_i = cross_m = cross_i = 0.0
    liquid_m = liquid_i = haircut_m = haircut_i = penalty = weighed = 0.0
    added = charges
    if seen:
        flags += venue[U(GRACE)]
    while seen:
        underlying = trailing_zeros(seen)
        seen &= seen - ONE
        at = underlying * U(SUM_COLUMNS)
        delta = sums[at + U(DELTA)]
        size = abs(delta)
        range_m = size * underlyings[underlying, U(PSR_M)]
        range_i = size * underlyings[underlying, U(PSR_I)]
        credit_m = range_m * underlyings[underlying, U(CREDIT_M)]
        credit_i = range_i * underlyings[underlying, U(CREDIT_I)]
        scan_m += range_m
        scan_i += range_i
        base_m += credit_m
        base_i += credit_i
        cross_m += credit_m if delta > 0.0 else -credit_m
        cross_i += credit_i if delta > 0.0 else -credit_i
        now, strictest = liquidity(underlyings, underlying, size)
        liquid_m += now
        liquid_i += strictest
        added += size * sums[at + U(DOUBT)]
        penalty += adverse(delta, sums, at)
        haircut_m += sums[at + U(SPOTS)] * underlyings[underlying, U(HAIRCUT_M)]
        haircut_i += sums[at + U(SPOTS)] * underlyings[underlying, U(HAIRCUT_I)]
        weighed += sums[at + U(GROSS)] * underlyings[underlying, U(WEIGHT)]
    saving_m = min(max(base_m - abs(cross_m), 0.0), venue[U(CAP_M)])
    saving_i = min(max(base_i - abs(cross_i), 0.0), venue[U(CAP_I)])
    out[U(MONEY)] = money
    out[U(EQUITY)] = money + linear + spot
    out[U(SPOT)] = spot
    out[U(MAINTENANCE)] = scan_m - saving_m + added + liquid_m + haircut_m
    out[U(INITIAL)] = (scan_i - saving_i + added + liquid_i) * venue[U(RATIO)] + haircut_i
    out[U(PENALTY)] = penalty
    out[U(TOLERANCE)] = tolerance(weighed, worth, money)
    out[U(FLAGS)] = flags


@inlined
def tolerance(weighed: float, worth: float, money: float) -> float:
    """By how much a comparison may err: the bound of ``lanes_layout.py``."""
    return TOLERANCE_SHARE * (weighed + worth + abs(money)) + TOLERANCE_WEI


@inlined
def sign(amount: float, tolerance: float) -> int:
    """Whether an amount is at least zero."""
    if amount > tolerance:
        return PASSES
    if amount < -tolerance:
        return FAILS
    return TOO_CLOSE
