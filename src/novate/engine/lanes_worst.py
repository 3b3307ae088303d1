"""Open orders at their worst, in float64 (``model/open_margin.py``).

Money in wei; the error is bounded in ``lanes_layout.py``.
"""

from __future__ import annotations

import numpy as np

from novate.engine.book_memory import trailing_zeros
from novate.engine.lanes_kernel import (
    ONE,
    Span,
    Tables,
    U,
    adverse,
    begin,
    inlined,
    liquidity,
    tolerance,
    widen,
)
from novate.engine.lanes_layout import (
    BUYS,
    CAP_I,
    CHARGE,
    CREDIT_I,
    DELTA,
    DOUBT,
    GROSS,
    HAIRCUT_I,
    HIGH,
    NOTIONAL,
    PLACE_BITS,
    PLACE_MASK,
    PSR_I,
    RATIO,
    REDUCING_BUYS,
    REDUCING_SELLS,
    SELLS,
    SPOT_BIT,
    SPOTS,
    SUM_COLUMNS,
    UNDERLYING_MASK,
    VALUE,
    WEIGHT,
    Reals,
    Words,
)


@inlined
def _ends(
    orders: Words, here: np.uint64, lots: int, column: int, more: int
) -> tuple[bool, float, float]:
    """Where a position of ``lots`` may end by its open orders and ``more`` in one column of them,
    as ``Reach.around``; and whether there is any.
    """
    buys = orders[here, U(BUYS)] + (more if column == BUYS else 0)
    sells = orders[here, U(SELLS)] + (more if column == SELLS else 0)
    buys_back = orders[here, U(REDUCING_BUYS)] + (more if column == REDUCING_BUYS else 0)
    sells_off = orders[here, U(REDUCING_SELLS)] + (more if column == REDUCING_SELLS else 0)
    lowest = lots - sells - min(sells_off, max(lots, 0))
    highest = lots + buys + min(buys_back, max(-lots, 0))
    there = lots != 0 or buys != 0 or sells != 0 or buys_back != 0 or sells_off != 0
    return there, float(lowest), float(highest)


@inlined
def _gather_ends(
    tables: Tables,
    positions: Words,
    orders: Words,
    span: Span,
    place: int,
    column: int,
    more: int,
    sums: Reals,
) -> tuple[np.uint64, float, float, float]:
    """Add up both ends of an account's positions: which underlyings it has, the value of what it
    holds now, the size of that, and charges.
    """
    instruments, words = tables[0], tables[1]
    first, count = span
    seen = U(0)
    value = worth = charges = 0.0
    for number in range(count):
        here = U(first + number)
        held, lots = positions[here] & PLACE_MASK, positions[here] >> PLACE_BITS
        there, lowest, highest = _ends(orders, here, lots, column, more if held == place else 0)
        if not there:
            continue
        row = U(held)
        kind = words[row]
        underlying = U(kind & UNDERLYING_MASK)
        at = underlying * U(SUM_COLUMNS)
        if not (seen >> underlying) & ONE:
            seen |= ONE << underlying
            begin(sums, at)
        low = lowest * instruments[row, U(NOTIONAL)]
        high = highest * instruments[row, U(NOTIONAL)]
        sums[at + U(DELTA)] += low
        sums[at + U(HIGH)] += high
        sums[at + U(GROSS)] += abs(low) + abs(high)
        widen(sums, at, instruments, row)
        charges += max(abs(low), abs(high)) * instruments[row, U(CHARGE)]
        if kind & SPOT_BIT:
            sums[at + U(SPOTS)] += high
            value += high
        else:
            linear = lots * instruments[row, U(VALUE)]
            value += linear
            worth += abs(linear)
    return seen, value, worth, charges


@inlined
def worst(
    tables: Tables,
    positions: Words,
    orders: Words,
    span: Span,
    place: int,
    column: int,
    more: int,
    money: float,
    sums: Reals,
) -> tuple[float, float]:
    """What an account has beyond the worst of its open orders and ``more`` lots of them in one
    column of ``place``, which it has a position or order in, and how far that may err; ``money`` is
    less what they cost.
    """
    underlyings, venue = tables[2], tables[3]
    seen, value, worth, charges = _gather_ends(
        tables, positions, orders, span, place, column, more, sums
    )
    scan = base = highs = lows = haircut = penalty = weighed = 0.0
    added = charges
    while seen:
        underlying = trailing_zeros(seen)
        seen &= seen - ONE
        at = underlying * U(SUM_COLUMNS)
        low, high = sums[at + U(DELTA)], sums[at + U(HIGH)]
        size = max(abs(low), abs(high))
        psr = underlyings[underlying, U(PSR_I)]
        credit = psr * underlyings[underlying, U(CREDIT_I)]
        scan += size * psr
        base += size * credit
        highs += high * credit
        lows += low * credit
        _, strictest = liquidity(underlyings, underlying, size)
        added += strictest + size * sums[at + U(DOUBT)]
        penalty += max(adverse(low, sums, at), adverse(high, sums, at))
        haircut += sums[at + U(SPOTS)] * underlyings[underlying, U(HAIRCUT_I)]
        weighed += sums[at + U(GROSS)] * underlyings[underlying, U(WEIGHT)]
    saving = min(max(base - max(abs(highs), abs(lows)), 0.0), venue[U(CAP_I)])
    initial = (scan - saving + added) * venue[U(RATIO)] + haircut
    return money + value - initial - penalty, tolerance(weighed, worth, money)
